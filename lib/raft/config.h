// lib/raft/config.h
//
// What a Core is created from, and the two things it asks of its driver while it runs.

#pragma once

#include <cstdint>

#include "lib/raft/types.h"

namespace ursula::raft {

inline constexpr uint64_t kUnlimited = UINT64_MAX;

// Rare things worth a log line or a counter. They carry no duty.
enum class Notice : uint8_t {
  kNotPromotable,             // A campaign was asked of a replica that may not lead.
  kCampaignAwaitsConfChange,  // A campaign was asked while a committed change waits to be applied.
  kSteppedDownWithoutQuorum,  // CheckQuorum: too few voters were heard of in an election timeout.
  kForgetLeaderRefused,       // Under lease reads a leader can't be forgotten.
  kMalformedMessage,          // A peer's message was refused; its sender is not to be trusted.
  kConfChangeRefused,         // A proposed change was appended as an empty entry instead.
  kSnapshotForOthers,         // A snapshot was refused: its configuration is without this replica.
};

// Called from inside the core's methods, on their thread; must not call the core.
class Driver {
 public:
  virtual ~Driver() = default;
  // A uniform number in [0, bound): election timeouts are spread by it (paper, 5.2).
  virtual uint32_t Jitter(uint32_t bound) = 0;
  virtual void OnNotice(Notice) {}
  // Whether a leader may send this one, which is behind, some more of what is committed without it.
  // False: not before Core::SendMore; it is asked again sooner, too.
  virtual bool MayCatchUp(ReplicaId) { return true; }
  // So much was sent of that.
  virtual void OnCatchUp(ReplicaId, uint64_t /*entries*/, uint64_t /*bytes*/) {}
};

struct Config {
  ReplicaId self = kNoReplica;  // REQUIRES: none of kNoReplica, kAppendTarget, kApplyTarget.

  // An election is due after election_ticks + Jitter(election_ticks) ticks without a leader.
  // REQUIRES: 0 < heartbeat_ticks < election_ticks.
  uint32_t election_ticks = 10;
  uint32_t heartbeat_ticks = 1;

  bool pre_vote = true;      // Dissertation 9.6: ask before a term is raised.
  bool check_quorum = true;  // Dissertation 6.2: a leader that hears of no quorum steps down.

  // Reads are answered from the leader's lease, without a round of heartbeats; not safe under clock
  // drift. REQUIRES: check_quorum.
  bool lease_reads = false;

  // For traces only: where the reference is not safe, do as it does.
  //   - A sole voter answers reads before it has committed in its term: stale if a crash took the
  //     commit index with it.
  //   - A removed leader answers reads in place of the sole voter that is left: stale if that one
  //     leads by now.
  //   - Votes are asked for before the candidate's term and log are durable: after a crash it may
  //     lead the same term again, with another log.
  bool unsafe_as_reference = false;

  // Who asks for votes, or answers, says up to where the log is committed: who has that entry takes
  // it for committed, too. The reference knows nothing of it.
  bool votes_tell_commit = true;

  // A follower passes proposals on to its leader.
  bool forward_proposals = false;

  // A leader that a change removes or demotes steps down when it applies that change.
  bool step_down_on_removal = true;

  // Refuse changes proposed while another is pending, or that don't fit the joint state.
  bool validate_conf_changes = true;

  // False (the product): entries are applied only once durable here. True: the driver persists each
  // Ready before it sends, applies, or takes the next; then what one Ready makes durable may be
  // applied with it.
  bool synchronous_storage = false;

  uint64_t message_bytes_max = 1 << 20;         // Of entries in one kAppend; one always fits.
  uint64_t applying_bytes_max = 1 << 20;        // Of entries handed out and not yet applied.
  uint64_t uncommitted_bytes_max = kUnlimited;  // Of payload a leader holds; proposals drop above.
  uint32_t inflight_messages_max = 256;         // kAppends on the way to one follower,
  uint64_t inflight_bytes_max = kUnlimited;     // and their bytes. REQUIRES: >= message_bytes_max.
  uint32_t pending_reads_max = 4096;            // Reads that await a quorum; dropped above.
};

// What the replica found on its disk.
struct InitialState {
  HardState hard = {};  // A commit index below the compaction point counts as being there.
  ConfState conf = {};  // Of the state at `applied`.
  Index applied{};      // Entries up to here are never handed out. 0: up to the compaction point.
};

}  // namespace ursula::raft
