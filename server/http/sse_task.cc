#include "server/http/sse_task.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "server/http/read_task.h"
#include "server/protocol/response_mapping.h"

namespace ursula::http {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

}  // namespace

SseTask::SseTask(StreamContext* context, Exchange* exchange, protocol::ReadAction action)
    : context_(context), exchange_(exchange), action_(std::move(action)) {
  heartbeat_.Then<&SseTask::OnHeartbeat>(this);
}

SseTask::~SseTask() {
  URSULA_CHECK(ticket_ == 0 && state_ != State::kLive);
  context_->pages.Drop(this);
}

// ---- reading -----------------------------------------------------------------------------------

void SseTask::Start() { Read(0); }

void SseTask::Read(uint64_t wait_ms) {
  URSULA_CHECK(ticket_ == 0);
  ReadRequest& request = action_.request;
  request.wait_ms = wait_ms;
  context_->pages.Drop(this);
  request.kept.reset();
  const bool alike = !encoder_ || encoder_->held().empty();
  if (alike && !request.from_tail && context_->pages.Hold(this, KeyAt(request.from), request)) {
    request.kept = page()->place();
  }
  ticket_ = context_->engine->Read(action_.request,
                                   [this](Result<ReadReply> reply) { OnReply(std::move(reply)); });
}

void SseTask::OnReply(Result<ReadReply> reply) {
  ticket_ = 0;
  if (!reply.ok() || !reply->kept) context_->pages.Drop(this);
  if (exchange_->gone()) return End();
  if (state_ == State::kFirstRead) {
    std::optional<protocol::Response> refusal =
        protocol::RefuseRead(action_, reply, context_->Now(), *context_->config);
    if (refusal) return Refuse(reply, std::move(*refusal));
    if (std::optional<protocol::Response> end = protocol::EndOfEvents(action_, *reply)) {
      state_ = State::kEnded;
      context_->pages.Drop(this);
      return exchange_->Reply(std::move(*end));
    }
    const ReadRequest& request = action_.request;
    const bool exact = !request.from_append_start && reply->start == request.from;
    Begin(*reply, {reply->start, exact});
  }
  bool found = reply.ok() && reply->outcome == Outcome::kOk;
  if (!reply.ok()) return EndFor(reply.status());
  if (!found) return End();  // Deleted or expired meanwhile: reconnecting tells which.
  if (reply->kept) return DeliverPage(*reply);
  DeliverRead(*reply);
}

void SseTask::Refuse(const Result<ReadReply>& reply, protocol::Response refusal) {
  state_ = State::kEnded;
  context_->pages.Drop(this);
  if (protocol::MissedIncarnation(action_, reply)) {
    return AnswerMissedRead(context_, exchange_, &action_);
  }
  exchange_->Reply(std::move(refusal));
}

void SseTask::Begin(const ReadReply& first, protocol::Position start) {
  const StreamInfo& info = first.info;
  uint64_t now_ns = context_->loop->now_ns();
  uint64_t rotation_ms = context_->live->rotation_ms;
  uint64_t jitter_ms = context_->Now().random % (rotation_ms / 5 + 1);  // Of ±10 %.
  end_ns_ = now_ns + (rotation_ms - rotation_ms / 10 + jitter_ms) * kNsPerMs;
  first_cursor_ = protocol::NextCursor(action_.cursor, context_->Now());
  form_ = protocol::SseFormOf(info.content_type, action_.state_offsets);
  encoder_.emplace(form_);
  context_->counters->subscribers_open.Add();
  state_ = State::kReading;
  exchange_->StartStream(protocol::SseHead(action_, first));
  SendPiece(Chunk::Of(protocol::EncodeSsePriming(start)));
  last_piece_ns_ = now_ns;
  StartHeartbeat();
}

void SseTask::Deliver(const ReadReply& reply, const Frame& frame) {
  sent_ = frame.next;
  sent_up_to_date_ = reply.up_to_date;
  if (reply.next > reply.start && undelivered_since_ns_ == 0) {
    undelivered_since_ns_ = context_->loop->now_ns();
  }
  SendPiece(frame.chunk);
  if (frame.closed) return End();
  action_.request.from = reply.next;
  action_.request.from_tail = false;
  action_.request.from_append_start = false;
  action_.request.incarnation = reply.info.incarnation;
  action_.request.consistency = Consistency::kLinearizable;  // From here on it goes on as any tail.
  ReadOn();
}

// Its data as another got it, and a control event that says how things stand now.
void SseTask::DeliverPage(const ReadReply& reply) {
  context_->pages.Used(this);
  SendPiece(page()->event());
  context_->pages.Drop(this);
  protocol::SseControl control;
  control.next = {reply.next, reply.cut};
  control.cursor = Cursor();
  control.up_to_date = reply.up_to_date;
  control.closed = reply.info.closed && reply.up_to_date;
  control.incarnation = reply.info.incarnation;
  Deliver(reply, {.chunk = Chunk::Of(protocol::EncodeSseControl(control)),
                  .next = control.next,
                  .closed = control.closed});
}

void SseTask::DeliverRead(const ReadReply& reply) {
  bool alike = encoder_->held().empty();
  const Frame frame = FrameOf(reply, Cursor());
  alike = alike && encoder_->held().empty();
  if (alike && frame.data_bytes > 0) {
    const std::string_view event = frame.chunk.view().substr(0, frame.data_bytes);
    context_->pages.AddEvent(KeyAt(reply.start), action_.request, reply, event);
  }
  Deliver(reply, frame);
}

PageKey SseTask::KeyAt(Offset start) const {
  return {.stream = action_.request.stream,
          .start = start,
          .form = PageKey::Form::kEvent,
          .state_offsets = action_.state_offsets};
}

Frame SseTask::FrameOf(const ReadReply& reply, uint64_t cursor) {
  if (!encoder_->held().empty()) return Encode(reply, cursor).frame;
  FrameKey key = {
      action_.request.stream, reply.info.incarnation, form_, reply.start, reply.next, cursor,
      reply.up_to_date,       reply.info.closed};
  const Frame* near = context_->frames.Find(key);
  if (near != nullptr) {
    context_->counters->frames_shared.Add();
    return *near;
  }
  bool found = false;
  Frame frame = context_->shared_frames->FindOrEncode(
      key, [&] { return Encode(reply, cursor); }, &found);
  if (found) context_->counters->frames_shared.Add();
  if (encoder_->held().empty()) context_->frames.Insert(key, frame);
  return frame;
}

SharedFrames::Encoded SseTask::Encode(const ReadReply& reply, uint64_t cursor) {
  protocol::SseFrame encoded = encoder_->Encode(reply, cursor);
  context_->counters->frames_encoded.Add();
  return {{Chunk::Of(encoded.bytes), encoded.next, encoded.closed, encoded.data_bytes},
          encoder_->held().empty()};
}

void SseTask::ReadOn() {
  uint64_t now_ns = context_->loop->now_ns();
  if (exchange_->stopping() || now_ns >= end_ns_) return End();
  if (peer_ended_ && sent_up_to_date_) return End();
  if (exchange_->unsent_bytes() > context_->live->unsent_bytes_max) {
    LeaveHub();
    state_ = State::kDraining;
    return;
  }
  ReadOrJoin(now_ns);
}

// With bytes held back its next frame is no other's. And where the hub is past it already there is
// something to read.
void SseTask::ReadOrJoin(uint64_t now_ns) {
  const bool alike = encoder_->held().empty();
  if (alike && state_ == State::kLive) return;
  LeaveHub();
  if (alike && sent_up_to_date_ && context_->hub.Join(this, action_.request)) {
    state_ = State::kLive;
    return;
  }
  state_ = State::kReading;
  Read((end_ns_ - now_ns) / kNsPerMs + 1);
}

// ---- in the hub --------------------------------------------------------------------------------

void SseTask::OnNews(LiveNews* news) {
  URSULA_CHECK(state_ == State::kLive && encoder_->held().empty());
  const ReadReply& reply = *news->read;
  const uint64_t cursor = Cursor();
  if (news->frame && news->cursor == cursor && news->form == form_) {
    context_->counters->frames_shared.Add();
    return Deliver(reply, *news->frame);
  }
  Frame frame = FrameOf(reply, cursor);
  if (!news->frame && encoder_->held().empty()) {
    news->frame = frame;
    news->cursor = cursor;
    news->form = form_;
  }
  Deliver(reply, frame);
}

void SseTask::OnBehind() {
  state_ = State::kReading;
  ReadOn();
}

void SseTask::OnReadEnded(const Result<ReadReply>& read) {
  state_ = State::kReading;
  if (!read.ok()) return EndFor(read.status());
  End();  // Deleted or expired meanwhile: reconnecting tells which.
}

void SseTask::LeaveHub() {
  if (state_ != State::kLive) return;
  state_ = State::kReading;
  context_->hub.Leave(this);
}

// ---- sending -----------------------------------------------------------------------------------

void SseTask::SendPiece(const Chunk& piece) {
  last_piece_ns_ = context_->loop->now_ns();
  exchange_->Send(piece);
}

// Also tells a subscriber in the hub when its time is over; a read of its own has a time itself.
void SseTask::StartHeartbeat() {
  uint64_t deadline_ns = last_piece_ns_ + context_->live->heartbeat_ms * kNsPerMs;
  if (end_ns_ > context_->loop->now_ns()) deadline_ns = std::min(deadline_ns, end_ns_);
  context_->loop->StartTimer(&heartbeat_, deadline_ns);
}

void SseTask::OnHeartbeat() {
  uint64_t now_ns = context_->loop->now_ns();
  uint64_t interval_ns = context_->live->heartbeat_ms * kNsPerMs;
  if (state_ == State::kLive && now_ns >= end_ns_) return EndWithControl();
  if (now_ns >= last_piece_ns_ + interval_ns) {
    if (exchange_->unsent_bytes() == 0) {
      SendPiece(context_->heartbeat);
    } else {
      last_piece_ns_ = now_ns;  // The socket is full: it knows that we live.
    }
  }
  StartHeartbeat();
}

void SseTask::OnDrained() {
  if (undelivered_since_ns_ != 0) {
    uint64_t took_ns = context_->loop->fresh_ns() - undelivered_since_ns_;
    context_->counters->delivery_us.Add(took_ns / 1000);
    undelivered_since_ns_ = 0;
  }
  if (state_ == State::kDraining) ReadOn();
}

uint64_t SseTask::Cursor() {
  return std::max(first_cursor_, protocol::NextCursor(std::nullopt, context_->Now()));
}

// ---- ending ------------------------------------------------------------------------------------

void SseTask::EndFor(const Status& status) {
  // It doesn't know any more what there is.
  if (status.code() == StatusCode::kUnavailable) sent_up_to_date_ = false;
  EndWithControl();
}

void SseTask::EndWithControl() {
  protocol::SseControl control;
  control.next = sent_;
  control.cursor = Cursor();
  control.up_to_date = sent_up_to_date_;
  control.incarnation = action_.request.incarnation.value_or(0);
  SendPiece(Chunk::Of(protocol::EncodeSseControl(control)));
  End();
}

void SseTask::End() {
  LeaveHub();
  bool streaming = state_ == State::kReading || state_ == State::kDraining;
  state_ = State::kEnded;
  context_->loop->CancelTimer(&heartbeat_);
  if (streaming) context_->counters->subscribers_open.Subtract();
  if (exchange_->gone()) return exchange_->Abandon();
  exchange_->EndStream();
}

void SseTask::OnGone() {
  if (ticket_ != 0) {
    context_->engine->Cancel(ticket_);  // Its completion ends the exchange.
  } else if (state_ != State::kEnded) {
    End();
  }
}

// Half-closed, it still reads (RFC 9112, 9.6), or it has gone: it gets what there is, and the end.
void SseTask::OnPeerEnded() {
  peer_ended_ = true;
  if (state_ == State::kLive && !LiveHub::HasNews(*this)) return EndWithControl();
  if (state_ == State::kReading && sent_up_to_date_ && ticket_ != 0) {
    context_->engine->Cancel(ticket_);
  }
}

void SseTask::OnStopping() {
  if (state_ == State::kDraining) return End();  // The last frame ends with a control event.
  if (state_ == State::kLive && !LiveHub::HasNews(*this)) return EndWithControl();
  if (state_ == State::kReading && ticket_ != 0) context_->engine->Cancel(ticket_);
}

}  // namespace ursula::http
