#include "server/protocol/request_mapping.h"

#include <string>
#include <string_view>
#include <utility>

#include "server/protocol/cors.h"
#include "server/protocol/errors.h"
#include "server/protocol/precondition.h"
#include "server/protocol/request_parts.h"
#include "server/protocol/response_mapping.h"
#include "server/protocol/routes.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr uint64_t kListLimitMax = 1000;

Response MethodNotAllowed(std::string_view allow) {
  Response response =
      ErrorResponse(405, "METHOD_NOT_ALLOWED", "this resource does not take that method");
  response.headers.Add("Allow", allow);
  return response;
}

Response BadQuery(std::string_view message) { return ErrorResponse(400, "INVALID_QUERY", message); }

Action MapBucket(const Request& request, const ProtocolConfig& config, std::string bucket) {
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

Action MapDelete(const Request& request, StreamId stream) {
  Conditions conditions;
  if (Refusal refusal = TakeConditions(request, false, &conditions)) return std::move(*refusal);
  return DeleteAction{{.stream = std::move(stream), .condition = PreconditionOf(conditions)}};
}

Action MapStream(const Request& request, const ProtocolConfig& config, StreamId stream) {
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

}  // namespace ursula::protocol
