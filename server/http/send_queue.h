// server/http/send_queue.h
//
// What waits to be written to one socket. Pieces are shared, not copied, and kept until the kernel
// has taken them. Pieces pushed in one turn leave in one write, up to kWriteBytesMax: so much at
// once that a write is cheap for its bytes, so little that its end shows a slow peer's progress.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "lib/io/loop.h"
#include "lib/io/op.h"
#include "lib/io/socket.h"
#include "ursula/bytes.h"

namespace ursula::http {

class SendQueue final : private io::TurnHook {
 public:
  static constexpr std::size_t kWriteBytesMax = 256 << 10;

  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnSent(std::size_t bytes) = 0;  // Some were taken; unsent_bytes() is less now.
    virtual void OnSendFailed(int error) = 0;    // Once; the rest was dropped.
  };

  SendQueue(io::Loop* loop, io::Socket* socket, Listener* listener)
      : loop_(loop), socket_(socket), listener_(listener) {}
  ~SendQueue() override;  // REQUIRES: !sending().

  void Push(Bytes piece);
  void Drop();  // What isn't under way. Nothing is sent after it.

  bool sending() const { return op_.pending(); }
  std::size_t unsent_bytes() const { return unsent_bytes_; }

 private:
  void OnTurnEnd() override;
  Bytes TakeUpTo(std::size_t bytes);
  void OnWritten(int64_t result);

  io::Loop* const loop_;
  io::Socket* const socket_;
  Listener* const listener_;
  std::deque<Bytes> waiting_;
  std::vector<Bytes> under_way_;
  std::size_t unsent_bytes_ = 0;
  bool dropped_ = false;
  io::Op op_;
};

}  // namespace ursula::http
