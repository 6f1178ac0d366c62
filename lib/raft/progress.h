// lib/raft/progress.h
//
// What a leader knows of one replica, and how fast it may send to it.

#pragma once

#include <cstdint>
#include <vector>

#include "lib/raft/types.h"

namespace ursula::raft {

// The kAppends on the way to a follower that is replicated to in a pipeline (dissertation 10.2.1),
// bounded by count and bytes.
class Inflights {
 public:
  Inflights() = default;
  Inflights(uint32_t messages_max, uint64_t bytes_max)
      : messages_max_(messages_max), bytes_max_(bytes_max) {}

  // REQUIRES: !full().
  void Add(Index last, uint64_t bytes);
  // Messages that end at `index` or before have arrived.
  void FreeThrough(Index index);
  void Reset();

  bool full() const { return count_ == messages_max_ || bytes_ >= bytes_max_; }
  uint32_t count() const { return count_; }

 private:
  struct Item {
    Index last{};
    uint64_t bytes = 0;
  };
  void Grow();

  uint32_t messages_max_ = 0;
  uint64_t bytes_max_ = 0;
  uint32_t start_ = 0;
  uint32_t count_ = 0;
  uint64_t bytes_ = 0;
  std::vector<Item> ring_;  // Grows by doubling up to messages_max_.
};

enum class ProgressState : uint8_t {
  kProbe,      // Where its log ends is not known: one message a heartbeat.
  kReplicate,  // Entries go out ahead of the acknowledgements.
  kSnapshot,   // A snapshot is on its way; nothing else is sent.
};

// Invariant: match < next. In kReplicate, entries [match+1, next) are on the way.
struct Progress {
  Index match{};        // Known to be durable there.
  Index next{1};        // The next entry to send.
  Index sent_commit{};  // The highest commit index it was told.
  Index pending_snapshot{};
  ProgressState state = ProgressState::kProbe;
  bool recently_active = false;
  bool flow_paused = false;
  bool learner = false;
  Inflights inflights = {};

  // As a new leader sees it: nothing known but that it is a member.
  void Restart(Index from);
  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(Index snapshot);

  bool paused() const { return state == ProgressState::kSnapshot || flow_paused; }
  void SentEntries(std::size_t count, uint64_t bytes);
  // Telling it of `commit` would move its own commit index.
  bool CommitWouldHelp(Index commit) const;
  // An acknowledgement up to `index`. False: it is old.
  bool Acknowledged(Index index);
  // A refusal of what follows `rejected`. False: it is old. `hint`: where its log may agree.
  bool Rejected(Index rejected, Index hint);

 private:
  void Enter(ProgressState to);
};

}  // namespace ursula::raft
