#include "server/ctl/node_changes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

namespace ursula::ctl {
namespace {

using Kind = NodeChange::Kind;
using State = NodeChange::State;
using Stage = MemberSeen::Stage;

constexpr std::string_view kNobodyTells =
    "group 0 has no leader that answers, so nobody tells who the members are: ursulactl health "
    "says why";

std::string Number(uint64_t number) { return std::to_string(number); }
std::string Name(uint64_t node) { return "node " + Number(node); }

std::string ListOf(const std::vector<uint64_t>& nodes) {
  std::string list;
  for (uint64_t node : nodes) list += (list.empty() ? "" : ", ") + Number(node);
  return list;
}

bool IsForGood(std::string_view code) {
  constexpr std::array<std::string_view, 7> kCodes = {
      "NO_MEMBER", "TOO_MANY_NODES",  "LAST_NODE", "NO_CLUSTER",
      "IS_MEMBER", "INVALID_REQUEST", "FORBIDDEN",
  };
  return std::ranges::find(kCodes, code) != kCodes.end();
}

// The node doesn't know what was asked for: it may be of another release than the next one.
bool IsUnknown(std::string_view code) {
  return code == "NOT_FOUND" || code == "METHOD_NOT_ALLOWED" || code == "ODD_ANSWER";
}

// As the admin listener calls it.
std::string_view AskedAs(Kind kind) { return kind == Kind::kDrain ? "cordon" : NameOf(kind); }

// Who can take a request: members that are ready first, and `last`, which may be about to go, last.
std::vector<const NodeSeen*> WhoTakes(const Survey& survey, const Overview& overview,
                                      uint64_t last) {
  std::vector<const NodeSeen*> nodes;
  for (const NodeSeen& seen : survey) {
    if (!seen.view || seen.view->cluster_id != overview.cluster_id) continue;
    if (!overview.members.IsOutside(seen.node)) nodes.push_back(&seen);
  }
  std::ranges::stable_sort(nodes, {}, [last](const NodeSeen* seen) {
    return std::pair(seen->node == last, !seen->view->ready);
  });
  return nodes;
}

std::string Settled(const Overview& overview) {
  const Members& members = overview.members;
  if (!members.by_leader) {
    return "how far it is group 0's leader tells alone, which doesn't answer: name its "
           "--admin-listen address with --admin";
  }
  std::string text = Number(std::min<uint64_t>(members.groups_settled, overview.groups.size())) +
                     " of " + Number(overview.groups.size()) + " groups are done";
  if (!members.wait_for.empty()) text += ", and it waits for " + members.wait_for;
  return text;
}

const PeerSeen* FindPeer(const NodeSeen& seen, uint64_t node) {
  if (!seen.view) return nullptr;
  const auto found = std::ranges::find(seen.view->peers, node, &PeerSeen::node);
  return found == seen.view->peers.end() ? nullptr : &*found;
}

// Nodes tell what was so at their last tick, which may be before the change: such words are told
// when they are the same at two looks, one after the other. `text`: empty, if there is none at this
// one.
void TellOnceItLasts(std::string text, std::string* seen, NodeChange* change) {
  if (!text.empty() && text == *seen) change->text = text;
  *seen = std::move(text);
}

}  // namespace

std::string_view NameOf(Kind kind) {
  switch (kind) {
    case Kind::kAdd:
      return "add";
    case Kind::kRemove:
      return "remove";
    case Kind::kCordon:
      return "cordon";
    case Kind::kUncordon:
      return "uncordon";
    case Kind::kDrain:
      break;
  }
  return "drain";
}

std::vector<NodeChange> ChangesTo(uint64_t count, const Overview& overview, const Survey& survey,
                                  ErrorSeen* why) {
  const Members& members = overview.members;
  if (!members.by_leader) {
    *why = {"NO_LEADER", std::string(kNobodyTells)};
    return {};
  }
  const uint64_t now = members.CountToBe();
  if (count < now) {
    *why = {"WHICH_NODE", "the cluster has " + Number(now) +
                              " nodes, and which of them to lose is yours to say: ursulactl node "
                              "remove N, one after the other"};
    return {};
  }
  std::vector<uint64_t> added;
  for (const MemberSeen& member : members.all) {  // That they come is waited for.
    if (member.stage == Stage::kJoining || member.stage == Stage::kInvited) {
      added.push_back(member.node);
    }
  }
  const uint64_t missing = count - now;
  const std::vector<uint64_t> nodes = NodesToAdd(survey, overview.cluster_id, members);
  if (missing > 0 && nodes.size() != missing) {
    *why = {"WHICH_NODE",
            "the cluster has " + Number(now) + " nodes, so " + Number(missing) +
                (missing == 1 ? " more is" : " more are") + " to be added, and " +
                (nodes.empty() ? std::string("none waits that a member names as its peer")
                               : "those that wait are: " + ListOf(nodes)) +
                "; say which: ursulactl node add N, one after the other"};
    return {};
  }
  if (missing > 0) added.insert(added.end(), nodes.begin(), nodes.end());
  std::ranges::sort(added);
  std::vector<NodeChange> changes;
  for (uint64_t node : added) changes.push_back({.kind = Kind::kAdd, .node = node});
  return changes;
}

std::vector<NodeChange> ChangesToReplace(uint64_t from, uint64_t to, const Overview& overview,
                                         ErrorSeen* why) {
  const Members& members = overview.members;
  if (!members.by_leader) {
    *why = {"NO_LEADER", std::string(kNobodyTells)};
    return {};
  }
  const MemberSeen* const old_one = members.Find(from);
  const MemberSeen* const new_one = members.Find(to);
  const bool replaced = old_one == nullptr && new_one != nullptr;
  if (!replaced && (old_one == nullptr || old_one->stage == Stage::kInvited)) {
    *why = {"NO_MEMBER", Name(from) +
                             " is no member, so there is nothing to replace: ursulactl "
                             "status shows who is; ursulactl node add " +
                             Number(to) + " adds one"};
    return {};
  }
  std::vector<NodeChange> changes = {{.kind = Kind::kAdd, .node = to}};
  NodeChange& removal = changes.emplace_back();
  removal = {.kind = Kind::kRemove, .node = from, .after = to};
  if (replaced) removal.state = State::kWasSo;
  return changes;
}

bool NodeChanges::Round(const Deadline* end) {
  if (round_++ > 0) LookAround(&client_, &survey_, end);
  const Overview overview = Summarize(survey_);
  bool pending = false;
  const Reason* const other = OtherCluster(overview);
  for (NodeChange& change : changes_) {
    if (change.state == State::kPending && other != nullptr) {
      change.state = State::kRefused;
      change.code = "OTHER_CLUSTER";
      change.text = other->text;
    }
    if (change.state == State::kPending) Advance(overview, end, &change);
    pending = pending || change.state == State::kPending;
  }
  return pending;
}

// Nobody goes before who is to take its place is there: else a node that never comes would leave
// the cluster with one less.
bool NodeChanges::IsHeldUp(const Overview& overview, NodeChange* change) const {
  if (change->after == 0) return false;
  const auto other = std::ranges::find_if(changes_, [change](const NodeChange& one) {
    return one.node == change->after && one.kind == Kind::kAdd;
  });
  if (other != changes_.end() && other->state == State::kRefused) {
    change->state = State::kRefused;
    change->code = other->code;
    change->text = Name(change->node) + " stays: " + other->text;
    return true;
  }
  const MemberSeen* const member = overview.members.Find(change->after);
  const bool there =
      member != nullptr && (member->stage == Stage::kJoining || member->stage == Stage::kMember);
  if (there) return false;
  change->text = Name(change->node) + " stays until " + Name(change->after) + " is there";
  return true;
}

void NodeChanges::Advance(const Overview& overview, const Deadline* end, NodeChange* change) {
  Asked& asked = asked_[change->node];
  if (!asked.taken && IsHeldUp(overview, change)) return;
  if (!asked.taken) {
    if (asked.round != 0 && round_ - asked.round < kRoundsPerAsk) return;
    if (asked_any_ && Passed(end)) return;
    asked.round = round_;
    return Ask(overview, end, change);
  }
  change->code.clear();
  switch (change->kind) {
    case Kind::kAdd:
      return LookAtAdded(overview, change);
    case Kind::kRemove:
      return LookAtRemoved(overview, change);
    case Kind::kDrain:
      return LookAtDrained(overview, change);
    case Kind::kCordon:
    case Kind::kUncordon:
      break;
  }
}

// ---- asking ------------------------------------------------------------------------------------

void NodeChanges::Ask(const Overview& overview, const Deadline* end, NodeChange* change) {
  change->code = "UNREACHABLE";
  change->text = "no member of the cluster answers: ursulactl status shows which there are";
  const std::string target = "/cluster/node?node=" + Number(change->node) +
                             "&change=" + std::string(AskedAs(change->kind));
  Asked& asked = asked_[change->node];
  const bool was_there = overview.members.Find(change->node) != nullptr;
  const std::vector<const NodeSeen*> nodes = WhoTakes(survey_, overview, change->node);
  std::size_t unknown = 0;  // To how many of them.
  for (const NodeSeen* seen : nodes) {
    if (asked_any_ && Passed(end)) break;
    asked_any_ = true;
    const Result<AdminAnswer> answer = client_.Ask(seen->admin, "POST", target);
    if (TakeAnswer(*seen, answer, change)) break;
    if (IsUnknown(change->code)) ++unknown;
    asked.unsure = asked.unsure || (!answer.ok() && was_there);
  }
  if (unknown > 0 && unknown == nodes.size()) change->state = State::kRefused;
  const bool waits = change->kind != Kind::kCordon && change->kind != Kind::kUncordon;
  if (!asked.taken || waits) return;
  change->state = asked.was_so ? State::kWasSo : State::kDone;
}

// False: another node is to be asked.
bool NodeChanges::TakeAnswer(const NodeSeen& seen, const Result<AdminAnswer>& answer,
                             NodeChange* change) {
  if (!answer.ok()) {
    change->code = "UNREACHABLE";
    change->text = answer.status().message();
    return false;
  }
  Asked& asked = asked_[change->node];
  const std::optional<std::string> outcome =
      answer->status == 200 ? ParseOutcome(answer->body) : std::nullopt;
  if (outcome == "accepted" || outcome == "is_so") {
    asked.taken = true;
    asked.taker = seen.node;
    asked.was_so = outcome == "is_so" && !asked.unsure;
    change->code.clear();
    change->text.clear();
    return true;
  }
  const std::optional<ErrorSeen> error = ParseError(answer->body);
  if (error) {
    TakeError(*error, change);
    if (asked.taken) asked.taker = seen.node;
    return answer->status != 503 && !IsUnknown(error->code);
  }
  asked.unsure = asked.unsure || answer->status == 200;  // It may have done something.
  change->code = "ODD_ANSWER";
  change->text = Name(seen.node) + " answered " + Number(answer->status) +
                 (outcome ? ", " + *outcome : "") +
                 ": is it of another release? Update the older one, ursulactl included";
  return false;
}

void NodeChanges::TakeError(const ErrorSeen& error, NodeChange* change) {
  Asked& asked = asked_[change->node];
  change->code = error.code;
  change->text = error.message;
  if (error.code == "OUTCOME_UNKNOWN") asked.unsure = true;
  if (change->kind == Kind::kAdd && error.code == "IS_MEMBER") {
    asked.taken = true;
    asked.was_so = !asked.unsure;
    return;
  }
  if (change->kind == Kind::kRemove && error.code == "NO_MEMBER" && asked.unsure) {
    asked.taken = true;
    return;
  }
  if (IsForGood(error.code)) change->state = State::kRefused;
}

// ---- looking -----------------------------------------------------------------------------------

// Group 0's leader is often out of an operator's reach, and isn't needed for the stages: they come
// from applied state, which goes one way. Who took the change had applied all that came before it,
// so neither it nor one that has applied more can take a former membership for the end of this
// change. How many groups are done, and whom they wait for, the leader alone knows.
bool NodeChanges::StagesCount(const Overview& overview, const Asked& asked) const {
  if (overview.members.by_leader) return true;
  const auto taker = std::ranges::find(survey_, asked.taker, &NodeSeen::node);
  return taker != survey_.end() && taker->view && taker->view->ready &&
         taker->view->cluster_id == overview.cluster_id && !overview.members.all.empty();
}

void NodeChanges::LookAtAdded(const Overview& overview, NodeChange* change) {
  const uint64_t node = change->node;
  Asked& asked = asked_[node];
  const MemberSeen* const member = overview.members.Find(node);
  std::string passing;
  if (!StagesCount(overview, asked)) {
    change->text = kNobodyTells;
  } else if (member == nullptr) {
    passing = Name(node) + " isn't among the members: was it removed meanwhile?";
  } else if (member->stage == Stage::kMember) {
    change->state = asked.was_so ? State::kWasSo : State::kDone;
  } else if (member->stage == Stage::kInvited) {
    passing = WaitsToJoin(overview, node);
  } else if (member->stage == Stage::kJoining) {
    change->text = Joins(overview, node);
  } else {
    change->text = Name(node) + " is " + std::string(NameOf(member->stage)) +
                   ": another change came in between";
  }
  TellOnceItLasts(std::move(passing), &asked.seen, change);
  asked.was_so = asked.was_so && change->state != State::kPending;
}

void NodeChanges::LookAtRemoved(const Overview& overview, NodeChange* change) {
  const MemberSeen* const member = overview.members.Find(change->node);
  Asked& asked = asked_[change->node];
  std::string passing;
  if (!StagesCount(overview, asked)) {
    change->text = kNobodyTells;
  } else if (member == nullptr) {
    change->state = State::kDone;
  } else if (member->stage == Stage::kLeaving) {
    change->text = Name(change->node) + " is leaving: " + Settled(overview);
  } else {
    passing = Name(change->node) + " is to leave, and hasn't begun to";
  }
  TellOnceItLasts(std::move(passing), &asked.seen, change);
}

void NodeChanges::LookAtDrained(const Overview& overview, NodeChange* change) {
  const uint64_t node = change->node;
  const std::string total = " of " + Number(overview.groups.size()) + " groups";
  const auto led = std::ranges::count(overview.groups, node, &GroupRow::leader);
  const auto leaderless = std::ranges::count(overview.groups, uint64_t{0}, &GroupRow::leader);
  Asked& asked = asked_[node];
  if (overview.groups.empty()) {
    change->text = "no node that answers tells who leads";
  } else if (led > 0) {
    change->text =
        Name(node) + " leads " + std::to_string(led) + total + WhyNobodyTakesOver(overview, node);
  } else if (leaderless > 0) {
    change->text = Name(node) + " leads none, and " + std::to_string(leaderless) + total +
                   " have no leader at all";
  } else {
    change->state = asked.was_so ? State::kWasSo : State::kDone;
  }
  asked.was_so = asked.was_so && change->state != State::kPending;
}

std::string NodeChanges::WhyNobodyTakesOver(const Overview& overview, uint64_t node) const {
  std::string why;
  bool cordoned = false;
  for (const MemberSeen& member : overview.members.all) {
    if (member.node == node) continue;
    const auto seen = std::ranges::find(survey_, member.node, &NodeSeen::node);
    const auto row = overview.nodes.find(member.node);
    std::string reason;
    if (member.stage != MemberSeen::Stage::kMember) {
      reason = "is " + std::string(NameOf(member.stage));
    } else if (member.cordoned) {
      reason = "is cordoned";
      cordoned = true;
    } else if (seen == survey_.end() || !seen->view) {
      reason = "doesn't answer";
    } else if (!seen->view->ready) {
      reason = "isn't ready";
      if (!seen->view->reasons.empty()) reason += " (" + seen->view->reasons.front() + ")";
    } else if (row != overview.nodes.end() && row->second.groups_behind > 0) {
      reason = "is behind in " + Number(row->second.groups_behind) + " groups";
    } else {
      return "";
    }
    why += (why.empty() ? "" : ", ") + Name(member.node) + " " + reason;
  }
  if (overview.members.all.size() == 1) return "; there is no other node to lead them";
  if (why.empty()) return "";
  return "; nobody can take over: " + why +
         (cordoned ? " (ursulactl node uncordon N lets one lead)" : "");
}

std::string NodeChanges::WaitsToJoin(const Overview& overview, uint64_t node) const {
  constexpr std::string_view kStart = "start it with an empty directory and this cluster's --peers";
  const std::string there =
      Name(node) + " is there, and waits to be taken in: its log says for what";
  bool named = false;
  std::string refusal;
  const auto own = std::ranges::find(survey_, node, &NodeSeen::node);
  if (own != survey_.end() && own->view) {
    if (!own->view->opening.empty()) return there;
    return Name(node) + " may join, and runs with a directory of before: stop it, and " +
           std::string(kStart);
  }
  for (const NodeSeen& seen : survey_) {
    const PeerSeen* const peer = FindPeer(seen, node);
    if (peer == nullptr || overview.members.IsOutside(seen.node)) continue;
    if (peer->connected) return there;
    named = true;
    if (refusal.empty() && !peer->refusal.empty()) {
      refusal = " (" + Name(seen.node) + ": " + peer->refusal + ")";
    }
  }
  if (!named) {
    return Name(node) +
           " may join, and no member knows where it is: name it in their --peers, and start them "
           "again, one after the other (--peers names 1, 3 or 5 nodes, 1 to n without a gap)";
  }
  return Name(node) + " may join, and isn't there yet: " + std::string(kStart) + refusal;
}

// Where nobody is waited for, an even number of voters is what keeps it from becoming one.
std::string NodeChanges::Joins(const Overview& overview, uint64_t node) const {
  const Members& members = overview.members;
  const auto voters = std::ranges::count_if(members.all, [](const MemberSeen& member) {
    return member.stage == Stage::kMember || member.stage == Stage::kJoining;
  });
  const std::string joining = Name(node) + " is joining: " + Settled(overview);
  if (voters % 2 == 1 || !members.by_leader || !members.wait_for.empty()) return joining;
  const auto invited = std::ranges::find(members.all, Stage::kInvited, &MemberSeen::stage);
  std::string next;
  if (invited != members.all.end()) {
    next = "start " + Name(invited->node) + ", which may join";
  } else {
    const std::vector<uint64_t> others = NodesToAdd(survey_, overview.cluster_id, members);
    next = "ursulactl node add " + (others.empty() ? "N" : Number(others.front()));
  }
  return joining +
         "; an even number of voters survives no more failures than the odd one below it: it "
         "holds everything and votes once there is another one; " +
         next;
}

void NodeChanges::GiveUp() {
  for (NodeChange& change : changes_) {
    if (change.state != State::kPending) continue;
    change.state = State::kLate;
    const Asked& asked = asked_[change.node];
    if (asked.round == 0 && change.after != 0 && !change.text.empty()) {
      change.code = "LATE";
      change.text += "; nothing was asked of it yet: the same command goes on from here";
    } else if (asked.round == 0) {
      change.code = "LATE";
      change.text = "there was no time to ask for it: give it more with --wait-ms";
    }
    if (!asked.taken) continue;  // A refusal, which has its code.
    change.code = "LATE";
    if (change.text.empty()) change.text = "the cluster has taken it, and hasn't told more yet";
    change.text += "; it goes on: see ursulactl status, or ask again";
  }
}

}  // namespace ursula::ctl
