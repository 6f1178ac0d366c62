// Disks that fail or fill up, one node's at a time.

#include <cerrno>

#include "lib/base/sometimes.h"
#include "tests/sim/engine/site.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
// Where nothing else befalls the cluster, a node whose disk has room again is ready in this time.
constexpr uint64_t kRoomNs = 15'000 * kMs;

}  // namespace

// Until it is healed: by the node's next opening, or when all is mended.
std::string Site::FailDisk(std::size_t index) {
  Node& node = nodes_[index];
  testing::FaultDisk::Faults& faults = node.disk->faults();
  const std::string name = "node " + std::to_string(index + 1) + "'s disk ";
  node.disk_is_bad = true;
  switch (random_.Below(6)) {
    case 0:
      node.disk->FailSync(1 + random_.Below(8), EIO);
      node.disk->FailWrite(1 + random_.Below(8), EIO);
      return name + "refuses a write and a sync";
    case 1:
      faults.write_error = faults.sync_error = 1;
      return name + "refuses everything that is written";
    case 2:
      faults.read_error = 1;
      return name + "refuses everything that is read";
    case 3:
      faults.name_error = 1;
      return name + "refuses what is done to names";
    case 4:
      faults.write_error = faults.sync_error = faults.read_error = faults.name_error = 0.2;
      return name + "refuses some of everything";
    default:
      node.disk_is_full = true;
      faults.capacity_bytes = 0;
      return name + "is full";
  }
}

void Site::HealDisk(Node* node) const {
  testing::FaultDisk::Faults& faults = node->disk->faults();
  faults.write_error = faults.sync_error = faults.read_error = faults.name_error = 0;
  faults.capacity_bytes = testing::FaultDisk::Faults{}.capacity_bytes;
  node->disk->PlanNothing();
  node->disk_is_bad = node->disk_is_full = false;
}

std::string Site::DiskTrouble() {
  using Kind = Event::Kind;
  const std::size_t other = (story_node_ + 1 + random_.Below(nodes_.size() - 1)) % nodes_.size();
  // The others may have their own, and the node itself: what was acknowledged is on two disks.
  for (uint64_t i = random_.Below(3); i > 0; --i) {
    const uint64_t in_ns = random_.Below(4000) * kMs;
    const uint64_t after_ns = in_ns + random_.Below(2500) * kMs;
    const std::size_t falls = random_.OneIn(3) ? story_node_ : other;
    if (random_.OneIn(3)) {
      Plan(in_ns, {.kind = Kind::kIsolate, .node = falls});
      Plan(after_ns, {.kind = Kind::kHeal});
      continue;
    }
    Plan(in_ns, {.kind = random_.OneIn(2) ? Kind::kPower : Kind::kProcess, .node = falls});
    Plan(after_ns, {.kind = Kind::kOpen, .node = falls});
  }
  return FailDisk(story_node_);
}

// A full disk that has room again goes on by itself; one that has refused something has ended what
// it was for, and its node is opened anew.
Status Site::MendDisks() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    if (!node.disk_is_bad) continue;
    const bool was_full = node.disk_is_full;
    HealDisk(&node);
    if (!up(i)) continue;
    if (was_full) {
      if (RunUntil([&] { return node.engine->Ready().ok(); }, kRoomNs)) continue;
      return Status(StatusCode::kInternal, "a disk has room again, and its node isn't ready: " +
                                               node.engine->Ready().ToString());
    }
    Advance(random_.Below(3000) * kMs);
    if (node.engine->Ready().ok() && random_.OneIn(2)) continue;
    if (!node.engine->Ready().ok()) URSULA_SOMETIMES("forward: a node's log or store had failed");
    CrashNode(i, random_.OneIn(2) ? Fall::kPower : Fall::kProcess);
  }
  return {};
}

}  // namespace ursula::engine::sim
