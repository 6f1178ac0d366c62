// Seeds of simulated groups; the usage is that of ursula::sim::Main.

#include "tests/sim/raft/runner.h"

int main(int argc, char** argv) {
  return ursula::sim::Main(ursula::raft::sim::RaftSimulation(), argc, argv);
}
