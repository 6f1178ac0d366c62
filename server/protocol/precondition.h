// server/protocol/precondition.h
//
// Conditional requests: If-Match and If-None-Match (RFC 9110, 13.1.1, 13.1.2) and
// Stream-Incarnation, also as the parameter `incarnation` of who can send no headers. Of a write
// they become a Precondition, which the stream judges where the write is applied; of a read they
// are judged against the reply.
//
// If-Modified-Since and If-Unmodified-Since are ignored, as a resource without a modification date
// has to (13.1.3, 13.1.4), and so is If-Range where there are no ranges (13.1.5). Any other
// precondition is refused: it is never ignored.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/protocol/entity_tag.h"
#include "server/protocol/http_message.h"
#include "server/protocol/request_headers.h"
#include "server/protocol/text.h"
#include "ursula/engine.h"
#include "ursula/types.h"

namespace ursula::protocol {

struct ListedTag {
  std::string tag = {};               // With its quotes, without W/.
  bool weak = false;                  // W/
  std::optional<Offset> offset = {};  // An offset, quoted or bare, in the place of a tag.
};

// The value of If-Match or of If-None-Match.
struct TagList {
  static constexpr std::size_t kTagsMax = 64;

  bool any = false;  // "*"
  std::vector<ListedTag> tags = {};
};

struct Conditions {
  std::optional<TagList> match = {};         // If-Match
  std::optional<TagList> none_match = {};    // If-None-Match
  std::optional<uint64_t> incarnation = {};  // Stream-Incarnation, incarnation=

  bool empty() const { return !match && !none_match && !incarnation; }
};

// `query`: the request's. `offsets`: If-Match may name offsets, too.
Refusal TakeConditions(const Request& request, const Query& query, bool offsets,
                       Conditions* conditions);

// For what is not a stream: any condition is refused.
Refusal RefuseConditions(const Request& request);

// Of a write. A tag that names no state, and in If-Match a weak one, matches no stream.
Precondition PreconditionOf(const Conditions& conditions);

// If-Match and Stream-Incarnation hold for a stream that is as `state` says. `tag`: of what a read
// would answer; may be empty.
bool Permits(const Conditions& conditions, const StreamState& state, std::string_view tag);

// A tag in If-None-Match is of more than `state` has, or of another life: then it is an old one
// that the answer would be of, or the tag is not of this stream.
bool KnowsMore(const Conditions& conditions, const StreamState& state);

// The member of If-None-Match that matches, weak or strong, as the client wrote it without W/;
// `own` for "*". Of a read those are the tags equal to `own` under any coding, of HEAD those that
// name `state`. Empty: none.
std::optional<std::string> MatchedTag(const Conditions& conditions, std::string_view own);
std::optional<std::string> MatchedState(const Conditions& conditions, const StreamState& state);

}  // namespace ursula::protocol
