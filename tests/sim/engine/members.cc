// Directories that are lost, and how their nodes come to be members again.

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "tests/sim/engine/site.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
// Where nothing else befalls the cluster, an empty directory is admitted in this time, and in that
// one its node is a whole member.
constexpr uint64_t kJoinNs = 20'000 * kMs;
constexpr uint64_t kMembersNs = 30'000 * kMs;
constexpr uint64_t kAskNs = 20 * kMs;  // Between looks at what the cluster says.

}  // namespace

Site::Story Site::PickStory() {
  if (profile_.story_one_in == 0 || !random_.OneIn(profile_.story_one_in)) return Story::kNone;
  if (!AreMembers()) return Story::kNone;
  return Story::kLoss;
}

void Site::Empty(std::size_t index) {
  Node& node = nodes_[index];
  URSULA_CHECK(node.runtime == nullptr);
  node.disk = NewDisk();
  node.empty = true;
}

bool Site::AreMembers() const {
  uint64_t term = 0;
  bool members = false;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!up(i)) return false;
    const ClusterStatus status = nodes_[i].engine->Cluster();
    if (status.groups.empty() || status.groups[0].leader != IdOf(i)) continue;
    if (status.groups[0].term <= term) continue;
    term = status.groups[0].term;
    members = status.members.size() == nodes_.size() &&
              std::ranges::all_of(status.members, [](const MemberStatus& member) {
                return member.stage == MemberStatus::Stage::kMember;
              });
  }
  return members;
}

std::string Site::DescribeMembers() const {
  std::string text;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    text += "\n  node " + std::to_string(i + 1) + ":";
    if (!up(i)) text += " isn't up";
    if (!up(i)) continue;
    const ClusterStatus status = nodes_[i].engine->Cluster();
    for (const MemberStatus& member : status.members) {
      text += " " + std::to_string(Raw(member.node)) + "." + std::to_string(member.lives_before) +
              (member.stage == MemberStatus::Stage::kMember ? "" : "?");
    }
    text += " settled " + std::to_string(status.groups_settled);
    if (!status.members_wait_for.empty()) text += " wait for " + status.members_wait_for;
    for (const GroupStatus& group : status.groups) {
      text += "; group " + std::to_string(Raw(group.group)) + " leader " +
              std::to_string(Raw(group.leader)) + " term " + std::to_string(group.term) +
              " applied " + std::to_string(group.applied);
    }
    text += " " + nodes_[i].engine->Ready().ToString();
  }
  return text;
}

// Those that have their directories first: the others can't join without them.
Status Site::MendMembers() {
  if (!unexpected_.ok()) return unexpected_;
  for (const bool empty : {false, true}) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (up(i) || nodes_[i].empty != empty) continue;
      Status status = OpenNode(i, kJoinNs);
      if (!status.ok()) return status;
    }
  }
  for (uint64_t waited_ns = 0; !AreMembers(); waited_ns += kAskNs) {
    if (waited_ns >= kMembersNs) {
      return Status(StatusCode::kUnavailable,
                    "not every node is a whole member" + DescribeMembers());
    }
    Advance(kAskNs);
  }
  return {};
}

}  // namespace ursula::engine::sim
