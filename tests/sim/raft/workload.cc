#include "tests/sim/raft/workload.h"

#include <algorithm>

#include "tests/sim/raft/world.h"

namespace ursula::raft::sim {
namespace {

bool Holds(const std::vector<ReplicaId>& nodes, ReplicaId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

}  // namespace

void Workload::Start() {
  const Profile& profile = world_.profile();
  world_.Schedule(kTickTime, EventKind::kPropose);
  world_.Schedule(kTickTime, EventKind::kRead);
  if (profile.reconfigure_gap != 0) {
    world_.Schedule(profile.reconfigure_gap, EventKind::kReconfigure);
  }
}

Replica* Workload::Somebody() {
  Replica* leader = world_.random().OneIn(4) ? nullptr : world_.Leader();
  return leader != nullptr ? leader : world_.Anyone();
}

void Workload::OnPropose() {
  const Profile& profile = world_.profile();
  world_.Schedule(1 + world_.random().Below(2 * profile.propose_gap), EventKind::kPropose);
  Replica* replica = Somebody();
  if (replica == nullptr) return;
  const uint64_t count = 1 + world_.random().Below(profile.batch_max);
  commands_.clear();
  for (uint64_t i = 0; i < count; ++i) {
    commands_.push_back(
        EncodeCommand(next_command_ + i, 1 + world_.random().Below(profile.payload_max)));
  }
  replica->Propose(commands_, next_command_);
  next_command_ += count;
}

void Workload::ProposeOne(Replica* replica) {
  const Bytes command = EncodeCommand(next_command_, 0);
  replica->Propose({&command, 1}, next_command_++);
}

void Workload::OnRead() {
  world_.Schedule(1 + world_.random().Below(2 * world_.profile().read_gap), EventKind::kRead);
  for (uint64_t left = 1 + world_.random().Below(3); left > 0; --left) {
    Replica* replica = Somebody();
    if (replica != nullptr) replica->Read(next_read_++);
  }
}

void Workload::OnReconfigure() {
  world_.Schedule(1 + world_.random().Below(2 * world_.profile().reconfigure_gap),
                  EventKind::kReconfigure);
  Replica* leader = world_.Leader();
  if (leader == nullptr) return;
  const ConfState conf = leader->core().Configuration();
  const ConfChange change = MakeChange(conf);
  if (!KeepsMajority(conf, change)) {
    if (!world_.profile().reckless) return;
    majority_taken_out_ = true;
  }
  leader->Reconfigure(change);
}

bool Workload::KeepsMajority(const ConfState& conf, const ConfChange& change) {
  std::vector<ReplicaId> remaining = conf.voters;
  for (const ConfChangeStep& step : change.steps) {
    if (step.op == ConfChangeOp::kUpdate || step.op == ConfChangeOp::kAddVoter) continue;
    std::erase(remaining, step.node);
  }
  return remaining.size() > conf.voters.size() / 2;
}

ConfChange Workload::MakeChange(const ConfState& conf) {
  Random& random = world_.random();
  ConfChange change;
  // Leaving a joint configuration that nobody leaves by itself; now and then, out of place.
  if (!conf.voters_outgoing.empty() ? !random.OneIn(8) : random.OneIn(32)) return change;
  if (random.OneIn(3)) {
    const Transition transitions[] = {Transition::kAuto, Transition::kImplicit,
                                      Transition::kExplicit};
    change.transition = transitions[random.Below(3)];
    for (uint64_t left = 1 + random.Below(3); left > 0; --left) {
      change.steps.push_back(MakeStep(conf));
    }
  } else {
    change.steps.push_back(MakeStep(conf));
    change.simple_form = random.OneIn(2);
  }
  return change;
}

ConfChangeStep Workload::MakeStep(const ConfState& conf) {
  Random& random = world_.random();
  const ReplicaId node{1 + random.Below(world_.replicas().size())};
  if (Holds(conf.voters, node)) {
    // Small groups rather grow.
    if (conf.voters.size() <= 2 && !random.OneIn(8)) return {ConfChangeOp::kUpdate, node};
    return {random.OneIn(3) ? ConfChangeOp::kAddLearner : ConfChangeOp::kRemove, node};
  }
  if (Holds(conf.learners, node)) {
    return {random.OneIn(4) ? ConfChangeOp::kRemove : ConfChangeOp::kAddVoter, node};
  }
  return {random.OneIn(3) ? ConfChangeOp::kAddLearner : ConfChangeOp::kAddVoter, node};
}

}  // namespace ursula::raft::sim
