// tests/sim/cluster/slow_follower.cc
//
// Three replicas under all the load that they take, in simulated time, while one has a disk that is
// ten times as slow, and while one is away. Prints what that costs; 1 if it is more than it may be.
//
// usage: slow_follower slow [SECONDS]   a follower at a tenth of the disk's speed for so long (600)
//        slow_follower away [SECONDS]   a follower that is gone for so long (30), at 10 MB/s

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kAwayBytesPerSecond = 10'000'000;
constexpr uint64_t kMemoryGrowthMax = 64 * kMiB;
constexpr double kThroughputMin = 0.9;

struct Load {
  std::size_t outstanding = 16;
  std::size_t append_bytes = 100;
  uint64_t disk_ns = 10 * kMs;
  uint64_t bytes_per_second = UINT64_MAX;
};

WorldOptions Options() {
  WorldOptions options;
  options.wal_segment_bytes = 4 << 20;
  options.wal_bytes_max = 1 << 30;
  options.hot_bytes_max = 4 << 20;  // Soon full.
  options.inflight_bytes_max = 16 << 20;
  options.balances = true;
  options.log_kept_ns = 60 * kSecond;
  return options;
}

class Trio {
 public:
  explicit Trio(const Load& load)
      : load_(load), text_(load.append_bytes, 'x'), cluster_(3, 5, Options()) {
    cluster_.OpenAll();
    URSULA_CHECK(cluster_.CreateNow("s"));
    leader_ = *cluster_.Leader();
    follower_ = leader_ % 3 + 1;
    for (uint64_t id = 1; id <= 3; ++id) SetDisk(id, load.disk_ns);
    asked_.resize(load.outstanding);
  }

  uint64_t leader() const { return leader_; }
  uint64_t follower() const { return follower_; }
  ClusterWorld& cluster() { return cluster_; }

  void SetDisk(uint64_t id, uint64_t ns) {
    cluster_.node(id).disk.faults().latency_min_ns = ns;
    cluster_.node(id).disk.faults().latency_max_ns = ns;
  }

  // Acknowledged appends.
  uint64_t Run(uint64_t ns) {
    const uint64_t end_ns = cluster_.now_ns() + ns;
    const uint64_t before = acknowledged_;
    begun_ns_ = cluster_.now_ns();
    sent_bytes_ = 0;
    while (cluster_.now_ns() < end_ns) {
      Turn();
      cluster_.RunFor(std::min(end_ns - cluster_.now_ns(), kMs));
    }
    return acknowledged_ - before;
  }

  // All that a node keeps in memory of this group, for itself and for others.
  uint64_t Memory(uint64_t id) {
    if (!cluster_.node(id).open()) return 0;
    Replica& replica = cluster_.replica(id);
    return replica.log_bytes() + replica.kept_log_bytes() + replica.hot_bytes() +
           cluster_.node(id).hub().stats().waiting_bytes;
  }

  uint64_t MostMemory(uint64_t id) const { return most_[id - 1]; }
  void ForgetMost() { most_.assign(3, 0); }
  uint64_t installs() const { return installs_; }

  bool CatchUp() {
    return cluster_.RunUntil(
        [this] {
          Balance();
          Look();
          return cluster_.replica(follower_).applied() == cluster_.replica(leader_).applied() &&
                 cluster_.replica(follower_).whole();
        },
        600 * kSecond);
  }

 private:
  void Turn() {
    for (Asked& one : asked_) {
      if (one != nullptr && !one->reply) continue;
      if (one != nullptr && one->ok()) ++acknowledged_;
      one = nullptr;
      const uint64_t passed_ms = (cluster_.now_ns() - begun_ns_) / kMs + 1;
      if (sent_bytes_ / passed_ms >= load_.bytes_per_second / 1000) continue;
      one = cluster_.node(leader_).Append("s", text_);
      sent_bytes_ += text_.size();
    }
    Balance();
    Look();
  }

  // As a core asks for it (lib/engine/shard.cc).
  void Balance() {
    for (uint64_t id = 1; id <= 3; ++id) {
      if (!cluster_.node(id).open() || !cluster_.node(id).started()) continue;
      if (cluster_.replica(id).log_bytes() > kMiB) cluster_.replica(id).Checkpoint();
    }
  }

  void Look() {
    for (uint64_t id = 1; id <= 3; ++id) most_[id - 1] = std::max(most_[id - 1], Memory(id));
    if (!cluster_.node(follower_).open() || !cluster_.node(follower_).started()) return;
    const bool installing = cluster_.replica(follower_).installing();
    if (installing && !installing_) ++installs_;
    installing_ = installing;
  }

  const Load load_;
  const std::string text_;
  ClusterWorld cluster_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
  std::vector<Asked> asked_;
  std::vector<uint64_t> most_ = {0, 0, 0};
  uint64_t begun_ns_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t installs_ = 0;
  bool installing_ = false;
};

double MiB(uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(kMiB); }

// What has a limit is full before half of it is over; from there on nothing grows.
int Slow(uint64_t seconds) {
  Trio trio({});
  (void)trio.Run(2 * kSecond);
  const uint64_t calm_s = std::max<uint64_t>(seconds / 10, 2);
  const double calm = static_cast<double>(trio.Run(calm_s * kSecond)) / static_cast<double>(calm_s);
  trio.SetDisk(trio.follower(), Load().disk_ns * 10);
  trio.ForgetMost();
  uint64_t appends = trio.Run(seconds * kSecond / 2);
  const uint64_t filled = trio.MostMemory(trio.follower());
  const uint64_t leaders = trio.MostMemory(trio.leader());
  trio.ForgetMost();
  appends += trio.Run(seconds * kSecond / 2);
  const uint64_t most = trio.MostMemory(trio.follower());
  const uint64_t leaders_most = trio.MostMemory(trio.leader());
  const uint64_t installs = trio.installs();
  const bool led = trio.cluster().Leader() == trio.leader();
  trio.SetDisk(trio.follower(), Load().disk_ns);
  const bool level = trio.CatchUp();
  const double throughput =
      calm == 0 ? 0 : static_cast<double>(appends) / static_cast<double>(seconds) / calm;
  std::printf(
      "a follower at a tenth of the disk's speed for %llu s: the leader's throughput %.2fx, memory "
      "at most in each half: of the follower %.1f and %.1f MiB, of the leader %.1f and %.1f MiB; "
      "%llu snapshots, then it %s\n",
      static_cast<unsigned long long>(seconds), throughput, MiB(filled), MiB(most), MiB(leaders),
      MiB(leaders_most), static_cast<unsigned long long>(installs),
      level ? "caught up" : "didn't catch up");
  const bool flat = most <= filled + kMiB && leaders_most <= leaders + kMiB;
  return throughput >= kThroughputMin && flat && installs <= 1 && led && level ? 0 : 1;
}

int Away(uint64_t seconds) {
  Load load;
  load.append_bytes = 10'000;
  load.outstanding = 64;
  load.disk_ns = kMs;
  load.bytes_per_second = kAwayBytesPerSecond;
  Trio trio(load);
  (void)trio.Run(2 * kSecond);
  trio.ForgetMost();
  const uint64_t before = trio.Memory(trio.leader());
  trio.cluster().network().Isolate(NodeId{trio.follower()});
  const uint64_t appends = trio.Run(seconds * kSecond);
  trio.cluster().network().Heal();
  const bool level = trio.CatchUp();
  uint64_t grown = 0;
  for (uint64_t id = 1; id <= 3; ++id) {
    grown = std::max(grown, trio.MostMemory(id) - std::min(trio.MostMemory(id), before));
  }
  std::printf(
      "a follower gone for %llu s at %.1f MB/s: %llu snapshots, memory grew by %.1f MiB, %s\n",
      static_cast<unsigned long long>(seconds),
      static_cast<double>(appends * load.append_bytes) / 1e6 / static_cast<double>(seconds),
      static_cast<unsigned long long>(trio.installs()), MiB(grown),
      level ? "it caught up" : "it didn't catch up");
  const bool fast = appends * load.append_bytes >= seconds * kAwayBytesPerSecond * 9 / 10;
  return fast && level && trio.installs() == 0 && grown <= kMemoryGrowthMax ? 0 : 1;
}

}  // namespace
}  // namespace ursula::group::sim

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const uint64_t seconds = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (what == "slow") return ursula::group::sim::Slow(seconds > 0 ? seconds : 600);
  if (what == "away") return ursula::group::sim::Away(seconds > 0 ? seconds : 30);
  std::fprintf(stderr, "usage: %s slow|away [SECONDS]\n", argv[0]);
  return 2;
}
