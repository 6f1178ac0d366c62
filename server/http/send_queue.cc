#include "server/http/send_queue.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "lib/base/check.h"

namespace ursula::http {

SendQueue::~SendQueue() {
  URSULA_CHECK(!op_.pending());
  if (linked()) Unlink();
}

void SendQueue::Push(Bytes piece) {
  if (dropped_ || piece.empty()) return;
  unsent_bytes_ += piece.size();
  waiting_.push_back(std::move(piece));
  if (!op_.pending()) loop_->AtTurnEnd(this);
}

void SendQueue::Drop() {
  dropped_ = true;
  waiting_.clear();
  unsent_bytes_ = 0;
}

void SendQueue::OnTurnEnd() {
  if (op_.pending() || waiting_.empty()) return;
  std::array<std::string_view, io::Socket::kSendPartsMax> parts;
  std::size_t count = 0;
  std::size_t bytes = 0;
  under_way_.clear();
  while (count < parts.size() && bytes < kWriteBytesMax && !waiting_.empty()) {
    under_way_.push_back(TakeUpTo(kWriteBytesMax - bytes));
    parts[count] = under_way_.back().view();
    bytes += parts[count].size();
    ++count;
  }
  socket_->Send(std::span(parts.data(), count), op_.Then<&SendQueue::OnWritten>(this));
}

Bytes SendQueue::TakeUpTo(std::size_t bytes) {
  Bytes& front = waiting_.front();
  Bytes piece = front.Slice(0, bytes);
  if (piece.size() < front.size()) {
    front = front.Slice(piece.size());
  } else {
    waiting_.pop_front();
  }
  return piece;
}

void SendQueue::OnWritten(int64_t result) {
  under_way_.clear();
  if (dropped_) return;
  if (result < 0) {
    Drop();
    listener_->OnSendFailed(static_cast<int>(-result));
    return;
  }
  std::size_t sent = static_cast<std::size_t>(result);
  unsent_bytes_ -= std::min(sent, unsent_bytes_);
  if (!waiting_.empty()) loop_->AtTurnEnd(this);
  listener_->OnSent(sent);
}

}  // namespace ursula::http
