// lib/io/paged_bytes.h
//
// The content of a file in memory: sparse, so that reserving a large file costs nothing and zeros
// written into a hole leave it one.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace ursula::io {

class PagedBytes {
 public:
  static constexpr std::size_t kPageBytes = 64 * 1024;

  PagedBytes() = default;
  PagedBytes(const PagedBytes& other) { *this = other; }
  PagedBytes& operator=(const PagedBytes& other) {
    if (this == &other) return *this;
    pages_.clear();
    held_pages_ = 0;
    pages_.resize(other.pages_.size());
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      if (other.pages_[i] == nullptr) continue;
      std::memcpy(Make(i), other.pages_[i].get(), kPageBytes);
    }
    size_ = other.size_;
    return *this;
  }

  uint64_t size() const { return size_; }
  uint64_t held_bytes() const { return held_pages_ * kPageBytes; }

  // Cuts, or grows by zeros.
  void Resize(uint64_t size) {
    if (size < size_) Zero(size, size_ - size);
    size_ = size;
    std::size_t count = static_cast<std::size_t>((size + kPageBytes - 1) / kPageBytes);
    for (std::size_t i = count; i < pages_.size(); ++i) held_pages_ -= pages_[i] != nullptr;
    pages_.resize(count);
  }

  // Grows as needed.
  void Write(uint64_t offset, std::span<const char> from) {
    if (offset + from.size() > size_) Resize(offset + from.size());
    while (!from.empty()) {
      std::size_t page = static_cast<std::size_t>(offset / kPageBytes);
      std::size_t within = static_cast<std::size_t>(offset % kPageBytes);
      std::span<const char> piece = from.first(std::min(from.size(), kPageBytes - within));
      if (pages_[page] != nullptr || !AllZero(piece)) {
        std::memcpy(Make(page) + within, piece.data(), piece.size());
      }
      offset += piece.size();
      from = from.subspan(piece.size());
    }
  }

  // Returns how much there was.
  std::size_t Read(uint64_t offset, std::span<char> into) const {
    if (offset >= size_) return 0;
    into = into.first(static_cast<std::size_t>(std::min<uint64_t>(into.size(), size_ - offset)));
    std::size_t total = into.size();
    while (!into.empty()) {
      std::size_t page = static_cast<std::size_t>(offset / kPageBytes);
      std::size_t within = static_cast<std::size_t>(offset % kPageBytes);
      std::size_t piece = std::min(into.size(), kPageBytes - within);
      if (pages_[page] != nullptr) {
        std::memcpy(into.data(), pages_[page].get() + within, piece);
      } else {
        std::memset(into.data(), 0, piece);
      }
      offset += piece;
      into = into.subspan(piece);
    }
    return total;
  }

 private:
  static bool AllZero(std::span<const char> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
  }

  char* Make(std::size_t page) {
    if (pages_[page] == nullptr) {
      pages_[page] = std::make_unique<char[]>(kPageBytes);
      ++held_pages_;
    }
    return pages_[page].get();
  }

  void Zero(uint64_t offset, uint64_t count) {
    while (count > 0) {
      std::size_t page = static_cast<std::size_t>(offset / kPageBytes);
      std::size_t within = static_cast<std::size_t>(offset % kPageBytes);
      uint64_t piece = std::min<uint64_t>(count, kPageBytes - within);
      if (pages_[page] != nullptr) {
        std::memset(pages_[page].get() + within, 0, static_cast<std::size_t>(piece));
      }
      offset += piece;
      count -= piece;
    }
  }

  std::vector<std::unique_ptr<char[]>> pages_;
  uint64_t held_pages_ = 0;
  uint64_t size_ = 0;
};

}  // namespace ursula::io
