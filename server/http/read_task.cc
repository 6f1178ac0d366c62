#include "server/http/read_task.h"

#include <optional>
#include <utility>
#include <vector>

#include "server/protocol/compress.h"
#include "server/protocol/response_mapping.h"

namespace ursula::http {

void AnswerMissedRead(StreamContext* context, Exchange* exchange,
                      const protocol::ReadAction* action) {
  context->engine->Head(action->request.stream, [=](Result<HeadReply> head) {
    if (exchange->gone()) return exchange->Abandon();
    exchange->Reply(protocol::MapMissedRead(*action, head, *context->config));
  });
}

ReadTask::ReadTask(StreamContext* context, Exchange* exchange, protocol::ReadAction action)
    : context_(context), exchange_(exchange), action_(std::move(action)) {}

ReadTask::~ReadTask() { context_->pages.Drop(this); }

void ReadTask::Start() {
  if (exchange_->stopping()) action_.request.wait_ms = 0;
  const protocol::Conditions& conditions = action_.conditions;
  bool if_none = conditions.none_match && conditions.none_match->any;
  if (conditions.match || if_none) wait_ms_after_ = std::exchange(action_.request.wait_ms, 0);
  Read();
}

PageKey ReadTask::KeyAt(Offset start) const {
  const auto form = action_.ndjson ? PageKey::Form::kLines : PageKey::Form::kBody;
  return {action_.request.stream, start, form, action_.coding, action_.state_offsets};
}

void ReadTask::Read() {
  ReadRequest& request = action_.request;
  context_->pages.Drop(this);
  request.kept.reset();
  if (!request.from_tail && context_->pages.Hold(this, KeyAt(request.from), request)) {
    request.kept = page()->place();
  }
  ticket_ = context_->engine->Read(action_.request,
                                   [this](Result<ReadReply> reply) { OnReply(std::move(reply)); });
}

void ReadTask::OnReply(Result<ReadReply> reply) {
  ticket_ = 0;
  // This task stays for as long as its connection is idle; a page that it held would, too.
  if (!reply.ok() || !reply->kept) context_->pages.Drop(this);
  if (exchange_->gone()) return exchange_->Abandon();
  bool cut_short = !reply.ok() && reply.status().code() == StatusCode::kCancelled;
  if (cut_short && (exchange_->stopping() || peer_ended_) && action_.request.wait_ms > 0) {
    action_.request.wait_ms = 0;
    return Read();
  }
  if (protocol::MissedIncarnation(action_, reply)) {
    return AnswerMissedRead(context_, exchange_, &action_);
  }
  if (protocol::WantsNewer(&action_, reply)) {
    if (exchange_->stopping() || peer_ended_) action_.request.wait_ms = 0;
    return Read();
  }
  if (wait_ms_after_ > 0 && reply.ok() && WaitsNow(*reply)) return Read();
  if (reply.ok()) protocol::EndAtCharacter(&*reply);
  Answer(reply);
}

// ---- answering ---------------------------------------------------------------------------------

void ReadTask::Answer(const Result<ReadReply>& reply) {
  const protocol::ProtocolConfig& config = *context_->config;
  const bool data = reply.ok() && reply->outcome == Outcome::kOk && reply->next > reply->start;
  if (!data) {
    return exchange_->Reply(protocol::MapReadReply(action_, reply, context_->Now(), config));
  }
  std::optional<protocol::Response> refusal =
      protocol::RefuseRead(action_, reply, context_->Now(), config);
  if (refusal) {
    if (reply->kept) context_->pages.Used(this);
    context_->pages.Drop(this);
    return exchange_->Reply(std::move(*refusal));
  }
  AnswerPage(*reply);
}

void ReadTask::AnswerPage(const ReadReply& reply) {
  PageCache& pages = context_->pages;
  const PageKey key = KeyAt(reply.start);
  if (reply.kept) pages.Used(this);
  if (reply.kept || pages.HoldSame(this, key, action_.request, reply)) {
    return AnswerHeld(protocol::MapPage(action_, reply, {}, context_->Now()));
  }
  std::optional<std::vector<Bytes>> body = protocol::PageBody(action_, reply);
  if (!body) {
    return exchange_->Reply(
        protocol::MapReadReply(action_, reply, context_->Now(), *context_->config));
  }
  protocol::Response response =
      protocol::MapPage(action_, reply, std::move(*body), context_->Now());
  if (protocol::Compression::Wanted(response, action_.coding, *context_->config)) {
    pages.Compress(this, key, action_.request, reply, std::exchange(response.body, {}));
    return AnswerHeld(std::move(response));
  }
  const bool shares = !protocol::IsJson(reply.info.content_type);
  response.body = pages.Add(key, action_.request, reply, std::exchange(response.body, {}), shares);
  exchange_->Reply(std::move(response));
}

void ReadTask::AnswerHeld(protocol::Response response) {
  answer_ = std::move(response);
  if (page()->made()) return OnPageMade();
  context_->pages.Await(this);
}

void ReadTask::OnPageMade() {
  answer_.body = page()->body();
  if (page()->coded()) protocol::SetCoding(&answer_, action_.coding);
  context_->pages.Drop(this);
  exchange_->Reply(std::move(answer_));
}

// The conditions hold and there is no data yet. It changes what If-Match was about: don't ask
// again.
bool ReadTask::WaitsNow(const ReadReply& reply) {
  uint64_t wait_ms = std::exchange(wait_ms_after_, 0);
  ReadRequest& request = action_.request;
  bool at_tail = reply.outcome == Outcome::kOk && reply.up_to_date && reply.start == reply.next &&
                 (request.from_tail || request.from == reply.start);
  if (!at_tail || reply.info.closed || exchange_->stopping() || peer_ended_) return false;
  if (protocol::RefuseRead(action_, reply, context_->Now(), *context_->config)) return false;
  action_.conditions.match.reset();
  request.from = reply.start;
  request.from_tail = false;
  request.incarnation = reply.info.incarnation;
  request.wait_ms = wait_ms;
  return true;
}

void ReadTask::OnGone() {
  if (ticket_ != 0) {
    context_->engine->Cancel(ticket_);  // Its completion ends the exchange.
  } else if (awaits_page()) {
    context_->pages.Drop(this);
    exchange_->Abandon();
  }
}

// Half-closed, it still reads its answer (RFC 9112, 9.6), or it has gone: nothing is waited for.
void ReadTask::OnPeerEnded() {
  peer_ended_ = true;
  OnStopping();
}

void ReadTask::OnStopping() {
  if (action_.request.wait_ms > 0 && ticket_ != 0) context_->engine->Cancel(ticket_);
}

}  // namespace ursula::http
