// lib/io/uring/receive_buffers.h
//
// The memory that bytes from sockets arrive in: one ring of buffers a loop, from which the kernel
// picks one when bytes are there. An idle connection holds none.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/io/uring/ring.h"

namespace ursula::io::uring {

class ReceiveBuffers {
 public:
  static constexpr uint16_t kGroup = 1;
  static constexpr uint32_t kBuffersMax = 512;  // A power of two.
  static constexpr std::size_t kBufferBytes = 16 * 1024;

  ReceiveBuffers() = default;
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;
  ~ReceiveBuffers();  // REQUIRES: the ring is gone.

  Status Start(Ring* ring);  // Again: nothing.
  bool started() const { return ring_ != nullptr; }

  // What a completion with IORING_CQE_F_BUFFER brought.
  static uint32_t IdOf(uint32_t flags) { return flags >> IORING_CQE_BUFFER_SHIFT; }
  std::string_view View(uint32_t id, std::size_t size) const;
  void Return(uint32_t id);  // To the kernel.

 private:
  void Add(uint32_t id, int position);

  io_uring_buf_ring* ring_ = nullptr;
  char* buffers_ = nullptr;
};

}  // namespace ursula::io::uring
