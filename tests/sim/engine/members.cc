// Directories that are lost, and how their nodes come to be members again.

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "lib/storage/directory.h"
#include "tests/sim/engine/site.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
// Where nothing else befalls the cluster, an empty directory is admitted in this time, and in that
// one its node is a whole member.
constexpr uint64_t kJoinNs = 20'000 * kMs;
constexpr uint64_t kMembersNs = 30'000 * kMs;
constexpr uint64_t kRefusedNs = 10'000 * kMs;  // In which what was put back is found out.
constexpr uint64_t kAskNs = 20 * kMs;          // Between looks at what the cluster says.

}  // namespace

Site::Story Site::PickStory() {
  if (!grown()) return random_.OneIn(2) ? Story::kGrowth : Story::kNone;
  if (profile_.disk_one_in > 0 && random_.OneIn(profile_.disk_one_in)) {
    story_node_ = random_.Below(nodes_.size());
    return Story::kDisk;
  }
  if (profile_.story_one_in == 0 || !random_.OneIn(profile_.story_one_in)) return Story::kNone;
  if (!AreMembers()) return Story::kNone;
  story_node_ = random_.Below(nodes_.size());
  if (!random_.OneIn(2)) return Story::kLoss;
  const std::vector<MemberStatus> members = Members();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const std::size_t node = (story_node_ + i) % nodes_.size();
    if (!IsOld(nodes_[node], members)) continue;
    story_node_ = node;
    return Story::kPutBack;
  }
  return Story::kLoss;
}

void Site::Empty(std::size_t index) {
  Node& node = nodes_[index];
  URSULA_CHECK(node.runtime == nullptr);
  node.disk = NewDisk();
  node.empty = true;
  node.disk_is_bad = node.disk_is_full = false;
  node.stale = node.refused = false;
}

// The copy says itself which opening it was of. One of a cluster of one, which needs nobody's vote,
// is left out (README.md).
void Site::Keep(std::size_t index) {
  Node& node = nodes_[index];
  if (profile_.keep_one_in == 0 || !grown() || node.stale || !random_.OneIn(profile_.keep_one_in))
    return;
  std::unique_ptr<testing::FaultDisk> seen = node.disk->Clone(random_.Next());
  testing::ManualLoop loop(seen.get());
  storage::DirectoryOptions options;
  options.node_id_wanted = Raw(IdOf(index));
  options.one_of_several = true;
  auto opened = storage::DataDirectory::Open(loop.disk(), kDataPath, options);
  if (!opened.ok() || (*opened)->state() != storage::DirectoryState::kMember) return;
  node.kept = node.disk->Clone(random_.Next());
  node.kept_as.lives_before = LivesBefore((*opened)->replica_id());
  node.kept_as.openings = (*opened)->generation() - 1;
}

void Site::MarkPutBack(const Node& node) const {
  const NodeId id = IdOf(static_cast<std::size_t>(&node - nodes_.data()));
  for (const MemberStatus& member : Members()) {
    if (member.node != id) continue;
    if (member.lives_before != node.kept_as.lives_before) {
      URSULA_SOMETIMES("members: a directory that was replaced came back");
    } else {
      URSULA_SOMETIMES("members: an older state of a directory came back");
    }
  }
}

void Site::PutBack(std::size_t index) {
  Node& node = nodes_[index];
  URSULA_CHECK(node.runtime == nullptr && node.kept != nullptr);
  node.disk = std::move(node.kept);
  node.empty = false;
  node.stale = true;
}

// The cluster was told of an opening that came after it, or of another directory.
bool Site::IsOld(const Node& node, const std::vector<MemberStatus>& members) const {
  if (node.kept == nullptr) return false;
  const NodeId id = IdOf(static_cast<std::size_t>(&node - nodes_.data()));
  for (const MemberStatus& member : members) {
    if (member.node != id) continue;
    if (member.lives_before != node.kept_as.lives_before) return true;
    return member.openings > node.kept_as.openings;
  }
  return false;
}

std::vector<MemberStatus> Site::Members() const {
  uint64_t term = 0;
  std::vector<MemberStatus> members;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!up(i)) continue;
    const ClusterStatus status = nodes_[i].engine->Cluster();
    if (status.groups.empty() || status.groups[0].leader != IdOf(i)) continue;
    if (status.groups[0].term <= term) continue;
    term = status.groups[0].term;
    members = status.members;
  }
  return members;
}

bool Site::AreMembers() const {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!up(i)) return false;
  }
  const std::vector<MemberStatus> members = Members();
  return members.size() == nodes_.size() && std::ranges::all_of(members, [](const auto& member) {
           return member.stage == MemberStatus::Stage::kMember;
         });
}

std::string Site::DescribeMembers() const {
  std::string text;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].born) continue;
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

// What was put back is found out, and is out for good; then its node begins with nothing.
Status Site::MendStale(std::size_t index) {
  Node& node = nodes_[index];
  if (!up(index) && !node.refused) {
    Status opened = OpenNode(index, kJoinNs);
    node.refused = opened.code() == StatusCode::kFailedPrecondition;
    if (!opened.ok() && !node.refused) return opened;
  }
  if (up(index)) {
    auto is_refused = [&] {
      return node.engine->Ready().code() == StatusCode::kFailedPrecondition;
    };
    if (!RunUntil(is_refused, kRefusedNs)) {
      return Status(StatusCode::kInternal,
                    "a directory that was put back isn't refused" + DescribeMembers());
    }
    CrashNode(index, random_.OneIn(2) ? Fall::kPower : Fall::kProcess);
    const Status again = OpenNode(index, kJoinNs);
    if (again.code() != StatusCode::kFailedPrecondition) {
      return Status(StatusCode::kInternal, "a directory that was refused opens again");
    }
  }
  Empty(index);
  return {};
}

// Those that have their directories first: the others can't join without them.
Status Site::MendMembers() {
  if (!unexpected_.ok()) return unexpected_;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (up(i) || nodes_[i].empty || nodes_[i].stale || !nodes_[i].born) continue;
    Status status = OpenNode(i, kJoinNs);
    if (!status.ok()) return status;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].stale) continue;
    Status status = MendStale(i);
    if (!status.ok()) return status;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (up(i) || !nodes_[i].born) continue;
    Status status = OpenNode(i, kJoinNs);
    if (!status.ok()) return Status(status.code(), status.message() + DescribeMembers());
  }
  for (uint64_t waited_ns = 0; grown() && !AreMembers(); waited_ns += kAskNs) {
    if (waited_ns >= kMembersNs) {
      return Status(StatusCode::kUnavailable,
                    "not every node is a whole member" + DescribeMembers());
    }
    Advance(kAskNs);
  }
  return {};
}

}  // namespace ursula::engine::sim
