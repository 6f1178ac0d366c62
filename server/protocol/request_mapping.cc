#include "server/protocol/request_mapping.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "server/protocol/cors.h"
#include "server/protocol/errors.h"
#include "server/protocol/negotiation.h"
#include "server/protocol/precondition.h"
#include "server/protocol/request_parts.h"
#include "server/protocol/response_mapping.h"
#include "server/protocol/routes.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr uint64_t kListLimitMax = 1000;
constexpr std::string_view kNdjson = "application/x-ndjson";

Response MethodNotAllowed(std::string_view allow) {
  Response response =
      ErrorResponse(405, "METHOD_NOT_ALLOWED", "this resource does not take that method");
  response.headers.Add("Allow", allow);
  return response;
}

Response BadQuery(std::string_view message) { return ErrorResponse(400, "INVALID_QUERY", message); }

// Of what a group's leader alone answers. A weaker answer than that is wanted of reads alone, and
// who asks for it elsewhere is told rather than answered in another way.
Refusal RefuseLocal(const Request& request, std::string_view what) {
  if (request.query().empty()) return std::nullopt;
  Query query(request.query());
  if (query.too_many()) return TooManyParametersResponse();
  std::string value;
  const Query::Presence presence = query.Find("consistency", &value);
  const bool fits = presence == Query::Presence::kOnce && value == "linearizable";
  if (presence == Query::Presence::kAbsent || fits) return std::nullopt;
  return ErrorResponse(
      400, "INVALID_CONSISTENCY",
      absl::StrCat(A(what),
                   " only linearizable: leave consistency out; consistency=local is for "
                   "GET and HEAD of a stream"));
}

Action MapBucket(const Request& request, const ProtocolConfig& config, std::string bucket) {
  if (Refusal refusal = RefuseLocal(request, "what is asked of a bucket is")) {
    return std::move(*refusal);
  }
  if (Refusal refusal = RefuseConditions(request)) return std::move(*refusal);
  switch (request.method) {
    case Method::kPut: {
      PublicBase base = PublicBaseOf(request, config);
      CreateBucketAction action;
      action.location = base.origin + base.prefix + "/" + bucket;
      action.bucket = std::move(bucket);
      return action;
    }
    case Method::kGet:
    case Method::kHead:
      return GetBucketAction{std::move(bucket)};
    case Method::kDelete:
      return DeleteBucketAction{std::move(bucket)};
    case Method::kPost:
    case Method::kOptions:
    case Method::kOther:
      break;
  }
  return MethodNotAllowed("GET, HEAD, PUT, DELETE, OPTIONS");
}

Action MapList(const Request& request, std::string bucket) {
  if (Refusal refusal = RefuseLocal(request, "a listing is")) return std::move(*refusal);
  if (Refusal refusal = RefuseConditions(request)) return std::move(*refusal);
  if (request.method != Method::kGet && request.method != Method::kHead) {
    return MethodNotAllowed("GET, HEAD, OPTIONS");
  }
  ListAction action;
  action.request.bucket = std::move(bucket);
  Query query(request.query());
  if (query.too_many()) return TooManyParametersResponse();
  if (query.Find("prefix", &action.request.prefix) == Query::Presence::kBad) {
    return BadQuery("prefix is repeated or malformed");
  }
  if (query.Find("cursor", &action.request.after) == Query::Presence::kBad) {
    return BadQuery("cursor is repeated or malformed");
  }
  std::string limit;
  Query::Presence presence = query.Find("limit", &limit);
  if (presence == Query::Presence::kAbsent) return action;
  std::optional<uint64_t> number = ParseCanonicalNumber(limit, kListLimitMax);
  if (presence == Query::Presence::kBad || !number || *number == 0) {
    return BadQuery("limit is a number from 1 to 1000");
  }
  action.request.limit = static_cast<uint32_t>(*number);
  return action;
}

// What is of one append stands in its item: said of the whole request it would be ignored.
Refusal RefuseOfItems(const Request& request) {
  for (std::string_view name :
       {"Producer-Id", "Producer-Epoch", "Producer-Seq", "Stream-Seq", "Stream-Closed"}) {
    if (request.headers.Count(name) == 0) continue;
    return ErrorResponse(400, "NOT_SUPPORTED",
                         absl::StrCat(A(name), " is said of each item of a batch, in its line"));
  }
  return RefuseConditions(request);
}

Action MapBatch(const Request& request, const ProtocolConfig& config, std::string bucket) {
  if (request.method == Method::kPut) {
    return ErrorResponse(400, "RESERVED_NAME", "this name is reserved");
  }
  if (request.method != Method::kPost) return MethodNotAllowed("POST, OPTIONS");
  if (Refusal refusal = RefuseLocal(request, "a batch is")) return std::move(*refusal);
  if (Refusal refusal = RefuseOfItems(request)) return std::move(*refusal);
  std::string type;
  if (Refusal refusal = TakeContentType(request, config, &type)) return std::move(*refusal);
  if (type.empty()) {
    return ErrorResponse(400, "CONTENT_TYPE_REQUIRED",
                         "a batch needs Content-Type: application/x-ndjson");
  }
  if (MediaType(type) != kNdjson) {
    return ErrorResponse(415, "UNSUPPORTED_MEDIA_TYPE",
                         "a batch is lines of JSON: send it as application/x-ndjson");
  }
  if (Refusal refusal = CheckContentCoding(request)) return std::move(*refusal);
  return AppendBatchAction{std::move(bucket)};
}

Action MapDelete(const Request& request, StreamId stream) {
  Conditions conditions;
  if (Refusal refusal = TakeConditions(request, Query(request.query()), false, &conditions))
    return std::move(*refusal);
  return DeleteAction{{.stream = std::move(stream), .condition = PreconditionOf(conditions)}};
}

Action MapStream(const Request& request, const ProtocolConfig& config, StreamId stream) {
  const bool writes = request.method == Method::kPut || request.method == Method::kPost ||
                      request.method == Method::kDelete;
  if (writes) {
    if (Refusal refusal = RefuseLocal(request, "a write is")) return std::move(*refusal);
  }
  switch (request.method) {
    case Method::kPut:
      return MapCreate(request, config, std::move(stream));
    case Method::kPost:
      return MapAppend(request, config, std::move(stream));
    case Method::kGet:
      return MapRead(request, config, std::move(stream));
    case Method::kHead:
      return MapHead(request, std::move(stream));
    case Method::kDelete:
      return MapDelete(request, std::move(stream));
    case Method::kOptions:
    case Method::kOther:
      break;
  }
  return MethodNotAllowed("GET, HEAD, PUT, POST, DELETE, OPTIONS");
}

}  // namespace

Action MapRequest(const Request& request, const ProtocolConfig& config) {
  if (Refusal refusal = CheckHost(request)) return std::move(*refusal);
  if (request.method == Method::kOptions) return PreflightResponse(config.cors, request);
  if (request.body.size() > config.body_bytes_max) return PayloadTooLargeResponse(config);
  Route route = ParsePath(request.path(), config.stream_roots);
  switch (route.kind) {
    case RouteKind::kBucket:
      return MapBucket(request, config, std::move(route.stream.bucket));
    case RouteKind::kStreamList:
      return MapList(request, std::move(route.stream.bucket));
    case RouteKind::kStream:
      return MapStream(request, config, std::move(route.stream));
    case RouteKind::kBatch:
      return MapBatch(request, config, std::move(route.stream.bucket));
    case RouteKind::kReserved:
      // Nothing can be there; to create it is a mistake of another kind.
      return ErrorResponse(request.method == Method::kPut ? 400 : 404, route.code, route.message);
    case RouteKind::kInvalid:
      return ErrorResponse(400, route.code, route.message);
    case RouteKind::kUnknown:
      break;
  }
  return ErrorResponse(404, "NOT_FOUND",
                       "there is nothing at this path; streams are /v1/stream/NAME and, in a "
                       "bucket, /BUCKET/STREAM");
}

HeadJudgement JudgeHead(const Request& request, const ProtocolConfig& config) {
  HeadJudgement judged;
  if (Refusal refusal = CheckHost(request)) {
    judged.refusal = std::move(*refusal);
    return judged;
  }
  Route route = ParsePath(request.path(), config.stream_roots);
  if (route.kind == RouteKind::kStream) {
    // What else is wrong yields to what the stream says, or to the body.
    const bool writes = request.method == Method::kPut || request.method == Method::kPost ||
                        request.method == Method::kDelete;
    if (writes) judged.writes_to = std::move(route.stream);
    return judged;
  }
  Action action = MapRequest(request, config);
  if (request.method == Method::kOptions) return judged;
  if (auto* refusal = std::get_if<Response>(&action)) judged.refusal = std::move(*refusal);
  return judged;
}

}  // namespace ursula::protocol
