#include "tests/bench/append.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tests/bench/session.h"

namespace ursula::bench {
namespace {

class AppendSession final : public Session {
 public:
  // `number` is this connection's among all of the run.
  AppendSession(Loop* loop, Crew* crew, const AppendPlan* plan, uint32_t number)
      : Session(loop, crew), plan_(plan), number_(number) {
    uint32_t owned = 1;  // Streams number_, number_ + connections, …
    if (plan->streams > number) owned += (plan->streams - 1 - number) / plan->connections;
    producer_seqs_.resize(plan->producers ? owned : 1);
    owned_ = owned;
    payload_ = MakePayload(plan->content_type, plan->payload_bytes);
  }

  bool open_loop() const { return plan_->rate > 0; }
  uint64_t waiting() const { return arrived_ - begun_; }
  bool finished() const { return counted() && begun_ >= count_max(); }
  bool counted() const { return plan_->count_max > 0 || plan_->each_once; }

  // Open loop: one more is due.
  void Arrive() {
    ++arrived_;
    if (idle()) Go();
  }

 private:
  uint64_t count_max() const {
    if (!plan_->each_once) return plan_->count_max;
    return number_ < plan_->streams ? owned_ : 0;
  }

  // The schedule of all connections together: one every 1/rate seconds, each in turn.
  uint64_t DueNs(uint64_t n) const {
    double position = static_cast<double>(n) * plan_->connections + number_;
    return crew_->tally->window().start_ns +
           static_cast<uint64_t>(std::llround(position * 1e9 / plan_->rate));
  }

  void Go() override { GoAt(NowNs()); }

  void GoAt(uint64_t now) {
    if (finished()) return;
    if (open_loop()) {
      if (waiting() == 0) return;
      from_ns_ = DueNs(begun_);
    } else {
      if (!counted() && now >= crew_->tally->window().end_ns) return;
      from_ns_ = now;
    }
    ++begun_;
    Ask(NextRequest());
  }

  std::string_view NextRequest() {
    if (plan_->stamped) Stamp(&payload_, from_ns_);
    bool as_before = owned_ == 1 && !plan_->stamped && !plan_->producers;
    if (as_before && !request_.empty()) return request_;
    uint64_t stream = number_ < plan_->streams ? number_ + uint64_t{turn_} * plan_->connections
                                               : number_ % plan_->streams;
    ProducerFields producer;
    if (plan_->producers) {
      producer = {plan_->run_id + "-" + std::to_string(number_), producer_seqs_[turn_]};
    }
    request_ = AppendRequest(plan_->names, stream, plan_->content_type,
                             plan_->producers ? &producer : nullptr, payload_);
    return request_;
  }

  void OnResponse(const ResponseHead& head) override {
    Answered();
    uint64_t now = NowNs();
    if (head.status / 100 != 2) {
      crew_->tally->Error(StatusError(head.status));
    } else if (open_loop()) {
      crew_->tally->EndedOfSchedule(from_ns_, now, plan_->payload_bytes);
    } else {
      crew_->tally->Ended(from_ns_, now, plan_->payload_bytes);
    }
    if (plan_->producers) ++producer_seqs_[turn_];
    turn_ = turn_ + 1 == owned_ ? 0 : turn_ + 1;
    if (idle()) GoAt(now);
  }

  const AppendPlan* const plan_;
  const uint32_t number_;
  uint32_t owned_ = 1;
  uint32_t turn_ = 0;  // Which of the owned streams is next.
  uint64_t arrived_ = 0;
  uint64_t begun_ = 0;
  uint64_t from_ns_ = 0;
  std::vector<uint64_t> producer_seqs_;
  std::string payload_;
  std::string request_;
};

class AppendDriver final : public SessionDriver<AppendSession> {
 public:
  AppendDriver(Loop* loop, AppendPlan plan) : SessionDriver("append"), plan_(std::move(plan)) {
    Share share = ShareOf(plan_.connections, plan_.worker, plan_.worker_count);
    first_ = share.begin;
    for (uint32_t i = share.begin; i < share.end; ++i) Add(loop, &crew_, &plan_, i);
  }

  uint64_t OnTime(uint64_t now) override {
    if (plan_.rate <= 0 || sessions_.empty()) return kNever;
    const Window& window = tally_.window();
    for (;;) {
      auto in_round = static_cast<uint32_t>(next_ % sessions_.size());
      double position = static_cast<double>(next_ / sessions_.size()) * plan_.connections +
                        static_cast<double>(first_ + in_round);
      uint64_t due =
          window.start_ns + static_cast<uint64_t>(std::llround(position * 1e9 / plan_.rate));
      if (due >= window.end_ns) return kNever;
      if (due > now) return due;
      ++next_;
      sessions_[in_round]->Arrive();
    }
  }

  bool done() const override {
    uint64_t waiting = 0;
    bool counted = plan_.count_max > 0 || plan_.each_once;
    bool finished = counted;
    for (const auto& session : sessions_) {
      if (session->dead()) continue;
      waiting += session->waiting() * (session->open_loop() ? 1 : 0);
      finished = finished && session->finished();
    }
    if (counted) return crew_.under_way == 0 && (finished || all_dead());
    return waiting == 0 && SessionDriver::done();
  }

  void Finish() override {
    uint64_t waiting = 0;
    for (const auto& session : sessions_) {
      if (session->open_loop()) waiting += session->waiting();
    }
    if (waiting > 0) tally_.Error("never begun", waiting);
    SessionDriver::Finish();
  }

 private:
  const AppendPlan plan_;
  uint32_t first_ = 0;
  uint64_t next_ = 0;  // Arrivals so far, of this worker's connections in turn.
};

}  // namespace

std::unique_ptr<Driver> NewAppendDriver(Loop* loop, AppendPlan plan) {
  return std::make_unique<AppendDriver>(loop, std::move(plan));
}

}  // namespace ursula::bench
