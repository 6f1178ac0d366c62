// server/protocol/entity_tag.h
//
// Strong entity tags of reads (RFC 9110, 8.8.3). A tag names the stream's incarnation, the range of
// positions, where the range ends (page, tail, end of a closed stream), the representation and the
// content coding. What sits at a position never changes, so equal tags mean equal bytes.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/protocol/negotiation.h"
#include "ursula/types.h"

namespace ursula::protocol {

enum class RangeEnd : uint8_t { kPage, kTail, kClosed };

struct EntityRange {
  uint64_t incarnation = 0;
  Offset start = {};
  Offset end = {};
  RangeEnd ends_at = RangeEnd::kPage;
  bool ndjson = false;
};

std::string EntityTag(const EntityRange& range);  // With its quotes.

// The tag of the same range under a content coding: "x" → "x-gzip".
std::string CodedEntityTag(std::string_view tag, ContentCoding coding);

// The If-None-Match list names `tag` (in any coding, weak or strong) or is "*". Returns the member
// that matched, as the client wrote it without W/, or `tag` for "*"; empty: no match.
std::string MatchEntityTag(std::string_view if_none_match, std::string_view tag);

}  // namespace ursula::protocol
