// lib/storage/aligned_buffer.h
//
// A growable buffer whose start suits direct I/O. Its size is the caller's business; growing keeps
// the first `used` bytes. And how far a write has come.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "lib/base/check.h"

namespace ursula::storage {

class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 4096;

  char* data() { return bytes_.get(); }
  const char* data() const { return bytes_.get(); }
  std::size_t capacity() const { return capacity_; }

  // Capacity of at least `wanted`, a multiple of kAlignment; the bytes are not initialized.
  void Grow(std::size_t wanted, std::size_t used) {
    URSULA_CHECK(used <= capacity_);
    if (wanted <= capacity_) return;
    std::size_t capacity = capacity_ < kAlignment ? kAlignment : capacity_;
    while (capacity < wanted) capacity *= 2;
    char* bytes = static_cast<char*>(std::aligned_alloc(kAlignment, capacity));
    URSULA_CHECK(bytes != nullptr);
    if (used > 0) std::memcpy(bytes, bytes_.get(), used);
    bytes_.reset(bytes);
    capacity_ = capacity;
  }

 private:
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<char, Free> bytes_;
  std::size_t capacity_ = 0;
};

// Of a write that returned `result` bytes: direct I/O goes on from the last whole block.
constexpr uint32_t WrittenBytes(int64_t result, bool direct) {
  const uint32_t bytes = static_cast<uint32_t>(result);
  const uint32_t block = AlignedBuffer::kAlignment;
  return direct ? bytes / block * block : bytes;
}

// A file that takes so little at a time is broken.
inline constexpr uint32_t kShortWritesMax = 1000;

}  // namespace ursula::storage
