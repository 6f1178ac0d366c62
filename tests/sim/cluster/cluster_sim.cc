// Seeds of the simulated cluster; the usage is that of ursula::sim::Main.

#include "tests/sim/cluster/runner.h"

int main(int argc, char** argv) {
  return ursula::sim::Main(ursula::group::sim::ClusterSimulation(), argc, argv);
}
