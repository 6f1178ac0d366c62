// tests/sim/engine/local_reads.h
//
// Whether answers of local reads are as old as they say, and no older: of each life of a stream
// that is what others were told of it, and when. A local answer may be of any moment since then.
// Written from ursula/engine.h (Consistency::kLocal) alone.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/sim/engine/model.h"
#include "tests/sim/engine/operation.h"

namespace ursula::engine::sim {

bool IsLocal(const Operation& operation);
// It says what there is, or was. What says no is linearizable, as all else.
bool IsOfThePast(const Operation& operation);

class LocalReads {
 public:
  // What an answer that isn't of the past has shown.
  void Learn(const Operation& operation);
  // The contents of lives, as they may be after a batch. REQUIRES: all of it was learned.
  void Keep(const std::vector<Model>& models, const std::vector<Operation>& batch, uint64_t now_ns);
  void Forget();  // The directories were wiped.

  // Of an answer of the past: empty, or how it differs from all that it may be.
  std::string Check(const Operation& operation);

  uint64_t judged() const { return judged_; }

 private:
  using StreamPtr = std::shared_ptr<const ModelStream>;
  struct Fact {
    uint64_t ns = 0;  // When it was told.
    uint64_t tail = 0;
    bool closed = false;
  };
  struct Life {
    StreamId id = {};
    uint64_t known = 0;  // The first event that told of it.
    uint64_t gone_ns = UINT64_MAX;
    std::vector<Fact> facts = {};
    std::vector<StreamPtr> contents = {};
    bool unsure = false;  // It ended beside what changed it: nobody knows how it was last.
  };
  struct Seen {
    uint64_t answered = 0;
    uint64_t tail = 0;
    bool closed = false;
  };
  struct Shown {
    uint64_t incarnation = 0;
    uint64_t tail = 0;
    bool closed = false;
  };
  using Place = std::tuple<std::size_t, uint64_t, uint64_t>;  // A node's process, and a life.

  static Shown ShownBy(const Operation& operation);
  void KeepContents(const std::vector<Model>& models, const std::vector<Operation>& batch);
  void LearnThatOthersAreGone(const Operation& operation, const StreamId& id, uint64_t except);
  std::string GoesBack(const Operation& operation, const Shown& shown);
  std::string IsTooOld(const Operation& operation, const Shown& shown) const;
  static bool Fits(const Operation& operation, const StreamPtr& content);
  std::vector<StreamPtr> Candidates(const StreamId& id, uint64_t incarnation) const;

  std::map<uint64_t, Life> lives_;
  std::vector<StreamPtr> unnamed_;          // Lives that nobody was told the name of.
  std::map<StreamId, uint64_t> unsure_ns_;  // There may have been such a life, until then.
  std::map<Place, std::vector<Seen>> seen_;
  uint64_t judged_ = 0;
};

}  // namespace ursula::engine::sim
