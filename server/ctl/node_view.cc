#include "server/ctl/node_view.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "server/ctl/admin_client.h"

namespace ursula::ctl {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

// Of an object's members; false, once one of them isn't what it is to be.
class Members {
 public:
  explicit Members(object members) : members_(members) {}

  bool ok() const { return ok_; }

  template <class Integer>
  void Number(std::string_view name, uint64_t max, Integer* into) {
    uint64_t value = 0;
    if (!Find(name)) return;
    ok_ = found_.get(value) == simdjson::SUCCESS && value <= max && ok_;
    if (ok_) *into = static_cast<Integer>(value);
  }
  void Flag(std::string_view name, bool* into) {
    if (Find(name)) ok_ = found_.get(*into) == simdjson::SUCCESS && ok_;
  }
  void Text(std::string_view name, std::string* into) {
    if (Find(name)) ok_ = Take(found_, into) && ok_;
  }
  void Sentences(std::string_view name, std::vector<std::string>* into) {
    Each(name, kSentencesMax, [into](element one) { return Take(one, &into->emplace_back()); });
  }
  // `take(element)`: false, if it isn't what it is to be.
  template <class Take>
  void Each(std::string_view name, std::size_t count_max, Take take) {
    if (!Find(name)) return;
    array all;
    ok_ = found_.get(all) == simdjson::SUCCESS && ok_;
    if (!ok_) return;
    std::size_t count = 0;
    for (element one : all) {
      ok_ = ok_ && ++count <= count_max && take(one);
      if (!ok_) return;
    }
  }

 private:
  bool Find(std::string_view name) {
    return members_.at_key({name.data(), name.size()}).get(found_) == simdjson::SUCCESS;
  }
  static bool Take(element from, std::string* into) {
    std::string_view text;
    if (from.get(text) != simdjson::SUCCESS) return false;
    *into = CleanText(text);
    return true;
  }

  object members_;
  element found_;
  bool ok_ = true;
};

class Document {
 public:
  explicit Document(std::string_view json) {
    if (json.empty()) return;  // simdjson would copy from nowhere.
    ok_ = parser_.parse(json.data(), json.size()).get(root_) == simdjson::SUCCESS;
  }
  bool ok() const { return ok_; }
  object root() const { return root_; }

 private:
  simdjson::dom::parser parser_;
  object root_;
  bool ok_ = false;
};

bool TakeTrouble(element from, TroubleSeen* trouble) {
  object members;
  if (from.get(members) != simdjson::SUCCESS) return false;
  Members all(members);
  all.Number("node", UINT64_MAX, &trouble->node);
  all.Text("reason", &trouble->reason);
  return all.ok() && trouble->node != 0;
}

bool TakeGroup(element from, GroupSeen* group) {
  object members;
  if (from.get(members) != simdjson::SUCCESS) return false;
  Members all(members);
  all.Number("group", kGroupsMax - 1, &group->group);
  all.Number("leader", UINT64_MAX, &group->leader);
  all.Number("term", UINT64_MAX, &group->term);
  all.Number("applied", UINT64_MAX, &group->applied);
  all.Number("voters_missing", kMembersMax, &group->voters_missing);
  all.Each("troubles", kMembersMax,
           [&](element one) { return TakeTrouble(one, &group->troubles.emplace_back()); });
  return all.ok();
}

using Stage = MemberSeen::Stage;

constexpr std::array<std::pair<std::string_view, Stage>, 4> kStages = {{
    {"member", Stage::kMember},
    {"joining", Stage::kJoining},
    {"leaving", Stage::kLeaving},
    {"invited", Stage::kInvited},
}};

Stage StageOf(std::string_view of_name) {
  for (const auto& [name, stage] : kStages) {
    if (name == of_name) return stage;
  }
  return Stage::kOther;
}

bool TakeMember(element from, MemberSeen* member) {
  object members;
  if (from.get(members) != simdjson::SUCCESS) return false;
  std::string stage;
  Members all(members);
  all.Number("node", UINT64_MAX, &member->node);
  all.Text("stage", &stage);
  all.Flag("cordoned", &member->cordoned);
  member->stage = StageOf(stage);
  return all.ok() && member->node != 0;
}

bool TakePeer(element from, PeerSeen* peer) {
  object members;
  if (from.get(members) != simdjson::SUCCESS) return false;
  bool to = false;
  bool back = false;
  Members all(members);
  all.Number("node", UINT64_MAX, &peer->node);
  all.Text("address", &peer->address);
  all.Text("http_address", &peer->http_address);
  all.Flag("connected", &to);
  all.Flag("connected_from", &back);
  all.Text("refusal", &peer->refusal);
  peer->connected = to && back;
  return all.ok() && peer->node != 0;
}

bool TakeNode(element from, std::vector<uint64_t>* nodes) {
  return from.get(nodes->emplace_back()) == simdjson::SUCCESS && nodes->back() != 0;
}

bool TakeRecoveryGroup(element from, RecoveryGroupSeen* group) {
  object members;
  if (from.get(members) != simdjson::SUCCESS) return false;
  Members all(members);
  all.Number("group", kGroupsMax - 1, &group->group);
  all.Number("term", UINT64_MAX, &group->term);
  all.Number("last_term", UINT64_MAX, &group->last_term);
  all.Number("last_index", UINT64_MAX, &group->last_index);
  all.Number("commit", UINT64_MAX, &group->commit);
  all.Number("lacking_bytes", UINT64_MAX, &group->lacking_bytes);
  all.Each("voters", kMembersMax, [&](element one) { return TakeNode(one, &group->voters); });
  all.Each("voters_outgoing", kMembersMax,
           [&](element one) { return TakeNode(one, &group->voters_outgoing); });
  return all.ok();
}

}  // namespace

std::string_view NameOf(Stage of_stage) {
  for (const auto& [name, stage] : kStages) {
    if (stage == of_stage) return name;
  }
  return "unknown";
}

std::optional<NodeView> ParseNodeView(std::string_view json) {
  const Document document(json);
  if (!document.ok()) return std::nullopt;
  NodeView view;
  // What has none of these isn't a node's word on its cluster.
  element has;
  for (const char* name : {"node", "groups", "peers"}) {
    if (document.root().at_key(name).get(has) != simdjson::SUCCESS) return std::nullopt;
  }
  Members all(document.root());
  all.Number("node", UINT64_MAX, &view.node);
  all.Text("cluster_id", &view.cluster_id);
  all.Text("version", &view.version);
  all.Text("peer_address", &view.peer_address);
  all.Text("http_address", &view.http_address);
  all.Text("opening", &view.opening);
  all.Flag("ready", &view.ready);
  all.Sentences("reasons", &view.reasons);
  all.Sentences("warnings", &view.warnings);
  all.Each("groups", kGroupsMax,
           [&](element one) { return TakeGroup(one, &view.groups.emplace_back()); });
  all.Each("members", kMembersMax,
           [&](element one) { return TakeMember(one, &view.members.emplace_back()); });
  all.Number("groups_settled", UINT64_MAX, &view.groups_settled);
  all.Text("members_wait_for", &view.members_wait_for);
  all.Number("feature_level", UINT32_MAX, &view.feature_level);
  all.Number("feature_level_max", UINT32_MAX, &view.feature_level_max);
  all.Text("feature_level_waits_for", &view.feature_level_waits_for);
  all.Each("peers", kPeersMax,
           [&](element one) { return TakePeer(one, &view.peers.emplace_back()); });
  if (!all.ok()) return std::nullopt;
  std::ranges::sort(view.groups, {}, &GroupSeen::group);
  const auto twice = std::ranges::adjacent_find(view.groups, {}, &GroupSeen::group);
  if (twice != view.groups.end()) return std::nullopt;
  std::ranges::sort(view.members, {}, &MemberSeen::node);
  const auto again = std::ranges::adjacent_find(view.members, {}, &MemberSeen::node);
  if (again != view.members.end()) return std::nullopt;
  return view;
}

std::optional<RecoveryView> ParseRecoveryView(std::string_view json) {
  const Document document(json);
  if (!document.ok()) return std::nullopt;
  RecoveryView view;
  Members all(document.root());
  all.Number("node", UINT64_MAX, &view.node);
  all.Text("cluster_id", &view.cluster_id);
  all.Text("directory", &view.directory);
  all.Number("lives_before", UINT64_MAX, &view.lives_before);
  all.Number("number", UINT64_MAX, &view.number);
  all.Flag("stored", &view.stored);
  all.Text("plan", &view.plan);
  all.Each("members", kMembersMax, [&](element one) { return TakeNode(one, &view.members); });
  all.Each("groups", kGroupsMax,
           [&](element one) { return TakeRecoveryGroup(one, &view.groups.emplace_back()); });
  const bool named = view.node != 0 && !view.cluster_id.empty() && !view.directory.empty();
  if (!all.ok() || !named || view.groups.empty()) return std::nullopt;
  std::ranges::sort(view.groups, {}, &RecoveryGroupSeen::group);
  const auto twice = std::ranges::adjacent_find(view.groups, {}, &RecoveryGroupSeen::group);
  if (twice != view.groups.end()) return std::nullopt;
  return view;
}

std::optional<ErrorSeen> ParseError(std::string_view json) {
  const Document document(json);
  object error;
  if (!document.ok() || document.root().at_key("error").get(error) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  ErrorSeen seen;
  Members all(error);
  all.Text("code", &seen.code);
  all.Text("message", &seen.message);
  if (!all.ok() || seen.code.empty()) return std::nullopt;
  return seen;
}

std::optional<std::string> ParseOutcome(std::string_view json) {
  const Document document(json);
  if (!document.ok()) return std::nullopt;
  std::string outcome;
  Members all(document.root());
  all.Text("outcome", &outcome);
  if (!all.ok() || outcome.empty()) return std::nullopt;
  return outcome;
}

std::optional<int64_t> ParseMoved(std::string_view json) {
  const Document document(json);
  int64_t moved_ms = 0;
  if (!document.ok() || document.root().at_key("moved_ms").get(moved_ms) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  return moved_ms;
}

}  // namespace ursula::ctl
