// tests/model/stream_twin.h
//
// StreamTwin applies each command to a Machine and to the slow model, and compares all that can be
// seen: replies, effects, queries, the content of every stream as read through fork ancestors, and
// what is left after a snapshot and restore.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/stream/collection.h"
#include "lib/stream/command.h"
#include "lib/stream/machine.h"
#include "tests/model/stream_model.h"

namespace ursula::stream {

class StreamTwin {
 public:
  explicit StreamTwin(GroupId group = GroupId{3}, uint64_t history = 0);

  // Empty if both agree, else what differs. The command also passes through its encoding.
  std::string Apply(const Command& command);
  // Entries without a command have taken the indexes up to `index`.
  void SkipTo(uint64_t index) { index_ = index; }

  // Compares the whole state.
  std::string CompareState(const std::vector<StreamId>& ids);

  // Takes a snapshot (a delta on what was taken before, or a new base), restores it into a new
  // machine, compares the hashes, and goes on with the restored one.
  std::string Restore(bool full);
  // The same in steps, between which commands may be applied: one begins, and each step says
  // whether it was the last, which has restored what was collected.
  void BeginSnapshot(bool full, CollectionStep step);
  bool StepSnapshot(std::string* difference);
  bool in_snapshot() const { return collection_.has_value(); }

  const Machine& machine() const { return *machine_; }
  const StreamModel& model() const { return model_; }
  uint64_t index() const { return index_; }
  const std::set<Outcome>& outcomes() const { return outcomes_; }  // All that were replied.

 private:
  bool ExpiresForFork(const Command& command) const;
  std::string CompareResults(const ApplyResult& got, const ModelResult& want);
  std::string CompareName(const StreamId& id);
  std::string CompareContent(const ModelStream& stream);
  std::string CompareLists();
  std::string CompareCluster();
  std::string RestoreCollected();

  const GroupId group_;
  uint64_t index_ = 0;
  std::set<Outcome> outcomes_;
  std::unique_ptr<Machine> machine_;
  StreamModel model_;
  std::map<uint64_t, std::string> payload_;  // Of streams not freed, by incarnation.
  std::map<uint64_t, uint64_t> payload_start_;
  std::map<std::string, std::string> records_;  // The last base with its deltas.
  std::vector<std::pair<std::string, std::optional<std::string>>> history_;  // As emitted.
  std::optional<Collection> collection_;
};

}  // namespace ursula::stream
