#include "server/http/read_task.h"

#include <utility>

#include "server/protocol/compress.h"
#include "server/protocol/response_mapping.h"

namespace ursula::http {

ReadTask::ReadTask(StreamContext* context, Exchange* exchange, protocol::ReadAction action)
    : context_(context), exchange_(exchange), action_(std::move(action)) {}

void ReadTask::Start() {
  if (exchange_->stopping()) action_.request.wait_ms = 0;
  Read();
}

void ReadTask::Read() {
  ticket_ = context_->engine->Read(action_.request,
                                   [this](Result<ReadReply> reply) { OnReply(std::move(reply)); });
}

void ReadTask::OnReply(Result<ReadReply> reply) {
  ticket_ = 0;
  if (exchange_->gone()) return exchange_->Abandon();
  bool cut_short = !reply.ok() && reply.status().code() == StatusCode::kCancelled;
  if (cut_short && exchange_->stopping() && action_.request.wait_ms > 0) {
    action_.request.wait_ms = 0;
    return Read();
  }
  protocol::Response response =
      protocol::MapReadReply(action_, reply, context_->Now(), *context_->config);
  protocol::Compress(&response, action_.coding, *context_->config);
  exchange_->Reply(std::move(response));
}

void ReadTask::OnGone() {
  if (ticket_ != 0) context_->engine->Cancel(ticket_);
}

void ReadTask::OnPeerEnded() {
  if (action_.request.wait_ms == 0)
    return;  // The answer is on its way; a half-closed peer reads it.
  exchange_->Abort();
  OnGone();
}

void ReadTask::OnStopping() {
  if (action_.request.wait_ms > 0 && ticket_ != 0) context_->engine->Cancel(ticket_);
}

}  // namespace ursula::http
