// GET on a stream (catch-up, long-poll, SSE) and HEAD.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/protocol/errors.h"
#include "server/protocol/offset.h"
#include "server/protocol/precondition.h"
#include "server/protocol/request_parts.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::string_view kStart = "-1";
constexpr std::string_view kNow = "now";

Response BadOffset() {
  return ErrorResponse(400, "INVALID_OFFSET",
                       "offset is -1, now, or one that this server has given out");
}

Refusal TakeLive(const Query& query, LiveMode* live) {
  std::string value;
  switch (query.Find("live", &value)) {
    case Query::Presence::kAbsent:
      return std::nullopt;
    case Query::Presence::kBad:
      break;
    case Query::Presence::kOnce:
      if (value == "long-poll") {
        *live = LiveMode::kLongPoll;
        return std::nullopt;
      }
      if (value == "sse") {
        *live = LiveMode::kSse;
        return std::nullopt;
      }
  }
  return ErrorResponse(400, "INVALID_LIVE", "live is long-poll or sse");
}

// How far an EventSource came that reconnects, in the header, or where it is made up of other means
// in the query. Empty: it comes for the first time.
Refusal TakeLastEvent(const Request& request, const Query& query, std::string* last_event) {
  std::optional<std::string_view> header;
  if (Refusal refusal = TakeHeader(request, "Last-Event-ID", &header)) return refusal;
  if (header && !header->empty()) {
    *last_event = *header;
    return std::nullopt;
  }
  if (query.Find("lastEventId", last_event) == Query::Presence::kBad) return BadOffset();
  return std::nullopt;
}

// Where to read from. An EventSource that reconnects repeats its first URL: what it says of how far
// it came wins.
Refusal TakePosition(const Request& request, const Query& query, ReadAction* action) {
  action->request.from_append_start = true;
  std::string value;
  Query::Presence presence = query.Find("offset", &value);
  if (presence == Query::Presence::kBad) return BadOffset();
  if (action->live == LiveMode::kSse) {
    std::string last_event;
    if (Refusal refusal = TakeLastEvent(request, query, &last_event)) return refusal;
    if (!last_event.empty()) {
      value = std::move(last_event);
      presence = Query::Presence::kOnce;
      action->reconnects = true;
    }
  }
  if (presence == Query::Presence::kAbsent) {
    if (action->live == LiveMode::kNone) return std::nullopt;
    return ErrorResponse(400, "OFFSET_REQUIRED", "a live read needs an offset");
  }
  if (value == kStart) return std::nullopt;
  if (value == kNow) {
    action->from_now = true;
    action->request.from_tail = true;
    return std::nullopt;
  }
  std::optional<Position> position = ParseOffset(value);
  if (!position) return BadOffset();
  action->request.from = position->offset;
  action->request.from_append_start = !position->inside;
  return std::nullopt;
}

Refusal BadStaleness() {
  return ErrorResponse(400, "INVALID_STALENESS",
                       absl::StrCat("max_staleness_ms is a number up to ", kStalenessMsMax));
}

// In the query, not in headers: what is kept of an answer is kept under what was asked. A bound
// that is one is kept by a linearizable answer, too.
Refusal TakeConsistency(const Query& query, Consistency* consistency, uint64_t* staleness_ms_max) {
  std::string value;
  const Query::Presence presence = query.Find("consistency", &value);
  const bool absent = presence == Query::Presence::kAbsent;
  const bool known = value == "local" || value == "linearizable";
  if (!absent && (presence == Query::Presence::kBad || !known)) {
    return ErrorResponse(400, "INVALID_CONSISTENCY", "consistency is linearizable or local");
  }
  if (value == "local") *consistency = Consistency::kLocal;
  switch (query.Find("max_staleness_ms", &value)) {
    case Query::Presence::kAbsent:
      return std::nullopt;
    case Query::Presence::kBad:
      return BadStaleness();
    case Query::Presence::kOnce:
      break;
  }
  std::optional<uint64_t> bound_ms = ParseDigits(value, kStalenessMsMax);
  if (!bound_ms) return BadStaleness();
  if (*consistency == Consistency::kLocal) *staleness_ms_max = *bound_ms;
  return std::nullopt;
}

Refusal TakeStateOffsets(const Query& query, bool* wanted) {
  std::string value;
  const Query::Presence presence = query.Find("state_offsets", &value);
  *wanted = presence == Query::Presence::kOnce && value == "true";
  const bool fits = presence == Query::Presence::kAbsent || *wanted ||
                    (presence == Query::Presence::kOnce && value == "false");
  if (fits) return std::nullopt;
  return ErrorResponse(400, "INVALID_QUERY", "state_offsets is true or false");
}

Action Guarded(StreamId stream, Response refusal) {
  return GuardedRefusal{std::move(stream), std::move(refusal)};
}

}  // namespace

Action MapHead(const Request& request, StreamId stream) {
  HeadAction action;
  Query query(request.query());
  if (query.too_many()) return Guarded(std::move(stream), TooManyParametersResponse());
  HeadRequest& head = action.request;
  if (Refusal refusal = TakeConsistency(query, &head.consistency, &head.staleness_ms_max)) {
    return Guarded(std::move(stream), std::move(*refusal));
  }
  if (Refusal refusal = TakeConditions(request, query, false, &action.conditions)) {
    return Guarded(std::move(stream), std::move(*refusal));
  }
  action.local = head.consistency == Consistency::kLocal;
  // What is to be compared is to be of now.
  if (action.conditions.match) head.staleness_ms_max = 0;
  head.stream = std::move(stream);
  return action;
}

// A missing stream's 404 comes before any complaint about the query or a condition.
Action MapRead(const Request& request, const ProtocolConfig& config, StreamId stream) {
  ReadAction action;
  Query query(request.query());
  if (query.too_many()) return Guarded(std::move(stream), TooManyParametersResponse());
  if (Refusal refusal = TakeLive(query, &action.live)) {
    return Guarded(std::move(stream), std::move(*refusal));
  }
  if (Refusal refusal = TakePosition(request, query, &action)) {
    return Guarded(std::move(stream), std::move(*refusal));
  }
  if (Refusal refusal = TakeStateOffsets(query, &action.state_offsets)) {
    return Guarded(std::move(stream), std::move(*refusal));
  }
  ReadRequest& read = action.request;
  if (Refusal refusal = TakeConsistency(query, &read.consistency, &read.staleness_ms_max)) {
    return Guarded(std::move(stream), std::move(*refusal));
  }
  if (Refusal refusal = TakeConditions(request, query, false, &action.conditions)) {
    return Guarded(std::move(stream), std::move(*refusal));
  }
  action.local = read.consistency == Consistency::kLocal;
  if (action.conditions.match) read.staleness_ms_max = 0;
  std::string cursor;
  if (query.Find("cursor", &cursor) == Query::Presence::kOnce) {
    action.cursor = ParseDigits(cursor, kJavaScriptIntegerMax);  // Garbage is as good as none.
  }
  bool sse = action.live == LiveMode::kSse;
  read.stream = std::move(stream);
  read.incarnation = action.conditions.incarnation;
  read.bytes_max = sse ? config.sse_read_bytes_max : config.read_bytes_max;
  read.wait_ms = action.live == LiveMode::kLongPoll ? config.long_poll_ms : 0;
  if (!sse) {
    action.ndjson = WantsNdjson(request.headers.Joined("Accept"));
    action.coding = ChooseCoding(request.headers.Joined("Accept-Encoding"));
  }
  return action;
}

}  // namespace ursula::protocol
