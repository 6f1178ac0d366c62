#include "tests/sim/engine/profile.h"

#include <string>

namespace ursula::engine::sim {

Profile MakeProfile(Random* random, uint32_t nodes) {
  Profile profile;
  profile.nodes = profile.founders = nodes;
  profile.durable = !random->OneIn(8) || nodes > 1;
  profile.groups = static_cast<uint32_t>(1 + random->Below(5));
  profile.cores_max = static_cast<uint16_t>(1 + random->Below(3));
  static constexpr uint64_t kLatencies[][2] = {
      {0, 0}, {100'000, 100'000}, {20'000, 400'000}, {0, 5'000'000}};
  const auto& latency = kLatencies[random->Below(4)];
  profile.latency_min_ns = latency[0];
  profile.latency_max_ns = latency[1];

  const uint64_t names = 3 + random->Below(6);
  for (uint64_t i = 0; i < names; ++i) {
    StreamId id{.bucket = kUpstreamBucket, .name = std::string(1, static_cast<char>('a' + i))};
    if (random->OneIn(4)) id.bucket = random->OneIn(2) ? "team" : "crew";
    if (random->OneIn(6)) id.affinity = random->OneIn(2) ? "doc" : "log";
    profile.names.push_back(std::move(id));
  }
  profile.batches = static_cast<uint32_t>(150 + random->Below(200));
  profile.batch_max = static_cast<uint32_t>(1 + random->Below(5));
  static constexpr uint64_t kWindows[] = {0, 100'000, 1'000'000, 20'000'000};
  profile.window_ns = kWindows[random->Below(4)];
  profile.restart_one_in = static_cast<uint32_t>(15 + random->Below(60));
  if (nodes > 1) {
    profile.restart_one_in /= 2;
    static constexpr uint64_t kDelays[] = {0, 200'000, 2'000'000, 20'000'000};
    profile.network_delay_ns_max = kDelays[random->Below(4)];
  }
  profile.evict_one_in = static_cast<uint32_t>(2 + random->Below(12));
  profile.advance_one_in = static_cast<uint32_t>(2 + random->Below(8));
  profile.payload_max = random->OneIn(4) ? 8000 : 300;
  profile.weights = {8, 14, 20, 12, 8, 5, 3};
  for (uint32_t& weight : profile.weights) {
    if (random->OneIn(6)) weight *= 4;
    if (random->OneIn(8)) weight = 1;
  }
  profile.lifetimes = !random->OneIn(3);
  profile.conditions = !random->OneIn(3);
  if (nodes > 1) {
    profile.story_one_in = random->OneIn(4) ? 0 : static_cast<uint32_t>(1 + random->Below(4));
    if (profile.story_one_in > 0 && random->OneIn(2)) profile.keep_one_in = 4;
    if (random->OneIn(6)) profile.founders = 1;
    profile.clocks = random->OneIn(3);
    // With little of it the log keeps little for peers, and a new one needs a snapshot.
    if (random->OneIn(2)) profile.hot_bytes = 1 << 20;
    profile.local_reads = random->OneIn(2);
    if (random->OneIn(2)) profile.disk_one_in = static_cast<uint32_t>(2 + random->Below(3));
    profile.direct = !random->OneIn(6);
  }
  return profile;
}

}  // namespace ursula::engine::sim
