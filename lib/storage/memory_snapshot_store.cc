// The snapshot store of engines without a directory.

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "lib/storage/snapshot_store.h"

namespace ursula::storage {
namespace {

class MemorySnapshotStore final : public SnapshotStore {
 public:
  explicit MemorySnapshotStore(io::Loop* loop) : loop_(*loop) {}

  void Write(GroupId group, SnapshotMeta /*meta*/, bool base, SnapshotRecords /*records*/,
             Function<void(Status)> done) override {
    ++stats_.snapshots;
    if (base) with_base_.insert(group);
    loop_.Defer([done = std::move(done)]() mutable { done(Status()); });
  }
  // As of a base and no bytes: a base is asked for once, and then always what has changed.
  ChainSize chain(GroupId group) const override {
    return {.files = with_base_.contains(group) ? 1u : 0u};
  }
  SnapshotStats stats() const override { return stats_; }
  void Stop(Function<void()> done) override {
    loop_.Defer([done = std::move(done)]() mutable { done(); });
  }

 private:
  io::Loop& loop_;
  SnapshotStats stats_;
  absl::flat_hash_set<GroupId> with_base_;
};

}  // namespace

std::unique_ptr<SnapshotStore> MakeMemorySnapshotStore(io::Loop* loop) {
  return std::make_unique<MemorySnapshotStore>(loop);
}

}  // namespace ursula::storage
