#include "lib/io/uring/socket.h"

#include <algorithm>
#include <cerrno>

#include "lib/io/address.h"
#include "lib/io/uring/loop.h"

namespace ursula::io::uring {

UringSocket::UringSocket(UringLoop* loop, int fd) : loop_(loop), fd_(fd), peer_(PeerOf(fd)) {
  receive_.Bind<&UringSocket::OnReceiveCompleted>(this);
  send_.Bind<&UringSocket::OnSendCompleted>(this);
  cancel_.Bind<&UringSocket::OnCancelCompleted>(this);
  close_.Bind<&UringSocket::OnClosed>(this);
}

UringSocket::~UringSocket() {
  URSULA_CHECK(state_ == State::kClosed);
  URSULA_CHECK(in_flight_ == 0);
}

io_uring_sqe* UringSocket::Entry() {
  ++in_flight_;
  return loop_->ring().Entry();
}

// ---- receiving ----

void UringSocket::StartReceive(Receiver* receiver) {
  URSULA_CHECK(state_ == State::kOpen && receiver_ == nullptr);
  receiver_ = receiver;
  ResumeReceive();
}

void UringSocket::PauseReceive() {
  receive_wanted_ = false;
  if (!receive_armed_ || cancelling_ || state_ != State::kOpen) return;
  io_uring_sqe* entry = Entry();
  io_uring_prep_cancel64(entry, reinterpret_cast<uintptr_t>(&receive_), 0);
  Ring::Attach(entry, &cancel_);
  cancelling_ = true;
}

void UringSocket::ResumeReceive() {
  URSULA_CHECK(receiver_ != nullptr);
  receive_wanted_ = true;
  ArmReceive();
}

// One multishot receive: it takes a buffer only when bytes are there.
void UringSocket::ArmReceive() {
  if (!receive_wanted_ || receive_armed_ || receive_ended_ || state_ != State::kOpen) return;
  io_uring_sqe* entry = Entry();
  io_uring_prep_recv_multishot(entry, fd_, nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = ReceiveBuffers::kGroup;
  Ring::Attach(entry, &receive_);
  receive_armed_ = true;
}

void UringSocket::OnReceiveCompleted(int32_t result, uint32_t flags) {
  if ((flags & IORING_CQE_F_MORE) == 0) {
    receive_armed_ = false;
    --in_flight_;
  }
  // The callbacks may Close, which completes later: this outlives them.
  if ((flags & IORING_CQE_F_BUFFER) != 0) HandOver(result, flags);
  // ENOBUFS: all buffers were full; they come back within the turn. ECANCELED: Pause or Close.
  if (result == 0) EndReceive(0);
  if (result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR) {
    EndReceive(-result);
  }
  ArmReceive();
  EndWhenIdle();
}

void UringSocket::HandOver(int32_t result, uint32_t flags) {
  uint32_t id = ReceiveBuffers::IdOf(flags);
  ReceiveBuffers& buffers = loop_->receive_buffers();
  if (result > 0 && Receives()) {
    receiver_->OnReceived(buffers.View(id, static_cast<std::size_t>(result)));
  }
  buffers.Return(id);
}

void UringSocket::EndReceive(int error) {
  if (receive_ended_ || !Receives()) return;
  receive_ended_ = true;
  receiver_->OnReceiveEnded(error);
}

// ---- sending ----

void UringSocket::Send(std::span<const std::string_view> parts, Op* op) {
  URSULA_CHECK(state_ == State::kOpen && send_op_ == nullptr);
  URSULA_CHECK(parts.size() <= kSendPartsMax);
  op->Begin();
  send_op_ = op;
  sent_ = 0;
  send_left_ = 0;
  scratch_ = loop_->send_scratch().Take();
  scratch_->header = {};
  scratch_->header.msg_iov = scratch_->parts;
  for (std::string_view part : parts) {
    if (part.empty()) continue;
    iovec& piece = scratch_->parts[scratch_->header.msg_iovlen++];
    piece = {const_cast<char*>(part.data()), part.size()};
    send_left_ += part.size();
  }
  SubmitSend();
}

void UringSocket::SubmitSend() {
  io_uring_sqe* entry = Entry();
  const msghdr& header = scratch_->header;
  constexpr int kFlags = MSG_NOSIGNAL | MSG_WAITALL;
  if (header.msg_iovlen == 1) {  // Cheaper in the kernel: there is no header to copy.
    io_uring_prep_send(entry, fd_, header.msg_iov->iov_base, header.msg_iov->iov_len, kFlags);
  } else {
    io_uring_prep_sendmsg(entry, fd_, &header, kFlags);
  }
  Ring::Attach(entry, &send_);
}

void UringSocket::OnSendCompleted(int32_t result, uint32_t /*flags*/) {
  --in_flight_;
  if (result > 0) AdvanceSend(static_cast<std::size_t>(result));
  if (send_left_ == 0 && result >= 0) {
    FinishSend(sent_);
  } else if (state_ != State::kOpen) {
    FinishSend(-ECANCELED);
  } else if (result > 0 || result == -EINTR || result == -EAGAIN) {
    SubmitSend();
  } else {
    FinishSend(result == 0 ? -EIO : result);
  }
  EndWhenIdle();
}

void UringSocket::AdvanceSend(std::size_t bytes) {
  URSULA_CHECK(bytes <= send_left_);
  send_left_ -= bytes;
  sent_ += static_cast<int64_t>(bytes);
  msghdr& header = scratch_->header;
  while (bytes > 0) {
    iovec& piece = header.msg_iov[0];
    std::size_t taken = std::min(bytes, piece.iov_len);
    piece.iov_base = static_cast<char*>(piece.iov_base) + taken;
    piece.iov_len -= taken;
    bytes -= taken;
    if (piece.iov_len > 0) break;
    ++header.msg_iov;
    --header.msg_iovlen;
  }
}

void UringSocket::FinishSend(int64_t result) {
  loop_->send_scratch().Give(std::move(scratch_));
  Op* op = std::exchange(send_op_, nullptr);
  if (shutdown_after_send_) shutdown(fd_, SHUT_WR);
  shutdown_after_send_ = false;
  op->Complete(result);  // May Send again, or Close.
}

void UringSocket::ShutdownSend() {
  URSULA_CHECK(state_ == State::kOpen);
  if (send_op_ != nullptr) {
    shutdown_after_send_ = true;
  } else {
    shutdown(fd_, SHUT_WR);
  }
}

// ---- closing, and giving up ----

void UringSocket::Close(Op* op) {
  URSULA_CHECK(state_ == State::kOpen);
  op->Begin();
  end_op_ = op;
  state_ = State::kClosing;
  receive_wanted_ = false;
  if (in_flight_ > 0 && !cancelling_) SubmitCancel();  // Else when the one under way is through.
  EndWhenIdle();
}

void UringSocket::Release(Op* op) {
  URSULA_CHECK(state_ == State::kOpen && send_op_ == nullptr);
  op->Begin();
  end_op_ = op;
  state_ = State::kReleasing;
  receive_wanted_ = false;
  if (!cancelling_) SubmitCancel();  // Also where nothing is under way: it completes, later.
}

void UringSocket::SubmitCancel() {
  io_uring_sqe* entry = Entry();
  io_uring_prep_cancel_fd(entry, fd_, IORING_ASYNC_CANCEL_ALL);
  Ring::Attach(entry, &cancel_);
  cancelling_ = true;
}

void UringSocket::OnCancelCompleted(int32_t /*result*/, uint32_t /*flags*/) {
  --in_flight_;
  cancelling_ = false;
  // What was between two states when the cancel passed is caught by the next one.
  if (state_ != State::kOpen && in_flight_ > 0) SubmitCancel();
  EndWhenIdle();
}

void UringSocket::EndWhenIdle() {
  if (state_ == State::kOpen || state_ == State::kClosed || in_flight_ > 0) return;
  URSULA_CHECK(send_op_ == nullptr);
  const bool released = std::exchange(state_, State::kClosed) == State::kReleasing;
  if (released) return end_op_->Complete(fd_);  // May destroy this.
  io_uring_sqe* entry = Entry();
  io_uring_prep_close(entry, fd_);
  Ring::Attach(entry, &close_);
}

void UringSocket::OnClosed(int32_t /*result*/, uint32_t /*flags*/) {
  --in_flight_;
  end_op_->Complete(0);  // May destroy this.
}

}  // namespace ursula::io::uring
