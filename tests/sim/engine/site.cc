#include "tests/sim/engine/site.h"

#include <algorithm>
#include <map>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "tests/support/founded_directories.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMessageBytesMax = 64 << 10;
constexpr uint64_t kWalBytesPerCore = 8 << 20;
constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kLeadersNs = 30'000 * kMs;
constexpr uint32_t kTurnsAtOnceMax = 100'000;  // Of all loops; some hundred are usual.
constexpr uint64_t kSettleNs = 35'000 * kMs;
constexpr uint64_t kLazyNs = 300 * kMs;     // More than a core that has few turns waits for one.
constexpr uint64_t kOpenNs = 60'000 * kMs;  // Then it has hung.

}  // namespace

testing::NetworkFaults Site::Network() const {
  testing::NetworkFaults faults;
  faults.delay_ns_max = profile_.network_delay_ns_max;
  faults.delay_ns_min = faults.delay_ns_max / 10;
  return faults;
}

Site::Site(const Profile* profile, Random* random)
    : profile_(*profile),
      random_(*random),
      network_(random->Next(), Network()),
      nodes_(profile->nodes) {
  Wipe();
}

Site::~Site() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (up(i)) CrashNode(i, Fall::kPower);
  }
}

std::unique_ptr<testing::FaultDisk> Site::NewDisk() {
  testing::FaultDisk::Faults faults;
  faults.latency_min_ns = profile_.latency_min_ns;
  faults.latency_max_ns = profile_.latency_max_ns;
  faults.direct = profile_.direct;
  return std::make_unique<testing::FaultDisk>(random_.Next(), faults);
}

void Site::Wipe() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    URSULA_CHECK(node.engine == nullptr);
    node.runtime.reset();
    node.born = i < profile_.founders;
    node.disk = NewDisk();
    node.openings = 0;
    node.kept.reset();
    node.empty = node.stale = node.refused = false;
  }
  founded_ = false;
  checked_.clear();
}

Status Site::OpenNode(std::size_t index, uint64_t patience_ns) {
  Node& node = nodes_[index];
  const auto cores = static_cast<uint16_t>(1 + random_.Below(profile_.cores_max));
  node.runtime = std::make_unique<testing::ManualRuntime>(cores, node.disk.get(), random_.Next());
  node.runtime->AdvanceTo(now_ns_);
  ++openings_;
  if (profile_.clocks) SetClock(index, true);
  node.lazy_core = static_cast<uint16_t>(random_.Below(cores));
  node.lazy_one_in = random_.OneIn(2) ? 1 : 1 + random_.Below(20);
  node.paused_until_ns = 0;
  node.stopping = node.stopped = false;
  node.stamps.clear();
  node.opening = std::make_unique<Opening>();
  EngineOptions options;
  options.opening = node.opening.get();
  options.runtime = node.runtime.get();
  options.data_dir = profile_.durable ? kDataPath : "";
  options.group_count = profile_.groups;
  options.hot_bytes_max = profile_.hot_bytes;
  options.rejoin_bytes_per_second = 1 << 20;
  options.wal_bytes_max = cores * kWalBytesPerCore;
  options.message_bytes_max = kMessageBytesMax;
  options.rejoin_when_rotten = false;  // Nothing rots here: what doesn't hold was never written.
  if (cluster()) {
    // Until it is restarted it keeps the cluster at the level that it was founded at.
    if (index == 0 && ++node.openings == 1) options.feature_level_max = 1;
    options.cluster.transport = network_.Join(IdOf(index), node.runtime.get());
    options.cluster.node = IdOf(index);
    for (std::size_t i = 0; i < nodes_.size(); ++i) options.cluster.founders.push_back(IdOf(i));
    node.runtime->SetStep([this, index, begun_ns = now_ns_, patience_ns] {
      return StepOfOpening(index, begun_ns, patience_ns);
    });
  }
  Result<std::unique_ptr<StreamEngine>> opened = StreamEngine::Open(std::move(options));
  now_ns_ = std::max(now_ns_, node.runtime->now_ns());
  node.runtime->SetStep(nullptr);  // Its end is waited for on its own.
  if (!opened.ok()) {
    if (cluster()) network_.Leave(IdOf(index), true);
    node.runtime.reset();
    return opened.status();
  }
  node.engine = std::move(*opened);
  node.empty = false;
  return {};
}

// The others' turns come meanwhile, and all that befalls them.
bool Site::StepOfOpening(std::size_t index, uint64_t begun_ns, uint64_t patience_ns) {
  if (now_ns_ >= begun_ns + patience_ns) nodes_[index].opening->Cancel();
  if (now_ns_ >= begun_ns + patience_ns + kOpenNs) return false;
  if (meanwhile_) meanwhile_();
  Step(begun_ns + patience_ns + kOpenNs);
  return true;
}

Status Site::Open() {
  if (cluster() && !std::exchange(founded_, true)) {
    std::vector<testing::FaultDisk*> disks;
    for (Node& node : nodes_) {
      if (node.born) disks.push_back(node.disk.get());
    }
    testing::FoundDirectories(disks, kDataPath, profile_.groups, random_.Next());
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (up(i) || !nodes_[i].born) continue;
    Status status = OpenNode(i, kOpenNs);
    if (!status.ok()) return status;
  }
  if (!cluster() || RunUntil([this] { return HasLeaders(); }, kLeadersNs)) return {};
  return Status(StatusCode::kUnavailable, "there are no leaders");
}

bool Site::HasLeaders() const {
  std::map<GroupId, NodeId> leaders;
  for (const Node& node : nodes_) {
    if (!node.born) continue;
    if (node.engine == nullptr || !node.engine->Ready().ok()) return false;
    for (const GroupStatus& group : node.engine->Cluster().groups) {
      if (group.leader == NodeId{}) return false;
      if (leaders.emplace(group.group, group.leader).first->second != group.leader) return false;
    }
  }
  return true;
}

bool Site::RunSomeTurn() {
  const std::size_t first_node = random_.Below(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[(first_node + i) % nodes_.size()];
    if (node.runtime == nullptr || node.paused_until_ns > now_ns_) continue;
    const uint16_t cores = node.runtime->core_count();
    const auto first = static_cast<uint16_t>(random_.Below(cores));
    for (uint16_t j = 0; j < cores; ++j) {
      const auto core = static_cast<uint16_t>((first + j) % cores);
      if (core == node.lazy_core && j == 0 && cores > 1 && !random_.OneIn(node.lazy_one_in)) {
        continue;
      }
      if (node.runtime->manual_loop(CoreId{core}).RunTurn()) return true;
    }
  }
  return false;
}

void Site::Step(uint64_t limit_ns) {
  if (!events_.empty()) LetHappen();
  // Once something never ends, the rest only has to come to the end of the run.
  const uint32_t turns_max = unexpected_.ok() ? kTurnsAtOnceMax : kTurnsAtOnceMax / 1000;
  if (RunSomeTurn() && ++turns_at_once_ < turns_max) return;
  if (turns_at_once_ == kTurnsAtOnceMax) {
    unexpected_ = Status(StatusCode::kInternal, "what should take time goes on for ever at once");
  }
  uint64_t next_ns = std::min(limit_ns, NextEventNs());
  for (Node& node : nodes_) {
    if (node.runtime == nullptr) continue;
    const bool paused = node.paused_until_ns > now_ns_;
    next_ns = std::min(next_ns, paused ? node.paused_until_ns : node.runtime->NextEventNs());
  }
  if (next_ns <= now_ns_ && turns_at_once_ >= turns_max) next_ns = now_ns_ + kMs;
  if (next_ns > now_ns_) turns_at_once_ = 0;
  now_ns_ = std::max(now_ns_, next_ns);
  for (Node& node : nodes_) {
    if (node.runtime == nullptr) continue;
    node.runtime->manual_loop(CoreId{0}).clock().now_ns = now_ns_;
    if (profile_.clocks) ShowClock(&node);
  }
  if (profile_.clocks) SampleTimes();
}

uint64_t Site::LagNs(std::size_t index, uint64_t since_ns) const {
  const Node& node = nodes_[index];
  const uint64_t lazy_ns = node.lazy_one_in > 1 ? kLazyNs : 0;
  const uint64_t from_ns = std::max(since_ns, node.paused_from_ns);
  return lazy_ns + (node.paused_until_ns > from_ns ? node.paused_until_ns - from_ns : 0);
}

void Site::Advance(uint64_t ns) {
  (void)RunUntil([] { return false; }, ns);
}

std::size_t Site::Call(Function<void(StreamEngine&)> call, std::size_t wanted) {
  std::size_t index = wanted == kAnyNode ? random_.Below(nodes_.size()) : wanted;
  while (!up(index) || nodes_[index].stopped) index = (index + 1) % nodes_.size();
  Node& node = nodes_[index];
  if (random_.OneIn(2)) {
    call(*node.engine);
    return index;
  }
  const CoreId core{static_cast<uint16_t>(random_.Below(node.runtime->core_count()))};
  node.runtime->loop(core).Post(
      [engine = node.engine.get(), call = std::move(call)]() mutable { call(*engine); });
  return index;
}

void Site::StopNode(std::size_t index) {
  Node& node = nodes_[index];
  node.stopping = true;
  node.engine->Stop([&node](Result<Stopped> result) { node.stopped = result.ok(); });
}

void Site::BeginStop() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (up(i)) StopNode(i);
  }
}

bool Site::stopped() const {
  return std::ranges::all_of(
      nodes_, [](const Node& node) { return node.engine == nullptr || node.stopped; });
}

void Site::CloseNode(std::size_t index) {
  Node& node = nodes_[index];
  URSULA_CHECK(node.stopped);
  node.engine.reset();
  ++node.ended;
  if (cluster()) network_.Leave(IdOf(index), true);
  node.runtime.reset();
  Keep(index);
}

void Site::Close() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (up(i)) CloseNode(i);
  }
}

void Site::CrashNode(std::size_t index, Fall fall) {
  Node& node = nodes_[index];
  if (profile_.clocks) SampleTimes();
  if (fall == Fall::kPower) {
    node.disk->Crash();
  } else {
    node.disk->Kill();
  }
  node.runtime->Crash();
  static_cast<Engine&>(*node.engine).Abandon();
  node.engine.reset();
  ++node.ended;
  if (cluster()) network_.Leave(IdOf(index), fall == Fall::kProcess);
  node.runtime.reset();
  if (node.disk_is_bad) HealDisk(&node);
  Keep(index);
}

void Site::Crash(Fall fall) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (up(i)) CrashNode(i, fall);
  }
}

// Some of what ends does so by groups' time, which may run at half the speed.
void Site::Settle() { Advance(profile_.clocks ? 2 * kSettleNs : kSettleNs); }

template <class Each>
void Site::OnReplicas(Each each) {
  for (Node& node : nodes_) {
    if (node.engine == nullptr) continue;
    for (uint16_t core = 0; core < node.runtime->core_count(); ++core) {
      node.runtime->loop(CoreId{core}).Post([engine = node.engine.get(), core, each] {
        Shard& shard = static_cast<Engine&>(*engine).shard(CoreId{core});
        for (group::Replica* replica : shard.Replicas()) each(replica);
      });
    }
  }
}

void Site::Evict() {
  OnReplicas([](group::Replica* replica) {
    replica->Flush();
    replica->EvictTo(0);
  });
}

void Site::Checkpoint() {
  OnReplicas([](group::Replica* replica) { replica->Checkpoint(); });
}

}  // namespace ursula::engine::sim
