// lib/stream/collection.h
//
// Collects the records of a Machine for a snapshot, in steps between which commands may be applied:
// a group may have a million streams, and its core has other things to do.
//
// A base sweeps over all records by key, but leaves out those that are marked as changed; what
// commands change meanwhile is marked, whether it was swept over or not. Then, and for a delta at
// once, marked records are taken until there are none.
//
// Invariant: a record that was swept over and isn't marked was emitted as it is. So what was
// emitted until the last step, taken in order, is the state as it is then (base), or leads there
// from what the collection before this one gave (delta).

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/btree_set.h"
#include "lib/stream/machine.h"

namespace ursula::stream {

// A step ends at the first of these. It takes more marked records only if commands mark so many
// that it would never get to the end.
struct CollectionStep {
  std::size_t records_max = 1024;
  std::size_t bytes_max = 256 << 10;
};

class Collection {
 public:
  // `machine` outlives it. One after the other for each machine; after one that was given up half-
  // way only a base tells what had changed.
  Collection(Machine* machine, bool base, CollectionStep step = {});

  // True: that was the last step. REQUIRES: it hasn't been before.
  bool Step(Machine::Emit* emit);

 private:
  enum class State : uint8_t { kNew, kForgetting, kSweeping, kTaking, kEnded };

  void Begin();
  void Forget();
  void Sweep();
  void Take();
  bool full() const;
  void End();
  std::optional<std::string> EmitRecord(std::string_view key);  // Its value.

  Machine& machine_;
  const CollectionStep step_;
  const bool base_;
  State state_ = State::kNew;
  // Marks from before a base, to be forgotten.
  std::size_t old_streams_ = 0;
  absl::btree_set<std::string, std::less<>> old_records_;
  std::string swept_;                  // The last key.
  std::optional<std::string> header_;  // As it was emitted first.

  // Of this step.
  Machine::Emit* emit_ = nullptr;
  std::size_t records_ = 0;
  std::size_t bytes_ = 0;
  uint64_t marks_seen_ = 0;  // Machine::marks, at the last step.
  std::size_t records_min_ = 0;
};

}  // namespace ursula::stream
