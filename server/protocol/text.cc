#include "server/protocol/text.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "simdjson.h"

namespace ursula::protocol {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

template <uint64_t kBase>
void ShortText::AppendNumber(uint64_t number, std::size_t digits_min) {
  constexpr std::size_t kDigitsMax = 20;  // Of 2^64-1, in decimal.
  std::array<char, kDigitsMax> digits;
  std::size_t begin = digits.size();
  for (; number != 0; number /= kBase) {
    digits[--begin] = "0123456789abcdef"[number % kBase];
  }
  const std::size_t zeros = std::min(std::max(digits_min, std::size_t{1}), kDigitsMax);
  while (digits.size() - begin < zeros) digits[--begin] = '0';
  Append({digits.data() + begin, digits.size() - begin});
}

void ShortText::Append(std::string_view text) {
  URSULA_CHECK(text.size() <= kBytesMax - size_);
  text.copy(bytes_.data() + size_, text.size());
  size_ += text.size();
}

void ShortText::AppendHex(uint64_t number, std::size_t digits_min) {
  AppendNumber<16>(number, digits_min);
}

void ShortText::AppendDecimal(uint64_t number, std::size_t digits_min) {
  AppendNumber<10>(number, digits_min);
}

std::optional<uint64_t> ParseDigits(std::string_view text, uint64_t max) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (!IsDigit(c)) return std::nullopt;
    uint64_t digit = static_cast<uint64_t>(c - '0');
    if (digit > max || value > (max - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

std::optional<uint64_t> ParseCanonicalNumber(std::string_view text, uint64_t max) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return ParseDigits(text, max);
}

std::optional<uint64_t> ParseHex(std::string_view text) {
  if (text.empty() || text.size() > 16) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    int digit = c == Lower(c) ? HexValue(c) : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<uint64_t>(digit);
  }
  return value;
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  const bool plain = text.find('%') == std::string_view::npos &&
                     !(plus_is_space && text.find('+') != std::string_view::npos);
  if (plain) return std::string(text);
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus_is_space) {
      decoded.push_back(' ');
    } else if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      int high = HexValue(text[i + 1]);
      int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      decoded.push_back(c);
    }
  }
  return decoded;
}

bool IsUtf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

bool HasControlCharacter(std::string_view text) {
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return true;
  }
  return false;
}

bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (char c : text) {
    char lower = Lower(c);
    bool letter = lower >= 'a' && lower <= 'z';
    if (!letter && !IsDigit(c) && kMarks.find(c) == std::string_view::npos) return false;
  }
  return !text.empty();
}

std::string_view TrimSpace(std::string_view text) {
  std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string AsciiLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = Lower(c);
  return lower;
}

bool IsTrueIgnoringCase(std::string_view text) {
  return text.size() == 4 && AsciiLower(text) == "true";
}

void AppendJsonString(std::string* out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
  const bool utf8 = IsUtf8(text);
  out->push_back('"');
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 && !utf8) {
      out->append(kReplacement);
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (byte < 0x20) {
      out->append("\\u00");
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

Query::Query(std::string_view query) {
  while (!query.empty()) {
    std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (pair.empty()) continue;
    too_many_ = parameters_.size() >= kParametersMax;
    if (too_many_) return;
    std::size_t equals = pair.find('=');
    std::optional<std::string> name = PercentDecode(pair.substr(0, equals), true);
    if (!name) continue;  // None of ours: unknown parameters are ignored.
    std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    parameters_.push_back(QueryParameter{std::move(*name), PercentDecode(value, true)});
  }
}

Query::Presence Query::Find(std::string_view name, std::string* value) const {
  Presence presence = Presence::kAbsent;
  for (const QueryParameter& parameter : parameters_) {
    if (parameter.name != name) continue;
    if (presence != Presence::kAbsent || !parameter.value) return Presence::kBad;
    *value = *parameter.value;
    presence = Presence::kOnce;
  }
  return presence;
}

}  // namespace ursula::protocol
