// The part of Replica that keeps its reads and wakes those that wait.

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/group/replica.h"

namespace ursula::group {

// ---- how current ---------------------------------------------------------------------------

// Where nobody else votes, all that is acknowledged was applied here: by what leads, for until then
// a leader that it has voted out may have acknowledged more.
std::optional<uint64_t> Replica::FreshNs() const {
  return sole_voter() && leads() ? kFreshNow : barrier_.fresh_ns();
}

bool Replica::IsFresh(Staleness bound) const {
  const std::optional<uint64_t> fresh_ns = FreshNs();
  if (!fresh_ns) return false;
  if (*fresh_ns == kFreshNow) return true;
  const uint64_t now_ns = services_.loop->now_ns();
  return bound.ns > 0 && now_ns - std::min(now_ns, *fresh_ns) <= bound.ns;
}

void Replica::AfterFreshness(Staleness bound, BarrierDone done) {
  EngineStats& stats = services_.budget->stats;
  ++stats.local_reads;
  if (RefuseReads().ok() && IsFresh(bound)) {
    fresh_.push_back(std::move(done));
    return Schedule();
  }
  ++stats.local_reads_waited;
  AfterBarrier([this, done = std::move(done)](Status status) mutable {
    if (status.code() != StatusCode::kUnavailable || !RefuseReads().ok()) {
      return done(std::move(status));
    }
    URSULA_SOMETIMES("group: a replica can't say how old it is");
    ++services_.budget->stats.local_reads_behind;
    done(Status(StatusCode::kBehind, status.message()));
  });
}

void Replica::AnswerFresh() {
  for (BarrierDone& done : std::exchange(fresh_, {})) done(RefuseReads());
}

void Replica::Lookup(StreamId id, std::optional<Staleness> bound,
                     Function<void(Result<stream::LookupResult>)> done) {
  auto look = [this, id = std::move(id), bound, done = std::move(done)](Status status) mutable {
    if (!status.ok()) return done(std::move(status));
    stream::LookupResult found = machine_->Lookup(id, NowMs());
    if (found.kind != stream::LookupResult::Kind::kExpired) return done(std::move(found));
    Settle(found.incarnation, false,
           [this, id = std::move(id), bound, done = std::move(done)](Status settled) mutable {
             if (!settled.ok()) return done(std::move(settled));
             Lookup(std::move(id), bound, std::move(done));
           });
  };
  if (bound) return AfterFreshness(*bound, std::move(look));
  AfterBarrier(std::move(look));
}

// Who waits here hears of nothing once this replica doesn't, while others may know more: as long as
// somebody waits it keeps proving that it is fresh, and ends the wait when it can't. A local read
// asks by itself when its time is over.
void Replica::WatchTails() {
  const uint64_t now_ns = services_.loop->now_ns();
  if (waiting_tails_ == 0 || sole_voter()) tails_since_ns_ = now_ns;
  const uint64_t fresh_ns = std::max(tails_since_ns_, std::min(now_ns, FreshNs().value_or(0)));
  if (now_ns - fresh_ns < kTailsAskNs) {
    tails_ticks_ = 0;
    return;
  }
  // While older rounds are out, too: what is applied late would have proved it only by then.
  if (tails_ticks_++ == 0 || now_ns - tails_asked_ns_ >= kTailsAskNs) {
    tails_asked_ns_ = now_ns;
    AfterBarrier([](const Status&) {});
  }
  // Who stood still has had no time to ask yet.
  if (tails_ticks_ > kTailsTicksMin && now_ns - fresh_ns >= kTailsFreshNs) EndTails();
}

void Replica::EndTails() {
  std::vector<uint64_t> ids;
  for (auto& [incarnation, waiting] : waiters_) {
    for (ReadTask& task : waiting) {
      if (task.IsTail()) ids.push_back(task.id());
      if (ids.size() == kTailsAtOnce) break;  // The others at the next tick.
    }
    if (ids.size() == kTailsAtOnce) break;
  }
  for (uint64_t id : ids) {
    auto task = tasks_.find(id);  // What one's end calls may end another.
    if (task == tasks_.end() || !task->second->linked()) continue;
    URSULA_SOMETIMES("group: a replica that heard of nobody ended its tails");
    task->second->Cancel(Status(StatusCode::kUnavailable,
                                "this node has heard of no leader for 5 s, and doesn't know what "
                                "came meanwhile; go on at another node, or later"));
  }
}

// ---- tasks -----------------------------------------------------------------------------------

ReadTask* Replica::AddTask(std::unique_ptr<ReadTask> task, std::optional<Staleness> bound) {
  ReadTask* raw = task.get();
  bool added = tasks_.emplace(raw->id(), std::move(task)).second;
  URSULA_CHECK(added);
  auto start = [this, id = raw->id()](Status status) {
    auto found = tasks_.find(id);
    if (found == tasks_.end()) return;
    ReadTask* read = found->second.get();
    if (!status.ok()) read->Cancel(std::move(status));
    read->Start();
  };
  if (bound) {
    AfterFreshness(*bound, std::move(start));
  } else {
    AfterBarrier(std::move(start));
  }
  return raw;
}

void Replica::RemoveTask(uint64_t read_id) {
  std::size_t removed = tasks_.erase(read_id);
  URSULA_CHECK(removed == 1);
  if (stop_done_) Schedule();
}

void Replica::Read(ReadRequest request, uint64_t read_id, GroupReadDone done) {
  if (read_id == 0) read_id = ++next_internal_id_;
  std::optional<Staleness> bound;
  if (request.consistency == Consistency::kLocal) bound = Staleness::OfMs(request.staleness_ms_max);
  AddTask(std::make_unique<StreamRead>(this, read_id, std::move(request), std::move(done)), bound);
}

bool Replica::CancelRead(uint64_t read_id) {
  auto found = tasks_.find(read_id);
  if (found == tasks_.end()) return false;
  found->second->Cancel(Status(StatusCode::kCancelled, "cancelled"));
  return true;
}

void Replica::ResolveForkPoint(stream::Incarnation source, ForkPoint point,
                               Function<void(Result<ResolvedFork>)> done) {
  AddTask(std::make_unique<ForkPointRead>(this, ++next_internal_id_, source, std::move(point),
                                          std::move(done)));
}

bool Replica::AddWaiter(ReadTask* task, stream::Incarnation incarnation) {
  CoreBudget& budget = *services_.budget;
  if (budget.stats.waiters >= budget.waiters_max) {
    ++budget.stats.refused_waiters;
    return false;
  }
  ++budget.stats.waiters;
  ++waiting_reads_;
  if (task->IsTail()) ++waiting_tails_;
  waiters_[incarnation].PushBack(task);
  return true;
}

void Replica::RemoveWaiter(ReadTask* task, stream::Incarnation incarnation) {
  --services_.budget->stats.waiters;
  --waiting_reads_;
  if (task->IsTail()) --waiting_tails_;
  task->Unlink();
  auto found = waiters_.find(incarnation);
  if (found != waiters_.end() && found->second.empty()) waiters_.erase(found);
}

void Replica::Wake(stream::Incarnation incarnation) {
  // Those that wait again at once are not visited twice: they go to a list that starts anew.
  std::vector<uint64_t> ids;
  auto found = waiters_.find(incarnation);
  if (found == waiters_.end()) return;
  for (ReadTask& task : found->second) ids.push_back(task.id());
  for (uint64_t id : ids) {
    auto task = tasks_.find(id);
    if (task != tasks_.end() && task->second->linked()) task->second->Wake();
  }
}

}  // namespace ursula::group
