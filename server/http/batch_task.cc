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

BatchTask::BatchTask(StreamContext* context, Exchange* exchange, protocol::AppendBatchAction action)
    : context_(context),
      exchange_(exchange),
      reader_(context->config, std::move(action.bucket), exchange->request().body) {}

void BatchTask::Start() { RunSlice(); }

// ---- a slice -----------------------------------------------------------------------------------

void BatchTask::RunSlice() {
  URSULA_CHECK(state_ == State::kUnderWay && slice_.empty());
  if (exchange_->gone()) return End();
  if (exchange_->stopping() && streaming_) {
    Response stopping = protocol::StatusResponse(
        Status(StatusCode::kFailedPrecondition, "the server is stopping"), *context_->config);
    stopping.headers.Set("Stream-Outcome", "not-proposed");
    return EndWithRest(stopping);
  }
  ReadSlice();
  if (state_ == State::kEnded) return;
  std::vector<AppendRequest> appends;
  for (protocol::BatchItem& item : slice_) {
    auto* append = std::get_if<protocol::AppendAction>(&item);
    if (append != nullptr) appends.push_back(std::move(append->request));
  }
  if (!appends.empty()) {
    return context_->engine->AppendBatch(
        std::move(appends),
        [this](Result<AppendBatchReply> reply) { OnAppended(std::move(reply)); });
  }
  // A turn for each slice, whatever it holds.
  context_->loop->Post([this] { OnAppended(AppendBatchReply{}); });
}

void BatchTask::ReadSlice() {
  const std::size_t begin = reader_.at();
  while (slice_.size() < kSliceItemsMax && reader_.at() - begin < kSliceBytesMax && !at_end_) {
    protocol::BatchItem item;
    switch (reader_.Next(&item)) {
      case BatchReader::Step::kItem:
        slice_.push_back(std::move(item));
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
  if (reader_.index() > 0) return;
  // Nothing was judged: the request is what is wrong.
  state_ = State::kEnded;
  exchange_->Reply(broken_ ? std::move(*broken_) : protocol::EmptyBatchResponse());
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
    if (reply.ok()) one = std::move(reply->items.at(answered++));
    AddLine(protocol::MapAppendReply(append, one, *context_->config));
  }
  slice_.clear();
  if (exchange_->gone()) return End();
  if (broken_) return EndWithRest(*broken_);
  if (at_end_) return End();
  SendSlice();
  if (exchange_->unsent_bytes() > kUnsentBytesMax) {
    state_ = State::kDraining;
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
  if (!std::exchange(streaming_, true)) exchange_->StartStream(protocol::BatchHead());
  exchange_->Send(Chunk::Of(lines_));
  lines_.clear();
}

void BatchTask::End() {
  state_ = State::kEnded;
  if (exchange_->gone()) return exchange_->Abandon();
  if (!streaming_) {  // All of it is here.
    Response whole = protocol::BatchHead();
    whole.body.push_back(Bytes::Take(std::move(lines_)));
    return exchange_->Reply(std::move(whole));
  }
  SendSlice();
  exchange_->EndStream();
}

// What is under way comes to its end first.
void BatchTask::OnGone() {
  if (state_ == State::kDraining) End();
}

void BatchTask::OnDrained() {
  if (state_ != State::kDraining) return;
  state_ = State::kUnderWay;
  RunSlice();
}

}  // namespace ursula::http
