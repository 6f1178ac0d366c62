// lib/io/socket.h
//
// Listening and stream sockets of one loop. Everything runs on the loop's thread; no callback runs
// inside the call that asked for it.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lib/io/op.h"
#include "ursula/status.h"

namespace ursula::io {

class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void OnReceived(std::string_view bytes) = 0;  // Valid until it returns.
  virtual void OnReceiveEnded(int error) = 0;  // 0: the peer sent FIN; else errno. Once, last.
};

class Socket {
 public:
  virtual ~Socket() = default;  // REQUIRES: Close has completed.

  virtual const std::string& peer() const = 0;  // "127.0.0.1:50123".

  // Bytes reach `receiver`, borrowed until Close completes, as they come.
  virtual void StartReceive(Receiver* receiver) = 0;
  // Backpressure: after Pause at most what the kernel had already handed over is still delivered.
  virtual void PauseReceive() = 0;
  virtual void ResumeReceive() = 0;

  // Completes when all bytes were taken by the kernel (their count) or with -errno. One at a time;
  // `parts` (copied) refer to bytes that stay until completion. At most kSendPartsMax parts.
  static constexpr std::size_t kSendPartsMax = 64;
  virtual void Send(std::span<const std::string_view> parts, Op* op) = 0;

  virtual void ShutdownSend() = 0;  // FIN after what was sent.
  // Ends a Send under way with -ECANCELED, stops receiving (no OnReceiveEnded follows), closes the
  // descriptor. Completes with 0 once nothing refers to the socket; only then destroy it.
  virtual void Close(Op* op) = 0;

  // Gives the descriptor up, for another loop to Adopt: completes with it once nothing here refers
  // to it; only then destroy the socket. What has come until then is still delivered, an end
  // included; what comes later the other one finds. REQUIRES: no Send is under way. No other call
  // but those that pause and resume may follow.
  virtual void Release(Op* op) = 0;
};

class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual void OnAccepted(std::unique_ptr<Socket> socket) = 0;
  // EMFILE and the like; accepting goes on after 100 ms. RLIMIT_NOFILE counts as it stood when the
  // kernel was last asked to accept: raise it before Listen.
  virtual void OnAcceptFailed(int error) = 0;
};

class Listener {
 public:
  virtual ~Listener() = default;  // REQUIRES: Close has completed.
  virtual uint16_t port() const = 0;
  virtual void Pause() = 0;  // Stop accepting; the backlog waits.
  virtual void Resume() = 0;
  virtual void Close(Op* op) = 0;
};

struct ListenOptions {
  std::string host = "127.0.0.1";  // A numeric IPv4 or IPv6 address.
  uint16_t port = 0;               // 0: the kernel chooses.
  bool reuse_port = false;         // One listener a core on the same port.
  int backlog = 4096;
};

}  // namespace ursula::io
