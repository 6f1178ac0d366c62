#include "server/protocol/response_mapping.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "server/protocol/negotiation.h"
#include "server/protocol/offset.h"
#include "server/protocol/precondition.h"
#include "server/protocol/response_parts.h"
#include "server/protocol/text.h"
#include "server/protocol/timestamp.h"
#include "ursula/outcome.h"

namespace ursula::protocol {
namespace {

std::string Number(uint64_t value) { return absl::StrCat(value); }

Response Empty(int status) {
  Response response;
  response.status = status;
  response.headers.Add("Cache-Control", "no-store");
  return response;
}

Response Json(std::string body) {
  Response response = Empty(200);
  response.headers.Add("Content-Type", "application/json");
  response.body.push_back(Bytes::Take(std::move(body)));
  return response;
}

void AddInfo(Response* response, const StreamInfo& info) {
  response->headers.Add("Content-Type", info.content_type);
  AddState(response, StateOf(info));
  const Lifetime& lifetime = info.lifetime;
  if (lifetime.ttl_seconds) response->headers.Add("Stream-TTL", Number(*lifetime.ttl_seconds));
  if (lifetime.expires_at_ms) {
    response->headers.Add("Stream-Expires-At", lifetime.expires_at_text.empty()
                                                   ? FormatTimestamp(*lifetime.expires_at_ms)
                                                   : lifetime.expires_at_text);
  }
}

// What has become of a write, for whoever may have to repeat it.
std::string_view WordFor(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
      return "refused";
    case StatusCode::kFailedPrecondition:
    case StatusCode::kUnavailable:
    case StatusCode::kResourceExhausted:
    case StatusCode::kStorageFull:
    case StatusCode::kCancelled:
      return "not-proposed";
    default:
      return "unknown";
  }
}

std::string_view WordFor(Outcome outcome) {
  if (outcome == Outcome::kOk) return "applied";
  return IsDone(outcome) ? "duplicate" : "refused";
}

template <class Reply>
Response WithOutcome(const Result<Reply>& reply, Response response) {
  response.headers.Add("Stream-Outcome",
                       reply.ok() ? WordFor(reply->outcome) : WordFor(reply.status().code()));
  return response;
}

Response ClosedResponse(StreamState state) {
  Response response = OutcomeResponse(Outcome::kClosed);
  state.closed = true;
  AddState(&response, state);
  return response;
}

Response AppendRefusal(const AppendAction& action, const AppendReply& reply) {
  if (reply.outcome == Outcome::kClosed) return ClosedResponse(StateOf(reply));
  bool failed = reply.outcome == Outcome::kPreconditionFailed;
  if (failed && !action.refusal) return PreconditionFailedResponse(StateOf(reply));
  Response response = failed ? *action.refusal : OutcomeResponse(reply.outcome);
  AddIncarnation(&response, reply.incarnation);
  if (reply.outcome == Outcome::kProducerStale) {
    response.headers.Add("Producer-Epoch", Number(reply.producer_epoch));
  }
  if (reply.outcome == Outcome::kProducerGap) {
    response.headers.Add("Producer-Expected-Seq", Number(reply.producer_expected_sequence));
    response.headers.Add("Producer-Received-Seq", Number(action.producer_sequence.value_or(0)));
  }
  return response;
}

}  // namespace

std::string_view OutcomeWithoutEngine(Method method, const Response& response) {
  const bool writes =
      method == Method::kPut || method == Method::kPost || method == Method::kDelete;
  if (!writes || response.status < 400 || response.headers.Find("Stream-Outcome")) return {};
  const int status = response.status;
  // It was given no chance, or didn't come whole.
  if (status == 408 || status == 503 || status == 507) return "not-proposed";
  return status < 500 || status == 505 ? "refused" : std::string_view();
}

Response MapBucketReply(const CreateBucketAction& action, const Result<BucketReply>& reply,
                        const ProtocolConfig& config) {
  if (!reply.ok()) return WithOutcome(reply, StatusResponse(reply.status(), config));
  if (!IsDone(reply->outcome)) return WithOutcome(reply, OutcomeResponse(reply->outcome));
  Response response = Empty(reply->outcome == Outcome::kOk ? 201 : 200);
  if (reply->outcome == Outcome::kOk) response.headers.Add("Location", action.location);
  return WithOutcome(reply, std::move(response));
}

Response MapBucketReply(const GetBucketAction& action, const Result<BucketReply>& reply,
                        const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  if (reply->outcome != Outcome::kOk) return OutcomeResponse(reply->outcome);
  std::string body = "{\"bucket\":";
  AppendJsonString(&body, action.bucket);
  body += "}";
  return Json(std::move(body));
}

Response MapBucketReply(const DeleteBucketAction&, const Result<BucketReply>& reply,
                        const ProtocolConfig& config) {
  if (!reply.ok()) return WithOutcome(reply, StatusResponse(reply.status(), config));
  if (reply->outcome != Outcome::kOk) return WithOutcome(reply, OutcomeResponse(reply->outcome));
  return WithOutcome(reply, Empty(204));
}

Response MapListReply(const ListAction&, const Result<ListReply>& reply,
                      const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  if (reply->outcome != Outcome::kOk) return OutcomeResponse(reply->outcome);
  std::string body = "{\"streams\":[";
  for (const ListReply::Stream& stream : reply->streams) {
    if (body.back() != '[') body += ",";
    body += "{\"path\":";
    AppendJsonString(&body, stream.path);
    body += ",\"content_type\":";
    AppendJsonString(&body, stream.content_type);
    absl::StrAppend(&body, ",\"next_offset\":\"", FormatOffset({stream.tail}),
                    "\",\"closed\":", stream.closed ? "true}" : "false}");
  }
  body += "],\"next_cursor\":";
  if (reply->more && !reply->streams.empty()) {
    AppendJsonString(&body, reply->streams.back().path);
  } else {
    body += "null";
  }
  body += "}";
  return Json(std::move(body));
}

namespace {

Response CreateResponse(const CreateAction& action, const Result<CreateReply>& reply,
                        const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  switch (reply->outcome) {
    case Outcome::kOk:
    case Outcome::kExisted: {
      Response response = Empty(reply->outcome == Outcome::kOk ? 201 : 200);
      if (reply->outcome == Outcome::kOk) response.headers.Add("Location", action.location);
      AddInfo(&response, reply->info);
      return response;
    }
    case Outcome::kPreconditionFailed:
      return PreconditionFailedResponse(StateOf(reply->info));
    default: {
      Response response =
          reply->outcome == Outcome::kSoftDeleted
              ? ErrorResponse(409, "STREAM_DELETED",
                              "the name is taken by a deleted stream that forks still read from")
              : OutcomeResponse(reply->outcome);
      AddIncarnation(&response, reply->info.incarnation);
      return response;
    }
  }
}

Response AppendResponse(const AppendAction& action, const Result<AppendReply>& reply,
                        const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  bool accepted = reply->outcome == Outcome::kOk;
  if (!accepted && reply->outcome != Outcome::kDuplicate && reply->outcome != Outcome::kExisted) {
    return AppendRefusal(action, *reply);
  }
  bool producer = action.producer_sequence.has_value();
  Response response = Empty(accepted && producer && action.has_body ? 200 : 204);
  AddState(&response, StateOf(*reply));
  if (producer) {
    response.headers.Add("Producer-Epoch", Number(reply->producer_epoch));
    response.headers.Add("Producer-Seq", Number(reply->producer_sequence));
  }
  return response;
}

Response DeleteResponse(const Result<DeleteReply>& reply, const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  if (reply->outcome == Outcome::kPreconditionFailed) {
    return PreconditionFailedResponse(StateOf(reply->info));
  }
  const bool done = reply->outcome == Outcome::kOk;
  Response response = done ? Empty(204) : OutcomeResponse(reply->outcome);
  AddIncarnation(&response, reply->info.incarnation);
  return response;
}

// Of one that soft-deletion keeps for its forks, its incarnation is told.
Response Missing(const HeadReply& reply) {
  Response response = OutcomeResponse(reply.outcome);
  AddIncarnation(&response, reply.info.incarnation);
  return response;
}

}  // namespace

Response MapCreateReply(const CreateAction& action, const Result<CreateReply>& reply,
                        const ProtocolConfig& config) {
  return WithOutcome(reply, CreateResponse(action, reply, config));
}

Response MapAppendReply(const AppendAction& action, const Result<AppendReply>& reply,
                        const ProtocolConfig& config) {
  return WithOutcome(reply, AppendResponse(action, reply, config));
}

bool WantsNewer(HeadAction* action, const Result<HeadReply>& reply) {
  HeadRequest& request = action->request;
  if (request.consistency != Consistency::kLocal || request.staleness_ms_max == 0) return false;
  const bool more = reply.ok() && reply->outcome == Outcome::kOk &&
                    KnowsMore(action->conditions, StateOf(reply->info));
  if (more) request.staleness_ms_max = 0;
  return more;
}

Response MapHeadReply(const HeadAction& action, const Result<HeadReply>& reply,
                      const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  if (reply->outcome != Outcome::kOk) return Missing(*reply);
  StreamState state = StateOf(reply->info);
  if (!Permits(action.conditions, state, {})) return PreconditionFailedResponse(state);
  Response response = Empty(200);
  AddInfo(&response, reply->info);
  AddStaleness(&response, action.local, reply->staleness_ms);
  if (std::optional<std::string> matched = MatchedState(action.conditions, state)) {
    response.status = 304;
    response.headers.Remove("Content-Type");
    response.headers.Set("ETag", *matched);
  }
  return response;
}

Response MapDeleteReply(const DeleteAction&, const Result<DeleteReply>& reply,
                        const ProtocolConfig& config) {
  return WithOutcome(reply, DeleteResponse(reply, config));
}

Response MapGuardedRefusal(const GuardedRefusal& guarded, const Result<HeadReply>& reply,
                           const ProtocolConfig& config) {
  if (!reply.ok()) return StatusResponse(reply.status(), config);
  if (reply->outcome != Outcome::kOk) return Missing(*reply);
  Response refusal = guarded.refusal;
  AddIncarnation(&refusal, reply->info.incarnation);
  return refusal;
}

uint64_t NextCursor(const std::optional<uint64_t>& client_cursor, const ReplyContext& context) {
  constexpr int64_t kEpochMs = 1'728'432'000'000;  // 2024-10-09T00:00:00Z
  constexpr int64_t kIntervalSeconds = 20;
  constexpr uint64_t kJitterSecondsMax = 3600;
  int64_t since_ms = std::max<int64_t>(context.now_ms - kEpochMs, 0);
  uint64_t current = static_cast<uint64_t>(since_ms / (kIntervalSeconds * 1000));
  if (!client_cursor || *client_cursor < current) return current;
  uint64_t jitter_seconds = context.random % kJitterSecondsMax + 1;
  return *client_cursor + std::max<uint64_t>(jitter_seconds / kIntervalSeconds, 1);
}

}  // namespace ursula::protocol
