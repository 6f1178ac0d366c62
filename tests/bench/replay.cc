#include "tests/bench/replay.h"

#include <algorithm>
#include <utility>

#include "tests/bench/session.h"

namespace ursula::bench {
namespace {

class ReplaySession final : public Session {
 public:
  ReplaySession(Loop* loop, Crew* crew, ReplayPlan* plan) : Session(loop, crew), plan_(plan) {}

  bool finished() const { return ended_ >= plan_->rounds; }

 private:
  void Go() override {
    uint64_t now = NowNs();
    if (now >= crew_->tally->window().end_ns || (plan_->rounds > 0 && finished())) return;
    if (!reconnected_) begin_ns_ = now;
    reconnected_ = false;
    bytes_ = 0;
    ReadFrom("-1");
  }
  void ReadFrom(std::string_view offset) {
    request_ = ReadRequest(plan_->names, 0, std::string("?offset=").append(offset), plan_->gzip);
    Ask(request_);
  }
  void OnBody(std::string_view bytes) override { bytes_ += bytes.size(); }
  void OnResponse(const ResponseHead& head) override {
    Answered();
    if (head.status != 200) {
      crew_->tally->Error(StatusError(head.status));
    } else if (head.gzip != plan_->gzip) {
      crew_->tally->Error(plan_->gzip ? "not gzip" : "gzip unasked");
    } else if (!head.up_to_date) {
      if (idle()) ReadFrom(head.next_offset);
      return;
    } else {
      if (plan_->log_bytes == 0) plan_->log_bytes = bytes_;
      if (bytes_ == plan_->log_bytes) {
        crew_->tally->Ended(begin_ns_, NowNs(), bytes_);
      } else {
        crew_->tally->Error("log of another size");
      }
    }
    ++ended_;
    if (!idle()) return;
    if (!plan_->reconnect) return Go();
    begin_ns_ = NowNs();
    reconnected_ = true;
    Reconnect();
  }

  ReplayPlan* const plan_;
  uint64_t begin_ns_ = 0;
  uint64_t bytes_ = 0;
  uint32_t ended_ = 0;  // Replays.
  bool reconnected_ = false;
  std::string request_;
};

class ReplayDriver final : public SessionDriver<ReplaySession> {
 public:
  ReplayDriver(Loop* loop, ReplayPlan plan) : SessionDriver("replay"), plan_(std::move(plan)) {
    Share share = ShareOf(plan_.clients, plan_.worker, plan_.worker_count);
    for (uint32_t i = share.begin; i < share.end; ++i) Add(loop, &crew_, &plan_);
  }

  bool done() const override {
    if (plan_.rounds == 0) return SessionDriver::done();
    const bool all = std::all_of(sessions_.begin(), sessions_.end(), [](const auto& session) {
      return session->dead() || session->finished();
    });
    return crew_.under_way == 0 && all;
  }

 private:
  ReplayPlan plan_;
};

}  // namespace

std::unique_ptr<Driver> NewReplayDriver(Loop* loop, ReplayPlan plan) {
  return std::make_unique<ReplayDriver>(loop, std::move(plan));
}

}  // namespace ursula::bench
