// lib/storage/sequential_reads.h
//
// Tells who reads a stream from page to page, for whom reading ahead is worth it. It remembers the
// ends of the latest reads, a fixed number, and forgets the rest: a wrong answer costs time only.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/storage/payload_format.h"

namespace ursula::storage {

class SequentialReads {
 public:
  // Notes that [from, next) of `key` is being read. True: it goes on where an earlier read ended,
  // or one byte before (a reader of JSON looks at what precedes its page).
  bool GoesOn(PayloadKey key, uint64_t from, uint64_t next) {
    for (Read& read : reads_) {
      if (read.key != key || (read.next != from && read.next != from + 1)) continue;
      read.next = next;
      return true;
    }
    reads_[oldest_] = {key, next};
    oldest_ = (oldest_ + 1) % reads_.size();
    return false;
  }

 private:
  struct Read {
    PayloadKey key = {};
    uint64_t next = UINT64_MAX;
  };
  std::array<Read, 32> reads_ = {};
  std::size_t oldest_ = 0;
};

}  // namespace ursula::storage
