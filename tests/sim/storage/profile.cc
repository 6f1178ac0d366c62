#include "tests/sim/storage/profile.h"

#include <cstddef>

namespace ursula::storage::sim {
namespace {

template <class T, std::size_t kCount>
T OneOf(Random* random, const T (&values)[kCount]) {
  return values[random->Below(kCount)];
}

testing::FaultDisk::Faults MakeFaults(Random* random) {
  testing::FaultDisk::Faults faults;
  faults.direct = !random->OneIn(3);
  faults.short_write = OneOf(random, {0.0, 0.05, 0.2});
  faults.latency_min_ns = OneOf<uint64_t>(random, {0, 10'000, 100'000});
  faults.latency_max_ns = faults.latency_min_ns + OneOf<uint64_t>(random, {0, 300'000, 5'000'000});
  faults.garbled_block = OneOf(random, {0.0, 0.5});
  if (random->OneIn(3)) {  // A medium that lies.
    faults.lost_write = OneOf(random, {0.0, 0.005, 0.03});
    faults.misdirected_write = OneOf(random, {0.0, 0.005, 0.03});
  }
  if (random->OneIn(6)) faults.name_error = 0.01;
  if (random->OneIn(6)) faults.read_error = 0.05;
  return faults;
}

}  // namespace

Profile MakeProfile(Random* random) {
  Profile profile;
  profile.faults = MakeFaults(random);
  profile.cores_max = OneOf<uint16_t>(random, {1, 1, 2, 3});
  profile.segment_bytes = OneOf<uint32_t>(random, {16 << 10, 32 << 10, 64 << 10});
  profile.batch_bytes_max = OneOf<uint32_t>(random, {4 << 10, 16 << 10, 32 << 10});
  profile.log_bytes_max = profile.segment_bytes * OneOf<uint64_t>(random, {6, 10, 40});
  profile.file_bytes = OneOf<uint32_t>(random, {8 << 10, 40 << 10, 200 << 10});
  profile.compacts = profile.file_bytes < 200 << 10;
  profile.entry_bytes = OneOf<uint32_t>(random, {60, 600, 3000});
  profile.aligned = random->OneIn(4);
  profile.openings = static_cast<uint32_t>(2 + random->Below(4));
  profile.steps = OneOf<uint32_t>(random, {20, 80, 160});
  profile.checkpoint_one_in = OneOf<uint32_t>(random, {6, 15, 60});
  profile.error_one_in = OneOf<uint32_t>(random, {0, 0, 60, 200});
  profile.rot_one_in = OneOf<uint32_t>(random, {0, 1, 2});
  if (random->OneIn(5)) {  // A disk that is soon full.
    profile.faults.capacity_bytes =
        profile.segment_bytes * (3 + random->Below(8)) * profile.cores_max;
  }
  profile.first_segment_bytes = OneOf<uint32_t>(random, {8 << 10, 16 << 10, 1 << 20});
  profile.faults.allocates = !random->OneIn(4);
  return profile;
}

}  // namespace ursula::storage::sim
