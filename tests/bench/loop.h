// tests/bench/loop.h
//
// The client side of a load generator: TCP connections on one io_uring, made to cost as little as
// possible, because on a small machine the server shares the cores. Multishot receives into shared
// buffers, sends submitted together once a turn. It shares no code with the server's own loop, so
// that neither hides the other's mistakes. One thread owns a loop and all its channels.

#pragma once

#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ursula::bench {

class Loop;

uint64_t NowNs();  // CLOCK_MONOTONIC.

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

// One TCP connection, which can be opened again when it has ended. The callbacks run inside
// Loop::Turn, never inside a call of this class.
class Channel {
 public:
  explicit Channel(Loop* loop);
  virtual ~Channel();  // REQUIRES: closed(), or the loop is gone.
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Before Open: not the loop's server, but this one, which stays while this does.
  void set_server(const Address* server) { server_ = server; }
  // REQUIRES: closed().
  void Open();
  // Ends it; OnEnded follows. Nothing on a closed one.
  void Close();
  // `bytes` stay until OnSent. One at a time. REQUIRES: open.
  void Write(std::string_view bytes);
  // Before Open: nothing is received until Resume, and the kernel buffers at most so much.
  void StartPaused(int receive_buffer_bytes);
  void Resume();

  bool closed() const { return state_ == State::kClosed; }
  bool open() const { return state_ == State::kOpen; }  // Neither opening nor ending.
  bool writing() const { return !unsent_.empty(); }
  Loop* loop() const { return loop_; }

 protected:
  virtual void OnOpened() = 0;
  virtual void OnBytes(std::string_view bytes) = 0;  // Valid until it returns.
  virtual void OnSent() {}
  // 0: by Close or by the peer's FIN; else errno. It may be opened again from here.
  virtual void OnEnded(int error) = 0;

 private:
  friend class Loop;
  enum class State : uint8_t { kClosed, kOpening, kOpen, kEnding };
  enum class Kind : uint8_t { kConnect, kReceive, kSend };

  void Deliver(Kind kind, const io_uring_cqe& entry);
  void OnConnectDone(int result);
  void OnReceiveDone(const io_uring_cqe& entry);
  void OnSendDone(int result);
  void Receive();
  void End(int error);
  void FinishEnd();

  Loop* const loop_;
  const Address* server_ = nullptr;  // Null: the loop's.
  State state_ = State::kClosed;
  bool paused_ = false;
  bool receiving_ = false;
  int receive_buffer_bytes_ = 0;  // 0: the system's choice.
  int descriptor_ = -1;
  int end_error_ = 0;
  uint32_t pending_ = 0;  // Operations in the ring.
  std::string_view unsent_;
};

class Loop {
 public:
  explicit Loop(const Address& server);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Why it cannot be used; empty: it can.
  const std::string& error() const { return error_; }

  // Submits what is queued, waits until something happens or `deadline_ns`, runs the callbacks.
  void Turn(uint64_t deadline_ns);

  uint64_t turns() const { return turns_; }

 private:
  friend class Channel;
  static constexpr uint32_t kEntries = 4096;
  static constexpr uint32_t kBuffers = 1024;
  static constexpr std::size_t kBufferBytes = 16 << 10;

  io_uring_sqe* Entry(Channel* channel, Channel::Kind kind);
  std::string_view Buffer(uint32_t id, int size) const;
  void ReturnBuffer(uint32_t id);
  bool StartBuffers();

  Address server_;
  std::string error_;
  io_uring ring_ = {};
  bool started_ = false;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  char* buffers_ = nullptr;
  std::vector<io_uring_cqe> reaped_;
  uint64_t turns_ = 0;
};

}  // namespace ursula::bench
