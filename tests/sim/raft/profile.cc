#include "tests/sim/raft/profile.h"

#include <iterator>

namespace ursula::raft::sim {
namespace {

template <class T, std::size_t kCount>
T OneOf(Random* random, const T (&values)[kCount]) {
  return values[random->Below(kCount)];
}

Config MakeConfig(Random* random) {
  Config config;
  config.election_ticks = static_cast<uint32_t>(5 + random->Below(8));
  config.heartbeat_ticks = static_cast<uint32_t>(1 + random->Below(2));
  config.pre_vote = !random->OneIn(4);
  config.check_quorum = !random->OneIn(4);
  config.lease_reads = config.check_quorum && random->OneIn(16);
  config.forward_proposals = random->OneIn(4);
  config.step_down_on_removal = !random->OneIn(8);
  // Small limits are reached, large ones are what is used: both.
  config.message_bytes_max = OneOf<uint64_t>(random, {1, 200, 2000, 1 << 20});
  config.applying_bytes_max = OneOf<uint64_t>(random, {1, 400, 1 << 20});
  config.uncommitted_bytes_max = OneOf<uint64_t>(random, {300, 3000, kUnlimited, kUnlimited});
  config.inflight_messages_max = OneOf<uint32_t>(random, {1, 4, 256});
  config.inflight_bytes_max =
      random->OneIn(3) ? config.message_bytes_max + random->Below(1000) : kUnlimited;
  config.pending_reads_max = OneOf<uint32_t>(random, {2, 8, 4096});
  return config;
}

}  // namespace

Profile MakeProfile(Random* random) {
  Profile profile;
  profile.voters = OneOf<uint32_t>(random, {3, 3, 3, 4, 5, 5, 2, 1});
  profile.learners = static_cast<uint32_t>(random->OneIn(3) ? 1 : 0);
  profile.config = MakeConfig(random);

  profile.lost_permille = OneOf<uint32_t>(random, {0, 5, 30, 150});
  profile.duplicated_permille = OneOf<uint32_t>(random, {0, 5, 50, 200});
  profile.late_permille = OneOf<uint32_t>(random, {0, 5, 30, 100});
  profile.delay_max = OneOf<Time>(random, {2, 5, 10, 25});
  profile.late_max = OneOf<Time>(random, {5, 20, 60}) * kTickTime;

  profile.write_max = OneOf<Time>(random, {2, 5, 20, 60});
  profile.apply_max = OneOf<Time>(random, {2, 5, 40});

  profile.payload_max = OneOf<uint32_t>(random, {8, 64, 400});
  profile.batch_max = OneOf<uint32_t>(random, {1, 3, 8});
  profile.propose_gap = OneOf<Time>(random, {5, 15, 40});
  profile.read_gap = OneOf<Time>(random, {10, 30, 100});
  if (!random->OneIn(3)) {
    profile.spares = static_cast<uint32_t>(1 + random->Below(2));
    profile.reckless = random->OneIn(8);
    profile.reconfigure_gap = OneOf<Time>(random, {10, 25, 60}) * kTickTime;
  }
  profile.tunnels = profile.voters == 5 && random->OneIn(3);
  profile.nemesis_gap = OneOf<Time>(random, {4, 10, 30}) * kTickTime;
  profile.checkpoint_one_in = OneOf<uint32_t>(random, {2, 8, 40});
  profile.chaos = OneOf<Time>(random, {150, 300, 500}) * kTickTime;
  // Of numbers of their own: what older seeds have found they find still.
  Random apart = *random;
  if (apart.OneIn(3)) profile.held_one_in = OneOf<uint32_t>(&apart, {2, 3, 8});
  profile.stands_back = apart.OneIn(3);
  return profile;
}

}  // namespace ursula::raft::sim
