#include "tests/support/test_cluster.h"

#include <algorithm>
#include <map>
#include <string>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/engine/engine.h"
#include "tests/support/fault_disk.h"
#include "tests/support/founded_directories.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_network.h"

namespace ursula::testing {
namespace {

constexpr const char* kPath = "/data";
constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kDiskLatencyNs = 100'000;
constexpr uint64_t kMessageBytesMax = 64 << 10;
constexpr uint64_t kWalBytesPerCore = 8 << 20;
constexpr uint64_t kHotBytes = 4 << 20;
constexpr uint64_t kOpenNs = 60'000'000'000;

}  // namespace

struct TestCluster::Node {
  uint64_t id = 0;
  uint16_t cores = 1;
  uint32_t feature_level_max = kFeatureLevelMax;
  std::unique_ptr<FaultDisk> disk;
  std::unique_ptr<FaultDisk> kept;
  std::unique_ptr<ManualRuntime> runtime;
  std::unique_ptr<StreamEngine> engine;
  uint64_t openings = 0;
  uint64_t disks = 0;
  uint64_t paused_until_ns = 0;
  bool stopped = false;
  std::vector<std::string> log;
};

struct TestCluster::Impl {
  explicit Impl(const TestClusterOptions& given) : options(given), network(given.seed) {}

  void MakeDisk(Node* node);
  Node& Find(uint64_t id) { return *nodes.at(id - 1); }
  void Fall(Node* node, bool power);

  TestClusterOptions options;
  TestNetwork network;
  std::vector<std::unique_ptr<Node>> nodes;
  uint64_t now_ns = 1'000'000'000;
};

void TestCluster::Impl::MakeDisk(Node* node) {
  FaultDisk::Faults faults;
  faults.latency_min_ns = faults.latency_max_ns = kDiskLatencyNs;
  node->disk =
      std::make_unique<FaultDisk>(options.seed * 100 + node->id + 10 * node->disks++, faults);
}

void TestCluster::Impl::Fall(Node* node, bool power) {
  URSULA_CHECK(node->engine != nullptr);
  if (power) {
    node->disk->Crash();
  } else {
    node->disk->Kill();
  }
  node->runtime->Crash();
  static_cast<engine::Engine&>(*node->engine).Abandon();
  node->engine.reset();
  network.Leave(NodeId{node->id}, !power);
  node->runtime.reset();
}

TestCluster::TestCluster(TestClusterOptions options) : impl_(std::make_unique<Impl>(options)) {
  for (uint64_t id = 1; id <= options.nodes; ++id) {
    auto node = std::make_unique<Node>();
    node->id = id;
    if (id <= options.cores.size()) node->cores = options.cores[id - 1];
    if (id <= options.feature_levels.size()) {
      node->feature_level_max = options.feature_levels[id - 1];
    }
    impl_->MakeDisk(node.get());
    impl_->nodes.push_back(std::move(node));
  }
  std::vector<FaultDisk*> disks;
  const uint32_t founders = options.founders == 0 ? options.nodes : options.founders;
  uint32_t level = kFeatureLevelMax;
  for (uint32_t i = 0; i < founders; ++i) {
    disks.push_back(impl_->nodes[i]->disk.get());
    level = std::min(level, impl_->nodes[i]->feature_level_max);
  }
  FoundDirectories(disks, kPath, options.groups, options.seed, level);
  for (uint64_t id = 1; options.open && id <= founders; ++id) {
    Status status = Open(id);
    URSULA_CHECK(status.ok());
  }
}

TestCluster::~TestCluster() {
  for (auto& node : impl_->nodes) {
    if (node->engine != nullptr) impl_->Fall(node.get(), true);
  }
}

uint32_t TestCluster::size() const { return impl_->options.nodes; }
bool TestCluster::up(uint64_t node) const { return impl_->Find(node).engine != nullptr; }
uint64_t TestCluster::now_ns() const { return impl_->now_ns; }

StreamEngine& TestCluster::node(uint64_t node) {
  URSULA_CHECK(up(node));
  return *impl_->Find(node).engine;
}

Status TestCluster::Open(uint64_t id) {
  Opening opening;
  return OpenFor(id, kOpenNs / kNsPerMs, &opening);
}

Status TestCluster::OpenFor(uint64_t id, uint64_t ms, Opening* opening) {
  URSULA_CHECK(!up(id));
  Node& node = impl_->Find(id);
  node.disk->faults().write_error = node.disk->faults().sync_error = 0;
  const uint64_t seed = impl_->options.seed * 1000 + id * 100 + ++node.openings;
  node.runtime = std::make_unique<ManualRuntime>(node.cores, node.disk.get(), seed);
  node.runtime->StandStill(impl_->now_ns - node.runtime->now_ns());
  node.stopped = false;
  EngineOptions options;
  options.runtime = node.runtime.get();
  options.data_dir = kPath;
  options.hot_bytes_max = kHotBytes;
  options.wal_bytes_max = node.cores * kWalBytesPerCore;
  options.message_bytes_max = kMessageBytesMax;
  options.feature_level_max = node.feature_level_max;
  options.cluster.transport = impl_->network.Join(NodeId{id}, node.runtime.get());
  options.cluster.node = NodeId{id};
  for (uint64_t node_id = 1; node_id <= impl_->options.nodes; ++node_id) {
    options.cluster.founders.push_back(NodeId{node_id});
  }
  options.rejoin_when_rotten = impl_->options.rejoin_when_rotten;
  options.leader_ms_max = impl_->options.leader_ms_max;
  options.append_ms_max = impl_->options.append_ms_max;
  options.read_ms_max = impl_->options.read_ms_max;
  options.opening = opening;
  node.log.clear();
  options.log = [&node](int, std::string_view line) { node.log.emplace_back(line); };
  const uint64_t end_ns = impl_->now_ns + ms * kNsPerMs;
  node.runtime->SetStep([this, end_ns, opening] {
    if (impl_->now_ns < end_ns) return Step(end_ns);
    opening->Cancel();
    return Step(end_ns + kOpenNs);
  });
  auto opened = StreamEngine::Open(std::move(options));
  if (opened.ok()) {
    node.engine = std::move(*opened);
    return {};
  }
  impl_->network.Leave(NodeId{id}, true);
  node.runtime.reset();
  return opened.status();
}

void TestCluster::SetFeatureLevelMax(uint64_t node, uint32_t level) {
  impl_->Find(node).feature_level_max = level;
}

void TestCluster::Crash(uint64_t node) { impl_->Fall(&impl_->Find(node), true); }
void TestCluster::Kill(uint64_t node) { impl_->Fall(&impl_->Find(node), false); }

Status TestCluster::Stop(uint64_t id) {
  Result<Stopped> stopped = Await<Stopped>([&](auto done) { node(id).Stop(std::move(done)); });
  if (!stopped.ok()) return stopped.status();
  Node& node = impl_->Find(id);
  node.engine.reset();
  impl_->network.Leave(NodeId{id}, true);
  node.runtime.reset();
  return {};
}

void TestCluster::Keep(uint64_t node) {
  URSULA_CHECK(!up(node));
  impl_->Find(node).kept = impl_->Find(node).disk->Clone(node);
}

void TestCluster::PutBack(uint64_t node) {
  URSULA_CHECK(!up(node) && impl_->Find(node).kept != nullptr);
  impl_->Find(node).disk = impl_->Find(node).kept->Clone(node);
}

const std::vector<std::string>& TestCluster::log(uint64_t node) const {
  return impl_->Find(node).log;
}

FaultDisk& TestCluster::disk(uint64_t node) { return *impl_->Find(node).disk; }

void TestCluster::Wipe(uint64_t node) {
  URSULA_CHECK(!up(node));
  impl_->MakeDisk(&impl_->Find(node));
}

void TestCluster::FailDisk(uint64_t node) {
  impl_->Find(node).disk->faults().write_error = 1;
  impl_->Find(node).disk->faults().sync_error = 1;
}

void TestCluster::Pause(uint64_t node, uint64_t ms) {
  impl_->Find(node).paused_until_ns = impl_->now_ns + ms * kNsPerMs;
}
void TestCluster::Cut(uint64_t from, uint64_t to) { impl_->network.Cut(NodeId{from}, NodeId{to}); }
void TestCluster::Isolate(uint64_t node) { impl_->network.Isolate(NodeId{node}); }
void TestCluster::Heal() { impl_->network.Heal(); }
std::size_t TestCluster::posted(uint64_t node) const {
  std::size_t posted = 0;
  ManualRuntime& runtime = *impl_->Find(node).runtime;
  for (uint16_t core = 0; core < runtime.core_count(); ++core) {
    posted += runtime.manual_loop(CoreId{core}).posted();
  }
  return posted;
}

void TestCluster::RepeatFrames() { impl_->network.set_faults({.repeat_per_million = 1'000'000}); }

bool TestCluster::Step(uint64_t end_ns) {
  bool turned = false;
  uint64_t next_ns = end_ns;
  for (auto& node : impl_->nodes) {
    if (node->runtime == nullptr) continue;
    if (node->paused_until_ns > impl_->now_ns) {
      next_ns = std::min(next_ns, node->paused_until_ns);
      continue;
    }
    turned |= node->runtime->RunTurn();
    next_ns = std::min(next_ns, node->runtime->NextEventNs());
  }
  if (turned) return true;
  if (impl_->now_ns >= end_ns) return false;
  impl_->now_ns = std::max(next_ns, impl_->now_ns);
  for (auto& node : impl_->nodes) {
    if (node->runtime == nullptr) continue;
    node->runtime->StandStill(impl_->now_ns - node->runtime->now_ns());
  }
  return true;
}

void TestCluster::Advance(uint64_t ms) {
  (void)RunUntil([] { return false; }, ms);
}

std::optional<uint64_t> TestCluster::LeaderOf(GroupId group) {
  std::optional<uint64_t> best;
  uint64_t best_term = 0;
  for (auto& node : impl_->nodes) {
    if (node->engine == nullptr) continue;
    for (const GroupStatus& status : node->engine->Cluster().groups) {
      if (status.group != group || status.leader != NodeId{node->id}) continue;
      if (best && status.term <= best_term) continue;
      best = node->id;
      best_term = status.term;
    }
  }
  return best;
}

bool TestCluster::AwaitLeaders() {
  return RunUntil([this] {
    std::map<GroupId, NodeId> leaders;
    for (auto& node : impl_->nodes) {
      if (node->engine == nullptr) continue;
      for (const GroupStatus& status : node->engine->Cluster().groups) {
        if (status.leader == NodeId{}) return false;
        if (leaders.emplace(status.group, status.leader).first->second != status.leader) {
          return false;
        }
      }
    }
    return true;
  });
}

}  // namespace ursula::testing
