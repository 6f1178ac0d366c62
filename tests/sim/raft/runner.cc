#include "tests/sim/raft/runner.h"

#include "tests/sim/raft/world.h"

namespace ursula::raft::sim {
namespace {

ursula::sim::SeedResult Run(uint64_t seed, bool verbose) {
  World world(seed, verbose);
  (void)world.Run();
  return {seed,
          world.trace_hash(),
          world.violation(),
          {{"events", world.events()},
           {"stuck by operators", world.stuck() ? 1u : 0u},
           {"ticks of the slowest healing", world.stuck() ? 0 : world.healing_took() / kTickTime,
            true}}};
}

}  // namespace

const ursula::sim::Simulation& RaftSimulation() {
  static constexpr ursula::sim::Simulation kSimulation{"raft_sim", "raft: ", Run};
  return kSimulation;
}

}  // namespace ursula::raft::sim
