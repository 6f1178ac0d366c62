#include "server/protocol/offset.h"

#include <cstddef>

#include "lib/base/check.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::size_t kFieldDigits = 16;
constexpr std::string_view kReservedField = "0000000000000000_";

}  // namespace

ShortText OffsetText(Offset offset) {
  URSULA_CHECK(offset.bytes < kOffsetEnd);
  ShortText text;
  text.Append(kReservedField);
  text.AppendDecimal(offset.bytes, kFieldDigits);
  return text;
}

std::string FormatOffset(Offset offset) { return std::string(OffsetText(offset).view()); }

std::optional<Offset> ParseOffset(std::string_view text) {
  if (text.size() != kReservedField.size() + kFieldDigits) return std::nullopt;
  if (!text.starts_with(kReservedField)) return std::nullopt;
  std::optional<uint64_t> bytes = ParseDigits(text.substr(kReservedField.size()), kOffsetEnd - 1);
  if (!bytes) return std::nullopt;
  return Offset{*bytes};
}

}  // namespace ursula::protocol
