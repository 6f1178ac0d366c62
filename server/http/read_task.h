// server/http/read_task.h
//
// A catch-up read or a long poll: one engine read, one answer. A read that waits is cancelled when
// its client goes away, and cut short when the server stops.

#pragma once

#include "server/http/exchange.h"
#include "server/http/stream_handler.h"
#include "server/protocol/request_mapping.h"
#include "ursula/engine.h"

namespace ursula::http {

class ReadTask final : public Task {
 public:
  ReadTask(StreamContext* context, Exchange* exchange, protocol::ReadAction action);

  void Start();

  void OnGone() override;
  void OnPeerEnded() override;
  void OnStopping() override;

 private:
  void Read();
  void OnReply(Result<ReadReply> reply);

  StreamContext* const context_;
  Exchange* const exchange_;
  protocol::ReadAction action_;
  Ticket ticket_ = 0;
};

}  // namespace ursula::http
