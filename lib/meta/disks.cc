#include "lib/meta/disks.h"

#include <algorithm>
#include <utility>

namespace ursula::meta {

namespace {

// Words come one after the other, so what is known of two disks is of different moments: one that
// has told first of a change that both had would be slow beside the other until that one tells,
// too. So a word moves what is known by less than makes one slow.
uint64_t Moved(uint64_t known_us, uint64_t said_us) {
  if (known_us == 0 || said_us == 0) return said_us;
  const uint64_t from_us = std::max(known_us, Disks::kSlowUsMin);
  const uint64_t up_us = std::min(said_us, from_us + from_us / 10 * 9);
  const uint64_t down_us = from_us / 19 * 10;
  return down_us <= Disks::kSlowUsMin ? up_us : std::max(up_us, down_us);
}

}  // namespace

void Disks::OnSaid(NodeId node, const DiskReport& report, uint64_t now_ns) {
  const uint64_t known_us = Find(node, now_ns).value_or(DiskReport()).sync_p50_us;
  Said& said = said_[node];
  said = {report, now_ns};
  said.report.sync_p50_us = Moved(known_us, report.sync_p50_us);
}

void Disks::OnLost(NodeId node) { said_.erase(node); }

std::optional<DiskReport> Disks::Find(NodeId node, uint64_t now_ns) const {
  auto found = said_.find(node);
  if (found == said_.end() || now_ns - found->second.heard_ns >= kHeardNs) return std::nullopt;
  return found->second.report;
}

// All that are quicker than kSlowUsMin are alike.
bool Disks::IsSlow(NodeId node, uint64_t sync_p50_us, uint64_t best_us) const {
  if (best_us == 0) return false;
  const uint64_t beside_us = std::max(best_us, kSlowUsMin);
  return slow_.contains(node) ? 2 * sync_p50_us > 3 * beside_us : sync_p50_us > 2 * beside_us;
}

std::map<NodeId, DiskState> Disks::Judge(const std::vector<NodeId>& nodes, uint64_t now_ns) {
  uint64_t best_us = 0;
  for (NodeId node : nodes) {
    const DiskReport said = Find(node, now_ns).value_or(DiskReport());
    if (said.hangs || said.full || said.sync_p50_us == 0) continue;
    best_us = best_us == 0 ? said.sync_p50_us : std::min(best_us, said.sync_p50_us);
  }
  std::map<NodeId, DiskState> states;
  std::set<NodeId> slow;
  for (const auto& [node, said] : said_) {
    const DiskReport report = Find(node, now_ns).value_or(DiskReport());
    const bool is_slow = IsSlow(node, report.sync_p50_us, best_us);
    if (is_slow) slow.insert(node);
    DiskState& state = states[node];
    if (is_slow) state = DiskState::kSlow;
    if (report.full) state = DiskState::kFull;
    if (report.hangs) state = DiskState::kHangs;
  }
  slow_ = std::move(slow);
  return states;
}

}  // namespace ursula::meta
