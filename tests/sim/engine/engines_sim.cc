// Seeds of the simulated cluster of engines; the usage is that of ursula::sim::Main.

#include "tests/sim/engine/runner.h"

int main(int argc, char** argv) {
  return ursula::sim::Main(ursula::engine::sim::EnginesSimulation(), argc, argv);
}
