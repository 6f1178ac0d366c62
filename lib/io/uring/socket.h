// lib/io/uring/socket.h
//
// A connected stream socket on a loop's ring.
//
// Invariant: `in_flight_` counts the submissions whose last completion has not come. The descriptor
// is closed, and Close completes, only at zero: so no completion ever meets another connection's
// descriptor or a destroyed socket.

#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/io/socket.h"
#include "lib/io/uring/ring.h"

namespace ursula::io::uring {

class UringLoop;

// What a send under way needs beside its bytes. Lent by the loop, so that a silent connection keeps
// none.
struct SendScratch {
  msghdr header = {};
  iovec parts[Socket::kSendPartsMax] = {};
};

class SendScratchPool {
 public:
  std::unique_ptr<SendScratch> Take() {
    if (free_.empty()) return std::make_unique<SendScratch>();
    std::unique_ptr<SendScratch> scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void Give(std::unique_ptr<SendScratch> scratch) {
    if (free_.size() < kFreeMax) free_.push_back(std::move(scratch));
  }

 private:
  static constexpr std::size_t kFreeMax = 1024;
  std::vector<std::unique_ptr<SendScratch>> free_;
};

class UringSocket final : public Socket {
 public:
  UringSocket(UringLoop* loop, int fd);  // Owns `fd`.
  ~UringSocket() override;

  const std::string& peer() const override { return peer_; }
  void StartReceive(Receiver* receiver) override;
  void PauseReceive() override;
  void ResumeReceive() override;
  void Send(std::span<const std::string_view> parts, Op* op) override;
  void ShutdownSend() override;
  void Close(Op* op) override;
  void Release(Op* op) override;

 private:
  enum class State : uint8_t { kOpen, kReleasing, kClosing, kClosed };

  void ArmReceive();
  void OnReceiveCompleted(int32_t result, uint32_t flags);
  void HandOver(int32_t result, uint32_t flags);
  void EndReceive(int error);

  void SubmitSend();
  void OnSendCompleted(int32_t result, uint32_t flags);
  void AdvanceSend(std::size_t bytes);
  void FinishSend(int64_t result);

  void SubmitCancel();  // Of everything on the descriptor.
  void OnCancelCompleted(int32_t result, uint32_t flags);
  bool Receives() const { return state_ == State::kOpen || state_ == State::kReleasing; }
  void EndWhenIdle();
  void OnClosed(int32_t result, uint32_t flags);
  io_uring_sqe* Entry();

  UringLoop* const loop_;
  const int fd_;
  State state_ = State::kOpen;
  uint32_t in_flight_ = 0;
  std::string peer_;

  Receiver* receiver_ = nullptr;
  bool receive_wanted_ = false;
  bool receive_armed_ = false;
  bool receive_ended_ = false;
  bool cancelling_ = false;

  Op* send_op_ = nullptr;
  std::unique_ptr<SendScratch> scratch_;  // While a send is under way.
  std::size_t send_left_ = 0;
  int64_t sent_ = 0;
  bool shutdown_after_send_ = false;

  Op* end_op_ = nullptr;  // Of Close or Release.
  Completion receive_;
  Completion send_;
  Completion cancel_;
  Completion close_;
};

}  // namespace ursula::io::uring
