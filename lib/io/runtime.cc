#include "lib/io/runtime.h"

#include <utility>

#include "ursula/sync.h"

namespace ursula::io {

void LoopRuntime::Await(Function<void(Function<void()> finished)> start) {
  struct Finished {};
  (void)Wait<Finished>([&start](Function<void(Result<Finished>)> done) {
    start([done = std::move(done)]() mutable { done(Finished{}); });
  });
}

}  // namespace ursula::io
