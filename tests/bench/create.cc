#include "tests/bench/create.h"

#include <algorithm>
#include <utility>

#include "tests/bench/session.h"

namespace ursula::bench {
namespace {

// The numbers that are still to be created by one worker.
struct Queue {
  uint64_t next = 0;
  uint64_t end = 0;
};

class CreateSession final : public Session {
 public:
  CreateSession(Loop* loop, Crew* crew, const CreatePlan* plan, Queue* queue)
      : Session(loop, crew), plan_(plan), queue_(queue) {}

 private:
  void Go() override {
    if (queue_->next == queue_->end) return;
    request_ = CreateRequest(plan_->names, queue_->next++, plan_->content_type);
    sent_ns_ = NowNs();
    Ask(request_);
  }
  void OnResponse(const ResponseHead& head) override {
    Answered();
    if (head.status == 201) {
      crew_->tally->Ended(sent_ns_, NowNs(), 0);
    } else {
      crew_->tally->Error(StatusError(head.status));
    }
    if (idle()) Go();
  }

  const CreatePlan* const plan_;
  Queue* const queue_;
  std::string request_;
  uint64_t sent_ns_ = 0;
};

class CreateDriver final : public SessionDriver<CreateSession> {
 public:
  CreateDriver(Loop* loop, CreatePlan plan) : SessionDriver("create"), plan_(std::move(plan)) {
    Share streams = ShareOf(plan_.streams, plan_.worker, plan_.worker_count);
    Share share = ShareOf(plan_.connections, plan_.worker, plan_.worker_count);
    queue_ = {streams.begin, streams.end};
    for (uint32_t i = share.begin; i < share.end; ++i) Add(loop, &crew_, &plan_, &queue_);
  }

  bool done() const override {
    return crew_.under_way == 0 && (queue_.next == queue_.end || all_dead());
  }
  void Finish() override {
    if (queue_.next < queue_.end) tally_.Error("not created", queue_.end - queue_.next);
    SessionDriver::Finish();
  }

 private:
  const CreatePlan plan_;
  Queue queue_;
};

}  // namespace

std::unique_ptr<Driver> NewCreateDriver(Loop* loop, CreatePlan plan) {
  return std::make_unique<CreateDriver>(loop, std::move(plan));
}

}  // namespace ursula::bench
