#include "server/http/batch_task.h"

#include <utility>
#include <variant>

#include "lib/base/check.h"
#include "server/protocol/errors.h"
#include "server/protocol/response_mapping.h"

namespace ursula::http {

using protocol::BatchReader;
using protocol::Response;

static_assert(BatchTask::kSliceItemsMax <= kAppendBatchItemsMax);

namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

// What its stream decided, or would have.
bool IsDecided(const Result<AppendReply>& reply) {
  return reply.ok() || reply.status().code() == StatusCode::kInvalidArgument;
}

}  // namespace

BatchTask::BatchTask(StreamContext* context, Exchange* exchange, protocol::AppendBatchAction action)
    : context_(context), exchange_(exchange) {
  reader_.emplace(context->config, std::move(action.bucket),
                  std::exchange(exchange->request().body, {}));
  timer_.Then<&BatchTask::OnTimer>(this);
}

void BatchTask::Start() {
  begun_ns_ = context_->loop->now_ns();
  RunSlice();
}

// ---- a slice -----------------------------------------------------------------------------------

void BatchTask::RunSlice() {
  URSULA_CHECK(state_ == State::kUnderWay && slice_.empty());
  if (exchange_->gone()) return End();
  if (exchange_->stopping() && streaming_) {
    return EndWithRest(protocol::StoppedBatchResponse(*context_->config));
  }
  if (context_->loop->now_ns() >= EndNs()) {
    return EndWithRest(protocol::LateBatchResponse(*context_->config));
  }
  ReadSlice();
  if (state_ == State::kEnded) return;
  std::vector<AppendRequest> appends = TakeAppends();
  if (!appends.empty()) {
    return context_->engine->AppendBatch(
        std::move(appends),
        [this](Result<AppendBatchReply> reply) { OnAppended(std::move(reply)); });
  }
  // A turn for each slice, whatever it holds.
  context_->loop->Post([this] { OnAppended(AppendBatchReply{}); });
}

void BatchTask::ReadSlice() {
  const std::size_t begin = reader_->at();
  while (slice_.size() < kSliceItemsMax && reader_->at() - begin < kSliceBytesMax && !at_end_) {
    protocol::BatchItem item;
    switch (reader_->Next(&item)) {
      case BatchReader::Step::kItem:
        slice_.push_back(std::move(item));
        break;
      case BatchReader::Step::kMore:
        break;
      case BatchReader::Step::kEnd:
        at_end_ = true;
        break;
      case BatchReader::Step::kBroken:
        at_end_ = true;
        broken_ = std::get<Response>(std::move(item));
        break;
    }
  }
  if (reader_->index() > 0 || !at_end_) return;
  // Nothing was judged: the request is what is wrong.
  Forget();
  exchange_->Reply(broken_ ? std::move(*broken_) : protocol::EmptyBatchResponse());
}

// What the engine is to be asked. Nothing may overtake what may still come.
std::vector<AppendRequest> BatchTask::TakeAppends() {
  std::vector<AppendRequest> appends;
  for (protocol::BatchItem& item : slice_) {
    auto* append = std::get_if<protocol::AppendAction>(&item);
    if (append == nullptr) continue;
    if (undecided_.contains(append->request.stream)) {
      const Status why(StatusCode::kUnavailable, "an append before it came to no decision");
      Response refusal = protocol::MapAppendReply(*append, why, *context_->config);
      item = std::move(refusal);
      continue;
    }
    asked_.push_back(append->request.stream);
    appends.push_back(std::move(append->request));
  }
  return appends;
}

void BatchTask::OnAppended(Result<AppendBatchReply> reply) {
  std::size_t answered = 0;
  for (protocol::BatchItem& item : slice_) {
    if (auto* refusal = std::get_if<Response>(&item)) {
      AddLine(*refusal);
      continue;
    }
    const auto& append = std::get<protocol::AppendAction>(item);
    Result<AppendReply> one = reply.status();
    if (reply.ok()) one = std::move(reply->items.at(answered));
    if (!IsDecided(one)) undecided_.insert(std::move(asked_.at(answered)));
    ++answered;
    AddLine(protocol::MapAppendReply(append, one, *context_->config));
  }
  slice_.clear();
  asked_.clear();
  if (exchange_->gone()) return End();
  if (broken_) return EndWithRest(*broken_);
  if (at_end_) return End();
  SendSlice();
  if (streaming_ && exchange_->unsent_bytes() > kUnsentBytesMax) {
    state_ = State::kDraining;
    context_->loop->StartTimer(&timer_, EndNs());
    return;
  }
  RunSlice();
}

// ---- answering ---------------------------------------------------------------------------------

void BatchTask::AddLine(const Response& response) {
  protocol::AppendBatchLine(&lines_, told_++, response);
}

void BatchTask::EndWithRest(const Response& response) {
  protocol::AppendBatchRest(&lines_, told_, response);
  End();
}

void BatchTask::SendSlice() {
  if (lines_.empty()) return;
  if (!std::exchange(streaming_, true)) exchange_->StartStream(protocol::BatchHead());
  sent_bytes_ += lines_.size();
  exchange_->Send(Chunk::Of(lines_));
  lines_.clear();
}

void BatchTask::End() {
  Forget();
  if (exchange_->gone()) return exchange_->Abandon();
  if (!streaming_) {  // All of it is here.
    Response whole = protocol::BatchHead();
    whole.body.push_back(Bytes::Take(std::move(lines_)));
    return exchange_->Reply(std::move(whole));
  }
  SendSlice();
  exchange_->EndStream();
}

// The exchange's end gives back what was counted for the body, and the connection keeps this.
void BatchTask::Forget() {
  state_ = State::kEnded;
  context_->loop->CancelTimer(&timer_);
  reader_.reset();
  std::exchange(slice_, std::vector<protocol::BatchItem>());
  std::exchange(asked_, std::vector<StreamId>());
  undecided_.clear();
}

// ---- what ends it early ------------------------------------------------------------------------

uint64_t BatchTask::EndNs() const {
  return begun_ns_ + kTimeNs + sent_bytes_ * (kNsPerSecond / kAnswerBytesPerSecondMin);
}

void BatchTask::OnTimer() {
  URSULA_CHECK(state_ == State::kDraining);
  EndWithRest(protocol::LateBatchResponse(*context_->config));
}

// What is under way comes to its end first.
void BatchTask::OnGone() {
  if (state_ == State::kDraining) End();
}

void BatchTask::OnStopping() {
  if (state_ == State::kDraining) {
    EndWithRest(protocol::StoppedBatchResponse(*context_->config));
  }
}

void BatchTask::OnDrained() {
  if (state_ != State::kDraining) return;
  state_ = State::kUnderWay;
  context_->loop->CancelTimer(&timer_);
  RunSlice();
}

}  // namespace ursula::http
