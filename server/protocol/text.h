// server/protocol/text.h
//
// Small grammars shared by the mapping: decimal numbers, percent-encoding, tokens, JSON strings,
// query parameters.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ursula::protocol {

inline constexpr uint64_t kJavaScriptIntegerMax = (uint64_t{1} << 53) - 1;

// Text of a known, small size, made in every answer: without an allocation.
class ShortText {
 public:
  static constexpr std::size_t kBytesMax = 48;

  void Append(std::string_view text);                       // REQUIRES: it fits.
  void AppendHex(uint64_t number, std::size_t digits_min);  // Lower case. As above.
  void AppendDecimal(uint64_t number, std::size_t digits_min);

  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  template <uint64_t kBase>  // Known, so that nothing is divided.
  void AppendNumber(uint64_t number, std::size_t digits_min);

  std::array<char, kBytesMax> bytes_;
  std::size_t size_ = 0;
};

// One or more digits, at most `max`. Leading zeros are allowed.
std::optional<uint64_t> ParseDigits(std::string_view text, uint64_t max);

// 0|[1-9][0-9]*, at most `max`.
std::optional<uint64_t> ParseCanonicalNumber(std::string_view text, uint64_t max);

// One to sixteen hexadecimal digits in lower case.
std::optional<uint64_t> ParseHex(std::string_view text);

// Empty result: a '%' without two hex digits. `plus_is_space` as in queries.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);

bool IsUtf8(std::string_view text);
bool HasControlCharacter(std::string_view text);  // Below 0x20, or 0x7f.
bool IsToken(std::string_view text);              // RFC 9110, 5.6.2. Not empty.

std::string_view TrimSpace(std::string_view text);  // Spaces and tabs at both ends.
std::string AsciiLower(std::string_view text);
bool IsTrueIgnoringCase(std::string_view text);  // "true", in any case.

// `text` as a JSON string with its quotes. Bytes that aren't UTF-8 become U+FFFD.
void AppendJsonString(std::string* out, std::string_view text);

struct QueryParameter {
  std::string name = {};
  std::optional<std::string> value = {};  // Decoded. None: it was malformed.
};

class Query {
 public:
  static constexpr std::size_t kParametersMax = 64;

  // `query`: raw, without '?'.
  explicit Query(std::string_view query);

  // There are more than `kParametersMax`: those beyond were not looked at.
  bool too_many() const { return too_many_; }

  enum class Presence : uint8_t { kAbsent, kOnce, kBad };  // Bad: repeated or malformed.
  // `value` is set when kOnce.
  Presence Find(std::string_view name, std::string* value) const;

 private:
  std::vector<QueryParameter> parameters_;
  bool too_many_ = false;
};

}  // namespace ursula::protocol
