#include "tests/sim/cluster/profile.h"

namespace ursula::group::sim {

Profile MakeProfile(Random* random) {
  Profile profile;
  profile.nodes = random->OneIn(5) ? 5 : random->OneIn(6) ? 2 : 3;
  profile.voters = profile.nodes;
  if (!random->OneIn(3)) {
    if (random->OneIn(4)) profile.voters = 1;
    profile.nodes = profile.voters + 3;
    profile.change_one_in = 10 + static_cast<uint32_t>(random->Below(60));
  }
  profile.options.groups = 1 + static_cast<uint32_t>(random->Below(2));
  profile.options.wal_segment_bytes = random->OneIn(2) ? 64 << 10 : 256 << 10;
  profile.options.kept_log_bytes_max = random->OneIn(2) ? 0 : random->Below(64 << 10);
  profile.options.hot_bytes_max = random->OneIn(3) ? 64 << 10 : 16 << 20;
  profile.options.balances = true;
  profile.options.inflight_bytes_max = random->OneIn(4) ? 4 << 10 : 1 << 20;
  profile.network.delay_ns_max = 100'000 + random->Below(3'000'000);
  if (random->OneIn(4)) profile.network.delay_ns_max = 60'000'000;
  if (random->OneIn(3)) profile.network.buffer_bytes_max = 8 << 10;
  if (random->OneIn(3)) profile.options.peer_window_bytes_max = 16 << 10;
  if (random->OneIn(2)) profile.options.collection_step = {1, 1};
  profile.options.shipment_part_bytes = random->OneIn(2) ? 100 : 2000;
  profile.network.break_per_million = random->OneIn(3) ? 2000 : 0;
  profile.streams = 1 + static_cast<uint32_t>(random->Below(4));
  profile.operations = 500 + static_cast<uint32_t>(random->Below(300));
  profile.pause_ns_max = 1'000'000 + random->Below(30'000'000);
  profile.append_bytes_max = random->OneIn(6) ? 30'000 : random->OneIn(3) ? 4000 : 200;
  profile.trouble_one_in = 15 + static_cast<uint32_t>(random->Below(50));
  if (random->OneIn(12)) {  // Far apart: how all is when nothing is wrong is seen, too.
    profile.trouble_one_in = 300 + static_cast<uint32_t>(random->Below(300));
    profile.pause_ns_max = 30'000'000;
  }
  profile.disk_latency_ns_max = random->OneIn(6)   ? 100'000'000
                                : random->OneIn(3) ? 5'000'000
                                                   : 300'000;
  profile.checkpoint_one_in = 20 + static_cast<uint32_t>(random->Below(100));
  // Not drawn: what else a seed says stays as it is.
  if (profile.operations % 3 == 0) profile.options.rejoin_bytes_per_second = 1'000'000;
  if (profile.operations % 2 == 0) profile.options.log_kept_ns = 60'000'000'000;
  if (profile.operations % 4 == 1) {
    profile.options.apply_page_bytes = 200;
    profile.options.apply_turn_cost = 1;  // A page a turn.
    profile.options.unapplied_max = 3;
  }
  return profile;
}

}  // namespace ursula::group::sim
