// lib/meta/founding.h
//
// How several new nodes become one cluster: the state machine of one of them.
//
// Every node says to every other what its directory holds. Once all have met, the lowest node draws
// a plan that names each node's directory; the others make it durable; when all hold it the lowest
// becomes a member, and that write alone decides: others become members where they see one. So a
// plan whose lowest directory is at hand and isn't a member's has no member anywhere, and a
// directory that was emptied is another one, which no earlier plan names.
//
// A plan is dropped, for another, only after every founder has answered this process, none is a
// member, and each has seen the same directories as this node: what a directory that is gone once
// said then makes nobody a member any more.
//
// Where a cluster has begun that the node belongs to, its directory, which holds nothing, doesn't
// found but joins: a member brings the group of cluster facts to admit it as the node's next life.
//
// Invariants: a directory that was emptied never becomes a member of a plan from before, but by
// being admitted, as another replica; as long as a member of a plan is there no other plan has one.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "lib/meta/disks.h"
#include "ursula/types.h"

namespace ursula::meta {

struct Founder {
  NodeId node = {};
  uint64_t directory = 0;  // Its directory's id: drawn with the directory, gone with it.
  friend bool operator==(const Founder&, const Founder&) = default;
};

// What a cluster's survivors were made a cluster of their own by, when it had lost its majority.
struct ClusterRecovery {
  uint64_t number = 0;          // 0: there was none.
  uint64_t term = 0;            // What is of lower ones says nothing of who members are.
  uint64_t history_id = 0;      // Of all groups from then on.
  uint64_t cluster_before = 0;  // Its id until then.
  std::vector<uint64_t> lives_before = {};  // As FoundingPlan::founders, who are the survivors.
  std::vector<NodeId> lost = {};            // Ascending.
  friend bool operator==(const ClusterRecovery&, const ClusterRecovery&) = default;
};

struct FoundingPlan {
  uint64_t cluster_id = 0;
  uint64_t history_id = 0;
  uint32_t group_count = 0;
  // Ascending by node: their replica ids are 1, 2, 3 ..., but after a recovery.
  std::vector<Founder> founders = {};
  ClusterRecovery recovery = {};
  uint32_t feature_level = 1;  // What the groups' states begin with: the lowest of the founders'.
  bool Names(const Founder& founder) const;
  bool Names(NodeId node) const;
  friend bool operator==(const FoundingPlan&, const FoundingPlan&) = default;
};

enum class FoundingState : uint8_t {
  kEmpty = 1,     // No plan yet.
  kFounding = 2,  // Holds one, which may still be dropped.
  kMember = 3,    // Votes and serves.
};

// What a directory holds durably.
struct FoundingRecord {
  FoundingState state = FoundingState::kEmpty;
  FoundingPlan plan = {};     // Of kEmpty: none.
  uint64_t lives_before = 0;  // Of a member: how many directories the node had in the cluster.
  friend bool operator==(const FoundingRecord&, const FoundingRecord&) = default;
};

// A limit that every node of a cluster must have alike.
struct FoundingLimit {
  std::string name = {};
  uint64_t value = 0;
  friend bool operator==(const FoundingLimit&, const FoundingLimit&) = default;
};

// What a node's options ask for.
struct FoundingWish {
  std::vector<NodeId> founders = {};  // Ascending.
  uint32_t group_count = 0;           // 0: any.
  std::vector<FoundingLimit> limits = {};
  friend bool operator==(const FoundingWish&, const FoundingWish&) = default;
};

// A node in one life of its process.
struct FoundingNode {
  NodeId node = {};
  uint64_t directory = 0;
  uint64_t opening = 0;  // Random, of the process.
  friend bool operator==(const FoundingNode&, const FoundingNode&) = default;
};

// The last hello that came from a node.
struct FoundingHeard {
  FoundingNode from = {};
  uint64_t number = 0;
  bool answered = false;  // A hello of that process was an answer, and was taken.
  friend bool operator==(const FoundingHeard&, const FoundingHeard&) = default;
};

// A member's word to a directory that may join.
struct FoundingAdmission {
  uint64_t directory = 0;     // Whom it is for.
  uint64_t lives_before = 0;  // 0: it isn't admitted,
  std::string waits = {};     // and why not yet: a sentence.
  std::string refusal = {};   // To a member: why it is none any more. Empty: it is one.
  friend bool operator==(const FoundingAdmission&, const FoundingAdmission&) = default;
};

struct FoundingHello {
  FoundingNode from = {};
  uint64_t number = 0;  // Ascending from 1 in a process; 0: of a member that has gone on.
  // Of a member: how often its directory was opened, and FoundingNode::opening of the time before.
  uint64_t openings = 0;
  uint64_t predecessor = 0;
  FoundingRecord record = {};
  FoundingWish wish = {};
  std::vector<FoundingHeard> heard = {};  // One a node.
  std::optional<FoundingAdmission> admission = {};
  uint32_t feature_level_max = 1;  // That its process can.
  uint32_t feature_level = 1;      // Of a member: its cluster's, as it knows.
  uint32_t stored_level = 1;       // Of a member: its META's.
  DiskReport disk = {};            // Of a member.
  friend bool operator==(const FoundingHello&, const FoundingHello&) = default;
};

// What a node says that isn't founding: a member that has gone on, or, to a node that isn't among
// its founders, any.
FoundingHello AnswerTo(const FoundingHello& hello, const FoundingNode& self,
                       const FoundingRecord& record, const FoundingWish& wish);

struct FoundingOptions {
  FoundingNode self = {};
  FoundingRecord record = {};  // What the directory holds.
  FoundingWish wish = {};
  uint32_t group_count_if_new = 1;  // Of a plan for which nobody wishes any.
  // Not 0: the cluster that this node belongs to. It founds none then, drops no plan, and joins no
  // other.
  uint64_t cluster_id = 0;
  uint32_t feature_level_max = 1;  // That this node can.
  uint64_t seed = 0;               // Random: ids of plans are drawn from it.
};

class Founding {
 public:
  explicit Founding(FoundingOptions options);

  // ---- what happens; nothing does once it has ended ----
  // `hello.from.node` sent it.
  void OnHello(const FoundingHello& hello);
  void OnLost(NodeId peer);  // It has to answer anew.
  void OnTick();             // Every 100 ms.
  // The record of ToPersist() is durable.
  void OnPersisted();

  // ---- what is to be done, after each of these, in this order ----
  // Not null: to be made durable before anything else happens here.
  const FoundingRecord* ToPersist() const { return persisting_ ? &*persisting_ : nullptr; }
  // True once after a change: then, and every 100 ms, Hello() goes to each of peers().
  bool TakeChanged();
  FoundingHello Hello();
  bool ended() const { return member() || !refusal_.empty(); }
  bool member() const { return member_; }
  // Its cluster has begun, and it waits to be admitted: Waiting() says for what.
  bool joins() const { return !join_waits_.empty(); }
  const std::string& refusal() const { return refusal_; }  // A sentence; empty: none.

  const std::vector<NodeId>& peers() const { return peer_ids_; }
  const FoundingRecord& record() const { return record_; }  // As it is durable.
  uint64_t agreed() const;      // Founders known to hold this node's plan, itself included.
  std::string Waiting() const;  // For a log: whom or what it waits for.

 private:
  struct Peer {
    FoundingHeard heard = {};
    std::optional<FoundingHello> said = {};  // The newest answer; none since it was lost.
    // Of the newest answer, lost or not.
    FoundingNode answered = {};
    uint64_t answered_number = 0;
    uint64_t answered_echo = 0;  // The number of our hello that it had heard.
  };

  void CheckOptions();
  bool TakeAnswer(const FoundingHello& hello, Peer* peer) const;
  void Judge();
  void JudgeMembers();
  void JudgeMember(NodeId node, const FoundingHello& member);
  void JudgeAlone();
  void JudgeWishes();
  void JudgeAsLowest();
  void JudgeAsOther();
  bool AllMet() const;
  bool AllHold() const;
  bool PlanIsDead() const;  // A directory that it names isn't there any more.
  bool MayDrop();
  uint32_t GroupCount() const;
  FoundingPlan Draw();
  uint32_t LevelOfAll() const;
  std::string TooHigh(uint32_t level, const std::string& whose) const;  // Empty: it isn't.
  void Persist(FoundingState state, FoundingPlan plan, uint64_t lives_before = 0);
  void Refuse(std::string sentence);

  const FoundingOptions options_;
  const Founder self_;
  Random random_;
  FoundingRecord record_;
  std::optional<FoundingRecord> persisting_;
  std::map<NodeId, Peer> peers_;
  std::vector<NodeId> peer_ids_;
  uint64_t number_ = 0;
  uint64_t ticks_ = 0;
  bool changed_ = true;
  bool member_ = false;
  std::string join_waits_;  // Not empty: it joins, and this is what it waits for.
  std::string refusal_;
};

}  // namespace ursula::meta
