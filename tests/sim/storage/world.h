// tests/sim/storage/world.h
//
// One node's storage stack, groups that use it as replicas do, and a disk that does what disks do
// at their worst, in one thread, from one seed.
//
// A life is a row of openings. Between two of them groups append, commit, checkpoint and read,
// while operations fail and the medium lies; then the node stops, the process is killed, or the
// power fails. Before the next one, what the medium damaged is tried on a copy of the disk: it must
// be refused, or do no harm. Then it is repaired, and the opening must give back all that was
// acknowledged.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "tests/sim/storage/medium.h"
#include "tests/sim/storage/model.h"
#include "tests/sim/storage/node.h"
#include "tests/sim/storage/profile.h"
#include "tests/support/fault_disk.h"

namespace ursula::storage::sim {

struct Counts {
  uint64_t openings = 0;
  uint64_t records = 0;    // Recovered.
  uint64_t trials = 0;     // Openings of a damaged copy.
  uint64_t refusals = 0;   // Of them, and of payload in them.
  uint64_t failures = 0;   // Logs that a failed write or sync ended.
  uint64_t full = 0;       // Openings that found no space.
  uint64_t read_back = 0;  // Reads of a log that goes on.
};

class World {
 public:
  World(uint64_t seed, bool verbose);

  bool Run();  // False: there is a violation().

  const std::string& violation() const { return violation_; }
  uint64_t trace_hash() const { return trace_; }
  const Counts& counts() const { return counts_; }

 private:
  // ---- openings (world.cc) ----
  bool Open();
  void Check(const Found& found);
  void Close();
  void NoteClosed(bool all);
  void TryDamage();
  void Try(std::unique_ptr<testing::FaultDisk> disk);
  void TryPayload(Node* node, const std::vector<testing::FaultDisk::Damage>& damaged);

  // ---- what groups do (workload.cc) ----
  void Work();
  void Step(GroupModel* group);
  void Append(GroupModel* group);
  void Burst(GroupModel* group);
  void AppendEntry(GroupModel* group, uint64_t index, std::size_t size);
  void AppendState(GroupModel* group);
  void Replace(GroupModel* group);
  void LeaveBehind(GroupModel* group);
  void Reset(GroupModel* group);
  void ReadBack(GroupModel* group);
  std::string CheckNotReadBack(const GroupModel& group, uint64_t from, const Status& status);
  void Commit(GroupModel* group);
  void Checkpoint(GroupModel* group);
  void WriteSnapshot(GroupModel* group, uint64_t index);
  void Free(GroupModel* group);
  void Read(GroupModel* group);
  void FailSomething();
  std::string Payload(std::size_t size);

  bool ok() const { return violation_.empty(); }
  void Violate(const std::string& what);
  void Trace(uint64_t value);
  void Say(const std::string& what) const;

  const uint64_t seed_;
  const bool verbose_;
  Random random_;
  const Profile profile_;
  testing::FaultDisk disk_;
  Node node_;
  std::vector<GroupModel> groups_;
  std::vector<bool> checkpointing_;
  bool closing_ = false;
  uint64_t opening_ = 0;
  uint64_t step_ = 0;
  uint64_t unique_ = 0;
  Counts counts_;
  uint64_t trace_ = 0;
  std::string violation_;
};

}  // namespace ursula::storage::sim
