// lib/engine/forwarder.h
//
// One core's side of a node with peers: letters reach the replicas they are for, and what only a
// group's leader can answer reaches that, on whichever node it is.
//
// Invariant: a call is given to the transport once under each number, and another replica is asked
// the same only after a definite "nothing was applied": it was refused, or it never left. What was
// given to the transport and isn't answered when the connection or the time ends is unknown.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "lib/engine/ask.h"
#include "lib/engine/ask_format.h"
#include "lib/group/replica.h"
#include "lib/io/loop.h"
#include "lib/peers/hub.h"
#include "ursula/env.h"

namespace ursula::engine {

// Where leaders had better be, as it was known a moment ago.
struct LeadAdvice {
  std::vector<NodeId> spared = {};    // Nodes that are given none from here.
  bool leads_nothing = false;         // This one is to give up what it leads.
  DiskState disk = DiskState::kFine;  // Of this node.
  bool log_hangs = false;             // One of its cores has seen its logs' volume hang.
};

// The engine, as forwarders see it.
class ForwarderHost {
 public:
  virtual ~ForwarderHost() = default;
  // On the group's core.
  virtual void CarryOutAny(GroupId group, ask::OfLeader ask, ask::LeadersDone done) = 0;
  // A peer's call is let in, and left once; false: the engine is stopping.
  virtual bool EnterCall() = 0;
  virtual void LeaveCall() = 0;
  // Brings a letter to its group's core, if there is such a group; from any core.
  // False: it is lost, for too much waits there.
  virtual bool RouteLetter(NodeId from, GroupId group, Bytes letter, uint64_t arrived_ns) = 0;
  // As RouteLetter, of many groups; what is lost comes again.
  virtual void RouteBeats(peers::Beats record) = 0;
  // Brings an answer to the core that called.
  virtual void RouteAnswer(CoreId core, Bytes letter) = 0;
  virtual void OnNodeFrame(NodeId from, const Bytes& frame) = 0;
  virtual void OnNodeLost(NodeId /*peer*/) {}  // On each core.
  // Of every group, on whichever core, as it was known a moment ago; 0: of none.
  virtual std::vector<NodeId> Leaders() = 0;
  virtual LeadAdvice Advice() = 0;
};

class Forwarder final : public group::LeaderWatch, private peers::Receiver {
 public:
  static constexpr std::size_t kCallsMax = 65'536;  // Of this core, of others' as many.

  using Replicas = std::map<GroupId, std::unique_ptr<group::Replica>>;

  // All are borrowed and outlive it; `budget` is the core's. `opening`: random, of this opening of
  // the engine, and the same on each of its cores.
  Forwarder(io::Loop* loop, Transport* transport, ForwarderHost* host, Replicas* replicas,
            group::CoreBudget* budget, uint64_t opening, const peers::HubOptions& options);
  ~Forwarder() override;

  peers::Hub* hub() { return &hub_; }

  // What only a leader answers is carried out at this replica.
  static bool CanLead(const group::Replica& replica);

  // Where the group's leader is, there. `done`, which may be called at once, as the ask's own, or
  //   kUnavailable        nothing was applied: no leader was found in leader_ns_max, or stopping;
  //   kResourceExhausted  nothing was applied: kCallsMax are under way, or too many bytes of them;
  //   kOutcomeUnknown     no answer came in append_ns_max, the connection broke, or it stopped
  //   first.
  void Ask(GroupId group, ask::OfLeader ask, ask::LeadersDone done);

  // What peers have sent to this core's groups and callers.
  void OnGroupLetter(NodeId from, GroupId group, const Bytes& letter, uint64_t arrived_ns);
  void OnGroupBeats(const peers::Beats& record);
  void OnAnswer(const Bytes& letter);

  void Tick();  // Every group::Replica::kTickMs.
  void OnLeader(GroupId group) override;
  // What isn't carried out here ends; so does what is asked from now on.
  void Stop();
  uint64_t forwarded() const { return forwarded_; }

 private:
  struct Errand {
    enum class State : uint8_t { kWaiting, kHere, kThere };
    GroupId group = {};
    ask::OfLeader ask = {};
    ask::LeadersDone done;
    uint64_t begun_ns = 0;
    State state = State::kWaiting;
    NodeId to = {};          // kThere.
    NodeId hint = {};        // Who was said to lead; 0: nobody.
    uint32_t tries = 0;      // Of nodes, where this one's own replica has failed.
    uint64_t number = 0;     // kThere: of its call.
    uint32_t redirects = 0;  // Since the last tick.
    uint64_t payload_bytes = 0;
    bool counted = false;  // In inflight_bytes, while it isn't carried out here.
    Status last;           // What kept the last one from carrying it out.
  };
  using ErrandPtr = std::shared_ptr<Errand>;
  // What one process of a peer has asked.
  struct Seen {
    uint64_t opening = 0;
    std::deque<uint64_t> older = {};         // Openings before it.
    std::map<uint64_t, uint64_t> last = {};  // By its core: the highest number.
  };

  // peers::Receiver
  void OnLetter(NodeId from, GroupId group, Bytes letter) override;
  void OnBeats(peers::Beats record) override;
  void OnPeerLost(NodeId peer, bool ended) override;
  void OnDropped(NodeId to, GroupId group, uint64_t token) override;
  void OnOtherFrame(NodeId from, Bytes frame) override;

  group::Replica* Find(GroupId group);
  void Route(const ErrandPtr& errand);
  void RouteHere(const ErrandPtr& errand);
  void OnCarriedOut(const ErrandPtr& errand, Result<ask::LeadersAnswer> answer);
  NodeId LeaderFor(Errand* errand, const group::Replica& replica);
  bool SendCall(const ErrandPtr& errand, NodeId to);
  void Wait(const ErrandPtr& errand, Status why);
  void RouteWaiting(const std::optional<GroupId>& group);  // None: of all groups.
  void Count(Errand* errand, bool counted);
  void End(const ErrandPtr& errand, Result<ask::LeadersAnswer> answer);
  bool MayBeSentAgain(const Errand& errand) const;

  // forwarder_serve.cc: of peers' calls.
  bool IsNew(NodeId from, const CallId& id);
  void Serve(NodeId from, GroupId group, const Bytes& letter, uint64_t arrived_ns);
  void OnServed(NodeId from, GroupId group, const CallId& id, Result<ask::LeadersAnswer> done);
  void Refuse(NodeId to, GroupId group, const CallId& id, NodeId leader);
  void SendAnswer(NodeId to, GroupId group, const AnswerLetter& answer);

  io::Loop& loop_;
  ForwarderHost& host_;
  Replicas& replicas_;
  group::CoreBudget& budget_;
  const uint64_t opening_;
  uint64_t next_number_ = 1;
  std::vector<ErrandPtr> waiting_;              // Tried again at each tick.
  absl::btree_map<uint64_t, ErrandPtr> there_;  // By number.
  std::size_t errands_ = 0;
  std::size_t serving_ = 0;
  std::map<NodeId, Seen> seen_;
  uint64_t forwarded_ = 0;
  bool stopped_ = false;
  peers::Hub hub_;  // Last: it calls back until it is gone.
};

}  // namespace ursula::engine
