#include "tests/bench/readers.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "tests/bench/session.h"
#include "tests/bench/sse_parser.h"

namespace ursula::bench {
namespace {

// So little that the server's own buffers are what fills up.
constexpr int kSlowReceiveBytes = 64 << 10;

class ReaderSession final : public Session, private SseSink {
 public:
  ReaderSession(Loop* loop, Crew* crew, const ReaderPlan* plan, uint32_t number)
      : Session(loop, crew), plan_(plan), stream_(number % plan->streams) {
    if (plan->slow) StartPaused(kSlowReceiveBytes);
    const std::size_t others = plan->servers == nullptr ? 0 : plan->servers->size();
    const std::size_t at = number % (others + 1);
    if (at > 0) set_server(&plan->servers->at(at - 1));
  }

  uint64_t received() const { return received_; }

 private:
  void OnConnected() override { Subscribe(); }
  void Go() override {}

  void Subscribe() {
    parser_.Reset();
    unconfirmed_ = 0;
    request_ = ReadRequest(plan_->names, stream_, "?offset=" + offset_ + "&live=sse");
    Ask(request_);
    if (plan_->slow) Settle();  // Its answer is not read.
  }
  void OnHead(const ResponseHead& head) override {
    status_ = head.status;
    if (status_ != 200) crew_->tally->Error(StatusError(status_));
  }
  void OnBody(std::string_view bytes) override {
    if (status_ != 200) return;
    now_ns_ = NowNs();
    parser_.Feed(bytes, this);
  }
  void OnDataLine(std::string_view line) override {
    std::optional<uint64_t> sent_ns = ReadStamp(line);
    if (!sent_ns.has_value()) return;
    ++unconfirmed_;
    if (!plan_->slow) crew_->tally->EndedOfSchedule(*sent_ns, now_ns_, plan_->payload_bytes);
  }
  // Reading goes on from here after a loss; data without it comes again.
  void OnControl(std::string_view next_offset) override {
    offset_ = std::string(next_offset);
    received_ += unconfirmed_;
    unconfirmed_ = 0;
    Settle();
  }
  // The server lets a reader connect anew now and then.
  void OnResponse(const ResponseHead&) override {
    Answered();
    if (status_ == 200) {
      if (idle()) Subscribe();
    } else {
      Settle();
    }
  }
  void OnLost(int error) override {
    if (!plan_->slow) return Session::OnLost(error);
    Answered();
    crew_->tally->Note("cut");
  }

  const ReaderPlan* const plan_;
  const uint32_t stream_;
  std::string offset_ = "now";
  std::string request_;
  SseParser parser_;
  int status_ = 0;
  uint64_t now_ns_ = 0;
  uint64_t received_ = 0;
  uint64_t unconfirmed_ = 0;
};

class ReaderDriver final : public SessionDriver<ReaderSession> {
 public:
  ReaderDriver(Loop* loop, ReaderPlan plan) : SessionDriver(plan.name), plan_(std::move(plan)) {
    Share share = ShareOf(plan_.readers, plan_.worker, plan_.worker_count);
    for (uint32_t i = share.begin; i < share.end; ++i) Add(loop, &crew_, &plan_, i);
  }

  void Start(const Window& window) override {
    expected_ = plan_.rate > 0 ? CountDue(window, plan_.rate) : 0;
    SessionDriver::Start(window);
  }

  uint64_t OnTime(uint64_t now) override {
    if (!plan_.slow || resumed_) return kNever;
    if (now < tally_.window().end_ns) return tally_.window().end_ns;
    resumed_ = true;
    for (auto& session : sessions_) session->Resume();
    return kNever;
  }

  bool done() const override {
    if (NowNs() < tally_.window().end_ns) return false;
    return std::all_of(sessions_.begin(), sessions_.end(), [this](const auto& session) {
      return session->dead() || session->received() >= expected_;
    });
  }

  void Finish() override {
    uint64_t missing = 0;
    uint64_t surplus = 0;
    for (const auto& session : sessions_) {
      uint64_t received = session->received();
      if (received < expected_) missing += expected_ - received;
      if (plan_.rate > 0 && received > expected_) surplus += received - expected_;
    }
    if (missing > 0) tally_.Error("not delivered", missing);
    if (surplus > 0) tally_.Error("delivered twice", surplus);
    if (plan_.slow && missing + surplus == 0) tally_.Note("whole after resuming", sessions_.size());
    crew_.under_way = 0;  // Subscriptions have no end of their own.
    SessionDriver::Finish();
  }

 private:
  const ReaderPlan plan_;
  uint64_t expected_ = 0;
  bool resumed_ = false;
};

}  // namespace

std::unique_ptr<Driver> NewReaderDriver(Loop* loop, ReaderPlan plan) {
  return std::make_unique<ReaderDriver>(loop, std::move(plan));
}

uint64_t CountDue(const Window& window, double rate) {
  auto due = [&](uint64_t n) {
    return window.start_ns +
           static_cast<uint64_t>(std::llround(static_cast<double>(n) * 1e9 / rate));
  };
  double seconds = static_cast<double>(window.end_ns - window.start_ns) / 1e9;
  auto count = static_cast<uint64_t>(seconds * rate);
  while (count > 0 && due(count - 1) >= window.end_ns) --count;
  while (due(count) < window.end_ns) ++count;
  return count;
}

}  // namespace ursula::bench
