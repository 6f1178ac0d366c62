// lib/engine/fence_waits.h
//
// Creates that met the fence of a bucket's deletion, at the leader of their name's group. They go
// on in the turn in which the fence is taken back there: the deletion's next attempt fences this
// group only after that, so a create waits for one attempt, however many follow each other. They go
// on, too, where the fence is settled by a deletion that has succeeded. What becomes of it at
// another leader isn't seen here: who has waited for kWaitNs asks the meta group. One loop's
// thread.

#pragma once

#include <cstdint>
#include <iterator>
#include <list>
#include <string>
#include <utility>

#include "lib/group/replica.h"
#include "lib/io/loop.h"
#include "lib/stream/command.h"
#include "ursula/function.h"

namespace ursula::engine {

class FenceWaits {
 public:
  static constexpr uint64_t kWaitNs = 300'000'000;

  static bool Holds(const group::Replica& replica, const stream::CreateStream& create) {
    return replica.leads() && replica.machine().MayBeUnfenced(create.id.bucket, create.bucket);
  }

  // What it is held by.
  struct Held {
    Held(const group::Replica& where, const stream::CreateStream& create)
        : replica(&where), bucket(create.id.bucket), stamp(create.bucket) {}

    const group::Replica* replica;
    std::string bucket;
    stream::BucketStamp stamp;
  };

  // REQUIRES: Holds. `go_on` once it doesn't, or with false when it has waited.
  void Add(io::Loop* loop, Held held, Function<void(bool passed)> go_on);

  // The fences of this replica's group may have changed.
  void Look(const group::Replica& replica);

  // Who waits never hears of it.
  void Clear() { waiting_.clear(); }

 private:
  struct Waiting {
    Waiting(FenceWaits* by, Held what, Function<void(bool passed)> then)
        : owner(by), held(std::move(what)), go_on(std::move(then)) {}
    void OnDue() { owner->OnDue(self); }

    FenceWaits* const owner;
    const Held held;
    Function<void(bool passed)> go_on;
    std::list<Waiting>::iterator self = {};
    io::Timer timer;
  };

  void OnDue(std::list<Waiting>::iterator one);

  std::list<Waiting> waiting_;  // In the order in which they came.
};

}  // namespace ursula::engine
