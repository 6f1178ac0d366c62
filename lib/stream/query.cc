#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/stream/machine.h"

namespace ursula::stream {

LookupResult Machine::Lookup(const StreamId& id, int64_t now_ms) const {
  NameKey key(id);
  if (const StreamState* stream = streams_.FindByKey(key.view()); stream != nullptr) {
    LookupResult result = Describe(*stream);
    if (Due(*stream, std::max(now_ms_, now_ms))) result.kind = LookupResult::Kind::kExpired;
    return result;
  }
  LookupResult result;
  if (auto found = placements_.find(key.view()); found != placements_.end()) {
    result.kind = LookupResult::Kind::kElsewhere;
    result.placement = found->second;
  }
  return result;
}

LookupResult Machine::FindIncarnation(Incarnation incarnation) const {
  const StreamState* stream = streams_.Find(incarnation);
  return stream == nullptr ? LookupResult{} : Describe(*stream);
}

StreamInfo Machine::Info(Incarnation incarnation) const {
  const StreamState* stream = streams_.Find(incarnation);
  URSULA_CHECK(stream != nullptr);
  return InfoOf(*stream);
}

StreamId Machine::IdOf(Incarnation incarnation) const {
  const StreamState* stream = streams_.Find(incarnation);
  URSULA_CHECK(stream != nullptr);
  return IdOfKey(stream->key());
}

std::vector<ReadRange> Machine::PlanRead(Incarnation incarnation, uint64_t from,
                                         uint64_t bytes_max) const {
  std::vector<ReadRange> ranges;
  const StreamState* stream = streams_.Find(incarnation);
  if (stream == nullptr || from >= stream->tail) return ranges;
  uint64_t to = from + std::min(bytes_max, stream->tail - from);
  while (to > from) {  // From the newest part back, one ancestor each turn.
    uint64_t own_from = std::max(from, stream->own_start());
    if (own_from < to) {
      ranges.push_back({stream->incarnation, own_from, to});
      to = own_from;
    }
    if (stream->fork == nullptr) break;
    stream = streams_.Find(stream->fork->source);
    URSULA_CHECK(stream != nullptr);
  }
  std::ranges::reverse(ranges);
  return ranges;
}

std::optional<ReadRange> Machine::OwnRange(Incarnation incarnation) const {
  const StreamState* stream = streams_.Find(incarnation);
  if (stream == nullptr) return std::nullopt;
  return ReadRange{incarnation, std::max(stream->own_start(), stream->start()), stream->tail};
}

void Machine::ForEachOwnRange(Function<void(const ReadRange&)> visit) const {
  for (const auto& [incarnation, stream] : streams_.streams()) {
    uint64_t from = std::max(stream->own_start(), stream->start());
    if (from < stream->tail) visit(ReadRange{incarnation, from, stream->tail});
  }
}

std::optional<int64_t> Machine::NextDeadline() const {
  if (streams_.deadlines().empty()) return std::nullopt;
  return streams_.deadlines().begin()->first;
}

std::vector<Incarnation> Machine::CollectExpired(int64_t now_ms, std::size_t count_max,
                                                 int64_t after_ms) const {
  std::vector<Incarnation> expired;
  const auto& deadlines = streams_.deadlines();
  for (auto at = deadlines.upper_bound({after_ms, Incarnation{UINT64_MAX}});
       at != deadlines.end() && at->first <= now_ms && expired.size() < count_max; ++at) {
    expired.push_back(at->second);
  }
  return expired;
}

ListReply Machine::List(const ListRequest& request, int64_t now_ms) const {
  constexpr uint32_t kListMax = 1000;
  int64_t now = std::max(now_ms_, now_ms);
  uint32_t limit = std::clamp<uint32_t>(request.limit, 1, kListMax);
  // Keys of a path go on with NUL; \1 is past those, and before all longer paths.
  std::string from = request.bucket + '\0';
  std::string prefix = from + request.prefix;
  from = std::max(prefix, request.after.empty() ? from : from + request.after + '\1');
  ListReply reply;
  for (auto at = streams_.names().lower_bound(std::string_view(from));
       at != streams_.names().end() && (*at)->key().starts_with(prefix); ++at) {
    const StreamState& stream = **at;
    if (stream.life != Life::kLive || Due(stream, now)) continue;
    if (reply.streams.size() == limit) {
      reply.more = true;
      break;
    }
    reply.streams.push_back({std::string(PathOfKey(stream.key())), *stream.content_type,
                             Offset{stream.tail}, stream.closed});
  }
  return reply;
}

std::optional<BucketInfo> Machine::BucketFind(std::string_view bucket) const {
  if (bucket == kUpstreamBucket) return BucketInfo{};
  auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return std::nullopt;
  const Bucket& bucket_found = found->second;
  return BucketInfo{bucket_found.incarnation, bucket_found.deleting, bucket_found.attempt};
}

std::vector<std::string> Machine::DeletingBuckets() const {
  std::vector<std::string> deleting;
  for (const auto& [attempt, name] : deleting_) deleting.push_back(name);
  return deleting;
}

bool Machine::IsFenced(std::string_view bucket, const BucketStamp& stamp) const {
  if (bucket == kUpstreamBucket) return false;
  if (stamp.seen < fences_settled_) return true;  // Fences that it may have missed are forgotten.
  auto found = fences_.find(bucket);
  return found != fences_.end() && stamp.incarnation <= found->second.refused;
}

bool Machine::MayBeUnfenced(std::string_view bucket, const BucketStamp& stamp) const {
  if (bucket == kUpstreamBucket || stamp.seen < fences_settled_) return false;
  auto found = fences_.find(bucket);
  return found != fences_.end() && !found->second.undone &&
         stamp.incarnation == found->second.refused;
}

}  // namespace ursula::stream
