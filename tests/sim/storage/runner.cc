#include "tests/sim/storage/runner.h"

#include "tests/sim/storage/world.h"

namespace ursula::storage::sim {
namespace {

ursula::sim::SeedResult Run(uint64_t seed, bool verbose) {
  World world(seed, verbose);
  (void)world.Run();
  const Counts& counts = world.counts();
  return {seed,
          world.trace_hash(),
          world.violation(),
          {{"openings", counts.openings},
           {"records", counts.records},
           {"damaged disks", counts.trials},
           {"refusals", counts.refusals},
           {"failed logs", counts.failures},
           {"full disks", counts.full},
           {"reads back", counts.read_back}}};
}

}  // namespace

const ursula::sim::Simulation& StorageSimulation() {
  static constexpr ursula::sim::Simulation kSimulation{"storage_sim", "storage: ", Run};
  return kSimulation;
}

}  // namespace ursula::storage::sim
