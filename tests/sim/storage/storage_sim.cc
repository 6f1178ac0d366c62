// Seeds of the simulated storage stack; the usage is that of ursula::sim::Main.

#include "tests/sim/storage/runner.h"

int main(int argc, char** argv) {
  return ursula::sim::Main(ursula::storage::sim::StorageSimulation(), argc, argv);
}
