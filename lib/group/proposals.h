// lib/group/proposals.h
//
// Who waits for which entry. A waiter is keyed by (index, term) and ends when an entry is applied
// at that index, also after this replica has stepped down: with the reply if the entry is the
// waiter's own, else with the certainty that it was overwritten and never applied. Where an index
// was passed over, because a snapshot took the place of the log, nobody here knows which it was.

#pragma once

#include <cstdint>
#include <deque>
#include <iterator>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/stream/reply.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::group {

using ProposeDone = Function<void(Result<stream::Reply>)>;

// Invariant: ascending by index, then by term; terms and indexes are those the core gave out.
class Proposals {
 public:
  struct Waiter {
    Index index{};
    Term term{};
    uint64_t payload_bytes = 0;
    uint64_t start_ns = 0;
    ProposeDone done;
  };

  Proposals() = default;
  Proposals(const Proposals&) = delete;
  Proposals& operator=(const Proposals&) = delete;
  ~Proposals() { URSULA_CHECK(waiters_.empty()); }

  // A slot may be given out again: after a term in which another led, and whose entries took the
  // place. Which of them is committed in the end is known only when one is applied.
  void Add(Waiter waiter) {
    auto at = waiters_.end();
    while (at != waiters_.begin() && std::prev(at)->index > waiter.index) --at;
    waiters_.insert(at, std::move(waiter));
  }

  // Whether the entry (index, term), the next to be applied, is one that a waiter asked for.
  bool IsOwn(Index index, Term term) const {
    return !waiters_.empty() && waiters_.front().index == index && waiters_.front().term == term;
  }

  // The entry (index, term) is being applied. Calls `owner(waiter)` if a waiter asked for it, and
  // `lost(waiter)` for each whose slot another entry took. REQUIRES: none waits for less.
  template <class Owner, class Lost>
  void Resolve(Index index, Term term, Owner&& owner, Lost&& lost) {
    URSULA_CHECK(waiters_.empty() || waiters_.front().index >= index);
    while (!waiters_.empty() && waiters_.front().index == index) {
      Waiter waiter = std::move(waiters_.front());
      waiters_.pop_front();
      if (waiter.term == term) {
        owner(waiter);
      } else {
        lost(waiter);
      }
    }
  }

  // Takes out those that wait for an index up to `index`, which none was applied at.
  std::deque<Waiter> TakeSkipped(Index index) {
    std::deque<Waiter> skipped;
    while (!waiters_.empty() && waiters_.front().index <= index) {
      skipped.push_back(std::move(waiters_.front()));
      waiters_.pop_front();
    }
    return skipped;
  }

  // Takes out those that began to wait at `start_ns` or before. What is left may have begun before,
  // too, where slots were given out again; it is taken with those that stand before it.
  std::deque<Waiter> TakeOlder(uint64_t start_ns) {
    std::deque<Waiter> older;
    while (!waiters_.empty() && waiters_.front().start_ns <= start_ns) {
      older.push_back(std::move(waiters_.front()));
      waiters_.pop_front();
    }
    return older;
  }

  // Takes all out: the replica ends without knowing.
  std::deque<Waiter> TakeAll() { return std::exchange(waiters_, {}); }

  std::size_t size() const { return waiters_.size(); }
  bool empty() const { return waiters_.empty(); }

 private:
  std::deque<Waiter> waiters_;
};

}  // namespace ursula::group
