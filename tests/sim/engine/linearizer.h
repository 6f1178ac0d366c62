// tests/sim/engine/linearizer.h
//
// Whether some order of operations that were under way together explains their answers: an order in
// which none comes before one that had ended when it began, in which the appends of a batch to one
// stream stand as they were asked, and in which each takes effect at one moment between its call
// and its answer.

#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/engine/model.h"
#include "tests/sim/engine/operation.h"

namespace ursula::engine::sim {

class Linearizer {
 public:
  explicit Linearizer(const std::vector<Operation>& operations) : operations_(operations) {}

  // All models that the operations may have left, each once; empty: no order explains the answers.
  // Operations that nobody knows the outcome of may have taken effect, or not.
  std::vector<Model> Run(const std::vector<Model>& before);
  // After a Run that found none: what no order could go on to explain.
  std::string Unexplained() const;
  // Whether there is one in which `second` doesn't take effect before `first`.
  bool CanBeOrdered(const std::vector<Model>& before, std::size_t first, std::size_t second);

 private:
  // Made: a fork of another group's name, of which that group is still to hear.
  enum class Phase : uint8_t { kWaiting, kMade, kDone };
  using Phases = std::vector<Phase>;

  void Search(const Model& model, const Phases& phases);
  bool MayComeNext(const Phases& phases, std::size_t index) const;
  bool IsOver(const Phases& phases) const;

  const std::vector<Operation>& operations_;
  std::vector<std::pair<std::size_t, std::size_t>> wanted_order_;
  std::set<std::pair<uint64_t, Phases>> seen_;
  Phases furthest_;  // Of all that were searched.
  std::set<uint64_t> found_;
  std::vector<Model> after_;
};

}  // namespace ursula::engine::sim
