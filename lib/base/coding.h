// lib/base/coding.h
//
// Little-endian integers, LEB128 varints and length-prefixed strings: the alphabet of every format
// of ours. Writers append to a std::string; Reader takes bytes off a string_view and remembers the
// first mistake, so that a decoder checks `ok()` once at its end.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace ursula {

template <class T>
inline void PutFixed(std::string* out, T value) {  // T: uint8_t .. uint64_t.
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));  // Every supported target is little-endian.
  out->append(bytes, sizeof(T));
}

template <class T>
inline void StoreFixed(char* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

template <class T>
inline T LoadFixed(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

inline void PutVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

inline void PutString(std::string* out, std::string_view value) {
  PutVarint(out, value.size());
  out->append(value);
}

class Reader {
 public:
  explicit Reader(std::string_view input) : rest_(input) {}

  bool ok() const { return ok_; }
  // Everything was read and nothing was wrong.
  bool AtEnd() const { return ok_ && rest_.empty(); }
  std::string_view rest() const { return rest_; }

  template <class T>
  T Fixed() {
    if (rest_.size() < sizeof(T)) return Fail<T>();
    T value = LoadFixed<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Fail<uint64_t>();
      uint8_t byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) return Fail<uint64_t>();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Fail<uint64_t>();
  }

  // A slice of the input.
  std::string_view String() { return Take(Varint()); }

  std::string_view Take(uint64_t size) {
    if (size > rest_.size()) return Fail<std::string_view>();
    std::string_view value = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return value;
  }

  // For decoders that find a value out of its range.
  void Fail() { Fail<int>(); }

 private:
  template <class T>
  T Fail() {
    ok_ = false;
    rest_ = {};
    return T{};
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace ursula
