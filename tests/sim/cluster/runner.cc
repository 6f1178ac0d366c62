#include "tests/sim/cluster/runner.h"

#include "tests/sim/cluster/world.h"

namespace ursula::group::sim {

const ursula::sim::Simulation& ClusterSimulation() {
  static const ursula::sim::Simulation simulation = {
      "cluster_sim",
      "group:", [](uint64_t seed, bool verbose) { return World(seed, verbose).Run(); }};
  return simulation;
}

}  // namespace ursula::group::sim
