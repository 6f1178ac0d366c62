#include "tests/sim/engine/linearizer.h"

#include <algorithm>

namespace ursula::engine::sim {

std::vector<Model> Linearizer::Run(const std::vector<Model>& before) {
  seen_.clear();
  found_.clear();
  after_.clear();
  furthest_.clear();
  for (const Model& model : before) Search(model, Phases(operations_.size(), Phase::kWaiting));
  return std::exchange(after_, {});
}

std::string Linearizer::Unexplained() const {
  std::string text;
  for (std::size_t i = 0; i < furthest_.size(); ++i) {
    if (furthest_[i] != Phase::kDone) text += " #" + std::to_string(operations_[i].number);
  }
  return text;
}

bool Linearizer::CanBeOrdered(const std::vector<Model>& before, std::size_t first,
                              std::size_t second) {
  wanted_order_.assign(1, {first, second});
  const bool can = !Run(before).empty();
  wanted_order_.clear();
  return can;
}

namespace {

// It was applied or decided against, or nobody knows. Where there was no decision it has no place
// among others.
bool MayHaveBeen(const Operation& operation) {
  return IsUnknown(operation) || StatusOf(operation).ok();
}

}  // namespace

bool Linearizer::MayComeNext(const Phases& phases, std::size_t index) const {
  if (phases[index] == Phase::kDone) return false;
  if (phases[index] == Phase::kMade) return true;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    if (i == index || phases[i] == Phase::kDone) continue;
    if (i < index && MayHaveBeen(operations_[index]) &&
        InOneLane(operations_[i], operations_[index])) {
      return false;
    }
    // Of one that nobody knows the outcome of, nobody knows the time either.
    if (IsUnknown(operations_[i])) continue;
    if (operations_[i].answered < operations_[index].invoked) return false;
  }
  return std::ranges::none_of(wanted_order_, [&](const auto& pair) {
    return pair.second == index && phases[pair.first] == Phase::kWaiting;
  });
}

bool Linearizer::IsOver(const Phases& phases) const {
  for (std::size_t i = 0; i < phases.size(); ++i) {
    if (phases[i] != Phase::kDone && !IsUnknown(operations_[i])) return false;
  }
  return true;
}

void Linearizer::Search(const Model& model, const Phases& phases) {
  const uint64_t hash = model.Hash();
  if (!seen_.insert({hash, phases}).second) return;
  auto done = [](const Phases& of) { return std::ranges::count(of, Phase::kDone); };
  if (furthest_.empty() || done(phases) > done(furthest_)) furthest_ = phases;
  if (IsOver(phases) && found_.insert(hash).second) after_.push_back(model);
  for (std::size_t i = 0; i < phases.size(); ++i) {
    if (!MayComeNext(phases, i)) continue;
    Phases next = phases;
    if (phases[i] == Phase::kMade) {
      next[i] = Phase::kDone;
      Model confirmed = model;
      confirmed.Confirm(operations_[i].number);
      Search(confirmed, next);
      continue;
    }
    std::vector<Model> after;
    model.Explain(operations_[i], &after);
    for (const Model& one : after) {
      next[i] = one.AwaitsConfirm(operations_[i].number) ? Phase::kMade : Phase::kDone;
      Search(one, next);
    }
  }
}

}  // namespace ursula::engine::sim
