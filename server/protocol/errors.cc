#include "server/protocol/errors.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

struct Refusal {
  int status;
  std::string_view code;
  std::string_view message;
};

Refusal RefusalOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kBucketNotFound:
      return {404, "BUCKET_NOT_FOUND",
              "there is no such bucket; PUT /BUCKET makes one, and streams that need none are "
              "/v1/stream/NAME"};
    case Outcome::kNotFound:
      return {404, "STREAM_NOT_FOUND", "there is no such stream"};
    case Outcome::kSoftDeleted:
      return {410, "STREAM_DELETED", "the stream was deleted; forks still read from it"};
    case Outcome::kClosed:
      return {409, "STREAM_CLOSED", "the stream is closed"};
    case Outcome::kConflict:
      return {409, "STREAM_CONFLICT", "the stream exists with another configuration"};
    case Outcome::kContentTypeMismatch:
      return {409, "CONTENT_TYPE_MISMATCH", "the Content-Type is not the stream's"};
    case Outcome::kProducerStale:
      return {403, "PRODUCER_EPOCH_STALE", "a newer epoch of this producer is known"};
    case Outcome::kProducerGap:
      return {409, "PRODUCER_SEQUENCE_GAP", "Producer-Seq skips a number"};
    case Outcome::kProducerEpochStart:
      return {400, "PRODUCER_EPOCH_START", "a new epoch must start with Producer-Seq 0"};
    case Outcome::kSequenceConflict:
      return {409, "SEQUENCE_CONFLICT", "Sequence conflict: Stream-Seq is not above the last one"};
    case Outcome::kForkSourceNotFound:
      return {404, "FORK_SOURCE_NOT_FOUND", "there is no such stream to fork"};
    case Outcome::kForkSourceDeleted:
      return {409, "FORK_SOURCE_DELETED", "the stream to fork was deleted"};
    case Outcome::kForkOffsetInvalid:
      return {400, "FORK_OFFSET_INVALID", "the source has no such position to fork at"};
    case Outcome::kForkContentTypeMismatch:
      return {409, "FORK_CONTENT_TYPE_MISMATCH", "the Content-Type is not the source's"};
    case Outcome::kOffsetInvalid:
      return {400, "INVALID_OFFSET", "the offset lies inside a message"};
    case Outcome::kGone:
      return {410, "OFFSET_GONE", "the offset lies before the retained data"};
    case Outcome::kBucketNotEmpty:
      return {409, "BUCKET_NOT_EMPTY", "the bucket still holds streams"};
    case Outcome::kTooLarge:
      return {413, "APPEND_TOO_LARGE", "the append would pass a limit"};
    case Outcome::kPreconditionFailed:
      return {412, "PRECONDITION_FAILED", "the stream isn't what the request is conditional on"};
    case Outcome::kTooManyProducers:
      return {429, "TOO_MANY_PRODUCERS",
              "the stream remembers 65536 producers, as many as it may, and each was heard of "
              "within 7 days: go on under one of those ids with a higher epoch, or append without "
              "a producer"};
    case Outcome::kForkTooDeep:
      return {409, "FORK_TOO_DEEP",
              "the fork would have more than 256 sources above it: fork from a stream nearer to "
              "the first, or copy what is to be shared"};
    case Outcome::kOk:
    case Outcome::kExisted:
    case Outcome::kDuplicate:
      break;
  }
  return {500, "INTERNAL", "the server met a state it did not expect"};
}

Refusal RefusalOf(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
      return {400, "INVALID_ARGUMENT", "the request was not understood"};
    case StatusCode::kFailedPrecondition:
    case StatusCode::kCancelled:
      return {503, "STOPPING", "the server is stopping"};
    case StatusCode::kUnavailable:
      return {503, "UNAVAILABLE",
              "nothing was applied: the stream's group has no leader now, this server's log has "
              "failed, or what stands before it in its batch has no decision or took all the time; "
              "try again after a pause"};
    case StatusCode::kBehind:
      return {503, "BEHIND",
              "what this server has of the stream is older than may be told, and the leader of its "
              "group doesn't answer; try again, or another server"};
    case StatusCode::kResourceExhausted:
      return {503, "OVERLOADED", "a limit is reached; try again after a pause"};
    case StatusCode::kStorageFull:
      return {507, "STORAGE_FULL",
              "this server's storage is full: nothing was applied; reads go on, and appends once "
              "there is space"};
    case StatusCode::kOutcomeUnknown:
      return {504, "OUTCOME_UNKNOWN",
              "the request may or may not have been applied; retry under the same producer "
              "sequence, or read before retrying"};
    case StatusCode::kDataLoss:
      return {500, "DATA_LOSS", "stored bytes fail their checksum and are not served"};
    case StatusCode::kIoError:
      return {500, "IO_ERROR", "the server's storage refused"};
    case StatusCode::kOk:
    case StatusCode::kInternal:
      break;
  }
  return {500, "INTERNAL", "the server met a state it did not expect"};
}

void AddRetryAfter(Response* response, const ProtocolConfig& config) {
  response->headers.Add("Retry-After", S(absl::AlphaNum(config.retry_after_seconds).Piece()));
}

}  // namespace

Response ErrorResponse(int status, std::string_view code, std::string_view message) {
  Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  std::string body = "{\"error\":{\"code\":";
  AppendJsonString(&body, code);
  body += ",\"message\":";
  AppendJsonString(&body, message);
  body += "}}";
  response.body.push_back(Bytes::Take(std::move(body)));
  return response;
}

Response OverloadedResponse(std::string_view message, const ProtocolConfig& config) {
  Response response = ErrorResponse(503, "OVERLOADED", message);
  AddRetryAfter(&response, config);
  return response;
}

Response TooManyParametersResponse() {
  return ErrorResponse(400, "INVALID_QUERY",
                       absl::StrCat("a query has at most ", Query::kParametersMax, " parameters"));
}

Response PayloadTooLargeResponse(const ProtocolConfig& config) {
  return ErrorResponse(413, "PAYLOAD_TOO_LARGE",
                       absl::StrCat("a body is at most ", config.body_bytes_max, " bytes long"));
}

Response StatusResponse(const Status& status, const ProtocolConfig& config) {
  Refusal refusal = RefusalOf(status.code());
  // An invalid argument is the client's to read; other messages may name files of the server.
  bool tell = status.code() == StatusCode::kInvalidArgument && !status.message().empty();
  Response response = ErrorResponse(refusal.status, refusal.code,
                                    tell ? std::string_view(status.message()) : refusal.message);
  if (refusal.status == 503 || refusal.status == 507) AddRetryAfter(&response, config);
  return response;
}

Response OutcomeResponse(Outcome outcome) {
  Refusal refusal = RefusalOf(outcome);
  return ErrorResponse(refusal.status, refusal.code, refusal.message);
}

}  // namespace ursula::protocol
