#include "server/ctl/recovery.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <utility>

#include "server/config/values.h"
#include "server/ctl/json_text.h"
#include "server/protocol/text.h"

namespace ursula::ctl {
namespace {

// So that no election that goes on meanwhile reaches the plan's term.
constexpr uint64_t kTermsAhead = 1000;
// The first leader needs all of them, which it doesn't of more.
constexpr std::size_t kSurvivorsMax = 4;

std::string Number(uint64_t number) { return std::to_string(number); }
std::string Name(uint64_t node) { return "node " + Number(node); }

bool Contains(const std::vector<uint64_t>& nodes, uint64_t node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

std::string List(const std::vector<uint64_t>& nodes) {
  std::string text;
  for (uint64_t node : nodes) text += (text.empty() ? "" : ", ") + Number(node);
  return (nodes.size() == 1 ? "node " : "nodes ") + text;
}

std::string Value(const std::string& plan, std::string_view name) {
  const protocol::Query query(plan);
  std::string value;
  return query.Find(name, &value) == protocol::Query::Presence::kOnce ? value : "";
}

// "1-a1b2-0,3-…" or "2,3": the nodes.
std::vector<uint64_t> NodesIn(const std::string& list) {
  std::vector<uint64_t> nodes;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string part = list.substr(at, end - at);
    nodes.push_back(protocol::ParseDigits(part.substr(0, part.find('-')), UINT64_MAX).value_or(0));
    at = end + 1;
  }
  return nodes;
}

std::vector<uint64_t> NodesOf(const std::vector<Recovery::Survivor>& survivors) {
  std::vector<uint64_t> nodes;
  for (const Recovery::Survivor& survivor : survivors) nodes.push_back(survivor.view.node);
  return nodes;
}

bool HasMajority(const std::vector<uint64_t>& survivors, const std::vector<uint64_t>& voters) {
  const auto here = std::ranges::count_if(
      voters, [&survivors](uint64_t voter) { return Contains(survivors, voter); });
  return voters.empty() || 2 * static_cast<std::size_t>(here) > voters.size();
}

// It says of everybody here, and all whom it counts on are here or lost since.
bool IsOfThese(const std::string& plan, const std::vector<uint64_t>& here,
               const std::vector<uint64_t>& lost) {
  const std::vector<uint64_t> survivors = NodesIn(Value(plan, "survivors"));
  return std::ranges::all_of(here, [&](uint64_t node) { return Contains(survivors, node); }) &&
         std::ranges::all_of(
             survivors,
             [&](uint64_t node) { return Contains(here, node) || Contains(lost, node); }) &&
         std::ranges::all_of(NodesIn(Value(plan, "lost")),
                             [&](uint64_t node) { return Contains(lost, node); });
}

}  // namespace

bool Recovery::Refuse(std::string code, std::string message) {
  problem_ = {std::move(code), std::move(message)};
  return false;
}

bool Recovery::Look(const Survey& survey) {
  for (const NodeSeen& seen : survey) {
    const bool answers = seen.view || seen.code != StatusCode::kUnavailable;
    if (!answers || !Contains(lost_, seen.node)) continue;
    return Refuse("NODE_IS_THERE",
                  Name(seen.node) + " is called lost, and answers at " +
                      server::FormatHostPort(seen.admin) +
                      ": what is there may be what the cluster lacks; only stopped, and for good, "
                      "it is lost");
  }
  if (!AskSurvivors(survey) || !Covers()) return false;
  return TakePlan() || (problem_.code.empty() && MakePlan());
}

bool Recovery::AskSurvivors(const Survey& survey) {
  for (const NodeSeen& seen : survey) {
    if (!seen.view) continue;
    const Result<AdminAnswer> answer = client_.Ask(seen.admin, "GET", "/cluster/recovery");
    if (!answer.ok()) return Refuse("UNREACHABLE", answer.status().message());
    std::optional<RecoveryView> view;
    if (answer->status == 200) view = ParseRecoveryView(answer->body);
    if (!view || view->node != seen.node) {
      const std::optional<ErrorSeen> error = ParseError(answer->body);
      return Refuse(error ? error->code : "ODD_ANSWER",
                    Name(seen.node) + " at " + server::FormatHostPort(seen.admin) +
                        " doesn't say what it has: " +
                        (error ? error->message : "is it of another release?"));
    }
    survivors_.push_back({.admin = seen.admin, .view = std::move(*view)});
  }
  if (survivors_.empty()) return Refuse("UNREACHABLE", "none of the nodes answers");
  std::ranges::sort(survivors_, {}, [](const Survivor& one) { return one.view.node; });
  const auto twice =
      std::ranges::adjacent_find(survivors_, {}, [](const Survivor& one) { return one.view.node; });
  if (twice == survivors_.end()) return true;
  return Refuse("TWO_NODES", "there are two of " + Name(twice->view.node) + ": stop the wrong one");
}

// Everybody who is a member answers, or is lost.
bool Recovery::Covers() {
  std::set<uint64_t> members;
  for (const Survivor& survivor : survivors_) {
    members.insert(survivor.view.members.begin(), survivor.view.members.end());
    const std::vector<uint64_t> planned = NodesIn(Value(survivor.view.plan, "survivors"));
    if (survivor.view.stored) members.insert(planned.begin(), planned.end());
  }
  const std::vector<uint64_t> here = NodesOf(survivors_);
  for (uint64_t member : members) {
    if (Contains(here, member) || Contains(lost_, member)) continue;
    return Refuse("UNREACHABLE", Name(member) +
                                     " is a member and doesn't answer: start it, or name its "
                                     "admin listener with --admin; if it is gone for ever, "
                                     "with --lost");
  }
  for (uint64_t node : here) {
    if (members.contains(node)) continue;
    return Refuse("NO_MEMBER", Name(node) + " answers, and is no member: stop it");
  }
  return true;
}

// One to go on with: who goes by a plan has no way back from it, what is only stored is left for
// another where it isn't of the same nodes.
std::string Recovery::PlanThere() const {
  const std::vector<uint64_t> here = NodesOf(survivors_);
  std::string stored;
  for (const Survivor& survivor : survivors_) {
    const std::string& plan = survivor.view.plan;
    if (plan.empty() || !IsOfThese(plan, here, lost_)) continue;
    if (!survivor.view.stored) return plan;
    const bool same =
        NodesIn(Value(plan, "survivors")) == here && NodesIn(Value(plan, "lost")) == lost_;
    if (same) stored = plan;
  }
  return stored;
}

bool Recovery::TakePlan() {
  const std::string plan = PlanThere();
  if (plan.empty()) return false;
  for (Survivor& survivor : survivors_) {
    survivor.planned = survivor.view.plan == plan;
    survivor.restarted = survivor.planned && !survivor.view.stored;
  }
  const bool over =
      std::ranges::all_of(survivors_, [](const Survivor& one) { return one.restarted; });
  if (over && IsNeeded()) {  // Once more.
    for (Survivor& survivor : survivors_) survivor.planned = survivor.restarted = false;
    return false;
  }
  plan_ = plan;
  before_ = Value(plan_, "before");
  cluster_ = Value(plan_, "cluster");
  again_ = NodesIn(Value(plan_, "survivors")) != NodesOf(survivors_);
  if (over) {
    return Refuse("NOT_NEEDED", "this recovery has been done: the nodes are of cluster " +
                                    cluster_ + "; ursulactl health says how they are");
  }
  for (const Survivor& survivor : survivors_) {
    if (survivor.planned || survivor.view.cluster_id == before_) continue;
    return Refuse("OTHER_CLUSTER", Name(survivor.view.node) + " is of cluster " +
                                       survivor.view.cluster_id + ", the recovery that was begun " +
                                       "of " + before_);
  }
  return IsOfBefore();
}

// Where somebody leads in the plan's cluster all had gone by it: who doesn't any more has forgotten
// what it promised there.
bool Recovery::IsOfBefore() {
  const uint64_t term = protocol::ParseDigits(Value(plan_, "term"), UINT64_MAX).value_or(0);
  const bool led = std::ranges::any_of(survivors_, [term](const Survivor& one) {
    return one.restarted &&
           std::ranges::any_of(one.view.groups, [term](const RecoveryGroupSeen& group) {
             return group.last_term > term;
           });
  });
  for (const Survivor& survivor : survivors_) {
    if (!led || survivor.restarted) continue;
    return Refuse("PUT_BACK", Name(survivor.view.node) +
                                  " has an older copy of its directory: it went through this "
                                  "recovery with the others; start it with an empty directory");
  }
  return true;
}

// Who holds a plan takes part in nothing any more.
bool Recovery::IsNeeded() const {
  std::vector<uint64_t> here;
  for (const Survivor& survivor : survivors_) {
    if (!survivor.view.stored) here.push_back(survivor.view.node);
  }
  for (std::size_t i = 0; i < survivors_.front().view.groups.size(); ++i) {
    const RecoveryGroupSeen* newest = nullptr;
    for (const Survivor& survivor : survivors_) {
      if (i >= survivor.view.groups.size()) continue;
      const RecoveryGroupSeen& one = survivor.view.groups[i];
      const bool newer = newest == nullptr || std::pair(one.last_term, one.last_index) >
                                                  std::pair(newest->last_term, newest->last_index);
      if (newer) newest = &one;
    }
    if (!HasMajority(here, newest->voters) || !HasMajority(here, newest->voters_outgoing)) {
      return true;
    }
  }
  return false;
}

bool Recovery::MakePlan() {
  const RecoveryView& first = survivors_.front().view;
  before_ = first.cluster_id;
  uint64_t number = 0;
  uint64_t term = 0;
  std::string named;
  for (const Survivor& survivor : survivors_) {
    const RecoveryView& view = survivor.view;
    if (view.cluster_id != before_ || view.groups.size() != first.groups.size()) {
      return Refuse("OTHER_CLUSTER", Name(view.node) + " is of cluster " + view.cluster_id +
                                         ", node " + Number(first.node) + " of " + before_);
    }
    number = std::max(number, view.number);
    for (const RecoveryGroupSeen& group : view.groups) term = std::max(term, group.term);
    named += (named.empty() ? "" : ",") + Number(view.node) + "-" + view.directory + "-" +
             Number(view.lives_before + 1);
  }
  if (!IsNeeded()) {
    std::string out;
    for (const Survivor& survivor : survivors_) {
      if (survivor.view.stored) {
        out += "; " + Name(survivor.view.node) +
               " holds a plan, which takes it from them: start it with an empty directory";
      }
    }
    return Refuse("NOT_NEEDED",
                  "the nodes that are there have a majority of every group, and need no recovery; "
                  "ursulactl health says what is wrong" +
                      out);
  }
  if (survivors_.size() > kSurvivorsMax) {
    return Refuse("TOO_MANY",
                  "a recovery is of four survivors at most: stop the one whose logs are the "
                  "shortest, for good, and name it with --lost");
  }
  std::string lost;
  for (uint64_t node : lost_) lost += (lost.empty() ? "" : ",") + Number(node);
  cluster_ = draw_();
  plan_ = "number=" + Number(number + 1) + "&before=" + before_ + "&cluster=" + cluster_ +
          "&history=" + draw_() + "&term=" + Number(term + kTermsAhead) + "&survivors=" + named +
          "&lost=" + lost;
  return true;
}

bool Recovery::Carry() {
  for (Survivor& survivor : survivors_) {
    if (survivor.planned) continue;
    const Result<AdminAnswer> answer =
        client_.Ask(survivor.admin, "POST", "/cluster/recover?" + plan_);
    if (!answer.ok()) return Refuse("UNREACHABLE", answer.status().message());
    if (answer->status != 200 || !ParseOutcome(answer->body)) {
      const std::optional<ErrorSeen> error = ParseError(answer->body);
      return Refuse(error ? error->code : "ODD_ANSWER",
                    Name(survivor.view.node) + " doesn't take the plan: " +
                        (error ? error->message : "is it of another release?"));
    }
    survivor.planned = true;
  }
  return true;
}

// ---- what is printed ---------------------------------------------------------------------------

std::string RecoveryText(const Recovery& recovery, bool carried) {
  std::vector<uint64_t> nodes = NodesOf(recovery.survivors());
  std::string text = "cluster " + recovery.cluster_before() + ": " + List(recovery.lost()) +
                     " lost, " + List(nodes) + " left\n\n";
  if (!carried) {
    text += "GROUP  NODE  LAST TERM  LAST INDEX  COMMITTED  LACKS BYTES\n";
    for (std::size_t i = 0; i < recovery.survivors().front().view.groups.size(); ++i) {
      for (const Recovery::Survivor& survivor : recovery.survivors()) {
        if (i >= survivor.view.groups.size()) continue;
        const RecoveryGroupSeen& group = survivor.view.groups[i];
        for (const auto& [number, width] : {std::pair<uint64_t, std::size_t>{group.group, 7},
                                            {survivor.view.node, 6},
                                            {group.last_term, 11},
                                            {group.last_index, 12},
                                            {group.commit, 11}}) {
          std::string cell = Number(number);
          cell.resize(std::max(cell.size() + 1, width), ' ');
          text += cell;
        }
        text += Number(group.lacking_bytes) + "\n";
      }
    }
    text +=
        "\nEach group would go on from the longest of these logs. What was acknowledged and is in "
        "none of them\nis lost; nobody can say whether there is any. Bytes that the node with that "
        "log lacks, and no other has,\nare lost too: reads of them end with DATA_LOSS.\n"
        "Nothing has been changed. To go on: the same command with --yes-data-may-be-lost. The "
        "lost nodes'\ndirectories must never be started again.\n";
    return text;
  }
  std::vector<uint64_t> restart;
  for (const Recovery::Survivor& survivor : recovery.survivors()) {
    if (!survivor.restarted) restart.push_back(survivor.view.node);
  }
  text += "All of them hold the plan. Restart " + List(restart) + " now; then they are cluster " +
          recovery.cluster_id() + ": where\ncluster-id is configured, put that in its place. ";
  if (recovery.again()) {
    return text +
           "The plan counts on nodes that are lost now:\nonce they are restarted, recover again, "
           "with the same nodes lost.\n";
  }
  return text +
         "Then the lost nodes' places can be filled: start each with\nan empty directory, and "
         "ursulactl replicas 3, or node add.\n";
}

std::string RecoveryReportJson(const Recovery& recovery, bool carried) {
  JsonWriter out;
  out.Begin('{').Name("cluster_before").Text(recovery.cluster_before());
  out.Name("cluster_id").Text(recovery.cluster_id()).Name("stored").Flag(carried);
  out.Name("lost").Begin('[');
  for (uint64_t node : recovery.lost()) out.Number(node);
  out.End(']').Name("survivors").Begin('[');
  for (const Recovery::Survivor& survivor : recovery.survivors()) {
    out.Begin('{').Name("node").Number(survivor.view.node);
    out.Name("planned").Flag(survivor.planned).Name("restarted").Flag(survivor.restarted);
    out.Name("groups").Begin('[');
    for (const RecoveryGroupSeen& group : survivor.view.groups) {
      out.Begin('{').Name("group").Number(group.group).Name("last_term").Number(group.last_term);
      out.Name("last_index").Number(group.last_index).Name("commit").Number(group.commit);
      out.Name("lacking_bytes").Number(group.lacking_bytes).End('}');
    }
    out.End(']').End('}');
  }
  out.End(']').End('}');
  return out.Take();
}

}  // namespace ursula::ctl
