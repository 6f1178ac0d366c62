// server/ctl/node_changes.h
//
// Changes of the cluster's nodes: asked for at any node that takes them, then looked at until they
// have come about, can't, or it is too late.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/ctl/admin_client.h"
#include "server/ctl/deadline.h"
#include "server/ctl/node_view.h"
#include "server/ctl/overview.h"
#include "server/ctl/survey.h"

namespace ursula::ctl {

struct NodeChange {
  enum class Kind : uint8_t {
    kAdd,     // Until every group has it as a voter.
    kRemove,  // Until no group has it.
    kCordon,
    kUncordon,
    kDrain,  // Cordoned, until it leads nothing.
  };
  enum class State : uint8_t {
    kPending,
    kDone,
    kWasSo,    // Before it was asked for.
    kRefused,  // For good.
    kLate,
  };
  Kind kind = Kind::kAdd;
  uint64_t node = 0;
  // kRemove: not before this node is joining, or a member; 0: at once. It takes the other's place:
  // the groups do without the one once they have the other.
  uint64_t after = 0;
  State state = State::kPending;
  std::string code = {};  // Of the last refusal; empty: there was none.
  std::string text = {};  // Of that, or what it waits for.
};

std::string_view NameOf(NodeChange::Kind kind);

// What brings the cluster to `count` nodes. With *why, if it can't be said which nodes: an
// operator's choice, or nobody knows the members.
std::vector<NodeChange> ChangesTo(uint64_t count, const Overview& overview, const Survey& survey,
                                  ErrorSeen* why);

// What has node `to` take the place of node `from`: asked again, it goes on from where it was. With
// *why, if it can't be: neither is a member, or nobody knows the members.
std::vector<NodeChange> ChangesToReplace(uint64_t from, uint64_t to, const Overview& overview,
                                         ErrorSeen* why);

class NodeChanges {
 public:
  NodeChanges(AdminClient* client, Survey survey, std::vector<NodeChange> wanted)
      : client_(*client), survey_(std::move(survey)), changes_(std::move(wanted)) {}

  // One round: looks, and asks for what is pending. False: nothing is pending any more. After `end`
  // (null: none) no question begins, but for one if there was none at all.
  bool Round(const Deadline* end = nullptr);
  void GiveUp();  // What is pending is late.

  const std::vector<NodeChange>& changes() const { return changes_; }

 private:
  static constexpr uint64_t kRoundsPerAsk = 5;  // Between one refusal that may pass and the next.

  struct Asked {
    uint64_t round = 0;  // The last one in which it was asked for; 0: in none.
    bool taken = false;  // The cluster remembers it.
    bool was_so = false;
    bool unsure = false;    // It may have been taken before that is known.
    uint64_t taker = 0;     // Who took it.
    std::string seen = {};  // What was seen last, if that is only told once it lasts.
  };

  void Advance(const Overview& overview, const Deadline* end, NodeChange* change);
  bool IsHeldUp(const Overview& overview, NodeChange* change) const;
  void Ask(const Overview& overview, const Deadline* end, NodeChange* change);
  bool TakeAnswer(const NodeSeen& seen, const Result<AdminAnswer>& answer, NodeChange* change);
  void TakeError(const ErrorSeen& error, NodeChange* change);
  void LookAtAdded(const Overview& overview, NodeChange* change);
  void LookAtRemoved(const Overview& overview, NodeChange* change);
  void LookAtDrained(const Overview& overview, NodeChange* change);
  // Of a node that still leads; empty where another one can take it.
  std::string WhyNobodyTakesOver(const Overview& overview, uint64_t node) const;
  bool StagesCount(const Overview& overview, const Asked& asked) const;
  std::string WaitsToJoin(const Overview& overview, uint64_t node) const;
  std::string Joins(const Overview& overview, uint64_t node) const;

  AdminClient& client_;
  Survey survey_;
  std::vector<NodeChange> changes_;
  uint64_t round_ = 0;
  bool asked_any_ = false;
  std::map<uint64_t, Asked> asked_;  // By node.
};

}  // namespace ursula::ctl
