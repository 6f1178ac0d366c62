#include "tests/golden/raft/tables.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "lib/base/check.h"
#include "lib/raft/tracker.h"
#include "tests/golden/raft/describe.h"

namespace ursula::raft::golden {
namespace {

struct Electorate {
  std::vector<ReplicaId> incoming;
  std::vector<ReplicaId> outgoing;
  std::vector<ReplicaId> in_order;  // Each once, as named: values are given in this order.
};

Electorate ReadElectorate(const ScriptStep& step) {
  Electorate out;
  auto read = [&step, &out](std::string_view key, std::vector<ReplicaId>* into) {
    const Argument* argument = step.Find(key);
    if (argument == nullptr) return;
    for (const std::string& value : argument->values) {
      if (value.empty() || value == "zero") continue;
      const ReplicaId node{std::strtoull(value.c_str(), nullptr, 10)};
      into->push_back(node);
      auto& order = out.in_order;
      if (std::find(order.begin(), order.end(), node) == order.end()) order.push_back(node);
    }
  };
  read("cfg", &out.incoming);
  read("cfgj", &out.outgoing);
  return out;
}

Tracker MakeTracker(const Electorate& electorate) {
  ConfState conf;
  conf.voters = electorate.incoming;
  conf.voters_outgoing = electorate.outgoing;
  if (conf.voters.empty()) conf.voters.swap(conf.voters_outgoing);  // Order doesn't matter.
  Result<Membership> membership = Membership::FromConfState(conf, {});
  URSULA_CHECK(membership.ok());
  Tracker tracker;
  tracker.Adopt(std::move(*membership));
  return tracker;
}

using Known = std::map<ReplicaId, uint64_t>;

// A bar for each voter: as long as there are voters with less.
std::string Chart(const std::vector<ReplicaId>& voters, const Known& known) {
  if (voters.empty()) return "<empty majority quorum>";
  auto index_of = [&known](ReplicaId node) { return known.contains(node) ? known.at(node) : 0; };
  std::string out = std::string(voters.size(), ' ') + "    idx\n";
  std::vector<ReplicaId> sorted = voters;
  std::sort(sorted.begin(), sorted.end());
  for (ReplicaId node : sorted) {
    std::size_t below = 0;
    std::size_t equal_before = 0;
    for (ReplicaId other : sorted) {
      if (index_of(other) < index_of(node)) ++below;
      if (index_of(other) == index_of(node) && other < node) ++equal_before;
    }
    const std::size_t bar = equal_before == 0 ? below : 0;
    std::string line = known.contains(node)
                           ? std::string(bar, 'x') + ">" + std::string(voters.size() - bar, ' ')
                           : "?" + std::string(voters.size(), ' ');
    char rest[64];
    std::snprintf(rest, sizeof(rest), " %5llu    (id=%llu)\n",
                  static_cast<unsigned long long>(index_of(node)),
                  static_cast<unsigned long long>(Raw(node)));
    out += line + rest;
  }
  return out;
}

std::string RunCommitted(const ScriptStep& step, const Electorate& electorate, Tracker tracker) {
  Known known;
  const Argument* indexes = step.Find("idx");
  for (std::size_t i = 0; indexes != nullptr && i < electorate.in_order.size(); ++i) {
    const std::string& value = indexes->values.at(i);
    if (value == "_") continue;
    known[electorate.in_order[i]] = std::strtoull(value.c_str(), nullptr, 10);
    tracker.Find(electorate.in_order[i])->match = Index{known[electorate.in_order[i]]};
  }
  const Index committed = tracker.Committed();
  return Chart(electorate.in_order, known) +
         (committed == Index{UINT64_MAX} ? "∞" : std::to_string(Raw(committed))) + "\n";
}

std::string RunVote(const ScriptStep& step, const Electorate& electorate, Tracker tracker) {
  const Argument* votes = step.Find("votes");
  for (std::size_t i = 0; votes != nullptr && i < electorate.in_order.size(); ++i) {
    const std::string& value = votes->values.at(i);
    if (value != "_") tracker.RecordVote(electorate.in_order[i], value == "y");
  }
  switch (tracker.TallyVotes()) {
    case VoteResult::kPending:
      return "VotePending\n";
    case VoteResult::kLost:
      return "VoteLost\n";
    case VoteResult::kWon:
      return "VoteWon\n";
  }
  return {};
}

std::string Join(const NodeSet& nodes) {
  std::string out;
  for (ReplicaId node : nodes) out += (out.empty() ? "" : " ") + std::to_string(Raw(node));
  return "(" + out + ")";
}

std::string DescribeMembership(const Membership& membership) {
  std::string out = "voters=" + Join(membership.incoming());
  if (membership.joint()) out += "&&" + Join(membership.outgoing());
  if (!membership.learners().empty()) out += " learners=" + Join(membership.learners());
  if (!membership.learners_next().empty()) {
    out += " learners_next=" + Join(membership.learners_next());
  }
  if (membership.auto_leave()) out += " autoleave";
  out += "\n";
  for (const auto& [node, progress] : membership.members()) {
    PeerStatus peer;
    peer.id = node;
    peer.match = progress.match;
    peer.next = progress.next;
    peer.learner = progress.learner;
    peer.recently_active = progress.recently_active;
    out += DescribePeer(peer) + "\n";
  }
  return out;
}

}  // namespace

std::string RunQuorumStep(const ScriptStep& step) {
  const Electorate electorate = ReadElectorate(step);
  Tracker tracker = MakeTracker(electorate);
  if (step.command == "committed") return RunCommitted(step, electorate, std::move(tracker));
  if (step.command == "vote") return RunVote(step, electorate, std::move(tracker));
  return "unknown command\n";
}

std::string MembershipScript::Run(const ScriptStep& step) {
  std::vector<ConfChangeStep> steps;
  for (const std::string& line : step.input) {
    if (!ParseConfChangeSteps(line, &steps)) return "not a change: " + line + "\n";
  }
  const JoinAt join{Index{steps_done_++}, 10, kUnlimited};
  Result<Membership> next = Status(StatusCode::kInternal, "unknown command");
  if (step.command == "simple") {
    next = membership_.Simple(steps, join);
  } else if (step.command == "enter-joint") {
    const Argument* auto_leave = step.Find("autoleave");
    next = membership_.EnterJoint(auto_leave != nullptr && auto_leave->flag(), steps, join);
  } else if (step.command == "leave-joint") {
    next = membership_.LeaveJoint();
  }
  if (!next.ok()) return next.status().message() + "\n";
  membership_ = std::move(*next);
  return DescribeMembership(membership_);
}

}  // namespace ursula::raft::golden
