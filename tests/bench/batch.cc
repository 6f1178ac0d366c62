#include "tests/bench/batch.h"

#include <utility>

#include "tests/bench/session.h"

namespace ursula::bench {
namespace {

constexpr std::string_view kRoot = "/v1/stream/";
constexpr std::string_view kApplied = "\"outcome\":\"applied\"";

uint32_t CountApplied(std::string_view text) {
  uint32_t count = 0;
  for (std::size_t at = text.find(kApplied); at != std::string_view::npos;
       at = text.find(kApplied, at + kApplied.size())) {
    ++count;
  }
  return count;
}

class BatchSession final : public Session {
 public:
  BatchSession(Loop* loop, Crew* crew, const BatchPlan* plan, uint32_t number)
      : Session(loop, crew), plan_(plan) {
    request_ =
        BatchRequest(plan->names, uint64_t{number} * plan->items, plan->streams, plan->items,
                     plan->content_type, MakePayload(plan->content_type, plan->payload_bytes));
  }

 private:
  void Go() override {
    from_ns_ = NowNs();
    if (from_ns_ >= crew_->tally->window().end_ns) return;
    answer_.clear();
    Ask(request_);
  }
  void OnBody(std::string_view bytes) override { answer_ += bytes; }
  void OnResponse(const ResponseHead& head) override {
    Answered();
    const uint64_t now = NowNs();
    if (head.status != 200) {
      crew_->tally->Error(StatusError(head.status), plan_->items);
    } else {
      const uint32_t applied = CountApplied(answer_);
      for (uint32_t i = 0; i < applied; ++i) {
        crew_->tally->Ended(from_ns_, now, plan_->payload_bytes);
      }
      if (applied < plan_->items) crew_->tally->Error("not applied", plan_->items - applied);
    }
    if (idle()) Go();
  }

  const BatchPlan* const plan_;
  uint64_t from_ns_ = 0;
  std::string request_;
  std::string answer_;
};

class BatchDriver final : public SessionDriver<BatchSession> {
 public:
  BatchDriver(Loop* loop, BatchPlan plan) : SessionDriver("append-batch"), plan_(std::move(plan)) {
    Share share = ShareOf(plan_.connections, plan_.worker, plan_.worker_count);
    for (uint32_t i = share.begin; i < share.end; ++i) Add(loop, &crew_, &plan_, i);
  }

 private:
  const BatchPlan plan_;
};

}  // namespace

std::string BatchRequest(const Names& names, uint64_t first, uint32_t streams, uint32_t items,
                         std::string_view content_type, std::string_view payload) {
  // Either root has its batches beside its streams.
  const std::string path = names.Path(0);
  const bool upstream = path.starts_with(kRoot);
  const std::size_t root = upstream ? kRoot.size() : path.find('/', 1) + 1;
  std::string body;
  for (uint32_t i = 0; i < items; ++i) {
    body.append("{\"stream\":\"").append(names.Path((first + i) % streams).substr(root));
    body.append("\",\"content_type\":\"").append(content_type);
    body.append("\",\"bytes\":").append(std::to_string(payload.size())).append("}\n");
    body.append(payload).append("\n");
  }
  std::string request = "POST ";
  request.append(path.substr(0, root)).append(upstream ? "__batch" : "append-batch");
  request.append(" HTTP/1.1\r\nHost: ").append(names.authority());
  request.append("\r\nContent-Type: application/x-ndjson\r\nContent-Length: ");
  return request.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
}

std::unique_ptr<Driver> NewBatchDriver(Loop* loop, BatchPlan plan) {
  return std::make_unique<BatchDriver>(loop, std::move(plan));
}

}  // namespace ursula::bench
