// tests/bench/raft/ring_log.h
//
// The durable log of a replica, as a stand-in: the newest entries, in memory, in a ring.

#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "lib/raft/storage.h"

namespace ursula::raft {

// Forgets what is older than its window. REQUIRES of its user: entries are applied everywhere
// before that.
class RingLog final : public LogStorage {
 public:
  RingLog() : ring_(kWindow) {}

  Index first() const override { return first_; }
  Index last() const override { return end_ - 1; }
  Term TermAt(Index index) const override;
  bool Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const override;
  std::optional<Snapshot> NewestSnapshot() const override { return std::nullopt; }

  // REQUIRES: contiguous, starting at most at last()+1.
  void Append(std::span<const Entry> entries);

 private:
  static constexpr std::size_t kWindow = 1 << 12;

  const Entry& At(Index index) const { return ring_[Raw(index) % kWindow]; }

  std::vector<Entry> ring_;
  Index first_{1};
  Index end_{1};
  Term compacted_term_{};
};

}  // namespace ursula::raft
