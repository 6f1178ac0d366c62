// What goes wrong in a seed's world, and for how long.

#include <algorithm>
#include <set>
#include <utility>

#include "lib/base/ids.h"
#include "tests/sim/cluster/world.h"
#include "tests/support/manual_loop.h"

namespace ursula::group::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;

}  // namespace

void World::Later(uint64_t ns_max, std::function<void()> run) {
  repairs_.push_back({cluster_.now_ns() + random_.Below(ns_max), std::move(run)});
}

void World::RepairDue(bool all) {
  std::vector<Repair> due;
  for (std::size_t i = 0; i < repairs_.size();) {
    if (!all && repairs_[i].at_ns > cluster_.now_ns()) {
      ++i;
      continue;
    }
    due.push_back(std::move(repairs_[i]));
    repairs_.erase(repairs_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (Repair& repair : due) repair.run();
}

// The seconds in which callers are at work, as they were served.
void World::CountSecond() {
  const uint64_t now_ns = cluster_.now_ns();
  if (!repairs_.empty()) troubled_until_ns_ = std::max(troubled_until_ns_, now_ns);
  if (second_ns_ == 0 || now_ns < second_ns_ + kSecond) return;
  if (troubled_until_ns_ + 3 * kSecond <= second_ns_) {
    ++calm_seconds_;
    std::set<uint32_t> groups;
    for (const Stream& stream : streams_) groups.insert(stream.group);
    if (succeeded_ == groups) ++served_seconds_;
  }
  second_ns_ = now_ns;
  succeeded_.clear();
}

void World::Trouble() {
  ++troubles_;
  troubled_until_ns_ = std::max(troubled_until_ns_, cluster_.now_ns());
  const uint64_t node = AnyNode();
  const uint64_t other = 1 + (node + random_.Below(profile_.nodes - 1)) % profile_.nodes;
  testing::TestNetwork& network = cluster_.network();
  switch (random_.Below(14)) {
    case 0:
    case 1:
      return CloseNode(node, 0);
    case 2:
    case 3:
      return CloseNode(node, 1);
    case 4:
      return CloseNode(node, 2);
    case 5:
    case 6:
      Say("isolated: " + std::to_string(node));
      network.Isolate(NodeId{node});
      return Later(8 * kSecond, [&network] { network.Heal(); });
    case 7:
      Say("cut: " + std::to_string(node) + " to " + std::to_string(other));
      network.Cut(NodeId{node}, NodeId{other});
      return Later(8 * kSecond, [&network] { network.Heal(); });
    case 8:
      Say("broken: " + std::to_string(node) + " and " + std::to_string(other));
      return network.Break(NodeId{node}, NodeId{other});
    case 9:
      return JumpClock(node);
    case 10:
      Say("paused: " + std::to_string(node));
      return PauseNode(node, random_.Below(4 * kSecond));
    case 11:
      return FillDisk(node);
    case 12:
      return LosePayload(node);
    default:
      // All at once.
      for (uint64_t id = 1; id <= profile_.nodes; ++id) CloseNode(id, 0);
  }
}

void World::PauseNode(uint64_t node, uint64_t ns) {
  troubled_until_ns_ = std::max(troubled_until_ns_, cluster_.now_ns() + ns);
  cluster_.Pause(node, ns);
}

// 0: the power fails; 1: the process is killed; 2: it stops.
void World::CloseNode(uint64_t node, int how) {
  GroupWorld& world = cluster_.node(node);
  if (!world.open() || !world.started()) return;
  Say((how == 0 ? "power fails: " : how == 1 ? "killed: " : "stopped: ") + std::to_string(node));
  ++crashes_;
  cluster_.Pause(node, 0);
  if (how == 0) {
    cluster_.Crash(node);
  } else if (how == 1) {
    cluster_.Kill(node);
  } else if (world.disk.faults().capacity_bytes > 0 && !cluster_.StopNode(node)) {
    return Violate("a stop never ended");
  }
  for (uint32_t group = 0; group < profile_.options.groups; ++group) {
    observed_.erase({node, group});
  }
  if (!world.open()) Later(6 * kSecond, [this, node] { Open(node); });
}

void World::Open(uint64_t node) {
  if (cluster_.node(node).open() || !violation_.empty()) return;
  cluster_.node(node).disk.faults().capacity_bytes = uint64_t{1} << 46;
  Say("opens: " + std::to_string(node));
  Status status = cluster_.Open(node);
  if (!status.ok()) Violate("node " + std::to_string(node) + ": " + status.ToString());
}

void World::JumpClock(uint64_t node) {
  if (!cluster_.node(node).open()) return;
  testing::ManualLoop& loop = cluster_.node(node).runtime().manual_loop(CoreId{0});
  const int64_t by_ms = static_cast<int64_t>(random_.Below(200'000)) - 100'000;
  Say("clock of " + std::to_string(node) + " jumps by " + std::to_string(by_ms) + " ms");
  loop.SetWallMs(loop.wall_ms() + by_ms);
}

void World::FillDisk(uint64_t node) {
  Say("full disk: " + std::to_string(node));
  cluster_.node(node).disk.faults().capacity_bytes = 0;
  Later(5 * kSecond,
        [this, node] { cluster_.node(node).disk.faults().capacity_bytes = uint64_t{1} << 46; });
}

bool World::AllWhole() {
  for (uint64_t id = 1; id <= profile_.nodes; ++id) {
    if (!cluster_.node(id).open() || !cluster_.node(id).started()) return false;
    for (uint32_t group = 0; group < profile_.options.groups; ++group) {
      if (!cluster_.replica(id, group).whole()) return false;
      if (cluster_.replica(id, group).installing()) return false;
    }
  }
  return true;
}

bool World::AnyAlone() {
  for (uint32_t group = 0; group < profile_.options.groups; ++group) {
    if (cluster_.Members(group).size() == 1) return true;
  }
  return false;
}

// Of one node, while the others have everything: they give it back.
void World::LosePayload(uint64_t node) {
  // Of members that come and go none may be the only one that has something.
  if (profile_.change_one_in > 0 ? !AllAlike() || AnyAlone() : !AllWhole()) return;
  CloseNode(node, 1);
  if (cluster_.node(node).open()) return;
  Say("payload is lost: " + std::to_string(node));
  GroupWorld& world = cluster_.node(node);
  testing::ManualLoop loop;
  for (const std::string& path : world.disk.Files()) {
    if (!path.ends_with(".pay")) continue;
    (void)world.disk.OnLoop(&loop)->RemoveNow(path);
    (void)world.disk.OnLoop(&loop)->SyncDirectoryNow("/data/payload");
  }
}

}  // namespace ursula::group::sim
