// lib/raft/read_queue.h
//
// Reads that a leader may answer once a quorum has confirmed that it still leads
// (dissertation 6.4).

#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "lib/raft/message.h"
#include "lib/raft/quorum.h"

namespace ursula::raft {

// In order of arrival. A quorum that answers a read's heartbeat confirms every earlier read too.
class ReadQueue {
 public:
  struct Read {
    Message request;
    Index index{};             // The commit index when it came.
    std::vector<NodeId> acks;  // Who answered.
  };

  // Nothing happens if a read with this context waits already.
  void Add(Message request, Index index);
  // The read with this context, or null.
  Read* Find(const Bytes& context);
  static void Acknowledge(Read* read, NodeId from);
  // Takes out all up to and including `read`, oldest first.
  std::vector<Read> TakeThrough(const Read* read);

  std::size_t size() const { return reads_.size(); }
  bool empty() const { return reads_.empty(); }
  const Bytes& last_context() const {
    return reads_.back().request.context;
  }  // REQUIRES: !empty().
  void Clear() { reads_.clear(); }

 private:
  std::deque<Read> reads_;
};

}  // namespace ursula::raft
