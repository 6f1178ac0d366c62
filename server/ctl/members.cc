#include "server/ctl/members.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>

namespace ursula::ctl {
namespace {

using Stage = MemberSeen::Stage;

// None: it doesn't say anything of group 0.
const GroupSeen* FirstGroup(const NodeView& view) {
  if (view.groups.empty() || view.groups.front().group != 0) return nullptr;
  return &view.groups.front();
}

// One whose directory is new. Whoever recovers what a directory has says of no cluster either that
// it is its own, and waits for nobody.
bool Waits(const NodeView& view) {
  return view.opening.starts_with("founding") && view.cluster_id.empty();
}

}  // namespace

const MemberSeen* Members::Find(uint64_t node) const {
  const auto found = std::ranges::find(all, node, &MemberSeen::node);
  return found == all.end() ? nullptr : &*found;
}

bool Members::IsOutside(uint64_t node) const {
  if (all.empty() || node == 0) return false;
  const MemberSeen* const member = Find(node);
  return member == nullptr || member->stage == Stage::kInvited;
}

std::size_t Members::CountToBe() const {
  return static_cast<std::size_t>(std::ranges::count_if(all, [](const MemberSeen& member) {
    return member.stage == Stage::kMember || member.stage == Stage::kJoining ||
           member.stage == Stage::kInvited;
  }));
}

Members MembersOf(const Survey& survey, const std::string& cluster_id, uint64_t leader) {
  const NodeView* best = nullptr;
  bool by_leader = false;
  for (const NodeSeen& seen : survey) {
    if (!seen.view || seen.view->cluster_id != cluster_id || seen.view->members.empty()) continue;
    const GroupSeen* const group = FirstGroup(*seen.view);
    if (group == nullptr) continue;
    const bool leads = leader != 0 && seen.view->node == leader && group->leader == leader;
    const bool further = best == nullptr || group->applied > FirstGroup(*best)->applied;
    if (!leads && (by_leader || !further)) continue;
    by_leader = by_leader || leads;
    best = &*seen.view;
  }
  if (best == nullptr) return {};
  Members members = {.all = best->members, .by_leader = by_leader};
  if (!by_leader) return members;
  members.groups_settled = best->groups_settled;
  members.wait_for = best->members_wait_for;
  return members;
}

std::vector<uint64_t> NodesToAdd(const Survey& survey, const std::string& cluster_id,
                                 const Members& members) {
  std::set<uint64_t> named;
  for (const NodeSeen& seen : survey) {
    if (!seen.view || seen.view->cluster_id != cluster_id) continue;
    if (members.Find(seen.node) == nullptr || members.IsOutside(seen.node)) continue;
    for (const PeerSeen& peer : seen.view->peers) named.insert(peer.node);
  }
  std::set<uint64_t> nodes;
  for (const NodeSeen& seen : survey) {
    if (!seen.view || !Waits(*seen.view) || members.Find(seen.node) != nullptr) continue;
    if (named.contains(seen.node)) nodes.insert(seen.node);
  }
  return {nodes.begin(), nodes.end()};
}

}  // namespace ursula::ctl
