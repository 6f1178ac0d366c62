// The part of Replica that keeps its reads and wakes those that wait.

#include <utility>

#include "lib/base/check.h"
#include "lib/group/replica.h"

namespace ursula::group {

ReadTask* Replica::AddTask(std::unique_ptr<ReadTask> task) {
  ReadTask* raw = task.get();
  bool added = tasks_.emplace(raw->id(), std::move(task)).second;
  URSULA_CHECK(added);
  AfterBarrier([this, id = raw->id()](Status status) {
    auto found = tasks_.find(id);
    if (found == tasks_.end()) return;
    ReadTask* read = found->second.get();
    if (!status.ok()) read->Cancel(std::move(status));
    read->Start();
  });
  return raw;
}

void Replica::RemoveTask(uint64_t read_id) {
  std::size_t removed = tasks_.erase(read_id);
  URSULA_CHECK(removed == 1);
  if (stop_done_) Schedule();
}

void Replica::Read(ReadRequest request, uint64_t read_id, GroupReadDone done) {
  if (read_id == 0) read_id = ++next_internal_id_;
  AddTask(std::make_unique<StreamRead>(this, read_id, std::move(request), std::move(done)));
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
  waiters_[incarnation].PushBack(task);
  return true;
}

void Replica::RemoveWaiter(ReadTask* task, stream::Incarnation incarnation) {
  --services_.budget->stats.waiters;
  --waiting_reads_;
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
