// tests/sim/engine/node.h
//
// One engine on a simulated disk and its cores' loops, all on one thread: opened, stopped, crashed
// and opened again. Which core's turn is next, and how time passes meanwhile, the seed decides.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/random.h"
#include "lib/engine/engine.h"
#include "tests/sim/engine/profile.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "ursula/engine.h"
#include "ursula/status.h"

namespace ursula::engine::sim {

class Node {
 public:
  // Borrows both.
  Node(const Profile* profile, Random* random);
  ~Node();

  Status Open();
  bool open() const { return engine_ != nullptr; }
  StreamEngine& engine() { return *engine_; }

  // A turn of some core, or else time, up to `limit_ns`.
  void Step(uint64_t limit_ns);
  // Until `done()`; false once `ns` have passed.
  template <class Condition>
  bool RunUntil(Condition done, uint64_t ns) {
    const uint64_t limit_ns = now_ns() + ns;
    while (!done()) {
      if (now_ns() >= limit_ns) return false;
      Step(limit_ns);
    }
    return true;
  }
  void Advance(uint64_t ns);
  uint64_t now_ns() const { return now_ns_; }
  int64_t wall_ms() const;

  // Runs `call` in a turn of a core, or at once from outside.
  void Call(Function<void()> call);

  void BeginStop();
  bool stopped() const { return stopped_; }
  void Close();  // Once stopped.
  enum class Fall : uint8_t { kPower, kProcess };
  void Crash(Fall fall);
  void Wipe();  // REQUIRES: not open.

  // Payload is written out and leaves memory; metadata goes into snapshots.
  void Evict();
  void Checkpoint();

 private:
  template <class Each>
  void OnReplicas(Each each);

  const Profile& profile_;
  Random& random_;
  std::unique_ptr<testing::FaultDisk> disk_;
  std::unique_ptr<testing::ManualRuntime> runtime_;
  std::unique_ptr<StreamEngine> engine_;
  uint64_t now_ns_ = 1'000'000'000;
  uint16_t lazy_core_ = 0;  // Has fewer turns than others, in some openings.
  uint64_t lazy_one_in_ = 1;
  bool stopped_ = false;
};

}  // namespace ursula::engine::sim
