// server/http/read_task.h
//
// A catch-up read or a long poll: one engine read, one answer, compressed where the client takes
// that; a page that was made for another is given out again (PageCache). A read that waits is
// cancelled when its client goes away, and cut short when the server stops. A long poll under
// conditions reads first without waiting: they are judged when it comes, not when its data comes.

#pragma once

#include "server/http/exchange.h"
#include "server/http/page_cache.h"
#include "server/http/stream_handler.h"
#include "server/protocol/request_mapping.h"
#include "ursula/engine.h"

namespace ursula::http {

// Answers a read that named an incarnation which isn't there (protocol::MissedIncarnation).
// `action` lives as long as the exchange.
void AnswerMissedRead(StreamContext* context, Exchange* exchange,
                      const protocol::ReadAction* action);

class ReadTask final : public Task, private PageReader {
 public:
  ReadTask(StreamContext* context, Exchange* exchange, protocol::ReadAction action);
  ~ReadTask() override;

  void Start();

  void OnGone() override;
  void OnPeerEnded() override;
  void OnStopping() override;

 private:
  void Read();
  bool WaitsNow(const ReadReply& reply);
  void OnReply(Result<ReadReply> reply);
  void Answer(const Result<ReadReply>& reply);
  void AnswerPage(const ReadReply& reply);
  void AnswerHeld(protocol::Response response);
  void OnPageMade() override;
  PageKey KeyAt(Offset start) const;

  StreamContext* const context_;
  Exchange* const exchange_;
  protocol::ReadAction action_;
  Ticket ticket_ = 0;               // While it reads;
  protocol::Response answer_ = {};  // and then, without its body, while it awaits a page.
  bool peer_ended_ = false;         // It asks nothing more.
  uint64_t wait_ms_after_ = 0;      // To wait for once the conditions are found to hold.
};

}  // namespace ursula::http
