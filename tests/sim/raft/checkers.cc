#include "tests/sim/raft/checkers.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/sim/raft/describe.h"
#include "tests/sim/raft/hash.h"
#include "tests/sim/raft/replica.h"
#include "tests/sim/raft/world.h"

namespace ursula::raft::sim {
namespace {

template <class T>
T& At(std::vector<T>* items, uint64_t index) {
  if (items->size() <= index) items->resize(index + 1);
  return (*items)[index];
}

std::string At(Index index, Term term) {
  return std::to_string(Raw(term)) + "/" + std::to_string(Raw(index));
}

std::string Who(const Replica& replica) { return "replica " + std::to_string(replica.id()) + ": "; }

}  // namespace

Bytes EncodeCommand(uint64_t id, std::size_t size) {
  std::string payload(std::max(size, sizeof(id)), 'x');
  std::memcpy(payload.data(), &id, sizeof(id));
  return Bytes::Copy(payload);
}

uint64_t DecodeCommand(const Bytes& payload) {
  uint64_t id = 0;
  if (payload.size() >= sizeof(id)) std::memcpy(&id, payload.data(), sizeof(id));
  return id;
}

Checkers::Checkers(World* world) : world_(*world) {
  // What the first members are born with.
  committed_.push_back({kFirstCheckpoint.term, kFirstCheckpoint.term});
  applied_.push_back({kFirstState, 0});
}

void Checkers::Violate(const Replica& replica, const std::string& what) {
  world_.Violate(Who(replica) + what);
}

void Checkers::OnStarted(const Replica& replica) {
  const Core& core = replica.core();
  Seen& seen = seen_[replica.id()];
  if (core.commit() > committed()) Violate(replica, "starts with a commit that nobody made");
  seen = {core.term(), core.commit(), core.role()};
  if (world_.verbose()) {
    world_.Say(Who(replica) + "starts, commit " + std::to_string(Raw(core.commit())) + ", last " +
               std::to_string(Raw(core.last_index())) + ", " + Describe(replica.conf()));
  }
}

void Checkers::OnReady(const Replica& replica, const Ready& ready) {
  for (const Message& message : ready.messages) {
    OnPromise(replica, message);
    if (message.kind == MessageKind::kAppend && !message.entries.empty()) {
      OnAppendSent(replica, message);
    }
  }
  if (!ready.append || ready.append->entries.empty()) return;
  const std::vector<Entry>& entries = ready.append->entries;
  Term before = replica.core().TermAt(entries.front().index - 1).value_or(Term{});
  for (const Entry& entry : entries) {
    OnLogged(entry, before);
    before = entry.term;
  }
}

void Checkers::OnLogged(const Entry& entry, Term before) {
  std::vector<Logged>& known = At(&entries_, Raw(entry.index));
  const uint64_t hash = HashEntry(entry);
  for (const Logged& logged : known) {
    if (logged.term != entry.term) continue;
    if (logged.hash != hash || logged.before != before) {
      world_.Violate("log matching: two entries " + At(entry.index, entry.term));
    }
    return;
  }
  known.push_back({entry.term, before, hash});
}

void Checkers::OnCalled(const Replica& replica) {
  const Core& core = replica.core();
  Seen& seen = seen_[replica.id()];
  if (core.term() < seen.term) Violate(replica, "its term fell");
  if (core.commit() < seen.commit) Violate(replica, "its commit index fell");
  if (core.applied() > core.commit() || core.commit() > core.last_index()) {
    Violate(replica, "applied <= commit <= last does not hold");
  }
  const bool led = seen.role == Role::kLeader && seen.term == core.term();
  const Index commit = seen.commit;
  seen = {core.term(), core.commit(), core.role()};
  if (core.is_leader() && !led) OnElected(replica);
  if (core.commit() > commit) OnCommitted(replica, commit, core.commit());
}

void Checkers::OnElected(const Replica& replica) {
  const Core& core = replica.core();
  ReplicaId& leader = At(&leaders_, Raw(core.term()));
  if (leader != kNoReplica && leader != replica.node()) {
    Violate(replica, "a second leader of term " + std::to_string(Raw(core.term())));
  }
  leader = replica.node();
  if (world_.verbose()) world_.Say(Who(replica) + "leads term " + std::to_string(Raw(core.term())));
  const ConfState conf = core.Configuration();
  if (!VotedFor(replica, conf.voters) || !VotedFor(replica, conf.voters_outgoing)) {
    Violate(replica, "leads without the votes of a majority");
  }
  for (Index index = core.first_index(); index <= committed(); index = index + 1) {
    const Committed& entry = committed_[Raw(index) - 1];
    if (entry.in_term < core.term() && core.TermAt(index) != entry.term) {
      Violate(replica, "leader completeness: elected without " + At(index, entry.term));
      return;
    }
  }
}

bool Checkers::VotedFor(const Replica& leader, const std::vector<ReplicaId>& voters) {
  const std::vector<ReplicaId>& votes = At(&votes_, Raw(leader.core().term()));
  std::size_t count = 0;
  for (ReplicaId voter : voters) {
    if (Raw(voter) < votes.size() && votes[Raw(voter)] == leader.node()) ++count;
  }
  return voters.empty() || count > voters.size() / 2;
}

void Checkers::OnCommitted(const Replica& replica, Index from, Index to) {
  for (Index index = from + 1; index <= to; index = index + 1) {
    const std::optional<Term> term = replica.core().TermAt(index);
    if (index <= committed()) {
      if (term && *term != committed_[Raw(index) - 1].term) {
        Violate(replica, "committed " + At(index, *term) + " where " +
                             At(index, committed_[Raw(index) - 1].term) + " was");
      }
      continue;
    }
    if (!term || !replica.core().is_leader()) {
      Violate(replica, "commits what no leader has: " + std::to_string(Raw(index)));
      return;
    }
    committed_.push_back({*term, replica.core().term()});
    if (index == to) OnFirstCommitted(replica, index, *term);
  }
}

void Checkers::OnFirstCommitted(const Replica& leader, Index index, Term term) {
  if (world_.verbose()) world_.Say(Who(leader) + "commits up to " + At(index, term));
  const ConfState conf = leader.core().Configuration();
  if (!DurableOnMajority(conf.voters, index, term) ||
      !DurableOnMajority(conf.voters_outgoing, index, term)) {
    Violate(leader, "committed " + At(index, term) + ", which no majority has");
  }
  for (const auto& replica : world_.replicas()) {
    if (!replica->up() || !replica->core().is_leader()) continue;
    if (replica->core().term() <= leader.core().term()) continue;
    if (replica->core().first_index() > index) continue;
    if (replica->core().TermAt(index) != term) {
      Violate(*replica, "leader completeness: leads without " + At(index, term));
    }
  }
}

bool Checkers::DurableOnMajority(const std::vector<ReplicaId>& voters, Index index,
                                 Term term) const {
  std::size_t holders = 0;
  for (ReplicaId voter : voters) {
    if (world_.replica(static_cast<uint32_t>(Raw(voter))).disk().Holds(index, term)) ++holders;
  }
  return voters.empty() || holders > voters.size() / 2;
}

void Checkers::BeforeStep(const Replica& replica, const Message& message) {
  const Core& core = replica.core();
  const bool vote = message.kind == MessageKind::kVote || message.kind == MessageKind::kPreVote;
  under_lease_ = vote && !message.transfer && core.config().check_quorum &&
                 core.leader() != kNoReplica && message.term > core.term() &&
                 core.election_elapsed() < core.config().election_ticks;
  leased_term_ = core.term();
  leased_vote_ = core.vote();
}

void Checkers::AfterStep(const Replica& replica) {
  if (!under_lease_) return;
  const Core& core = replica.core();
  if (core.term() != leased_term_ || core.vote() != leased_vote_ || core.HasReady()) {
    Violate(replica, "took a vote request although it hears from a leader");
  }
}

void Checkers::OnPromise(const Replica& replica, const Message& message) {
  if (message.reject) return;
  if (message.kind == MessageKind::kAppendReply) {
    if (replica.disk().last() < message.index) {
      Violate(replica, "acknowledges what is not durable");
    }
    return;
  }
  const HardState& hard = replica.disk().hard();
  if (message.kind == MessageKind::kVote) {
    if (hard.term != message.term || hard.vote != replica.node() ||
        replica.disk().last() < message.index) {
      Violate(replica, "asks for votes with a term or log that is not durable");
    }
    return;
  }
  if (message.kind != MessageKind::kVoteReply) return;
  if (hard.term < message.term || (hard.term == message.term && hard.vote != message.to)) {
    Violate(replica, "grants a vote that is not durable");
  }
  ReplicaId& vote = At(&At(&votes_, Raw(message.term)), replica.id());
  if (vote != kNoReplica && vote != message.to) {
    Violate(replica, "votes twice in term " + std::to_string(Raw(message.term)));
  }
  vote = message.to;
}

void Checkers::OnStored(const Replica& replica) {
  const Core& core = replica.core();
  for (Index index = core.commit() + 1; index <= core.last_index(); index = index + 1) {
    if (core.TermAt(index) != replica.HandedOut(index)) {
      Violate(replica, "its log is not what it handed out, at " + std::to_string(Raw(index)));
      return;
    }
  }
}

void Checkers::OnAppendSent(const Replica& replica, const Message& message) {
  if (!replica.core().is_leader()) return;
  for (const PeerStatus& peer : replica.core().Peers()) {
    if (peer.id == message.to && message.entries.front().index <= peer.match) {
      Violate(replica, "sends again what is acknowledged");
    }
  }
}

void Checkers::OnApplied(const Replica& replica, const Entry& entry) {
  if (entry.index > committed() || committed_[Raw(entry.index) - 1].term != entry.term) {
    Violate(replica, "applies " + At(entry.index, entry.term) + ", which is not committed");
    return;
  }
  if (entry.index > Index{applied_.size()}) {
    if (entry.index != Index{applied_.size()} + 1) Violate(replica, "applied out of order");
    const bool command = entry.kind == EntryKind::kNormal;
    applied_.push_back({replica.state(), command ? DecodeCommand(entry.payload) : 0});
    if (!command && world_.verbose()) world_.Say("in force: " + Describe(replica.conf()));
  } else if (applied_[Raw(entry.index) - 1].state != replica.state()) {
    Violate(replica, "state machine safety: another history up to " + At(entry.index, entry.term));
  }
  world_.Trace(Mix(Raw(entry.index), replica.state()));
}

void Checkers::OnSnapshotInstalled(const Replica& replica) {
  const Index index = replica.applied();
  if (index > Index{applied_.size()} || applied_[Raw(index) - 1].state != replica.state()) {
    Violate(replica, "state machine safety: a snapshot of another history");
  }
}

void Checkers::OnAcknowledged(Index index, uint64_t id) { acknowledged_.emplace_back(index, id); }

void Checkers::OnReadAnswered(const Replica& replica, Index floor, Index index) {
  world_.Trace(Mix(Raw(floor), Raw(index)));
  if (index > committed()) Violate(replica, "a read of what is not committed");
  if (replica.core().config().lease_reads) return;  // Not safe where replicas stand still.
  if (index < floor) {
    Violate(replica, "a stale read: index " + std::to_string(Raw(index)) + ", when it was asked " +
                         std::to_string(Raw(floor)) + " was committed");
  }
}

void Checkers::OnEnded() {
  for (const auto& [index, id] : acknowledged_) {
    if (index > Index{applied_.size()} || applied_[Raw(index) - 1].id != id) {
      world_.Violate("an acknowledged proposal is lost: " + std::to_string(Raw(index)));
      return;
    }
  }
}

}  // namespace ursula::raft::sim
