#include <algorithm>
#include <string>
#include <string_view>

#include "lib/stream/machine.h"

// Buckets, which the meta group keeps, and the fences by which every group refuses creates in a
// bucket that is being deleted.

namespace ursula::stream {

Reply Machine::Decide(const CreateBucket& command, int64_t) const {
  Reply reply;
  if (auto found = BucketFind(command.bucket); found) {
    reply.outcome = Outcome::kExisted;
    reply.incarnation = found->incarnation;
  }
  return reply;
}

void Machine::Commit(Index index, const CreateBucket& command, ApplyResult* result) {
  Incarnation incarnation{Raw(index)};
  buckets_.insert_or_assign(command.bucket, Bucket{incarnation});
  MarkRecord(kBucketRecord, command.bucket);
  result->reply.incarnation = incarnation;
}

Reply Machine::Decide(const DeleteBucket& command, int64_t) const {
  Reply reply;
  auto found = buckets_.find(command.bucket);
  bool begin = command.step == DeleteBucket::Step::kBegin;
  if (command.bucket == kUpstreamBucket) {
    reply.outcome = Outcome::kBucketNotEmpty;
  } else if (found == buckets_.end() ||
             (!begin && (!found->second.deleting || found->second.attempt != command.attempt))) {
    reply.outcome = Outcome::kBucketNotFound;
  } else {
    reply.incarnation = found->second.incarnation;
  }
  return reply;
}

void Machine::Commit(Index index, const DeleteBucket& command, ApplyResult* result) {
  auto found = buckets_.find(command.bucket);
  MarkRecord(kBucketRecord, command.bucket);
  deleting_.erase(found->second.attempt);
  if (command.step == DeleteBucket::Step::kBegin) {
    found->second.deleting = true;
    found->second.attempt = Incarnation{Raw(index)};
    deleting_.emplace(found->second.attempt, command.bucket);
    result->reply.attempt = found->second.attempt;
    return;
  }
  if (command.step == DeleteBucket::Step::kFinish) {
    buckets_.erase(found);
  } else {
    found->second.deleting = false;
    found->second.attempt = kNoIncarnation;
  }
  // Every attempt begun before the oldest that goes on has ended.
  Incarnation through{Raw(index)};
  if (!deleting_.empty()) {
    through = std::min(through, Incarnation{Raw(deleting_.begin()->first) - 1});
  }
  result->reply.settled_through = through;
}

// Soft-deleted streams and placements count: their names are taken.
bool Machine::HasNames(std::string_view bucket, int64_t now) const {
  return HasStreams(bucket, now) || !PlacementsIn(bucket, 1).empty();
}

bool Machine::HasStreams(std::string_view bucket, int64_t now_ms) const {
  const int64_t now = std::max(now_ms_, now_ms);
  std::string prefix = std::string(bucket) + '\0';
  for (auto at = streams_.names().lower_bound(std::string_view(prefix));
       at != streams_.names().end() && (*at)->key().starts_with(prefix); ++at) {
    if (!Due(**at, now)) return true;
  }
  return false;
}

std::vector<PendingReservation> Machine::PlacementsIn(std::string_view bucket,
                                                      std::size_t count_max) const {
  std::vector<PendingReservation> placements;
  std::string prefix = std::string(bucket) + '\0';
  for (auto at = placements_.lower_bound(prefix);
       at != placements_.end() && at->first.starts_with(prefix) && placements.size() < count_max;
       ++at) {
    placements.push_back({IdOfKey(at->first), at->second});
  }
  return placements;
}

Reply Machine::Decide(const FenceBucket& command, int64_t now) const {
  Reply reply;
  auto found = fences_.find(command.bucket);
  const bool late = command.attempt <= fences_settled_ ||
                    (found != fences_.end() &&
                     (found->second.attempt > command.attempt ||
                      (found->second.attempt == command.attempt && found->second.undone)));
  if (late) {
    reply.outcome = Outcome::kConflict;
  } else if (command.bucket == kUpstreamBucket || HasNames(command.bucket, now)) {
    reply.outcome = Outcome::kBucketNotEmpty;
  }
  return reply;
}

void Machine::Commit(Index, const FenceBucket& command, ApplyResult*) {
  Fence& fence = fences_[command.bucket];
  fence.refused = std::max(fence.refused, command.bucket_incarnation);
  fence.attempt = command.attempt;
  fence.undone = false;
  MarkRecord(kFenceRecord, command.bucket);
}

Reply Machine::Decide(const UnfenceBucket&, int64_t) const { return {}; }

// Older incarnations stay fenced: who has an old cache may still stamp them. The attempt is kept,
// also where its fence never came.
void Machine::Commit(Index, const UnfenceBucket& command, ApplyResult*) {
  if (command.attempt <= fences_settled_) return;
  Fence& fence = fences_[command.bucket];
  if (fence.attempt > command.attempt) return;
  if (fence.refused == command.bucket_incarnation && fence.refused != kNoIncarnation) {
    fence.refused = Incarnation{Raw(fence.refused) - 1};
  }
  fence.attempt = command.attempt;
  fence.undone = true;
  MarkRecord(kFenceRecord, command.bucket);
}

Reply Machine::Decide(const SettleFences&, int64_t) const { return {}; }

void Machine::Commit(Index, const SettleFences& command, ApplyResult*) {
  if (command.through <= fences_settled_) return;
  fences_settled_ = command.through;
  for (auto at = fences_.begin(); at != fences_.end();) {
    if (at->second.attempt <= fences_settled_) {
      MarkRecord(kFenceRecord, at->first);
      at = fences_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace ursula::stream
