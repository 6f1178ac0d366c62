// server/protocol/offset.h
//
// Offsets on the wire: "%016d_%016d", a reserved field that is 0 and a byte position in the stored
// form. Their order as strings is the order of positions.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/protocol/text.h"
#include "ursula/types.h"

namespace ursula::protocol {

// REQUIRES: below kOffsetEnd.
ShortText OffsetText(Offset offset);
std::string FormatOffset(Offset offset);

// Only the full form; the words "-1" and "now" belong to the query. Empty: malformed.
std::optional<Offset> ParseOffset(std::string_view text);

}  // namespace ursula::protocol
