// lib/io/uring/listener.h
//
// A listening socket on a loop's ring. The same invariant as of UringSocket: closed only when no
// completion can come any more.

#pragma once

#include <cstdint>
#include <memory>

#include "lib/io/socket.h"
#include "lib/io/timer.h"
#include "lib/io/uring/ring.h"

namespace ursula::io::uring {

class UringLoop;

class UringListener final : public Listener {
 public:
  static Result<std::unique_ptr<Listener>> Open(UringLoop* loop, const ListenOptions& options,
                                                Acceptor* acceptor);
  UringListener(UringLoop* loop, int fd, uint16_t port, Acceptor* acceptor);  // Owns `fd`.
  ~UringListener() override;

  uint16_t port() const override { return port_; }
  void Pause() override;
  void Resume() override;
  void Close(Op* op) override;

 private:
  enum class State : uint8_t { kOpen, kClosing, kClosed };

  void Arm();
  void OnAcceptCompleted(int32_t result, uint32_t flags);
  void OnAccepted(int fd);
  void OnFailed(int error);
  void OnRetry();
  void SubmitCancel();
  void OnCancelCompleted(int32_t result, uint32_t flags);
  void CloseWhenIdle();
  void OnClosed(int32_t result, uint32_t flags);

  UringLoop* const loop_;
  const int fd_;
  const uint16_t port_;
  Acceptor* const acceptor_;
  State state_ = State::kOpen;
  uint32_t in_flight_ = 0;
  bool wanted_ = true;
  bool armed_ = false;
  bool cancelling_ = false;
  Timer retry_;
  Op* close_op_ = nullptr;
  Completion accept_;
  Completion cancel_;
  Completion close_;
};

}  // namespace ursula::io::uring
