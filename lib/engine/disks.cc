// How this node's disk does, told to its peers, and what they say of theirs: a node whose disk is
// worse than another's leads nothing (lib/meta/disks.h).

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/engine/engine.h"

namespace ursula::engine {

meta::DiskReport Engine::OwnDisk() const {
  meta::DiskReport report;
  Histogram recent_us;
  for (const auto& shard : shards_) {
    const ShardDisk disk = shard->Disk();
    report.hangs = report.hangs || disk.hangs;
    report.full = report.full || disk.full;
    recent_us.Merge(disk.recent_us);
  }
  report.sync_p50_us = MedianOf(recent_us);
  return report;
}

// Each tick of the meta group's core. What has changed is told at once.
void Engine::RunDisks() {
  bool log_hangs = false;
  for (const auto& shard : shards_) log_hangs = log_hangs || shard->Disk().log_hangs;
  log_hangs_.store(log_hangs, std::memory_order_relaxed);
  const meta::DiskReport own = OwnDisk();
  const bool changed = own.hangs != told_disk_.hangs || own.full != told_disk_.full;
  if (changed) registration_.next_ns = 0;
  told_disk_ = own;
}

void Engine::NoteDisk(const meta::FoundingHello& hello) {
  if (hello.record.state != meta::FoundingState::kMember) return;
  if (hello.record.plan.cluster_id != directory_->cluster_id()) return;
  disks_.OnSaid(hello.from.node, hello.disk, runtime_.Current()->now_ns());
}

void Engine::PutDisks(std::vector<MemberStatus>* members) {
  const uint64_t now_ns = runtime_.Current()->now_ns();
  std::vector<NodeId> may_lead;
  for (const MemberStatus& member : *members) {
    if (MayLead(member)) may_lead.push_back(member.node);
  }
  const std::map<NodeId, DiskState> states = disks_.Judge(may_lead, now_ns);
  for (MemberStatus& member : *members) {
    auto found = states.find(member.node);
    if (found != states.end()) member.disk = found->second;
    const auto said = disks_.Find(member.node, now_ns);
    if (said) member.sync_p50_us = said->sync_p50_us;
  }
}

bool Engine::MayLead(const MemberStatus& member) {
  return !member.cordoned && member.stage == MemberStatus::Stage::kMember;
}

// Spared is who is cordoned, or not a member for good; who is being taken in, too: of the groups
// that haven't done that yet it knows no leader, and the meta group's leader has to ask all of
// them. Of the others those with the best disks lead: where all are full, none is spared for that.
// And one that is slow gives up what it leads to much quicker ones alone.
LeadAdvice Engine::Advice() {
  const std::vector<MemberStatus> members = published_members_.Get().members;
  const NodeId self = options_.cluster.node;
  LeadAdvice advice;
  advice.log_hangs = log_hangs_.load(std::memory_order_relaxed);
  DiskState best = DiskState::kHangs;
  uint64_t own_us = 0;
  for (const MemberStatus& member : members) {
    if (MayLead(member)) best = std::min(best, member.disk);
    if (member.node != self) continue;
    advice.disk = member.disk;
    own_us = member.sync_p50_us;
  }
  for (const MemberStatus& member : members) {
    const bool is_self = member.node == self;
    const bool worse = !MayLead(member) || member.disk > best;
    const bool as_slow = !is_self && advice.disk == DiskState::kSlow &&
                         (member.sync_p50_us == 0 || member.sync_p50_us >= (own_us + 1) / 2);
    if (is_self) advice.leads_nothing = worse;
    if (worse || as_slow) advice.spared.push_back(member.node);
  }
  return advice;
}

}  // namespace ursula::engine
