#include "tests/unit/group/cluster_world.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"

namespace ursula::group {

ClusterWorld::ClusterWorld(uint32_t nodes, uint64_t seed, const WorldOptions& options,
                           uint32_t voters)
    : network_(seed) {
  for (uint64_t id = 1; id <= nodes; ++id) {
    nodes_.push_back(std::make_unique<GroupWorld>(seed * 100 + id));
    GroupWorld& world = *nodes_.back();
    world.options = options;
    world.options.self = ReplicaId{id};
    world.options.voters.clear();
    for (uint64_t voter = 1; voter <= (voters == 0 ? nodes : voters); ++voter) {
      world.options.voters.push_back(ReplicaId{voter});
    }
    world.Connect(&network_);
  }
}

ClusterWorld::~ClusterWorld() {
  for (auto& node : nodes_) {
    if (node->open()) node->Crash();
  }
}

Status ClusterWorld::Open(uint64_t id) {
  node(id).set_now_ns(now_ns_);
  Status status = node(id).Begin();
  if (!status.ok()) return status;
  bool ended = RunUntil([&] { return node(id).started(); });
  URSULA_CHECK(ended);
  return node(id).start_status();
}

void ClusterWorld::OpenAll() {
  for (uint64_t id = 1; id <= size(); ++id) {
    Status status = Open(id);
    URSULA_CHECK(status.ok());
  }
}

bool ClusterWorld::StopNode(uint64_t id) {
  node(id).BeginStopReplicas();
  return RunUntil([&] { return node(id).replicas_stopped(); }) && node(id).StopStores();
}

bool ClusterWorld::Step(uint64_t end_ns) {
  bool turned = false;
  uint64_t next_ns = end_ns;
  for (uint64_t id = 1; id <= size(); ++id) {
    if (!node(id).open()) continue;
    if (paused_until_ns_[id] > now_ns_) {
      next_ns = std::min(next_ns, paused_until_ns_[id]);
      continue;
    }
    turned |= node(id).runtime().RunTurn();
    next_ns = std::min(next_ns, node(id).runtime().NextEventNs());
  }
  next_ns = std::max(next_ns, now_ns_);
  if (turned) return true;
  if (now_ns_ >= end_ns) return false;
  for (auto& node : nodes_) {
    if (node->open()) node->runtime().StandStill(next_ns - node->runtime().now_ns());
  }
  now_ns_ = next_ns;
  return true;
}

std::optional<uint64_t> ClusterWorld::Leader(uint32_t group) {
  std::optional<uint64_t> best;
  for (uint64_t id = 1; id <= size(); ++id) {
    if (!node(id).open() || !node(id).started() || !replica(id, group).leads()) continue;
    if (!best || replica(id, group).term() > replica(*best, group).term()) best = id;
  }
  return best;
}

bool ClusterWorld::AwaitLeader(uint32_t group) {
  return RunUntil([&] { return Leader(group).has_value(); });
}

std::vector<uint64_t> ClusterWorld::Members(uint32_t group) {
  std::vector<uint64_t> members;
  const std::optional<uint64_t> leader = Leader(group);
  if (!leader) return members;
  const raft::ConfState conf = replica(*leader, group).members();
  for (ReplicaId node : conf.voters) members.push_back(Raw(node));
  for (ReplicaId node : conf.learners) members.push_back(Raw(node));
  return members;
}

Status ClusterWorld::ChangeMembers(const raft::ConfChange& change, uint32_t group) {
  std::optional<Status> ended;
  AwaitLeader(group);
  replica(*Leader(group), group).ChangeMembers(change, [&](Status status) { ended = status; });
  RunUntil([&] { return ended.has_value(); });
  return *ended;
}

bool ClusterWorld::AwaitEqual(uint32_t group) {
  return RunUntil([&] {
    std::optional<Index> applied;
    for (uint64_t id = 1; id <= size(); ++id) {
      if (!node(id).open()) continue;
      if (applied && replica(id, group).applied() != *applied) return false;
      applied = replica(id, group).applied();
    }
    return true;
  });
}

template <class Ask>
bool ClusterWorld::AtLeader(Ask ask) {
  const uint64_t end_ns = now_ns_ + 60'000'000'000;
  while (now_ns_ < end_ns) {
    if (!AwaitLeader()) return false;
    Asked asked = ask(node(*Leader()));
    RunUntil([&] { return asked->reply.has_value(); });
    if (asked->ok()) return true;
    if (asked->code() != StatusCode::kUnavailable) return false;
  }
  return false;
}

bool ClusterWorld::CreateNow(std::string_view name) {
  return AtLeader([&](GroupWorld& leader) { return leader.Create(name); });
}

bool ClusterWorld::AppendNow(std::string_view name, std::string_view bytes) {
  return AtLeader([&](GroupWorld& leader) { return leader.Append(name, bytes); });
}

bool ClusterWorld::Finish(const Asked& asked) {
  RunUntil([&] { return asked->reply.has_value(); });
  return asked->ok();
}

std::string ClusterWorld::ContentOf(uint64_t id, std::string_view name, uint32_t group) {
  std::string content;
  ReadRequest request;
  request.stream = NameOf(name);
  for (;;) {
    AskedRead page = node(id).Read(request, 0, group);
    RunUntil([&] { return page->reply.has_value(); });
    content += page->text();
    if (!page->reply || !page->reply->ok()) return content;
    const ReadReply& reply = (*page->reply)->reply;
    if (reply.outcome != Outcome::kOk || reply.up_to_date) return content;
    request.from = reply.next;
  }
}

}  // namespace ursula::group
