// lib/group/barrier.h
//
// Linearizable reads by ReadIndex (dissertation 6.4): all that ask in one turn share one round, and
// a round is over when the state has reached the index that a quorum confirmed.
//
// A round's context is made of the replica's id, a number drawn at this opening, and the round's
// own: no process ever uses one twice, so that no late answer, to a replica that has started again
// even, is taken for another round's. A round that isn't answered is asked again under the same
// context, of whoever leads by then: every answer is of a time after the round's beginning. At its
// deadline it ends.
//
// What such a round has proved goes on to be worth something: as of its beginning, this replica was
// fresh. Reads that may be a little old live on that.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "lib/raft/core.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::group {

using BarrierDone = Function<void(Status)>;

class Barrier {
 public:
  static constexpr uint64_t kDeadlineNs = 5'000'000'000;

  // `opening` is random, of this process's opening; a round has `deadline_ns`.
  Barrier(ReplicaId self, uint64_t opening, uint64_t deadline_ns = kDeadlineNs)
      : self_(self), opening_(opening), deadline_ns_(deadline_ns) {}

  void Add(BarrierDone done) { next_.push_back(std::move(done)); }

  bool HasNew() const { return !next_.empty(); }
  // Begins a round for all that were added since the last one, and asks the core for it.
  void StartRound(raft::Core* core, uint64_t now_ns);

  // Asks again for what isn't confirmed: messages may be lost, and leaders change.
  void AskAgain(raft::Core* core);

  // The core answered a round, and with it every earlier one.
  void OnRead(const raft::ReadState& read);

  bool HasReached(Index applied) const {
    return !rounds_.empty() && rounds_.front().confirmed && rounds_.front().index <= applied;
  }

  // Takes out, in order, those whose round is confirmed at or below `applied`.
  std::vector<BarrierDone> TakeReached(Index applied);

  // Those whose round has begun its deadline ago end with kUnavailable.
  void Expire(uint64_t now_ns);

  // Stopping, failed, or replaced: none will be answered.
  void FailAll(const Status& status);

  bool empty() const { return next_.empty() && rounds_.empty(); }
  uint64_t rounds_begun() const { return last_number_; }

  // When the newest round began of those that TakeReached has seen: all that had been acknowledged
  // by then, anywhere, was applied here. None: there was no such round yet.
  const std::optional<uint64_t>& fresh_ns() const { return fresh_ns_; }

 private:
  struct Round {
    uint64_t number = 0;
    uint64_t begun_ns = 0;  // Before anybody was asked.
    uint64_t deadline_ns = 0;
    bool confirmed = false;
    Index index{};
    std::vector<BarrierDone> waiting;
  };

  Bytes ContextOf(uint64_t number) const;
  static void Fail(std::vector<BarrierDone>* waiting, const Status& status);

  const ReplicaId self_;
  const uint64_t opening_;
  const uint64_t deadline_ns_;
  std::vector<BarrierDone> next_;
  std::deque<Round> rounds_;
  uint64_t last_number_ = 0;
  std::optional<uint64_t> fresh_ns_;
};

}  // namespace ursula::group
