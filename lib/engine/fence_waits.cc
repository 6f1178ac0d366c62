#include "lib/engine/fence_waits.h"

#include <vector>

namespace ursula::engine {

void FenceWaits::Add(io::Loop* loop, Held held, Function<void(bool passed)> go_on) {
  Waiting& one = waiting_.emplace_back(this, std::move(held), std::move(go_on));
  one.self = std::prev(waiting_.end());
  loop->StartTimer(one.timer.Then<&Waiting::OnDue>(&one), loop->now_ns() + kWaitNs);
}

void FenceWaits::Look(const group::Replica& replica) {
  std::vector<Function<void(bool passed)>> passed;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const Held& held = at->held;
    const bool waits =
        held.replica != &replica || replica.machine().MayBeUnfenced(held.bucket, held.stamp);
    if (!waits) passed.push_back(std::move(at->go_on));
    at = waits ? std::next(at) : waiting_.erase(at);
  }
  for (Function<void(bool passed)>& go_on : passed) go_on(true);
}

void FenceWaits::OnDue(std::list<Waiting>::iterator one) {
  Function<void(bool passed)> go_on = std::move(one->go_on);
  waiting_.erase(one);
  go_on(false);
}

}  // namespace ursula::engine
