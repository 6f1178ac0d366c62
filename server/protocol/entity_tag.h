// server/protocol/entity_tag.h
//
// Entity tags (RFC 9110, 8.8.3), all of them strong, in two kinds that never equal each other:
//
//   of a read      "incarnation-start-end.t"     .p .t .c; then l for JSON lines, o with offsets
//                                                in state events, -gzip or -zstd
//   of a state     "s-incarnation-tail.t"        .t .c
//
// A read's tag names the stream's incarnation, the range of positions, where the range ends (page,
// tail, end of a closed stream), the representation and the content coding. What sits at a position
// never changes, so equal tags mean equal bytes. A state's tag names what a writer needs to know:
// the incarnation, the tail, and whether the stream is closed. Numbers are hexadecimal; a state's
// incarnation has all its 16 digits.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/protocol/negotiation.h"
#include "server/protocol/text.h"
#include "ursula/engine.h"
#include "ursula/types.h"

namespace ursula::protocol {

enum class RangeEnd : uint8_t { kPage, kTail, kClosed };

struct EntityRange {
  uint64_t incarnation = 0;
  Offset start = {};
  Offset end = {};
  RangeEnd ends_at = RangeEnd::kPage;
  bool ndjson = false;
  bool state_offsets = false;
};

std::string EntityTag(const EntityRange& range);  // With its quotes.

struct StreamState {
  uint64_t incarnation = 0;
  Offset tail = {};
  bool closed = false;
};

// With its quotes.
ShortText StateTagText(const StreamState& state);
std::string StateTag(const StreamState& state);

// The tag of the same range under a content coding: "x" → "x-gzip".
std::string CodedEntityTag(std::string_view tag, ContentCoding coding);

// The state that `tag` (with its quotes) names: a state's tag does, and so does a read's whose
// range ended at the tail or at the close, whatever its start, form and coding. Empty: another tag,
// of a page for instance.
std::optional<StateMatch> StateNamedBy(std::string_view tag);

// The least that whoever has `tag` knows of the stream: any tag of this server's says how far it
// went. `closed`: to the close.
std::optional<StreamState> KnownBy(std::string_view tag);

// Stream-Incarnation: 16 hexadecimal digits. Written in lower case, read in any.
ShortText IncarnationText(uint64_t incarnation);
std::string FormatIncarnation(uint64_t incarnation);
std::optional<uint64_t> ParseIncarnation(std::string_view text);

}  // namespace ursula::protocol
