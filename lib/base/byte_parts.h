// lib/base/byte_parts.h
//
// A text of bytes put together without copying what is large: small pieces go into blocks of its
// own, large ones are shared as they are. What it gives is to be sent part by part.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/coding.h"
#include "ursula/bytes.h"

namespace ursula {

class ByteParts {
 public:
  // From here on a piece is shared: below, a copy costs less than one more part.
  static constexpr std::size_t kSharedBytesMin = 4096;

  template <class T>
  void PutFixed(T value) {
    ursula::PutFixed<T>(&open_, value);
  }
  void PutVarint(uint64_t value) { ursula::PutVarint(&open_, value); }
  void PutString(std::string_view value) { ursula::PutString(&open_, value); }
  // As PutString says it, for Reader::String.
  void PutBytes(const Bytes& value) {
    PutVarint(value.size());
    Put(value);
  }
  void Put(const Bytes& value) {
    if (value.size() < kSharedBytesMin) {
      open_.append(value.view());
      return;
    }
    Close();
    closed_bytes_ += value.size();
    parts_.push_back(value);
  }
  void Put(ByteParts&& other) {
    for (const Bytes& part : other.parts_) Put(part);
    open_.append(other.open_);
    other = {};
  }

  std::size_t size() const { return closed_bytes_ + open_.size(); }

  // All there is; it is empty again afterwards.
  std::vector<Bytes> Take() {
    Close();
    closed_bytes_ = 0;
    return std::exchange(parts_, {});
  }
  // The same in one piece, which costs a copy where there are several.
  Bytes TakeJoined() {
    std::vector<Bytes> parts = Take();
    if (parts.size() == 1) return std::move(parts.front());
    std::string joined;
    for (const Bytes& part : parts) joined.append(part.view());
    return Bytes::Take(std::move(joined));
  }

 private:
  void Close() {
    if (open_.empty()) return;
    closed_bytes_ += open_.size();
    parts_.push_back(Bytes::Take(std::exchange(open_, {})));
  }

  std::vector<Bytes> parts_;
  std::string open_;
  std::size_t closed_bytes_ = 0;
};

}  // namespace ursula
