// server/protocol/headers.h
//
// The header lines of a request or of a response, kept as the text that they are sent as: one block
// for all of them, and where each lies in it. A line is looked up, and all are sent, without a
// copy.
//
// Invariant: a name or a value holds no CR, LF or NUL, so that a value can never add a line.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ursula::protocol {

// Views into the Headers that it came from, until those change.
struct Header {
  std::string_view name = {};
  std::string_view value = {};  // Without white space at its ends.
};

// In order of arrival; names compare without regard to case; a name may repeat.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> list);

  // CR, LF and NUL are dropped. A view of a line of these headers must not be given.
  void Add(std::string_view name, std::string_view value);
  void Set(std::string_view name, std::string_view value);  // Replaces all of that name.
  void Remove(std::string_view name);

  // The first value. Valid until the next change.
  std::optional<std::string_view> Find(std::string_view name) const {
    if (!MayHave(name)) return std::nullopt;
    return FindLine(name);
  }
  std::size_t Count(std::string_view name) const { return MayHave(name) ? CountLines(name) : 0; }
  // All values of a list header as one list: "a, b". Empty if there is none.
  std::string Joined(std::string_view name) const;

  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Header at(std::size_t index) const;  // REQUIRES: index is below size().

  // "Name: value\r\n" of each.
  std::string_view text() const { return text_; }

  void Clear();  // Keeps room for as many as are common.

 private:
  static constexpr std::size_t kCommonCount = 8;

  struct Place {  // In `text_`.
    uint32_t begin = 0;
    uint32_t name_bytes = 0;
    uint32_t value_bytes = 0;
    uint32_t key = 0;
  };

  // Equal for names that are the same, and different for most that aren't.
  static uint32_t KeyOf(std::string_view name) {
    if (name.empty()) return 0;
    const auto first = static_cast<unsigned char>(name.front() | 0x20);
    const auto last = static_cast<unsigned char>(name.back() | 0x20);
    return static_cast<uint32_t>(name.size()) << 16 ^ uint32_t { first } << 8 ^ last;
  }
  static uint64_t MarkOf(uint32_t key) { return uint64_t{1} << (key * 0x9e3779b1u >> 26); }
  // Most names that are asked for aren't there.
  bool MayHave(std::string_view name) const { return (marks_ & MarkOf(KeyOf(name))) != 0; }

  const Place& PlaceOf(std::size_t index) const {
    return index < kCommonCount ? first_[index] : more_[index - kCommonCount];
  }
  std::optional<std::string_view> FindLine(std::string_view name) const;
  std::size_t CountLines(std::string_view name) const;
  bool IsNamed(const Place& place, uint32_t key, std::string_view name) const;

  std::string text_;
  std::size_t count_ = 0;
  uint64_t marks_ = 0;  // One bit for each key.
  std::array<Place, kCommonCount> first_ = {};
  std::vector<Place> more_;  // Of the lines beyond those.
};

}  // namespace ursula::protocol
