// server/protocol/negotiation.h
//
// What a client accepts: content codings and media types with q-values (RFC 9110, 12.5).

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ursula::protocol {

enum class ContentCoding : uint8_t { kIdentity, kGzip, kZstd };

// "gzip", "zstd"; empty for identity.
std::string_view ContentCodingName(ContentCoding coding);

// The coding of highest q; between equals zstd before gzip before identity. An absent or empty
// header is identity.
ContentCoding ChooseCoding(std::string_view accept_encoding);

// JSON lines are wanted: application/x-ndjson is named with q > 0 and no lower than
// application/json, where that is named too.
bool WantsNdjson(std::string_view accept);

// "Text/Plain; charset=utf-8" → "text/plain".
std::string MediaType(std::string_view content_type);
bool IsJson(std::string_view content_type);  // The media type is application/json.
bool IsText(std::string_view content_type);  // text/*

}  // namespace ursula::protocol
