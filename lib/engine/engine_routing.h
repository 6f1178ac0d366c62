// lib/engine/engine_routing.h
//
// The templates of Engine that bring work to a core and answers back. Included by engine.h.

#pragma once

#include <memory>
#include <utility>

#include "lib/base/check.h"
#include "lib/engine/engine.h"

namespace ursula::engine {

template <class Reply>
Done<Reply> Engine::Returning(Done<Reply> done) {
  open_calls_.fetch_add(1, std::memory_order_relaxed);
  io::Loop* origin = runtime_.Current();
  return [this, origin, done = std::move(done)](Result<Reply> result) mutable {
    bool here = origin != nullptr ? origin->InLoop() : !executor_;
    if (here) {
      done(std::move(result));
      return CallEnded();
    }
    auto answer = [this, done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
      CallEnded();
    };
    if (origin != nullptr) {
      origin->Post(std::move(answer));
    } else {
      executor_(std::move(answer));
    }
  };
}

template <class T>
void Engine::CallGroup(GroupId group,
                       Function<void(group::Replica&, Function<void(Result<T>)>)> work,
                       Function<void(Result<T>)> done) {
  Shard& shard = ShardOf(group);
  if (shard.loop().InLoop()) return work(shard.replica(group), std::move(done));
  io::Loop* here = runtime_.Current();
  URSULA_CHECK(here != nullptr);
  shard.loop().Post(
      [&shard, group, here, work = std::move(work), done = std::move(done)]() mutable {
        work(shard.replica(group), [here, done = std::move(done)](Result<T> result) mutable {
          here->Post([done = std::move(done), result = std::move(result)]() mutable {
            done(std::move(result));
          });
        });
      });
}

// Makes the shared state of a call whose answer goes to where it came from.
template <class Request, class Reply>
CallPtr<Request, Reply> MakeCall(Request request, Done<Reply> done) {
  auto call = std::make_shared<Call<Request, Reply>>();
  call->request = std::move(request);
  call->done = std::move(done);
  return call;
}

// Ends a call with an outcome alone.
template <class Request, class Reply>
void Answer(const CallPtr<Request, Reply>& call, Outcome outcome) {
  Reply reply;
  reply.outcome = outcome;
  call->done(std::move(reply));
}

}  // namespace ursula::engine
