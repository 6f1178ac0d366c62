// server/http/sse_task.h
//
// One SSE subscriber: reads the engine from where the last frame ended, sends each reply as one
// frame (data and control together), or of a page that was sent before the data as it is kept
// (PageCache) and a control event of its own; at the tail it joins the others in its core's
// LiveHub. Backpressure: nothing is read for a subscriber that has too much unsent, and it leaves
// the hub, so its memory is bounded; one that takes nothing at all is cut off by its connection,
// and resumes at the offset of the last control event it got.
//
//   kFirstRead → {kReading, kLive, kDraining, each from each} → kEnded
//
// Invariant: kFirstRead and kReading have one engine read under way; kLive is in the hub; the
// others are neither.

#pragma once

#include <cstdint>
#include <optional>

#include "lib/io/timer.h"
#include "server/http/exchange.h"
#include "server/http/frame_cache.h"
#include "server/http/live_hub.h"
#include "server/http/page_cache.h"
#include "server/http/stream_handler.h"
#include "server/protocol/request_mapping.h"
#include "server/protocol/sse.h"
#include "ursula/engine.h"

namespace ursula::http {

class SseTask final : public Task, private LiveMember, private PageReader {
 public:
  SseTask(StreamContext* context, Exchange* exchange, protocol::ReadAction action);
  ~SseTask() override;

  void Start();

  void OnGone() override;
  void OnPeerEnded() override;
  void OnStopping() override;
  void OnDrained() override;

 private:
  enum class State : uint8_t { kFirstRead, kReading, kLive, kDraining, kEnded };

  // LiveMember
  void OnNews(LiveNews* news) override;
  void OnBehind() override;
  void OnReadEnded(const Result<ReadReply>& read) override;

  void Read(uint64_t wait_ms);
  void OnReply(Result<ReadReply> reply);
  void Refuse(const Result<ReadReply>& reply, protocol::Response refusal);
  void Begin(const ReadReply& first, protocol::Position start);
  void Deliver(const ReadReply& reply, const Frame& frame);
  void DeliverPage(const ReadReply& reply);
  void DeliverRead(const ReadReply& reply);
  PageKey KeyAt(Offset start) const;
  Frame FrameOf(const ReadReply& reply, uint64_t cursor);
  SharedFrames::Encoded Encode(const ReadReply& reply, uint64_t cursor);
  void ReadOn();
  void ReadOrJoin(uint64_t now_ns);
  void LeaveHub();
  void EndFor(const Status& status);
  void EndWithControl();
  void End();
  void StartHeartbeat();
  void OnHeartbeat();
  void SendPiece(const Chunk& piece);
  uint64_t Cursor();

  StreamContext* const context_;
  Exchange* const exchange_;
  protocol::ReadAction action_;
  State state_ = State::kFirstRead;
  std::optional<protocol::SseEncoder> encoder_;
  protocol::SseForm form_ = protocol::SseForm::kText;
  Ticket ticket_ = 0;

  protocol::Position sent_ = {};  // Of the last control event.
  bool sent_up_to_date_ = false;
  bool peer_ended_ = false;    // It asks nothing more.
  uint64_t first_cursor_ = 0;  // Never go back behind what the client had.
  uint64_t end_ns_ = 0;        // Rotation.
  uint64_t last_piece_ns_ = 0;
  uint64_t undelivered_since_ns_ = 0;  // 0: all data was taken by the kernel.
  io::Timer heartbeat_;
};

}  // namespace ursula::http
