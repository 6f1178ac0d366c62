#include "server/protocol/offset.h"

#include <cstddef>

#include "lib/base/check.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::size_t kFieldDigits = 16;
constexpr std::string_view kReservedField = "0000000000000000_";

}  // namespace

std::string FormatOffset(Offset offset) {
  URSULA_CHECK(offset.bytes < kOffsetEnd);
  std::string text(kReservedField.size() + kFieldDigits, '0');
  kReservedField.copy(text.data(), kReservedField.size());
  uint64_t rest = offset.bytes;
  for (std::size_t i = text.size(); rest != 0; rest /= 10) {
    text[--i] = static_cast<char>('0' + rest % 10);
  }
  return text;
}

std::optional<Offset> ParseOffset(std::string_view text) {
  if (text.size() != kReservedField.size() + kFieldDigits) return std::nullopt;
  if (!text.starts_with(kReservedField)) return std::nullopt;
  std::optional<uint64_t> bytes = ParseDigits(text.substr(kReservedField.size()), kOffsetEnd - 1);
  if (!bytes) return std::nullopt;
  return Offset{*bytes};
}

}  // namespace ursula::protocol
