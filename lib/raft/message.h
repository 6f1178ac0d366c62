// lib/raft/message.h
//
// What replicas of a group say to each other, and what a core's own storage answers. One flat
// struct: each kind uses the fields named beside it; the others stay as they are by default.

#pragma once

#include <cstdint>
#include <vector>

#include "lib/raft/types.h"

namespace ursula::raft {

// The storage of a core's own replica, as an address. Answers that come `from` there are the
// driver's own; nothing with these addresses travels.
inline constexpr ReplicaId kAppendTarget{UINT64_MAX};
inline constexpr ReplicaId kApplyTarget{UINT64_MAX - 1};

// The numbers stand on the wire; never reuse one. In brackets: the fields a kind uses beside from,
// to and term; those of an election (votes and pre-votes, questions and answers) also use commit
// and commit_term, of what their sender knows to be committed: 0, where it tells nothing. In
// answers to appends and heartbeats `commit` is the drivers' own: the core passes it by.
enum class MessageKind : uint8_t {
  kPropose = 1,          // A follower hands entries to its leader. [entries]
  kAppend = 2,           // AppendEntries. [log_term, index, entries, commit]
  kAppendReply = 3,      // [index, log_term, reject, reject_hint]
  kVote = 4,             // RequestVote. [log_term, index, transfer]
  kVoteReply = 5,        // [reject]
  kPreVote = 6,          // Asks whether a vote would be given (dissertation 9.6). [as kVote]
  kPreVoteReply = 7,     // [reject]
  kHeartbeat = 8,        // [commit, read_round]
  kHeartbeatReply = 9,   // [read_round]
  kSnapshot = 10,        // InstallSnapshot. [snapshot]
  kReadIndex = 11,       // A follower's read, for its leader to answer. [context]
  kReadIndexReply = 12,  // [index, context]
  kTransferLeader = 13,  // Asks a leader to hand over; `from` is the node to lead, not the sender.
  kTimeoutNow = 14,      // Campaign at once (dissertation 3.10).
  // From the replica's own storage only.
  kAppended = 20,  // A StorageAppend is durable. [index, log_term, snapshot]
  kApplied = 21,   // A StorageApply is applied. [index, applied_bytes, …]
};

// Whether it is said about an election.
constexpr bool OfElection(MessageKind kind) {
  return kind >= MessageKind::kVote && kind <= MessageKind::kPreVoteReply;
}

struct Message {
  MessageKind kind = MessageKind::kPropose;
  ReplicaId from = kNoReplica;
  ReplicaId to = kNoReplica;
  Term term{};  // 0 in kPropose and kReadIndex: they belong to no term.
  Term log_term{};
  Index index{};
  Index commit{};
  Term commit_term{};  // Of the entry at `commit`.
  Index reject_hint{};
  bool reject = false;
  bool transfer = false;  // A campaign that an outgoing leader asked for: leases don't hold it up.
  uint64_t applied_bytes = 0;          // By EntryBytes,
  uint64_t applied_payload_bytes = 0;  // and of payload alone.
  // A leader's number for a read that this round of heartbeats may confirm; 0 for none.
  uint64_t read_round = 0;
  Bytes context = {};
  std::vector<Entry> entries = {};
  Snapshot snapshot = {};
};

}  // namespace ursula::raft
