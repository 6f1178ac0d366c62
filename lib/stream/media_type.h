// lib/stream/media_type.h
//
// Compares Content-Type values by their media type: what stands before the first ';', without
// surrounding blanks, ASCII case ignored.

#pragma once

#include <string_view>

namespace ursula::stream {

inline constexpr std::string_view kDefaultContentType = "application/octet-stream";

std::string_view MediaType(std::string_view content_type);
bool SameMediaType(std::string_view a, std::string_view b);

// JSON mode applies: the media type is application/json.
bool IsJson(std::string_view content_type);

}  // namespace ursula::stream
