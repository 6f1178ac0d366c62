#include "server/admin/cluster_text.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "server/protocol/text.h"

namespace ursula::admin {
namespace {

constexpr std::size_t kNamedMax = 8;

std::string Hex(uint64_t id) {
  protocol::ShortText text;
  text.AppendHex(id, 16);
  return std::string(text.view());
}

// One object, its members in the order of the calls.
class Object {
 public:
  explicit Object(std::string* out) : out_(*out) { out_ += '{'; }
  void End() { out_ += '}'; }

  void Text(std::string_view name, std::string_view value) {
    Name(name);
    protocol::AppendJsonString(&out_, value);
  }
  void Flag(std::string_view name, bool value) {
    Name(name);
    out_ += value ? "true" : "false";
  }
  template <class Integer>
  void Number(std::string_view name, Integer value) {
    static_assert(std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>);
    Name(name);
    out_ += std::to_string(value);
  }
  void Name(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    protocol::AppendJsonString(&out_, name);
    out_ += ':';
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void AppendSentence(const std::string& sentence, std::string* out) {
  protocol::AppendJsonString(out, sentence);
}

template <class Items, class Append>
void AppendArray(const Items& items, Append append, std::string* out) {
  *out += '[';
  bool first = true;
  for (const auto& item : items) {
    if (!first) *out += ',';
    first = false;
    append(item, out);
  }
  *out += ']';
}

void AppendTrouble(const ReplicaTrouble& trouble, std::string* out) {
  Object object(out);
  object.Number("node", static_cast<uint64_t>(trouble.node));
  object.Text("reason", NameOf(trouble.kind));
  object.End();
}

// What its leader alone knows stands there alone.
void AppendGroup(const GroupStatus& group, const ClusterStatus& status, std::string* out) {
  Object object(out);
  object.Number("group", static_cast<uint32_t>(group.group));
  object.Number("leader", static_cast<uint64_t>(group.leader));
  object.Number("term", group.term);
  object.Number("applied", group.applied);
  if (group.voters != 0) {
    object.Number("voters", group.voters);
    object.Number("voters_missing", VotersMissing(group, status));
    object.Name("troubles");
    AppendArray(group.troubles, AppendTrouble, out);
  }
  object.End();
}

}  // namespace

const char* NameOf(ReplicaTrouble::Kind kind) {
  switch (kind) {
    case ReplicaTrouble::Kind::kAway:
      return "away";
    case ReplicaTrouble::Kind::kBehind:
      return "behind";
    case ReplicaTrouble::Kind::kNotWhole:
      return "not_whole";
  }
  return "";
}

uint32_t VotersMissing(const GroupStatus& group, const ClusterStatus& status) {
  using Stage = MemberStatus::Stage;
  uint32_t wanted = 0;
  for (const MemberStatus& member : status.members) {
    if (member.stage == Stage::kMember || member.stage == Stage::kJoining) ++wanted;
  }
  if (wanted % 2 == 0 && wanted > 0) --wanted;
  return group.voters == 0 || group.voters >= wanted ? 0 : wanted - group.voters;
}

ReplicaCounts CountReplicas(const ClusterStatus& status) {
  ReplicaCounts counts;
  for (const GroupStatus& group : status.groups) {
    const uint32_t missing = VotersMissing(group, status);
    counts.missing += missing;
    for (const ReplicaTrouble& trouble : group.troubles) {
      ++counts.troubles[static_cast<std::size_t>(trouble.kind)];
    }
    counts.groups += missing != 0 || !group.troubles.empty() ? 1 : 0;
  }
  return counts;
}

const char* NameOf(MemberStatus::Stage stage) {
  switch (stage) {
    case MemberStatus::Stage::kMember:
      return "member";
    case MemberStatus::Stage::kJoining:
      return "joining";
    case MemberStatus::Stage::kLeaving:
      return "leaving";
    case MemberStatus::Stage::kInvited:
      return "invited";
  }
  return "";
}

const char* NameOf(DiskState disk) {
  switch (disk) {
    case DiskState::kFine:
      return "fine";
    case DiskState::kSlow:
      return "slow";
    case DiskState::kFull:
      return "full";
    case DiskState::kHangs:
      return "hangs";
  }
  return "";
}

namespace {

void AppendMember(const MemberStatus& member, std::string* out) {
  Object object(out);
  object.Number("node", static_cast<uint64_t>(member.node));
  object.Text("stage", NameOf(member.stage));
  object.Flag("cordoned", member.cordoned);
  object.Number("lives_before", member.lives_before);
  object.Number("openings", member.openings);
  object.Number("feature_level_max", member.feature_level_max);
  object.Text("disk", NameOf(member.disk));
  object.Number("sync_p50_us", member.sync_p50_us);
  object.End();
}

void AppendPeer(const PeerState& peer, std::string* out) {
  Object object(out);
  object.Number("node", static_cast<uint64_t>(peer.node));
  object.Text("address", peer.address);
  object.Flag("connected", peer.connected);
  object.Flag("connected_from", peer.connected_from);
  object.Text("refusal", peer.refusal);
  object.Text("warning", peer.warning);
  object.Text("http_address", peer.http_address);
  object.Number("append_bytes_max", peer.append_bytes_max);
  object.Text("incarnation", peer.incarnation == 0 ? "" : Hex(peer.incarnation));
  object.Text("cluster_id", peer.cluster_id == 0 ? "" : Hex(peer.cluster_id));
  object.Number("feature_level_max", peer.feature_level_max);
  object.Number("protocol_version", peer.protocol_version);
  object.Number("round_trip_us", peer.round_trip_us);
  object.Number("clock_offset_ms", peer.clock_offset_ms);
  object.Number("connects", peer.connects);
  object.Number("sent_frames", peer.sent_frames);
  object.Number("sent_bytes", peer.sent_bytes);
  object.Number("received_frames", peer.received_frames);
  object.Number("received_bytes", peer.received_bytes);
  object.Number("window_stalls", peer.window_stalls);
  object.Number("bad_messages", peer.bad_messages);
  object.End();
}

}  // namespace

std::string ClusterJson(const ClusterView& view) {
  std::string out;
  Object object(&out);
  object.Number("node", static_cast<uint64_t>(view.status.node));
  object.Text("cluster_id", view.status.cluster_id == 0 ? "" : Hex(view.status.cluster_id));
  object.Text("version", view.version);
  object.Text("peer_address", view.peer_address);
  object.Text("http_address", view.http_address);
  object.Number("append_bytes_max", view.status.message_bytes_max);
  object.Flag("ready", view.ready);
  object.Name("reasons");
  AppendArray(view.reasons, AppendSentence, &out);
  object.Name("warnings");
  AppendArray(view.warnings, AppendSentence, &out);
  object.Text("opening", view.opening);
  object.Name("groups");
  AppendArray(
      view.status.groups,
      [&view](const GroupStatus& group, std::string* into) {
        AppendGroup(group, view.status, into);
      },
      &out);
  object.Name("members");
  AppendArray(view.status.members, AppendMember, &out);
  object.Number("groups_settled", view.status.groups_settled);
  object.Text("members_wait_for", view.status.members_wait_for);
  object.Text("aside", view.status.aside);
  object.Flag("rejoins", view.status.rejoins);
  object.Number("feature_level", view.status.feature_level);
  object.Number("feature_level_max", view.status.feature_level_max);
  object.Text("feature_level_waits_for", view.status.feature_level_waits_for);
  object.Name("peers");
  AppendArray(view.peers, AppendPeer, &out);
  object.End();
  out += '\n';
  return out;
}

std::string LeaderlessText(const ClusterStatus& status) {
  std::size_t count = 0;
  std::string named;
  for (const GroupStatus& group : status.groups) {
    if (static_cast<uint64_t>(group.leader) != 0) continue;
    if (++count > kNamedMax) continue;
    named += (count == 1 ? "" : ", ") + std::to_string(static_cast<uint32_t>(group.group));
  }
  if (count == 0) return {};
  return std::to_string(count) + " of " + std::to_string(status.groups.size()) +
         " groups have no leader: " + named + (count > kNamedMax ? " and more" : "");
}

std::vector<PeerState> PeersExpected(std::vector<PeerState> peers, const ClusterStatus& status) {
  if (status.members.empty()) return peers;
  std::erase_if(peers, [&status](const PeerState& peer) {
    return std::ranges::none_of(status.members, [&peer](const MemberStatus& member) {
      return member.node == peer.node && member.stage != MemberStatus::Stage::kInvited;
    });
  });
  return peers;
}

std::vector<std::string> PeerSentences(const std::vector<PeerState>& peers) {
  std::vector<std::string> sentences;
  for (const PeerState& peer : peers) {
    if (!peer.warning.empty()) sentences.push_back(peer.warning);
    if (peer.connected && peer.connected_from) continue;
    sentences.push_back(
        "node " + std::to_string(static_cast<uint64_t>(peer.node)) + " isn't connected: " +
        (peer.refusal.empty() ? "it hasn't answered yet at " + peer.address : peer.refusal));
  }
  return sentences;
}

}  // namespace ursula::admin
