#include "tests/sim/engine/runner.h"

#include "tests/sim/engine/world.h"

namespace ursula::engine::sim {
namespace {

ursula::sim::SeedResult Run(uint64_t seed, uint32_t nodes, bool verbose) {
  World world(seed, nodes, verbose);
  (void)world.Run();
  const Counts& counts = world.counts();
  return {seed,
          world.trace_hash(),
          world.violation(),
          {{"operations", counts.operations},
           {"together", counts.together},
           {"batched", counts.batched},
           {"lost", counts.lost},
           {"looks", counts.looks},
           {"restarts", counts.restarts},
           {"troubles", counts.troubles},
           {"directories lost", counts.losses},
           {"put back", counts.put_back},
           {"grown", counts.grown},
           {"disks", counts.disks},
           {"evictions", counts.evictions},
           {"local", counts.local},
           {"models at most", counts.models, true}}};
}

}  // namespace

const ursula::sim::Simulation& EngineSimulation() {
  static constexpr ursula::sim::Simulation kSimulation{
      "engine_sim", "engine: ", [](uint64_t seed, bool verbose) { return Run(seed, 1, verbose); }};
  return kSimulation;
}

const ursula::sim::Simulation& EnginesSimulation() {
  static constexpr ursula::sim::Simulation kSimulation{
      "engines_sim", "forward: ", [](uint64_t seed, bool verbose) { return Run(seed, 3, verbose); },
      "members: "};
  return kSimulation;
}

}  // namespace ursula::engine::sim
