#include "lib/raft/read_queue.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::raft {

ReadQueue::Read* ReadQueue::Add(Message request, Index index) {
  for (Read& read : reads_) {
    if (read.request.from == request.from && read.request.context == request.context) return &read;
  }
  reads_.push_back({std::move(request), index, ++rounds_, {}});
  return &reads_.back();
}

ReadQueue::Read* ReadQueue::Find(uint64_t round) {
  if (reads_.empty() || round < reads_.front().round || round > reads_.back().round) return nullptr;
  return &reads_[round - reads_.front().round];
}

void ReadQueue::Acknowledge(Read* read, ReplicaId from) {
  if (std::find(read->acks.begin(), read->acks.end(), from) == read->acks.end()) {
    read->acks.push_back(from);
  }
}

std::vector<ReadQueue::Read> ReadQueue::TakeThrough(const Read* read) {
  std::vector<Read> taken;
  for (bool done = false; !done;) {
    URSULA_CHECK(!reads_.empty());
    done = &reads_.front() == read;
    taken.push_back(std::move(reads_.front()));
    reads_.pop_front();
  }
  return taken;
}

}  // namespace ursula::raft
