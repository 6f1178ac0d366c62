#include "tests/sim/storage/world.h"

#include <cstdio>
#include <utility>

#include "lib/base/check.h"
#include "lib/io/errors.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::storage::sim {

using ursula::sim::HashBytes;
using ursula::sim::Mix;

using testing::FaultDisk;

World::World(uint64_t seed, bool verbose)
    : seed_(seed),
      verbose_(verbose),
      random_(seed),
      profile_(MakeProfile(&random_)),
      disk_(random_.Next(), profile_.faults),
      node_(&disk_, profile_, random_.Next()) {
  for (uint32_t group = 0; group < profile_.groups; ++group) groups_.emplace_back(group);
}

bool World::Run() {
  for (opening_ = 0; ok() && opening_ <= profile_.openings; ++opening_) {
    TryDamage();
    if (!ok() || !Open()) break;
    if (opening_ == profile_.openings) break;  // The last one only looks.
    Work();
    if (ok()) Close();
    closing_ = false;
  }
  if (node_.open()) node_.Crash();
  return ok();
}

// With the medium repaired: everything must be there, and the node must open, but for a full disk
// or an operation that fails.
bool World::Open() {
  disk_.Repair();
  for (int tries = 0; tries < 100; ++tries) {
    const uint16_t cores = static_cast<uint16_t>(1 + random_.Below(profile_.cores_max));
    Found found;
    const Status status = node_.Open(cores, &found);
    Trace(static_cast<uint64_t>(status.code()));
    if (status.ok()) {
      ++counts_.openings;
      Say("open on " + std::to_string(cores) + " cores: " + std::to_string(found.records.size()) +
          " records");
      Check(found);
      return ok();
    }
    Say("does not open: " + status.message());
    if (io::MayPass(status)) {
      ++counts_.full;
      disk_.faults().capacity_bytes *= 2;
    } else if (status.code() != StatusCode::kIoError) {
      Violate("an undamaged directory is refused: " + status.ToString());
      return false;
    }
    if (random_.OneIn(2)) disk_.Crash();
    disk_.Repair();  // Of what it wrote, meanwhile.
  }
  Violate("the directory does not open");
  return false;
}

void World::Check(const Found& found) {
  if (!found.complaints.empty()) return Violate("no damage, but: " + found.complaints.front());
  counts_.records += found.records.size();
  for (const RecoveredRecord& record : found.records) {
    Trace(Mix(Raw(record.group), Raw(record.index)));
    Trace(HashBytes(record.payload.view()));
  }
  // The new logs write meanwhile, and the medium may put that elsewhere.
  auto refused = [this](const std::string& message) {
    if (!NamesDamage(message, disk_.Damaged())) return GroupModel::Refusal::kIsWrong;
    disk_.Repair();
    return GroupModel::Refusal::kAgain;
  };
  for (GroupModel& group : groups_) {
    for (std::string wrong : {group.CheckLog(found), group.CheckSnapshot(found),
                              group.CheckPayload(&node_, true, refused)}) {
      if (!wrong.empty()) return Violate(wrong);
    }
  }
  checkpointing_.assign(groups_.size(), false);
  // Of a snapshot whose reset a crash cut: before anything else is appended.
  for (GroupModel& group : groups_) {
    if (group.behind() != 0 && group.snapshot() >= group.behind()) Reset(&group);
  }
}

void World::NoteClosed(bool all) {
  for (GroupModel& group : groups_) {
    Node::Core& core = node_.core_of(group.group());
    group.OnClosed(all && core.failures == 0 ? UINT64_MAX : core.durable);
  }
}

void World::Close() {
  closing_ = true;
  for (const auto& core : node_.cores()) {
    counts_.failures += static_cast<uint64_t>(core->failures);
    Trace(core->durable);
    if (core->failures > 1) Violate("a log failed twice");
    if (core->durable_after_failure) Violate("a failed log acknowledged something");
    if (core->failures > 0 && core->wal->accepting()) Violate("a failed log accepts");
  }
  const uint64_t how = random_.Below(10);
  if (how < 3) {
    // What waits for space, or meets an error, is not made durable by a stop.
    const bool all = profile_.faults.capacity_bytes > uint64_t{1} << 40 &&
                     profile_.error_one_in == 0 && profile_.faults.name_error == 0;
    Say("stops");
    NoteClosed(all);
    node_.Stop();
    if (!all) return;
    const LogOracle logs(disk_);
    if (!logs.unsealed().empty()) Violate("stopped without a seal: " + logs.unsealed().front());
  } else if (how < 5) {
    Say("is killed");
    NoteClosed(false);
    node_.Kill();
  } else {
    Say("loses its power");
    NoteClosed(false);
    node_.Crash();
  }
}

// ---- damage ----

void World::TryDamage() {
  if (disk_.lies() > 0) {
    std::unique_ptr<FaultDisk> clone = disk_.Clone(random_.Next());
    clone->Crash();  // Whatever the cache hides.
    if (!clone->Damaged().empty()) Try(std::move(clone));
  }
  if (profile_.rot_one_in == 0 || !random_.OneIn(profile_.rot_one_in)) return;
  for (int i = 0; ok() && i < 3; ++i) {
    std::unique_ptr<FaultDisk> clone = disk_.Clone(random_.Next());
    clone->Crash();
    clone->Repair();
    bool damaged = false;
    for (uint64_t places = 1 + random_.Below(2); places > 0; --places) {
      damaged = RotSomewhere(clone.get(), &random_) || damaged;
    }
    if (damaged && !clone->Damaged().empty()) Try(std::move(clone));
  }
}

void World::Try(std::unique_ptr<FaultDisk> disk) {
  ++counts_.trials;
  disk->faults() = {.direct = profile_.faults.direct};
  const std::vector<FaultDisk::Damage> damaged = disk->Damaged();
  const LogOracle logs(*disk);
  if (verbose_) {
    for (const auto& damage : damaged) {
      Say("damaged: " + damage.path + " at " + std::to_string(damage.offset));
    }
  }
  Node node(disk.get(), profile_, random_.Next());
  Found found;
  const Status status =
      node.Open(static_cast<uint16_t>(1 + random_.Below(profile_.cores_max)), &found);
  Trace(static_cast<uint64_t>(status.code()));
  if (!status.ok()) {
    ++counts_.refusals;
    Say("refused: " + status.message());
    const bool expected =
        status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kFailedPrecondition;
    if (!expected || !NamesDamage(status.message(), damaged)) {
      Violate("a refusal does not name the damage: " + status.ToString());
    }
    return;
  }
  Say("opens all the same: " + std::to_string(found.records.size()) + " records");
  for (const std::string& complaint : found.complaints) {
    Say(complaint);
    if (!NamesDamage(complaint, damaged)) return Violate("not the damage: " + complaint);
  }
  if (!logs.must_refuse().empty()) {
    return Violate("damage below an attested offset is not refused: " + logs.must_refuse());
  }
  const std::string wrong = logs.Compare(found.records);
  if (!wrong.empty()) return Violate(wrong);
  TryPayload(&node, damaged);
}

void World::TryPayload(Node* node, const std::vector<FaultDisk::Damage>& damaged) {
  auto refused = [&](const std::string& message) {
    ++counts_.refusals;
    Say("refused: " + message);
    return NamesDamage(message, damaged) ? GroupModel::Refusal::kLeaveOut
                                         : GroupModel::Refusal::kIsWrong;
  };
  for (const GroupModel& group : groups_) {
    const std::string wrong = group.CheckPayload(node, false, refused);
    if (!wrong.empty()) return Violate(wrong + ", on a damaged disk");
  }
}

void World::Violate(const std::string& what) {
  if (!violation_.empty()) return;
  violation_ =
      "at opening " + std::to_string(opening_) + ", step " + std::to_string(step_) + ": " + what;
  Say("violation: " + what);
}

void World::Trace(uint64_t value) { trace_ = Mix(trace_, value); }

void World::Say(const std::string& what) const {
  if (verbose_) {
    std::printf("%2llu.%-4llu  %s\n", static_cast<unsigned long long>(opening_),
                static_cast<unsigned long long>(step_), what.c_str());
  }
}

}  // namespace ursula::storage::sim
