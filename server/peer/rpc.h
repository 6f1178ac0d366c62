// server/peer/rpc.h
//
// gRPC's completion queues with a thread each, and what both ends of a stream share.

#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "ursula/bytes.h"
#include "ursula/function.h"

namespace ursula::peer {

inline constexpr const char* kMethod = "/ursula.Peer/Frames";

// What is handed over through gRPC, for ThreadSanitizer, which doesn't see into it.
void HandOver(void* what);
void TakeOver(void* what);

// An operation's end: what the queue gives back.
struct Tag {
  Function<void(bool ok)> done = {};

  // For the operation.
  void* Give() {
    HandOver(this);
    return this;
  }
};

// False: there is no thread to be had.
bool StartThread(std::thread* thread, Function<void()> work);

// A completion queue and the thread that takes from it.
class Poller {
 public:
  explicit Poller(std::unique_ptr<grpc::ServerCompletionQueue> queue);
  ~Poller();  // REQUIRES: Stop() was called.

  bool Start();  // As StartThread.
  grpc::ServerCompletionQueue* queue() { return queue_.get(); }
  // REQUIRES: nothing begins an operation any more.
  void Stop();

 private:
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::thread thread_;
};

// Counts streams that have operations under way.
class OpenCalls {
 public:
  void Enter();
  void Leave();
  void AwaitNone();

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  uint64_t count_ = 0;
};

// Borrows the parts: each lives until gRPC has done with it.
grpc::ByteBuffer BorrowedBuffer(const std::vector<Bytes>& parts);
grpc::ByteBuffer CopiedBuffer(std::string_view bytes);

// The pieces of a buffer. `slices` keeps them.
std::vector<std::string_view> Pieces(const grpc::ByteBuffer& buffer,
                                     std::vector<grpc::Slice>* slices);
// At most `bytes_max` of it.
std::string Joined(const grpc::ByteBuffer& buffer, std::size_t bytes_max);

}  // namespace ursula::peer
