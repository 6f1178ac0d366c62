// ursula/sync.h
//
// Wait turns a completion into a return value, for tests, examples and threads of an embedder's
// own. On a core of a runtime it ends the process with a sentence: the core would wait for itself.

#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula {

void CheckMayWait();  // Ends the process on a core of a runtime.

// auto reply = Wait<AppendReply>([&](auto done) { engine->Append(request, std::move(done)); });
template <class Reply, class Start>
Result<Reply> Wait(Start&& start) {
  CheckMayWait();
  std::mutex mutex;
  std::condition_variable finished;
  std::optional<Result<Reply>> result;
  std::forward<Start>(start)(Function<void(Result<Reply>)>([&](Result<Reply> reply) {
    std::lock_guard<std::mutex> lock(mutex);
    result.emplace(std::move(reply));
    finished.notify_one();  // Under the lock: `finished` dies once the waiter sees the result.
  }));
  std::unique_lock<std::mutex> lock(mutex);
  finished.wait(lock, [&] { return result.has_value(); });
  return std::move(*result);
}

}  // namespace ursula
