// lib/raft/read_queue.h
//
// Reads that a leader may answer once a quorum has confirmed that it still leads
// (dissertation 6.4).

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "lib/raft/message.h"
#include "lib/raft/quorum.h"

namespace ursula::raft {

// In order of arrival. A quorum that answers a read's heartbeat confirms every earlier read too.
//
// What a read is known by is who asked and its context: replicas choose contexts on their own, and
// two may choose the same. Heartbeats carry the read's round instead, a number of this queue's own.
// Invariant: rounds follow each other without a gap and are never used again.
class ReadQueue {
 public:
  struct Read {
    Message request;              // `from` is who asked.
    Index index{};                // The commit index when it came.
    uint64_t round = 0;           // Not 0.
    std::vector<ReplicaId> acks;  // Who answered.
  };

  // The new read; or that of the same asker with the same context, if it waits already.
  Read* Add(Message request, Index index);
  // The read of this round, or null.
  Read* Find(uint64_t round);
  static void Acknowledge(Read* read, ReplicaId from);
  // Takes out all up to and including `read`, oldest first.
  std::vector<Read> TakeThrough(const Read* read);

  std::size_t size() const { return reads_.size(); }
  bool empty() const { return reads_.empty(); }
  uint64_t last_round() const { return reads_.empty() ? 0 : reads_.back().round; }
  void Clear() { reads_.clear(); }

 private:
  std::deque<Read> reads_;
  uint64_t rounds_ = 0;  // So many were given out.
};

}  // namespace ursula::raft
