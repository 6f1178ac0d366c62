#include "lib/meta/feature_levels.h"

#include <algorithm>
#include <utility>

#include "lib/base/ids.h"

namespace ursula::meta {
namespace {

std::string Name(NodeId node) { return "node " + std::to_string(Raw(node)); }

}  // namespace

void FeatureLevels::OnSaid(const LevelMember& member, uint32_t level_max, uint32_t stored,
                           uint64_t now_ns) {
  said_[member.node] = {member.lives_before, level_max, stored, now_ns};
}

void FeatureLevels::OnLost(NodeId node) { said_.erase(node); }

uint32_t FeatureLevels::MaxOf(NodeId node) const {
  auto found = said_.find(node);
  return found == said_.end() ? 0 : found->second.level_max;
}

uint32_t FeatureLevels::StoredOf(NodeId node) const {
  auto found = said_.find(node);
  return found == said_.end() ? 0 : found->second.stored;
}

const FeatureLevels::Said* FeatureLevels::Find(const LevelMember& member, uint64_t now_ns) const {
  auto found = said_.find(member.node);
  if (found == said_.end() || found->second.lives_before != member.lives_before) return nullptr;
  return now_ns - found->second.heard_ns < kHeardNs ? &found->second : nullptr;
}

LevelVerdict FeatureLevels::Wait(std::string why) {
  candidate_ = 0;
  return {0, false, std::move(why)};
}

// All of `members_` can, and have been heard of.
LevelVerdict FeatureLevels::Ripe(uint32_t level) const {
  std::string without;
  for (const LevelMember& member : members_) {
    if (StoredOf(member.node) >= level) continue;
    without += (without.empty() ? "" : ", ") + Name(member.node);
  }
  const std::string goal = "level " + std::to_string(level);
  if (without.empty()) return {level, true, goal + " is being raised"};
  return {level, false,
          goal + " waits for META of " + without +
              ": every node writes it down first; where that lasts, see that node's log"};
}

LevelVerdict FeatureLevels::Judge(const std::vector<LevelMember>& members,
                                  const std::vector<NodeId>& away, uint32_t in_force,
                                  uint64_t now_ns) {
  if (members != members_) candidate_ = 0;  // Who has come has to be there as long as the others.
  members_ = members;
  uint32_t lowest = UINT32_MAX;
  uint32_t highest = 0;
  NodeId lowest_of = {};
  std::string unheard;
  for (const LevelMember& member : members) {
    const bool gone = std::ranges::find(away, member.node) != away.end();
    const Said* said = Find(member, now_ns);
    if (said == nullptr || gone) {
      unheard += (unheard.empty() ? "" : ", ") + Name(member.node);
      continue;
    }
    highest = std::max(highest, said->level_max);
    if (said->level_max >= lowest) continue;
    lowest = said->level_max;
    lowest_of = member.node;
  }
  if (highest <= in_force) return Wait("");
  const std::string goal = "level " + std::to_string(highest);
  if (lowest < highest && lowest <= in_force) {
    return Wait(goal + " waits for " + Name(lowest_of) + ", which can " + std::to_string(lowest) +
                ": start it with the newer release, without a lower --feature-level-max");
  }
  if (!unheard.empty()) {
    return Wait(goal + " waits for " + unheard + ": every member must be there, and say it can");
  }
  if (candidate_ != lowest) {
    candidate_ = lowest;
    since_ns_ = now_ns;
  }
  if (now_ns - since_ns_ < kSettleNs) {
    return {0, false,
            "level " + std::to_string(lowest) + " is to come: all nodes can, and are watched for " +
                std::to_string(kSettleNs / 1'000'000'000) + " s"};
  }
  return Ripe(lowest);
}

}  // namespace ursula::meta
