// Members come and go: a new one is a learner until it is whole, then takes another's place in one
// change, or its own.

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "tests/sim/cluster/world.h"

namespace ursula::group::sim {

bool World::IsWhole(uint64_t node, uint32_t group) {
  const std::optional<uint64_t> leader = cluster_.Leader(group);
  if (!leader || !cluster_.node(node).open() || !cluster_.node(node).started()) return false;
  const Replica& replica = cluster_.replica(node, group);
  // What is committed by then may come later, in its log.
  return !replica.installing() && replica.whole() &&
         Raw(replica.applied()) + 50 > Raw(cluster_.replica(*leader, group).applied());
}

std::optional<raft::ConfChange> World::PickChange(uint32_t group, const raft::ConfState& conf) {
  raft::ConfChange change;
  for (ReplicaId learner : conf.learners) {
    if (!IsWhole(Raw(learner), group)) continue;
    change.steps.push_back({raft::ConfChangeOp::kAddVoter, learner});
    if (conf.voters.size() > 1 && !random_.OneIn(3)) {
      const ReplicaId old = conf.voters[random_.Below(conf.voters.size())];
      change.steps.push_back({raft::ConfChangeOp::kRemove, old});
    }
    return change;
  }
  if (!conf.learners.empty() && random_.OneIn(4)) {
    change.steps.push_back({raft::ConfChangeOp::kRemove, conf.learners.front()});
    return change;
  }
  if (conf.voters.size() > 3 && random_.OneIn(4)) {
    change.steps.push_back({raft::ConfChangeOp::kRemove, conf.voters.front()});
    return change;
  }
  for (uint64_t id = 1; id <= profile_.nodes; ++id) {
    if (ever_[group].contains(id)) continue;
    change.steps.push_back({raft::ConfChangeOp::kAddLearner, ReplicaId{id}});
    ever_[group].insert(id);
    return change;
  }
  return std::nullopt;
}

void World::ChangeMembers() {
  const uint32_t group = static_cast<uint32_t>(random_.Below(profile_.options.groups));
  const std::optional<uint64_t> leader = cluster_.Leader(group);
  if (!leader) return;
  if (ever_[group].empty()) {
    for (uint64_t id = 1; id <= profile_.voters; ++id) ever_[group].insert(id);
  }
  const raft::ConfState conf = cluster_.replica(*leader, group).members();
  if (!conf.voters_outgoing.empty()) return;
  std::optional<raft::ConfChange> change = PickChange(group, conf);
  if (!change) return;
  std::string what = "members of group " + std::to_string(group) + ":";
  for (const raft::ConfChangeStep& step : change->steps) {
    what += " " + std::to_string(static_cast<int>(step.op)) + "/" + std::to_string(Raw(step.node));
  }
  Say(what);
  cluster_.replica(*leader, group).ChangeMembers(*change, [this](Status status) {
    if (status.ok()) ++changes_;
  });
}

}  // namespace ursula::group::sim
