// lib/stream/json_boundaries.h
//
// Finds messages in the stored form of a JSON stream. There each message is one JSON value's source
// text followed by ",\n"; a raw LF never stands inside a message (JSON forbids it in strings, and
// between tokens it was replaced by a space before it was stored). So a message ends after each LF,
// and a position is a boundary iff it is 0 or the byte before it is an LF.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ursula::stream {

inline constexpr std::string_view kJsonTerminator = ",\n";

// Appends to `ends` the position of each message end in `slice`, which starts at position `start`.
void JsonMessageEnds(std::string_view slice, uint64_t start, std::vector<uint64_t>* ends);

// Is `at` (an index into the slice, at most its size) the end of a message in it? At index 0 the
// slice can't tell: give `before`, whether the slice itself starts at a boundary.
bool IsJsonBoundary(std::string_view slice, uint64_t at, bool before);

// The index after the n-th message of a slice that starts at a boundary; n = 0 gives 0. Empty if
// the slice has fewer whole messages.
std::optional<uint64_t> NthJsonBoundary(std::string_view slice, uint64_t n);

// The largest index <= limit that ends a message in the slice; 0 if none does.
uint64_t LastJsonBoundary(std::string_view slice, uint64_t limit);

// Whole messages in the slice.
uint64_t CountJsonMessages(std::string_view slice);

}  // namespace ursula::stream
