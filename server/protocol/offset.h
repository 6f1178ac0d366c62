// server/protocol/offset.h
//
// Offsets on the wire: "%016d_%016d", a reserved field that is 0 and a byte position in the stored
// form. One that lies inside an append has a "." behind it, by which the server knows it for one of
// its own: others that do are a client's inventions. Their order as strings is that of positions.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/protocol/text.h"
#include "ursula/types.h"

namespace ursula::protocol {

struct Position {
  Offset offset = {};
  bool inside = false;  // An append, or it may be.
  friend bool operator==(const Position&, const Position&) = default;
};

// REQUIRES: below kOffsetEnd.
ShortText OffsetText(Position position);
std::string FormatOffset(Position position);

// Only the full form; the words "-1" and "now" belong to the query. Empty: malformed.
std::optional<Position> ParseOffset(std::string_view text);

}  // namespace ursula::protocol
