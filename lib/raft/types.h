// lib/raft/types.h
//
// The values of the Raft core: entries, hard and soft state, configurations and snapshots. Plain
// data; payload is shared, never copied.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "ursula/bytes.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::raft {

inline constexpr ReplicaId kNoReplica{0};  // Never the id of a replica.

// What an entry's payload is. The numbers stand on disk and on the wire; never reuse one.
enum class EntryKind : uint8_t {
  kNormal = 0,         // The state machine's. Empty: a leader's first entry of its term.
  kConfChange = 1,     // A ConfChange of the form "one node at a time" (dissertation 4.1).
  kConfChangeSet = 2,  // A ConfChange of any size; empty payload: leave the joint configuration.
};

struct Entry {
  Term term{};
  Index index{};
  EntryKind kind = EntryKind::kNormal;
  Bytes payload = {};
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What an entry counts against the limits in bytes: its payload and what a frame adds to it.
inline constexpr uint64_t kEntryOverheadBytes = 24;
inline uint64_t EntryBytes(const Entry& entry) {
  return entry.payload.size() + kEntryOverheadBytes;
}

// What must survive a crash (the Raft paper, figure 2: "persistent state"), and the commit index,
// which may be lost but saves work.
struct HardState {
  Term term{};
  ReplicaId vote = kNoReplica;  // Whom this replica voted for in `term`.
  Index commit{};
  friend bool operator==(const HardState&, const HardState&) = default;
  bool empty() const { return *this == HardState{}; }
};

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

// What need not survive.
struct SoftState {
  ReplicaId leader = kNoReplica;
  Role role = Role::kFollower;
  friend bool operator==(const SoftState&, const SoftState&) = default;
};

// A configuration as it stands in snapshots: ascending ids. In a joint configuration (dissertation
// 4.3) `voters` are the incoming half and `voters_outgoing` the other; `learners_next` become
// learners when it is left, and `auto_leave` says that the leader leaves it by itself.
struct ConfState {
  std::vector<ReplicaId> voters = {};
  std::vector<ReplicaId> learners = {};
  std::vector<ReplicaId> voters_outgoing = {};
  std::vector<ReplicaId> learners_next = {};
  bool auto_leave = false;
  friend bool operator==(const ConfState&, const ConfState&) = default;
};

struct SnapshotMeta {
  Index index{};  // The last entry it covers, and that entry's term.
  Term term{};
  ConfState conf = {};
  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

// `data` is the driver's: whatever lets a peer find and fetch the state.
struct Snapshot {
  SnapshotMeta meta = {};
  Bytes data = {};
  bool empty() const { return meta.index == Index{}; }
};

enum class ConfChangeOp : uint8_t { kAddVoter = 0, kRemove = 1, kUpdate = 2, kAddLearner = 3 };

struct ConfChangeStep {
  ConfChangeOp op = ConfChangeOp::kAddVoter;
  ReplicaId node = kNoReplica;  // kNoReplica: a step refused when it was applied; it does nothing.
  friend bool operator==(const ConfChangeStep&, const ConfChangeStep&) = default;
};

// How a change passes through a joint configuration.
enum class Transition : uint8_t {
  kAuto = 0,      // Jointly only if more than one voter changes; left by the leader itself.
  kImplicit = 1,  // Always jointly; left by the leader itself.
  kExplicit = 2,  // Always jointly; left when an empty change is proposed.
};

struct ConfChange {
  Transition transition = Transition::kAuto;
  std::vector<ConfChangeStep> steps = {};
  bool simple_form = false;  // Of EntryKind::kConfChange. REQUIRES then: one step, kAuto.

  // Leaves a joint configuration.
  bool leaves_joint() const { return transition == Transition::kAuto && steps.empty(); }
  bool enters_joint() const { return transition != Transition::kAuto || steps.size() > 1; }
  friend bool operator==(const ConfChange&, const ConfChange&) = default;
};

// The payload of a change's entry, and back. Decoding refuses what Encode can't have written.
Bytes EncodeConfChange(const ConfChange& change);
Result<ConfChange> DecodeConfChange(EntryKind kind, std::string_view payload);

}  // namespace ursula::raft
