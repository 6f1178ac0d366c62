// ursula/outcome.h
//
// StatusOf answers in one Status what a call has come to. `Result::ok()` alone says that the engine
// decided; that the stream said no stands in the reply.

#pragma once

#include <string>
#include <string_view>

#include "ursula/engine.h"
#include "ursula/status.h"

namespace ursula {

// As it stands in messages: "NOT_FOUND: there is no such stream".
constexpr std::string_view Describe(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "OK";
    case Outcome::kExisted:
      return "EXISTED: it was there already";
    case Outcome::kDuplicate:
      return "DUPLICATE: this producer sequence was applied before";
    case Outcome::kBucketNotFound:
      return "BUCKET_NOT_FOUND: there is no such bucket";
    case Outcome::kNotFound:
      return "NOT_FOUND: there is no such stream";
    case Outcome::kSoftDeleted:
      return "SOFT_DELETED: the stream was deleted; forks still read from it";
    case Outcome::kClosed:
      return "CLOSED: the stream is closed";
    case Outcome::kConflict:
      return "CONFLICT: the stream exists with another configuration";
    case Outcome::kContentTypeMismatch:
      return "CONTENT_TYPE_MISMATCH: the content type is not the stream's";
    case Outcome::kProducerStale:
      return "PRODUCER_STALE: a newer epoch of this producer is known";
    case Outcome::kProducerGap:
      return "PRODUCER_GAP: the sequence skips a number";
    case Outcome::kProducerEpochStart:
      return "PRODUCER_EPOCH_START: a new epoch must start with sequence 0";
    case Outcome::kSequenceConflict:
      return "SEQUENCE_CONFLICT: the sequence is not above the last one";
    case Outcome::kForkSourceNotFound:
      return "FORK_SOURCE_NOT_FOUND: there is no such stream to fork";
    case Outcome::kForkSourceDeleted:
      return "FORK_SOURCE_DELETED: the stream to fork was deleted";
    case Outcome::kForkOffsetInvalid:
      return "FORK_OFFSET_INVALID: the source has no such position to fork at";
    case Outcome::kForkContentTypeMismatch:
      return "FORK_CONTENT_TYPE_MISMATCH: the content type is not the source's";
    case Outcome::kOffsetInvalid:
      return "OFFSET_INVALID: the offset lies inside a message";
    case Outcome::kGone:
      return "GONE: the offset lies before the retained data";
    case Outcome::kBucketNotEmpty:
      return "BUCKET_NOT_EMPTY: the bucket still holds streams";
    case Outcome::kTooLarge:
      return "TOO_LARGE: the append would pass a limit";
    case Outcome::kPreconditionFailed:
      return "PRECONDITION_FAILED: the precondition doesn't hold";
    case Outcome::kTooManyProducers:
      return "TOO_MANY_PRODUCERS: the stream remembers 65536 producers, as many as it may, and "
             "each "
             "was heard of within 7 days; go on under one of those ids with a higher epoch";
    case Outcome::kForkTooDeep:
      return "FORK_TOO_DEEP: the fork would have more than 256 sources above it; fork from one "
             "nearer to the first";
  }
  return "UNKNOWN";
}

// What was asked for holds: it was done now, or had been before.
constexpr bool IsDone(Outcome outcome) {
  return outcome == Outcome::kOk || outcome == Outcome::kExisted || outcome == Outcome::kDuplicate;
}

// Ok: the engine decided, and what was asked for holds. The engine's status: it could not decide.
// kFailedPrecondition with the outcome's description: the stream refused.
template <class Reply>
[[nodiscard]] Status StatusOf(const Result<Reply>& result) {
  if (!result.ok() || IsDone(result->outcome)) return result.status();
  return Status(StatusCode::kFailedPrecondition, std::string(Describe(result->outcome)));
}

}  // namespace ursula
