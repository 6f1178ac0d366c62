#include "lib/engine/arguments.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "lib/base/json_scanner.h"
#include "lib/base/utf8.h"
#include "lib/stream/media_type.h"

namespace ursula::engine {
namespace {

constexpr std::size_t kBucketBytesMin = 4;
constexpr std::size_t kBucketBytesMax = 64;
constexpr std::size_t kNameBytesMax = 1024;  // Of a name, and of an affinity.
constexpr std::size_t kStateMatchesMax = 64;
constexpr std::size_t kJsonDepthMax = 512;
constexpr uint32_t kListLimitMax = 1000;
constexpr uint64_t kProducerNumberMax = (uint64_t{1} << 53) - 1;

Status Invalid(std::string_view message) {
  return Status(StatusCode::kInvalidArgument, std::string(message));
}

bool IsBucketByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Status CheckLifetime(const Lifetime& lifetime) {
  if (lifetime.ttl_seconds && lifetime.expires_at_ms) {
    return Invalid("a stream has a TTL or a fixed end, not both");
  }
  return {};
}

Status CheckProducer(const Producer& producer) {
  if (producer.id.empty()) return Invalid("a producer's id is empty");
  if (producer.epoch > kProducerNumberMax || producer.sequence > kProducerNumberMax) {
    return Invalid("a producer's epoch and sequence are at most 2^53-1");
  }
  return {};
}

bool IsJsonMessage(std::string_view text) {
  JsonScanner scanner(text, kJsonDepthMax);
  scanner.SkipSpace();
  if (scanner.saw_line_end() || !scanner.SkipValue()) return false;
  scanner.SkipSpace();
  return scanner.AtEnd() && !scanner.saw_line_end() && IsUtf8(text);
}

Status CheckStaleness(uint64_t staleness_ms_max) {
  if (staleness_ms_max <= kStalenessMsMax) return {};
  return Invalid("staleness_ms_max is at most an hour");
}

Status First(Status one, Status other) { return one.ok() ? std::move(other) : std::move(one); }

}  // namespace

Status CheckBucket(std::string_view bucket) {
  if (bucket == kUpstreamBucket) return {};
  bool fits = bucket.size() >= kBucketBytesMin && bucket.size() <= kBucketBytesMax;
  for (char c : bucket) fits = fits && IsBucketByte(c);
  if (!fits) return Invalid("a bucket's name is 4 to 64 of a-z, 0-9, '_' and '-'");
  return {};
}

Status CheckStream(const StreamId& stream) {
  if (stream.name.empty()) return Invalid("a stream's name is empty");
  if (stream.name.size() > kNameBytesMax) {
    return Invalid("a stream's name is longer than 1024 bytes");
  }
  if (stream.affinity.size() > kNameBytesMax) {
    return Invalid("a stream's affinity is longer than 1024 bytes");
  }
  if (HasNul(stream.name) || HasNul(stream.affinity)) {
    return Invalid("a stream's name or affinity holds a NUL");
  }
  return CheckBucket(stream.bucket);
}

Status Check(const Precondition& condition) {
  if (condition.any_of.size() > kStateMatchesMax || condition.none_of.size() > kStateMatchesMax) {
    return Invalid("a precondition has more than 64 alternatives");
  }
  return {};
}

Status Check(const ListRequest& request) {
  if (request.limit < 1 || request.limit > kListLimitMax) {
    return Invalid("a list's limit is 1 to 1000");
  }
  return CheckBucket(request.bucket);
}

Status CheckJson(std::span<const Bytes> messages) {
  for (const Bytes& message : messages) {
    if (!IsJsonMessage(message.view())) {
      return Invalid("a message is not one JSON value in UTF-8 without raw line ends");
    }
  }
  return {};
}

Status Check(const CreateRequest& request) {
  Status status = CheckStream(request.stream);
  if (status.ok() && !request.json_checked && stream::IsJson(request.content_type)) {
    status = CheckJson(request.messages);
  }
  if (status.ok()) status = CheckLifetime(request.lifetime);
  if (status.ok()) status = Check(request.condition);
  if (status.ok() && request.fork) status = CheckStream(request.fork->source);
  return status;
}

Status Check(const DeleteRequest& request) {
  return First(CheckStream(request.stream), Check(request.condition));
}

Status Check(const AppendRequest& request) {
  Status status = CheckStream(request.stream);
  if (status.ok()) status = Check(request.condition);
  if (status.ok() && request.producer) status = CheckProducer(*request.producer);
  if (status.ok() && !request.json_checked && stream::IsJson(request.content_type)) {
    status = CheckJson(request.messages);
  }
  if (!status.ok() || request.close) return status;
  for (const Bytes& message : request.messages) {
    if (!message.empty()) return status;
  }
  return Invalid("an append without content that doesn't close the stream");
}

Status Check(const HeadRequest& request) {
  return First(CheckStream(request.stream), CheckStaleness(request.staleness_ms_max));
}

Status Check(const ReadRequest& request) {
  return First(CheckStream(request.stream), CheckStaleness(request.staleness_ms_max));
}

Status Check(const FollowRequest& request) {
  if (request.unread_bytes_max == 0) return Invalid("unread_bytes_max is 0: nothing could come");
  return First(CheckStream(request.stream), CheckStaleness(request.staleness_ms_max));
}

}  // namespace ursula::engine
