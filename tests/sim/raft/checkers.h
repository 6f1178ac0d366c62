// tests/sim/raft/checkers.h
//
// What must hold whatever happens. The checkers see every replica from outside, know nothing of
// what the workload does, and stop the world at the first violation.
//
//   - election safety: one leader a term, elected by a majority (of both halves, if joint); one
//     vote a replica and term, and it is on its disk
//   - log matching: equal (index, term) means equal entry and equal predecessor
//   - commitment: what a leader commits is durable on a majority (of both halves, if joint), and
//     every replica commits the same at the same index, for ever
//   - leader completeness: leaders of later terms have it
//   - state machine safety: all apply the same, in order, and only what is committed
//   - durability: an acknowledgement or a candidacy leaves only when the sender's disk holds it
//   - storage: however much of it is durable, a core's log is what it handed out last
//   - clients: an acknowledged proposal stands where it was acknowledged; a read's index is at
//     least whatever was committed anywhere when it was asked for
//   - lease (6.2): who hears from a leader neither grants votes nor enters another term for one
//   - pipeline: a leader does not send again what is acknowledged
//   - terms and commit indexes never fall, applied <= commit <= last

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/raft/core.h"
#include "tests/sim/raft/profile.h"

namespace ursula::raft::sim {

class Replica;
class World;

class Checkers {
 public:
  explicit Checkers(World* world);

  void OnStarted(const Replica& replica);
  void OnReady(const Replica& replica, const Ready& ready);
  void OnCalled(const Replica& replica);
  void BeforeStep(const Replica& replica, const Message& message);
  void AfterStep(const Replica& replica);
  void OnPromise(const Replica& replica, const Message& message);
  void OnStored(const Replica& replica);
  void OnApplied(const Replica& replica, const Entry& entry);
  void OnSnapshotInstalled(const Replica& replica);
  void OnAcknowledged(Index index, uint64_t id);
  Index ReadFloor() const { return Index{committed_.size()}; }
  void OnReadAnswered(const Replica& replica, Index floor, Index index);

  // When all is over.
  void OnEnded();

  Index committed() const { return Index{committed_.size()}; }
  uint64_t acknowledged() const { return acknowledged_.size(); }

 private:
  struct Logged {  // An entry that stood in some log.
    Term term{};
    Term before{};
    uint64_t hash = 0;
  };
  struct Committed {
    Term term{};
    Term in_term{};  // Of the leader that committed it.
  };
  struct Applied {
    uint64_t state = 0;
    uint64_t id = 0;  // Of the command.
  };
  struct Seen {  // Of a replica, when it was last looked at.
    Term term{};
    Index commit{};
    Role role = Role::kFollower;
  };

  void OnLogged(const Entry& entry, Term before);
  void OnElected(const Replica& replica);
  bool VotedFor(const Replica& leader, const std::vector<ReplicaId>& voters);
  void OnCommitted(const Replica& replica, Index from, Index to);
  void OnFirstCommitted(const Replica& leader, Index index, Term term);
  bool DurableOnMajority(const std::vector<ReplicaId>& voters, Index index, Term term) const;
  void OnAppendSent(const Replica& replica, const Message& message);
  void Violate(const Replica& replica, const std::string& what);

  World& world_;
  Seen seen_[kReplicasMax + 1];
  std::vector<ReplicaId> leaders_;             // By term.
  std::vector<std::vector<ReplicaId>> votes_;  // By term, then by voter.
  std::vector<std::vector<Logged>> entries_;   // By index.
  std::vector<Committed> committed_;           // By index, from 1 on.
  std::vector<Applied> applied_;               // The same.
  std::vector<std::pair<Index, uint64_t>> acknowledged_;

  bool under_lease_ = false;  // The step that is being taken may not change these.
  Term leased_term_{};
  ReplicaId leased_vote_ = kNoReplica;
};

// The first bytes of a command's payload are its id.
Bytes EncodeCommand(uint64_t id, std::size_t size);
uint64_t DecodeCommand(const Bytes& payload);

}  // namespace ursula::raft::sim
