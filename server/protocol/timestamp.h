// server/protocol/timestamp.h
//
// RFC 3339 timestamps (Stream-Expires-At).

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ursula::protocol {

// Unix time in milliseconds; finer fractions are cut. "2030-01-02T03:04:05.678Z", with "+01:00" or
// "-00:30" in place of "Z". Empty: malformed, or before 1970.
std::optional<int64_t> ParseTimestamp(std::string_view text);

// "2030-01-02T03:04:05.678Z". REQUIRES: from 1970 to 9999.
std::string FormatTimestamp(int64_t unix_ms);

}  // namespace ursula::protocol
