#include "lib/meta/founding.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/hex.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"

namespace ursula::meta {
namespace {

// How long a node that can't found waits to hear who the others are, so as to name them.
constexpr uint64_t kAloneTicks = 50;

std::string Number(uint64_t value) { return std::to_string(value); }
std::string Name(NodeId node) { return "node " + Number(Raw(node)); }

std::string ListOf(const std::vector<NodeId>& nodes) {
  std::string names;
  for (NodeId node : nodes) {
    if (!names.empty()) names += ", ";
    names += Number(Raw(node));
  }
  return names;
}

std::vector<NodeId> NodesOf(const FoundingPlan& plan) {
  std::vector<NodeId> nodes;
  for (const Founder& founder : plan.founders) nodes.push_back(founder.node);
  return nodes;
}

const FoundingHeard* FindHeard(const FoundingHello& hello, NodeId node) {
  for (const FoundingHeard& heard : hello.heard) {
    if (heard.from.node == node) return &heard;
  }
  return nullptr;
}

// The first limit that isn't alike: its name.
std::string OtherLimit(const std::vector<FoundingLimit>& a, const std::vector<FoundingLimit>& b) {
  const std::size_t count = std::max(a.size(), b.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (i >= a.size()) return b[i].name;
    if (i >= b.size() || a[i] != b[i]) return a[i].name;
  }
  return {};
}

}  // namespace

bool FoundingPlan::Names(const Founder& founder) const {
  return std::find(founders.begin(), founders.end(), founder) != founders.end();
}

bool FoundingPlan::Names(NodeId node) const {
  return std::any_of(founders.begin(), founders.end(),
                     [node](const Founder& founder) { return founder.node == node; });
}

FoundingHello AnswerTo(const FoundingHello& hello, const FoundingNode& self,
                       const FoundingRecord& record, const FoundingWish& wish) {
  return {.from = self,
          .number = 0,
          .record = record,
          .wish = wish,
          .heard = {{.from = hello.from, .number = hello.number}}};
}

Founding::Founding(FoundingOptions options)
    : options_(std::move(options)),
      self_{options_.self.node, options_.self.directory},
      random_(options_.seed),
      record_(options_.record) {
  for (NodeId node : options_.wish.founders) {
    if (node == self_.node) continue;
    peer_ids_.push_back(node);
    peers_[node];
  }
  CheckOptions();
  if (!ended()) Judge();
}

void Founding::CheckOptions() {
  const std::vector<NodeId>& founders = options_.wish.founders;
  const FoundingPlan& plan = record_.plan;
  const bool is_member = record_.state == FoundingState::kMember;
  // One of several asks nobody, whomever its options name: they found a cluster, and no more.
  const bool alone = plan.founders.size() == 1 && record_.lives_before == 0;
  member_ = is_member && (!alone || founders.size() <= 1);
  if (member_) return;
  const bool ascending = std::adjacent_find(founders.begin(), founders.end(),
                                            std::greater_equal<NodeId>()) == founders.end();
  if (!ascending || founders.size() != peers_.size() + 1 || Raw(founders.front()) == 0) {
    return Refuse(Name(self_.node) + " isn't one of the founders " + ListOf(founders) +
                  ", each named once and above 0; give each node the same list, with itself in it");
  }
  if (founders.size() != 1 && founders.size() != 3 && founders.size() != 5) {
    return Refuse("founders are nodes " + ListOf(founders) + ": 1, 3 or 5 found a cluster");
  }
  if (is_member) return;
  if (record_.state == FoundingState::kEmpty) return;
  if (NodesOf(plan) != founders) {
    return Refuse(Name(self_.node) + " began to found a cluster of nodes " + ListOf(NodesOf(plan)) +
                  ", and its founders are " + ListOf(founders) +
                  " now: give those of before, or begin with empty directories");
  }
  if (options_.cluster_id != 0 && options_.cluster_id != plan.cluster_id) {
    return Refuse(Name(self_.node) + " began to found cluster " + Hex16(plan.cluster_id) +
                  ", not " + Hex16(options_.cluster_id) + ": give it its own directory");
  }
}

// ---- what is heard ---------------------------------------------------------------------------

void Founding::OnHello(const FoundingHello& hello) {
  URSULA_CHECK(persisting_ == std::nullopt);
  if (ended()) return;
  auto found = peers_.find(hello.from.node);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  const bool knew = peer.heard.from == hello.from && peer.heard.answered;
  peer.heard = {hello.from, hello.number, hello.from == peer.answered};
  if (TakeAnswer(hello, &peer)) {
    peer.heard.answered = true;
    peer.answered = hello.from;
    peer.answered_number = hello.number;
    peer.answered_echo = FindHeard(hello, self_.node)->number;
    peer.said = hello;
  }
  // A peer that still waits for an answer has one at once.
  const FoundingHeard* echo = FindHeard(hello, self_.node);
  const bool waits = echo == nullptr || echo->from != options_.self || !echo->answered;
  if (hello.number != 0 && (!knew || waits)) changed_ = true;
  if (peer.said.has_value()) Judge();
}

// Only what answers this process counts, and nothing that was said before what was heard last: of
// one process its own numbers tell, of two the numbers of ours that they had heard, as none hears
// what was sent to another.
bool Founding::TakeAnswer(const FoundingHello& hello, Peer* peer) const {
  const FoundingHeard* echo = FindHeard(hello, self_.node);
  if (echo == nullptr || echo->from != options_.self || echo->number > number_) return false;
  if (hello.from == peer->answered) {
    return hello.number == 0 || hello.number > peer->answered_number;
  }
  if (echo->number > peer->answered_echo) return true;
  URSULA_SOMETIMES("founding: a hello of a process that is gone comes late");
  return false;
}

void Founding::OnLost(NodeId peer) {
  auto found = peers_.find(peer);
  if (found != peers_.end()) found->second.said.reset();
}

void Founding::OnTick() {
  ++ticks_;
  if (!ended() && record_.state == FoundingState::kMember) JudgeAlone();
}

// ---- what follows from it --------------------------------------------------------------------

void Founding::Judge() {
  if (record_.state == FoundingState::kMember) return JudgeAlone();
  JudgeWishes();
  if (!ended()) JudgeMembers();
  if (ended() || persisting_ || !join_waits_.empty()) return;
  if (options_.cluster_id != 0 && record_.state == FoundingState::kEmpty) return;  // May join.
  if (options_.wish.founders.front() == self_.node) return JudgeAsLowest();
  JudgeAsOther();
}

void Founding::JudgeMembers() {
  join_waits_.clear();
  for (const auto& [node, peer] : peers_) {
    if (!peer.said || peer.said->record.state != FoundingState::kMember) continue;
    const bool same = record_.state == FoundingState::kFounding &&
                      peer.said->record.plan.cluster_id == record_.plan.cluster_id;
    if (same) return Persist(FoundingState::kMember, record_.plan);
  }
  for (const auto& [node, peer] : peers_) {
    if (!peer.said || peer.said->record.state != FoundingState::kMember) continue;
    JudgeMember(node, *peer.said);
    if (ended() || persisting_) return;
  }
}

// The cluster has begun without this directory, which holds nothing yet.
void Founding::JudgeMember(NodeId node, const FoundingHello& member) {
  const FoundingPlan& theirs = member.record.plan;
  const std::vector<NodeId>& named = member.wish.founders;
  // Whom its options name it may take in: a cluster of one by itself, others by an operator's word.
  const bool named_there = std::find(named.begin(), named.end(), self_.node) != named.end();
  const bool ours = named_there || (theirs.founders.size() > 1 && theirs.Names(self_.node));
  const std::string cluster = Hex16(theirs.cluster_id);
  if (!ours) {
    return Refuse(Name(node) + " is a member of cluster " + cluster + ", which " +
                  Name(self_.node) +
                  " is no founder of: a cluster is founded from empty directories only; check the "
                  "founders' addresses and directories");
  }
  if (options_.cluster_id != 0 && options_.cluster_id != theirs.cluster_id) {
    return Refuse(Name(node) + " is a member of cluster " + cluster + ", and " + Name(self_.node) +
                  " belongs to " + Hex16(options_.cluster_id) +
                  ": check the founders' addresses (peers) and cluster-id");
  }
  const std::string too_high = TooHigh(member.feature_level, "cluster " + cluster + " is");
  if (!too_high.empty()) return Refuse(too_high);
  const uint32_t groups = options_.wish.group_count;
  if (groups != 0 && groups != theirs.group_count) {
    return Refuse("raft-group-count of " + Name(self_.node) + " is " + Number(groups) +
                  ", the cluster's " + Number(theirs.group_count) + ": give each node the same");
  }
  const std::optional<FoundingAdmission>& admission = member.admission;
  const bool mine = admission && admission->directory == self_.directory;
  if (mine && admission->lives_before > 0) {
    URSULA_SOMETIMES("members: a directory joined a cluster that has begun");
    return Persist(FoundingState::kMember, theirs, admission->lives_before);
  }
  join_waits_ = "cluster " + cluster + " has begun, and this directory is empty";
  if (mine && !admission->waits.empty()) join_waits_ += "; " + admission->waits;
}

// A cluster of one whose options name several: who the others are is heard first, if they are
// there, so that each cluster can be named. It may have grown since: then they are of the same one.
void Founding::JudgeAlone() {
  std::string others;
  bool all = true;
  bool grown = false;
  for (const auto& [node, peer] : peers_) {
    const bool member = peer.said && peer.said->record.state == FoundingState::kMember;
    if (!peer.said) {
      all = false;
    } else if (member && peer.said->record.plan.cluster_id == record_.plan.cluster_id) {
      grown = true;
    } else if (member) {
      others += ", " + Name(node) + " of cluster " + Hex16(peer.said->record.plan.cluster_id);
    }
  }
  if (!all && !grown && others.empty() && ticks_ < kAloneTicks) return;
  if (others.empty()) {
    member_ = true;  // The others, who have no cluster yet, may join this one.
    return;
  }
  if (!all && ticks_ < kAloneTicks) return;
  Refuse(Name(self_.node) + " is a member of cluster " + Hex16(record_.plan.cluster_id) +
         ", alone" + others + ", and founders are given: a cluster is founded from empty " +
         "directories only; give this node an empty one, or leave the founders out");
}

void Founding::JudgeWishes() {
  uint32_t groups = options_.wish.group_count;
  NodeId groups_of = self_.node;
  for (const auto& [node, peer] : peers_) {
    if (!peer.said) continue;
    const FoundingWish& wish = peer.said->wish;
    const bool begun =
        peer.said->record.state == FoundingState::kMember;  // JudgeMember has looked.
    if (!begun && wish.founders != options_.wish.founders) {
      return Refuse("the founders of " + Name(node) + " are nodes " + ListOf(wish.founders) +
                    ", those of " + Name(self_.node) + " are " + ListOf(options_.wish.founders) +
                    ": give each node the same");
    }
    if (!begun && wish.group_count != 0 && groups != 0 && wish.group_count != groups) {
      return Refuse("raft-group-count of " + Name(node) + " is " + Number(wish.group_count) +
                    ", that of " + Name(groups_of) + " is " + Number(groups) +
                    ": give each node the same");
    }
    if (groups == 0) {
      groups = wish.group_count;
      groups_of = node;
    }
    const std::string other = OtherLimit(options_.wish.limits, wish.limits);
    if (!other.empty()) {
      return Refuse(other + " of " + Name(node) + " is another one than that of " +
                    Name(self_.node) + ": give each node the same limits (body-bytes-max)");
    }
  }
}

void Founding::JudgeAsLowest() {
  if (record_.state == FoundingState::kFounding && AllHold()) {
    return Persist(FoundingState::kMember, record_.plan);
  }
  if (record_.state == FoundingState::kFounding && !PlanIsDead()) return;
  if (MayDrop()) Persist(FoundingState::kFounding, Draw());
}

void Founding::JudgeAsOther() {
  const Peer& lowest = peers_.at(options_.wish.founders.front());
  if (!lowest.said || lowest.said->record.state != FoundingState::kFounding) return;
  const FoundingPlan& plan = lowest.said->record.plan;
  if (!plan.Names(self_) || plan == record_.plan) return;
  if (NodesOf(plan) != options_.wish.founders) return;
  const std::string too_high = TooHigh(plan.feature_level, "the plan of the founding is");
  if (!too_high.empty()) {
    return Refuse(too_high + "; or empty its directory, and a plan of a lower level is made");
  }
  const uint32_t groups = options_.wish.group_count;
  if (groups != 0 && groups != plan.group_count) {
    return Refuse("raft-group-count of " + Name(self_.node) + " is " + Number(groups) +
                  ", the plan's is " + Number(plan.group_count) + ": give each node the same");
  }
  if (record_.state == FoundingState::kEmpty || MayDrop()) Persist(FoundingState::kFounding, plan);
}

// Every founder has answered, is no member, and has taken an answer of each directory that this
// node has taken one of, this one's included: so it takes none of a former one any more.
bool Founding::AllMet() const {
  for (const auto& [node, peer] : peers_) {
    if (!peer.said || peer.said->record.state == FoundingState::kMember) return false;
    for (const auto& [other, theirs] : peers_) {
      if (other == node) continue;
      const FoundingHeard* heard = FindHeard(*peer.said, other);
      if (heard == nullptr || !heard->answered) return false;
      if (heard->from.directory != theirs.answered.directory) return false;
    }
    const FoundingHeard* heard = FindHeard(*peer.said, self_.node);
    if (heard == nullptr || heard->from != options_.self || !heard->answered) return false;
  }
  return true;
}

// Also: this node has a plan to drop, or none; and may found another one.
bool Founding::MayDrop() {
  if (!AllMet()) return false;
  if (options_.cluster_id == 0) return true;
  Refuse(Name(self_.node) + " holds the plan of cluster " + Hex16(record_.plan.cluster_id) +
         ", which can't be founded any more, as a directory that it names is gone; cluster-id is "
         "given, which forbids founding another: leave it out where a new cluster is meant");
  return false;
}

bool Founding::AllHold() const { return agreed() == options_.wish.founders.size(); }

bool Founding::PlanIsDead() const {
  for (const auto& [node, peer] : peers_) {
    if (peer.said && !record_.plan.Names(Founder{node, peer.said->from.directory})) return true;
  }
  return false;
}

uint64_t Founding::agreed() const {
  if (record_.state == FoundingState::kEmpty) return 0;
  uint64_t count = 1;
  for (const auto& [node, peer] : peers_) {
    if (!peer.said || peer.said->record.state == FoundingState::kEmpty) continue;
    const bool named = record_.plan.Names(Founder{node, peer.said->from.directory});
    if (named && peer.said->record.plan == record_.plan) ++count;
  }
  return count;
}

uint32_t Founding::GroupCount() const {
  if (options_.wish.group_count != 0) return options_.wish.group_count;
  for (const auto& [node, peer] : peers_) {
    if (peer.said->wish.group_count != 0) return peer.said->wish.group_count;
  }
  return options_.group_count_if_new;
}

uint32_t Founding::LevelOfAll() const {
  uint32_t level = options_.feature_level_max;
  for (const auto& [node, peer] : peers_) level = std::min(level, peer.said->feature_level_max);
  return level;
}

std::string Founding::TooHigh(uint32_t level, const std::string& whose) const {
  if (level <= options_.feature_level_max) return {};
  return whose + " at feature level " + Number(level) + ", and " + Name(self_.node) + " can " +
         Number(options_.feature_level_max) +
         ": start it with a release that can more, and without a lower --feature-level-max";
}

FoundingPlan Founding::Draw() {
  if (record_.state == FoundingState::kFounding) {
    URSULA_SOMETIMES("founding: a plan is dropped for another");
  }
  FoundingPlan plan;
  while (plan.cluster_id == 0) plan.cluster_id = random_.Next();
  while (plan.history_id == 0) plan.history_id = random_.Next();
  plan.group_count = GroupCount();
  plan.feature_level = LevelOfAll();
  for (NodeId node : options_.wish.founders) {
    const bool own = node == self_.node;
    plan.founders.push_back(own ? self_ : Founder{node, peers_.at(node).said->from.directory});
  }
  return plan;
}

void Founding::Persist(FoundingState state, FoundingPlan plan, uint64_t lives_before) {
  URSULA_CHECK(!persisting_ && record_.state != FoundingState::kMember);
  persisting_ = FoundingRecord{state, std::move(plan), lives_before};
}

void Founding::OnPersisted() {
  URSULA_CHECK(persisting_.has_value());
  record_ = *std::exchange(persisting_, std::nullopt);
  changed_ = true;
  member_ = record_.state == FoundingState::kMember;
  if (!member_) Judge();
}

void Founding::Refuse(std::string sentence) {
  URSULA_CHECK(!ended() && !persisting_);
  changed_ = true;
  refusal_ = std::move(sentence);
}

// ---- what is said ----------------------------------------------------------------------------

bool Founding::TakeChanged() { return std::exchange(changed_, false); }

FoundingHello Founding::Hello() {
  FoundingHello hello{
      .from = options_.self, .number = ++number_, .record = record_, .wish = options_.wish};
  hello.feature_level_max = options_.feature_level_max;
  for (const auto& [node, peer] : peers_) {
    if (peer.heard.from.node == node) hello.heard.push_back(peer.heard);
  }
  return hello;
}

std::string Founding::Waiting() const {
  if (!join_waits_.empty()) return join_waits_;
  std::vector<NodeId> silent;
  std::vector<NodeId> without;
  for (const auto& [node, peer] : peers_) {
    if (!peer.said) {
      silent.push_back(node);
    } else if (record_.state == FoundingState::kEmpty || peer.said->record.plan != record_.plan) {
      without.push_back(node);
    }
  }
  if (options_.cluster_id != 0 && record_.state == FoundingState::kEmpty) {
    return "this directory is empty, and cluster-id is given, which forbids founding: waiting for "
           "a member of that cluster to take it in, among nodes " +
           ListOf(peer_ids_);
  }
  if (!silent.empty()) return "waiting to hear from nodes " + ListOf(silent);
  if (!without.empty()) return "waiting for one plan with nodes " + ListOf(without);
  return "waiting for " + Name(options_.wish.founders.front()) + " to become a member";
}

}  // namespace ursula::meta
