#include "server/protocol/offset.h"

#include <cstddef>

#include "lib/base/check.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::size_t kFieldDigits = 16;
constexpr std::string_view kReservedField = "0000000000000000_";
constexpr char kInside = '.';  // Below all that could go on with an offset, and fit for a query.

}  // namespace

ShortText OffsetText(Position position) {
  URSULA_CHECK(position.offset.bytes < kOffsetEnd);
  ShortText text;
  text.Append(kReservedField);
  text.AppendDecimal(position.offset.bytes, kFieldDigits);
  if (position.inside) text.Append({&kInside, 1});
  return text;
}

std::string FormatOffset(Position position) { return std::string(OffsetText(position).view()); }

std::optional<Position> ParseOffset(std::string_view text) {
  const bool inside = text.ends_with(kInside);
  if (inside) text.remove_suffix(1);
  if (text.size() != kReservedField.size() + kFieldDigits) return std::nullopt;
  if (!text.starts_with(kReservedField)) return std::nullopt;
  std::optional<uint64_t> bytes = ParseDigits(text.substr(kReservedField.size()), kOffsetEnd - 1);
  if (!bytes) return std::nullopt;
  return Position{{*bytes}, inside};
}

}  // namespace ursula::protocol
