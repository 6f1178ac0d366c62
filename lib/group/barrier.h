// lib/group/barrier.h
//
// Linearizable reads by ReadIndex (dissertation 6.4): all that ask in one turn share one round, and
// a round is over when the state has reached the index that a quorum confirmed.

#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/coding.h"
#include "lib/base/ids.h"
#include "lib/raft/core.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::group {

using BarrierDone = Function<void(Status)>;

class Barrier {
 public:
  void Add(BarrierDone done) { next_.push_back(std::move(done)); }
  bool HasNew() const { return !next_.empty(); }

  // Asks the core on behalf of all that were added since the last round.
  void StartRound(raft::Core* core) {
    if (next_.empty()) return;
    Round round;
    round.number = ++last_number_;
    round.waiting = std::exchange(next_, {});
    std::string context;
    PutFixed<uint64_t>(&context, round.number);
    if (core->ReadIndex(Bytes::Take(std::move(context)))) {
      rounds_.push_back(std::move(round));
    } else {
      Fail(&round.waiting, NoLeader());
    }
  }

  // The core answered a round, and with it every earlier one.
  void OnRead(const raft::ReadState& read) {
    if (read.context.size() != sizeof(uint64_t)) return;
    uint64_t number = LoadFixed<uint64_t>(read.context.data());
    for (Round& round : rounds_) {
      if (round.number <= number && !round.confirmed) {
        round.confirmed = true;
        round.index = read.index;
      }
    }
  }

  bool HasReached(Index applied) const {
    return !rounds_.empty() && rounds_.front().confirmed && rounds_.front().index <= applied;
  }

  // Takes out, in order, those whose round is confirmed at or below `applied`.
  std::vector<BarrierDone> TakeReached(Index applied) {
    std::vector<BarrierDone> reached;
    while (HasReached(applied)) {
      for (BarrierDone& done : rounds_.front().waiting) reached.push_back(std::move(done));
      rounds_.pop_front();
    }
    return reached;
  }

  // No longer the leader, stopping, or failed: none will be answered.
  void FailAll(const Status& status = NoLeader()) {
    std::deque<Round> rounds = std::exchange(rounds_, {});
    std::vector<BarrierDone> next = std::exchange(next_, {});
    for (Round& round : rounds) Fail(&round.waiting, status);
    Fail(&next, status);
  }

  bool empty() const { return next_.empty() && rounds_.empty(); }

 private:
  struct Round {
    uint64_t number = 0;
    bool confirmed = false;
    Index index{};
    std::vector<BarrierDone> waiting;
  };

  static Status NoLeader() {
    return Status(StatusCode::kUnavailable, "this group has no leader here; try again");
  }

  static void Fail(std::vector<BarrierDone>* waiting, const Status& status) {
    for (BarrierDone& done : *waiting) done(status);
    waiting->clear();
  }

  std::vector<BarrierDone> next_;
  std::deque<Round> rounds_;
  uint64_t last_number_ = 0;
};

}  // namespace ursula::group
