// Reads to responses: catch-up, long-poll, and the head of an SSE stream.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "lib/base/utf8.h"
#include "server/protocol/entity_tag.h"
#include "server/protocol/negotiation.h"
#include "server/protocol/offset.h"
#include "server/protocol/precondition.h"
#include "server/protocol/response_mapping.h"
#include "server/protocol/response_parts.h"
#include "server/protocol/sse.h"
#include "server/protocol/state_offsets.h"

namespace ursula::protocol {
namespace {

// A page before the tail can't be changed by an append; what ends at the tail can grow.
constexpr int64_t kPageFreshSeconds = 60;
constexpr int64_t kPageStaleSeconds = 300;
constexpr std::string_view kCacheTail = "no-cache";
constexpr std::string_view kCacheNever = "no-store";
constexpr std::string_view kNdjson = "application/x-ndjson";

// Stored messages "a,\nb,\n" as the array "[a,b]": LF stands nowhere but at the end of a message.
// Empty: the parts don't end in a whole one.
std::optional<std::vector<Bytes>> JsonArray(const std::vector<Bytes>& parts) {
  std::string array = "[";
  std::size_t bytes = 2;
  for (const Bytes& part : parts) bytes += part.size();
  array.reserve(bytes);
  bool whole = true;
  for (const Bytes& part : parts) {
    for (std::string_view rest = part.view(); !rest.empty();) {
      const std::size_t end = rest.find('\n');
      whole = end != std::string_view::npos;
      array.append(rest.substr(0, end));
      rest.remove_prefix(whole ? end + 1 : rest.size());
    }
  }
  if (array.size() > 1) {
    if (!whole || array.back() != ',') return std::nullopt;
    array.pop_back();
  }
  array.push_back(']');
  return std::vector<Bytes>{Bytes::Take(std::move(array))};
}

// "a,\nb,\n" to "a\nb\n". LF stands nowhere but at the end of a message.
std::vector<Bytes> JsonLines(const std::vector<Bytes>& parts) {
  std::string lines;
  std::size_t bytes = 0;
  for (const Bytes& part : parts) bytes += part.size();
  lines.reserve(bytes);
  for (const Bytes& part : parts) {
    std::string_view rest = part.view();
    while (!rest.empty()) {
      std::size_t end = rest.find('\n');
      lines.append(rest.substr(0, end));
      if (end == std::string_view::npos) break;
      if (!lines.empty() && lines.back() == ',') lines.pop_back();
      lines.push_back('\n');
      rest.remove_prefix(end + 1);
    }
  }
  std::vector<Bytes> body;
  if (!lines.empty()) body.push_back(Bytes::Take(std::move(lines)));
  return body;
}

// Also if the bytes themselves are kept elsewhere.
bool HasData(const ReadReply& reply) { return reply.next > reply.start; }

void AddPosition(Response* response, const ReadAction& action, const ReadReply& reply,
                 const ReplyContext& context) {
  bool closed = reply.info.closed && reply.up_to_date;
  Headers& headers = response->headers;
  headers.Add("Stream-Next-Offset", OffsetText({reply.next, reply.cut}).view());
  if (reply.up_to_date) headers.Add("Stream-Up-To-Date", "true");
  if (closed) headers.Add("Stream-Closed", "true");
  if (action.live == LiveMode::kLongPoll && !closed) {
    headers.Add("Stream-Cursor", absl::StrCat(NextCursor(action.cursor, context)));
  }
  AddStaleness(response, action.local, reply.staleness_ms);
  AddIncarnation(response, reply.info.incarnation);
}

// A long-poll that found nothing: it timed out, or the stream is closed.
Response NothingYet(const ReadAction& action, ReadReply reply, const ReplyContext& context) {
  Response response;
  response.status = 204;
  response.headers.Add("Cache-Control", kCacheNever);
  reply.up_to_date = true;  // It waited at the tail.
  AddPosition(&response, action, reply, context);
  return response;
}

bool WantsLines(const ReadAction& action, const ReadReply& reply) {
  return action.ndjson && IsJson(reply.info.content_type);
}

bool WantsStateOffsets(const ReadAction& action, const ReadReply& reply) {
  return action.state_offsets && IsJson(reply.info.content_type);
}

// The tag of the bytes that this reply is answered with; empty: such an answer has none.
std::string TagOf(const ReadAction& action, const ReadReply& reply) {
  bool empty_now = action.from_now && action.live == LiveMode::kNone;
  bool nothing_yet = action.live == LiveMode::kLongPoll && !HasData(reply);
  if (action.live == LiveMode::kSse || empty_now || nothing_yet) return {};
  EntityRange range;
  range.incarnation = reply.info.incarnation;
  range.start = reply.start;
  range.end = reply.next;
  range.ndjson = WantsLines(action, reply);
  range.state_offsets = WantsStateOffsets(action, reply);
  if (reply.up_to_date) range.ends_at = reply.info.closed ? RangeEnd::kClosed : RangeEnd::kTail;
  return EntityTag(range);
}

// No cache answers for a stream that has expired. A read renews a TTL, so all of it is left.
std::string CachePage(const Lifetime& lifetime, int64_t now_ms) {
  int64_t left = kPageFreshSeconds + kPageStaleSeconds;
  if (lifetime.ttl_seconds) left = static_cast<int64_t>(*lifetime.ttl_seconds);
  if (lifetime.expires_at_ms) left = (*lifetime.expires_at_ms - now_ms) / 1000;
  const int64_t fresh = std::clamp<int64_t>(left, 0, kPageFreshSeconds);
  const int64_t stale = std::clamp<int64_t>(left - fresh, 0, kPageStaleSeconds);
  std::string control = absl::StrCat("public, max-age=", fresh);
  if (stale > 0) absl::StrAppend(&control, ", stale-while-revalidate=", stale);
  return control;
}

// A stored page was asked for by its URL, what is accepted, and the incarnation that it is of.
void AddCaching(Response* response, const ReadAction& action, const ReadReply& reply, bool has_tag,
                int64_t now_ms) {
  bool json = IsJson(reply.info.content_type);
  response->headers.Add("Vary", json ? "Accept, Accept-Encoding, Stream-Incarnation"
                                     : "Accept-Encoding, Stream-Incarnation");
  // Of a TTL nobody knows here how much is left, and the read may not have renewed it.
  const bool may_end = action.local && reply.info.lifetime.ttl_seconds;
  std::string control(kCacheTail);
  if (!reply.up_to_date && !may_end) control = CachePage(reply.info.lifetime, now_ms);
  response->headers.Add("Cache-Control", has_tag ? control : kCacheNever);
}

Response NotModified(const ReadAction& action, const ReadReply& reply, const ReplyContext& context,
                     std::string_view tag) {
  Response response;
  response.status = 304;
  AddPosition(&response, action, reply, context);
  AddCaching(&response, action, reply, !tag.empty(), context.now_ms);
  if (!tag.empty()) response.headers.Add("ETag", tag);
  return response;
}

}  // namespace

std::optional<std::vector<Bytes>> PageBody(const ReadAction& action, const ReadReply& reply) {
  std::vector<Bytes> with_offsets;
  if (WantsStateOffsets(action, reply)) with_offsets = WithStateOffsets(reply.parts, reply.start);
  const std::vector<Bytes>& parts = with_offsets.empty() ? reply.parts : with_offsets;
  if (WantsLines(action, reply)) return JsonLines(parts);
  if (IsJson(reply.info.content_type)) return JsonArray(parts);
  return reply.parts;
}

std::optional<Response> RefuseRead(const ReadAction& action, const Result<ReadReply>& result,
                                   const ReplyContext& context, const ProtocolConfig& config) {
  if (!result.ok()) return StatusResponse(result.status(), config);
  const ReadReply& reply = *result;
  if (reply.outcome != Outcome::kOk) {
    Response response = OutcomeResponse(reply.outcome);
    AddIncarnation(&response, reply.info.incarnation);
    return response;
  }
  if (action.conditions.empty()) return std::nullopt;
  std::string tag = TagOf(action, reply);
  StreamState state = StateOf(reply.info);
  if (!Permits(action.conditions, state, tag)) return PreconditionFailedResponse(state);
  std::optional<std::string> matched = MatchedTag(action.conditions, tag);
  if (matched) return NotModified(action, reply, context, *matched);
  return std::nullopt;
}

void EndAtCharacter(ReadReply* reply) {
  if (!reply->cut || !IsText(reply->info.content_type)) return;
  std::string tail;
  uint64_t bytes = 0;
  for (const Bytes& part : reply->parts) {
    bytes += part.size();
    tail += part.view().substr(part.size() - std::min<std::size_t>(part.size(), 3));
  }
  std::size_t rest = IncompleteUtf8Bytes(tail);
  if (rest >= bytes) return;
  reply->next.bytes -= rest;
  while (rest > 0) {
    Bytes& last = reply->parts.back();
    const std::size_t taken = std::min(rest, last.size());
    last = last.Slice(0, last.size() - taken);
    rest -= taken;
    if (last.empty()) reply->parts.pop_back();
  }
}

bool WantsNewer(ReadAction* action, const Result<ReadReply>& reply) {
  ReadRequest& request = action->request;
  if (request.consistency != Consistency::kLocal || request.staleness_ms_max == 0) return false;
  const bool more = reply.ok() && reply->outcome == Outcome::kOk &&
                    KnowsMore(action->conditions, StateOf(reply->info));
  if (more) request.staleness_ms_max = 0;
  return more;
}

bool MissedIncarnation(const ReadAction& action, const Result<ReadReply>& reply) {
  return action.conditions.incarnation && reply.ok() && reply->outcome == Outcome::kNotFound;
}

Response MapMissedRead(const ReadAction& action, const Result<HeadReply>& reply,
                       const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  if (reply->outcome != Outcome::kOk) {
    Response response = OutcomeResponse(reply->outcome);
    AddIncarnation(&response, reply->info.incarnation);
    return response;
  }
  StreamState state = StateOf(reply->info);
  if (state.incarnation != action.conditions.incarnation) return PreconditionFailedResponse(state);
  return OutcomeResponse(Outcome::kNotFound);
}

Response MapReadReply(const ReadAction& action, const Result<ReadReply>& result,
                      const ReplyContext& context, const ProtocolConfig& config) {
  if (std::optional<Response> refusal = RefuseRead(action, result, context, config)) {
    return std::move(*refusal);
  }
  const ReadReply& reply = *result;
  if (action.live == LiveMode::kLongPoll && !HasData(reply)) {
    return NothingYet(action, reply, context);
  }
  std::optional<std::vector<Bytes>> body = PageBody(action, reply);
  if (!body) return ErrorResponse(500, "DATA_LOSS", "a stored message has no end");
  return MapPage(action, reply, std::move(*body), context);
}

Response MapPage(const ReadAction& action, const ReadReply& reply, std::vector<Bytes> body,
                 const ReplyContext& context) {
  Response response;
  response.headers.Add("Content-Type",
                       WantsLines(action, reply) ? kNdjson : reply.info.content_type);
  response.body = std::move(body);
  AddPosition(&response, action, reply, context);
  std::string tag = TagOf(action, reply);
  AddCaching(&response, action, reply, !tag.empty(), context.now_ms);
  if (!tag.empty()) response.headers.Add("ETag", tag);
  return response;
}

std::optional<Response> EndOfEvents(const ReadAction& action, const ReadReply& reply) {
  if (!action.reconnects || HasData(reply)) return std::nullopt;
  if (!reply.info.closed || !reply.up_to_date) return std::nullopt;
  Response response;
  response.status = 204;
  response.headers.Add("Cache-Control", kCacheNever);
  response.headers.Add("Stream-Next-Offset", OffsetText({reply.next}).view());
  response.headers.Add("Stream-Closed", "true");
  AddStaleness(&response, action.local, reply.staleness_ms);
  AddIncarnation(&response, reply.info.incarnation);
  return response;
}

Response SseHead(const ReadAction& action, const ReadReply& first) {
  const StreamInfo& info = first.info;
  Response response;
  response.headers = {{"Content-Type", "text/event-stream"},
                      {"Cache-Control", "no-cache, no-transform"},
                      {"X-Accel-Buffering", "no"}};
  if (SseFormOf(info.content_type) == SseForm::kBase64) {
    response.headers.Add("Stream-SSE-Data-Encoding", "base64");
  }
  AddStaleness(&response, action.local, first.staleness_ms);
  AddIncarnation(&response, info.incarnation);
  return response;
}

}  // namespace ursula::protocol
