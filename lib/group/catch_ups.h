// lib/group/catch_ups.h
//
// A leader's side of the pace (pace.h): which of its peers are brought up at it, and which of them
// waits. What a peer has missed, entries that are committed without it or a snapshot, can wait;
// what nothing is acknowledged without can't. Nothing is looked at while nobody is behind.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "lib/group/services.h"
#include "lib/raft/core.h"
#include "ursula/function.h"

namespace ursula::group {

class CatchUpHost {
 public:
  virtual ~CatchUpHost() = default;
  // Note is to be called at this turn's end. It may be Raft's core that asks.
  virtual void OnCatchUpAsked() = 0;
  // It may be sent some more, or is to ask again.
  virtual void OnCatchUpDue(ReplicaId to) = 0;
};

class CatchUps {
 public:
  CatchUps(const Services& services, CatchUpHost* host) : services_(services), host_(*host) {}

  // Of a leader: its peers, itself among them. `hears`: it was heard of a moment ago. At the pace
  // goes whoever is no part of a majority that is heard of and has been sent all that is committed;
  // nobody does while for kStuckNs nothing was committed of what there is up to `last`: who was
  // sent all may store none of it.
  void Note(std::span<const raft::PeerStatus> peers, const raft::ConfState& conf, Index commit,
            Index last, Function<bool(ReplicaId)> hears);
  // What was noted is old. Whether it is to be noted again, since somebody waits.
  bool Tick();
  // It leads no more, or ends.
  void Clear();

  // False: not yet, OnCatchUpDue tells.
  bool MayTake(ReplicaId to);
  // What was sent, be it at the pace or not.
  void Took(uint64_t entries, uint64_t bytes) { services_.Take(Cost(entries, bytes)); }
  bool Waits(ReplicaId to) const;
  bool asked() const { return !asked_.empty(); }
  // This leader proposed so much: who is behind would never catch up at less than that, and each of
  // two at less than twice that.
  void Wrote(uint64_t entries, uint64_t bytes) { services_.Earn(2 * Cost(entries, bytes)); }

  // What an entry costs besides its bytes.
  static constexpr uint64_t kEntryBytes = 256;
  static constexpr uint64_t kStuckNs = 300'000'000;

 private:
  // Of entries as the log has them.
  static uint64_t Cost(uint64_t entries, uint64_t bytes) { return bytes + entries * kEntryBytes; }
  struct Waiter final : Pace::Waiter {
    Waiter(CatchUpHost* who, ReplicaId peer) : host(*who), to(peer) {}
    void OnPace() override { host.OnCatchUpDue(to); }

    CatchUpHost& host;
    const ReplicaId to;
  };

  bool Stuck(Index commit, Index last);

  const Services services_;
  CatchUpHost& host_;
  bool noted_ = false;
  bool open_ = false;  // There was more than what was committed when it was noted.
  Index commit_{};
  uint64_t commit_ns_ = 0;        // Since when, at least, nothing of that was committed.
  std::vector<ReplicaId> asked_;  // While it wasn't noted who goes at the pace.
  std::map<ReplicaId, std::unique_ptr<Waiter>> paced_;
};

}  // namespace ursula::group
