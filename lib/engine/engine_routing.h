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
Return<Reply>::Return(Engine* engine, Done<Reply> done)
    : engine_(engine), origin_(engine->runtime_.Current()), done_(std::move(done)) {
  engine_->open_calls_.fetch_add(1, std::memory_order_relaxed);
}

template <class Reply>
void Return<Reply>::operator()(Result<Reply> result) {
  if (engine_ == nullptr) return;
  bool here = origin_ != nullptr ? origin_->InLoop() : !engine_->executor_;
  if (here) {
    done_(std::move(result));
    return engine_->CallEnded();
  }
  auto answer = [engine = engine_, done = std::move(done_), result = std::move(result)]() mutable {
    done(std::move(result));
    engine->CallEnded();
  };
  if (origin_ != nullptr) {
    origin_->Post(std::move(answer));
  } else {
    engine_->executor_(std::move(answer));
  }
}

template <class Request, class Reply>
CallPtr<Request, Reply> Engine::MakeCall(Request&& request, Done<Reply> done) {
  Return<Reply> back(this, std::move(done));
  return std::make_shared<Call<Request, Reply>>(std::move(request), std::move(back));
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

// Ends a call with an outcome alone.
template <class Request, class Reply>
void Answer(const CallPtr<Request, Reply>& call, Outcome outcome) {
  Reply reply;
  reply.outcome = outcome;
  call->done(std::move(reply));
}

}  // namespace ursula::engine
