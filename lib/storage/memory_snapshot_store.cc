// The snapshot store of engines without a directory.

#include <utility>

#include "lib/storage/snapshot_store.h"

namespace ursula::storage {
namespace {

class MemorySnapshotStore final : public SnapshotStore {
 public:
  explicit MemorySnapshotStore(io::Loop* loop) : loop_(*loop) {}

  void Write(GroupId /*group*/, SnapshotMeta /*meta*/, bool /*base*/,
             std::vector<SnapshotRecord> /*records*/, Function<void(Status)> done) override {
    ++stats_.snapshots;
    loop_.Defer([done = std::move(done)]() mutable { done(Status()); });
  }
  ChainSize chain(GroupId /*group*/) const override { return {}; }
  SnapshotStats stats() const override { return stats_; }
  void Stop(Function<void()> done) override {
    loop_.Defer([done = std::move(done)]() mutable { done(); });
  }

 private:
  io::Loop& loop_;
  SnapshotStats stats_;
};

}  // namespace

std::unique_ptr<SnapshotStore> MakeMemorySnapshotStore(io::Loop* loop) {
  return std::make_unique<MemorySnapshotStore>(loop);
}

}  // namespace ursula::storage
