// tests/model/agreement.h
//
// Whether replicas agree: each says what its state hashes to at an index, and a replay of the log
// into a machine that has no disk, no budget and no restarts says what it has to be.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/raft/types.h"
#include "lib/storage/wal_recovery.h"
#include "lib/stream/command.h"
#include "tests/model/stream_twin.h"
#include "ursula/status.h"

namespace ursula::stream {

class Agreement {
 public:
  // Empty, or how `who` differs from what was said before of the group at this index.
  std::string Observe(const std::string& who, uint32_t group, Index index, uint64_t hash);

  uint64_t compared() const { return compared_; }  // Observations that met an earlier one.
  bool Knows(uint32_t group, Index index) const { return said_.count({group, index}) > 0; }

 private:
  struct Said {
    std::string who;
    uint64_t hash = 0;
  };
  std::map<std::pair<uint32_t, Index>, Said> said_;
  uint64_t compared_ = 0;
};

// Gathers the entries of all groups across openings of one directory. Each opening may show entries
// again, and must show all that were not shown before.
class LogKeeper final : public storage::RecoverySink {
 public:
  explicit LogKeeper(uint32_t group_count) : entries_(group_count) {}

  Status OnRecord(storage::RecoveredRecord record) override;  // kDataLoss: one is missing.
  const std::vector<raft::Entry>& entries(uint32_t group) const { return entries_[group]; }

 private:
  std::vector<std::vector<raft::Entry>> entries_;  // Of index 1, 2, 3 ...
};

// The pure replay of one group, beside the slow model.
class Replay {
 public:
  Replay(uint32_t group, uint64_t history) : group_(group), twin_(GroupId{group}, history) {}

  // Applies the entries above those applied before; tells `agreement` the hash after each of which
  // somebody spoke. Empty, or the first difference.
  std::string Run(const std::vector<raft::Entry>& entries, Agreement* agreement);

  const StreamTwin& twin() const { return twin_; }
  uint64_t commands() const { return commands_; }

 private:
  const uint32_t group_;
  StreamTwin twin_;
  uint64_t applied_ = 0;
  uint64_t commands_ = 0;
};

}  // namespace ursula::stream
