#include "lib/raft/read_queue.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::raft {

void ReadQueue::Add(Message request, Index index) {
  if (Find(request.context) != nullptr) return;
  reads_.push_back({std::move(request), index, {}});
}

ReadQueue::Read* ReadQueue::Find(const Bytes& context) {
  for (Read& read : reads_) {
    if (read.request.context == context) return &read;
  }
  return nullptr;
}

void ReadQueue::Acknowledge(Read* read, NodeId from) {
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
