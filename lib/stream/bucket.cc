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
  buckets_.insert_or_assign(command.bucket, Bucket{incarnation, false});
  MarkRecord(kBucketRecord, command.bucket);
  result->reply.incarnation = incarnation;
}

Reply Machine::Decide(const DeleteBucket& command, int64_t) const {
  Reply reply;
  auto found = buckets_.find(command.bucket);
  if (command.bucket == kUpstreamBucket) {
    reply.outcome = Outcome::kBucketNotEmpty;
  } else if (found == buckets_.end() || (command.step != DeleteBucket::Step::kBegin &&
                                         found->second.incarnation != command.incarnation)) {
    reply.outcome = Outcome::kBucketNotFound;
  } else {
    reply.incarnation = found->second.incarnation;
  }
  return reply;
}

void Machine::Commit(Index, const DeleteBucket& command, ApplyResult*) {
  auto found = buckets_.find(command.bucket);
  switch (command.step) {
    case DeleteBucket::Step::kBegin:
      found->second.deleting = true;
      break;
    case DeleteBucket::Step::kFinish:
      buckets_.erase(found);
      break;
    case DeleteBucket::Step::kAbort:
      found->second.deleting = false;
      break;
  }
  MarkRecord(kBucketRecord, command.bucket);
}

// Soft-deleted streams and placements count: their names are taken.
bool Machine::HasNames(std::string_view bucket, int64_t now) const {
  std::string prefix = std::string(bucket) + '\0';
  for (auto at = streams_.names().lower_bound(std::string_view(prefix));
       at != streams_.names().end() && (*at)->key.starts_with(prefix); ++at) {
    if (!Due(**at, now)) return true;
  }
  auto placement = placements_.lower_bound(prefix);
  return placement != placements_.end() && placement->first.starts_with(prefix);
}

Reply Machine::Decide(const FenceBucket& command, int64_t now) const {
  Reply reply;
  if (command.bucket == kUpstreamBucket || HasNames(command.bucket, now)) {
    reply.outcome = Outcome::kBucketNotEmpty;
  }
  return reply;
}

void Machine::Commit(Index, const FenceBucket& command, ApplyResult*) {
  Incarnation& fence = fences_[command.bucket];
  if (fence < command.bucket_incarnation) fence = command.bucket_incarnation;
  MarkRecord(kFenceRecord, command.bucket);
}

Reply Machine::Decide(const UnfenceBucket&, int64_t) const { return {}; }

// Older incarnations stay fenced: a node with an old cache may still stamp them.
void Machine::Commit(Index, const UnfenceBucket& command, ApplyResult*) {
  auto found = fences_.find(command.bucket);
  if (found == fences_.end() || found->second != command.bucket_incarnation) return;
  found->second = Incarnation{Raw(found->second) - 1};
  if (found->second == kNoIncarnation) fences_.erase(found);
  MarkRecord(kFenceRecord, command.bucket);
}

}  // namespace ursula::stream
