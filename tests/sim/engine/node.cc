#include "tests/sim/engine/node.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMessageBytesMax = 64 << 10;
constexpr uint64_t kWalBytesPerCore = 8 << 20;
constexpr uint64_t kHotBytes = 4 << 20;
constexpr int64_t kWallOffsetMs = 1'700'000'000'000;

}  // namespace

Node::Node(const Profile* profile, Random* random) : profile_(*profile), random_(*random) {
  Wipe();
}

Node::~Node() {
  if (open()) Crash(Fall::kPower);
}

void Node::Wipe() {
  URSULA_CHECK(!open());
  runtime_.reset();
  testing::FaultDisk::Faults faults;
  faults.latency_min_ns = profile_.latency_min_ns;
  faults.latency_max_ns = profile_.latency_max_ns;
  disk_ = std::make_unique<testing::FaultDisk>(random_.Next(), faults);
}

Status Node::Open() {
  URSULA_CHECK(!open());
  const auto cores = static_cast<uint16_t>(1 + random_.Below(profile_.cores_max));
  runtime_ = std::make_unique<testing::ManualRuntime>(cores, disk_.get(), random_.Next());
  runtime_->AdvanceTo(now_ns_);
  lazy_core_ = static_cast<uint16_t>(random_.Below(cores));
  lazy_one_in_ = random_.OneIn(2) ? 1 : 1 + random_.Below(20);
  stopped_ = false;
  EngineOptions options;
  options.runtime = runtime_.get();
  options.data_dir = profile_.durable ? "/data" : "";
  options.group_count = profile_.groups;
  options.hot_bytes_max = kHotBytes;
  options.wal_bytes_max = cores * kWalBytesPerCore;
  options.message_bytes_max = kMessageBytesMax;
  Result<std::unique_ptr<StreamEngine>> opened = StreamEngine::Open(std::move(options));
  now_ns_ = runtime_->now_ns();
  if (!opened.ok()) return opened.status();
  engine_ = std::move(*opened);
  return {};
}

int64_t Node::wall_ms() const { return kWallOffsetMs + static_cast<int64_t>(now_ns_ / 1'000'000); }

void Node::Step(uint64_t limit_ns) {
  const uint16_t cores = runtime_->core_count();
  const auto first = static_cast<uint16_t>(random_.Below(cores));
  for (uint16_t i = 0; i < cores; ++i) {
    const auto core = static_cast<uint16_t>((first + i) % cores);
    if (core == lazy_core_ && i == 0 && cores > 1 && !random_.OneIn(lazy_one_in_)) continue;
    if (runtime_->manual_loop(CoreId{core}).RunTurn()) return;
  }
  const uint64_t next_ns = std::min(limit_ns, runtime_->NextEventNs());
  now_ns_ = std::max(now_ns_, next_ns);
  runtime_->manual_loop(CoreId{0}).clock().now_ns = now_ns_;
}

void Node::Advance(uint64_t ns) {
  (void)RunUntil([] { return false; }, ns);
}

void Node::Call(Function<void()> call) {
  if (random_.OneIn(2)) return call();
  const CoreId core{static_cast<uint16_t>(random_.Below(runtime_->core_count()))};
  runtime_->loop(core).Post(std::move(call));
}

void Node::BeginStop() {
  engine_->Stop([this](Result<Stopped> result) { stopped_ = result.ok(); });
}

void Node::Close() {
  URSULA_CHECK(stopped_);
  engine_.reset();
  runtime_.reset();
}

void Node::Crash(Fall fall) {
  if (fall == Fall::kPower) {
    disk_->Crash();
  } else {
    disk_->Kill();
  }
  runtime_->Crash();
  static_cast<Engine&>(*engine_).Abandon();
  engine_.reset();
  runtime_.reset();
}

template <class Each>
void Node::OnReplicas(Each each) {
  for (uint16_t core = 0; core < runtime_->core_count(); ++core) {
    runtime_->loop(CoreId{core}).Post([this, core, each] {
      Shard& shard = static_cast<Engine&>(*engine_).shard(CoreId{core});
      for (group::Replica* replica : shard.Replicas()) each(replica);
    });
  }
}

void Node::Evict() {
  OnReplicas([](group::Replica* replica) {
    replica->Flush();
    replica->EvictTo(0);
  });
}

void Node::Checkpoint() {
  OnReplicas([](group::Replica* replica) { replica->Checkpoint(); });
}

}  // namespace ursula::engine::sim
