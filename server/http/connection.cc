#include "server/http/connection.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "lib/base/check.h"
#include "server/protocol/errors.h"
#include "server/protocol/response_mapping.h"

namespace ursula::http {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kBudgetStepBytes = 4 << 10;
constexpr uint64_t kSmallBodyBytesMax = 64 << 10;  // Also what makes a larger one worth a reserve.
constexpr std::string_view kAllow = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

protocol::Response Overloaded(std::string_view message) {
  protocol::Response response = protocol::ErrorResponse(503, "OVERLOADED", message);
  response.headers.Set("Retry-After", "1");
  return response;
}

protocol::Response ResponseTo(ParseError error, std::string_view reason) {
  switch (error) {
    case ParseError::kMethodUnknown: {
      auto response = protocol::ErrorResponse(405, "METHOD_NOT_ALLOWED",
                                              "this method is not served; see Allow");
      response.headers.Set("Allow", kAllow);
      return response;
    }
    case ParseError::kLineTooLong:
      return protocol::ErrorResponse(414, "URI_TOO_LONG", reason);
    case ParseError::kHeadersTooLarge:
      return protocol::ErrorResponse(431, "HEADERS_TOO_LARGE", reason);
    case ParseError::kBodyTooLarge:
      return protocol::ErrorResponse(413, "PAYLOAD_TOO_LARGE", reason);
    case ParseError::kVersionUnknown:
      return protocol::ErrorResponse(505, "HTTP_VERSION_NOT_SUPPORTED", reason);
    case ParseError::kMalformed:
    case ParseError::kNone:
      break;
  }
  return protocol::ErrorResponse(400, "MALFORMED_REQUEST", reason);
}

Refusal RefusalOf(ParseError error) {
  switch (error) {
    case ParseError::kLineTooLong:
    case ParseError::kHeadersTooLarge:
      return Refusal::kHeadTooLarge;
    case ParseError::kBodyTooLarge:
      return Refusal::kBodyTooLarge;
    default:
      return Refusal::kMalformed;
  }
}

}  // namespace

Connection::Connection(ConnectionHost* host, std::unique_ptr<io::Socket> socket, bool admitted)
    : host_(host),
      options_(host->options()),
      admitted_(admitted),
      socket_(std::move(socket)),
      queue_(&host->loop(), socket_.get(), this),
      parser_(options_.limits),
      pace_({options_.request_timeout_ms, options_.body_bytes_per_second_min,
             options_.body_timeout_ms}) {
  timer_.Then<&Connection::OnTimer>(this);
  host_->counters().connections_open.Add();
}

Connection::~Connection() { URSULA_CHECK(state_ == State::kClosed && !exchange_open_); }

void Connection::Start() {
  SetDeadline(options_.idle_timeout_ms);
  socket_->StartReceive(this);
  if (!admitted_)
    Refuse(Overloaded("too many connections; try again later"), Refusal::kConnections);
}

void Connection::Resume(MovingConnection moved) {
  SetDeadline(options_.idle_timeout_ms);
  socket_->StartReceive(this);
  peer_ended_ = moved.peer_ended;
  if (moved.broken) return Close();
  Go(std::move(moved.input));
}

void Connection::Stop() {
  if (state_ == State::kDraining) return Close();
  if (idle()) return SetDeadline(options_.stop_idle_ms);
  if (exchange_open_ && task_ != nullptr && !gone()) task_->OnStopping();
}

void Connection::Cut() {
  if (gone()) return;
  if (state_ == State::kMoving) return void(broken_ = true);
  Close();
  if (exchange_open_ && task_ != nullptr) task_->OnGone();
}

void Connection::GiveWay() {
  URSULA_CHECK(idle() && admitted_);
  admitted_ = false;
  Close();
}

// ---- reading -----------------------------------------------------------------------------------

void Connection::OnReceived(std::string_view bytes) {
  host_->counters().received_bytes.Add(bytes.size());
  if (state_ == State::kReading) {
    Consume(bytes);
  } else {
    Keep(bytes);
  }
}

void Connection::Consume(std::string_view bytes) {
  while (!bytes.empty() && state_ == State::kReading) {
    bool was_in_request = parser_.InRequest();
    RequestParser::Event event = RequestParser::Event::kNeedMore;
    bytes.remove_prefix(parser_.Feed(bytes, &event));
    if (event == RequestParser::Event::kError) {
      OnParseError();
    } else if (!TakeBodyBudget(parser_.body_bytes())) {
      Refuse(Overloaded("too many request bodies under way"), Refusal::kBodyBudget);
    } else if (event == RequestParser::Event::kComplete) {
      // First, what came behind it: an answer says whether there is more to answer.
      if (!bytes.empty()) Keep(std::exchange(bytes, {}));
      OnWholeRequest();
    } else if (event == RequestParser::Event::kHead) {
      OnHead(!bytes.empty());
    } else if (pace_.running()) {
      pace_.Advance(host_->loop().now_ns(), parser_.body_bytes());
      SetDeadlineAt(pace_.deadline_ns());
    } else if (!was_in_request) {
      SetDeadline(options_.request_timeout_ms);
    }
  }
  if (!bytes.empty()) Keep(bytes);
}

void Connection::Keep(std::string_view bytes) {
  if (drain_after_ || state_ == State::kDraining) {
    drained_bytes_ += bytes.size();
    if (drained_bytes_ > options_.drain_bytes_max) Close();
    return;
  }
  if (gone()) return;
  pending_.append(bytes);
  if (pending_.size() > options_.pipelined_bytes_max && !paused_) {
    paused_ = true;
    socket_->PauseReceive();
  }
}

void Connection::OnHead(bool body_has_begun) {
  if (parser_.unknown_expectation()) {
    return Refuse(protocol::ErrorResponse(417, "EXPECTATION_FAILED", "only 100-continue is known"),
                  Refusal::kMalformed);
  }
  // Nor is it asked for, or read, where nothing would come of it. A small one that is on its way is
  // read all the same: the connection goes on then.
  const bool chunked = parser_.content_length() == 0;
  const bool small = !chunked && parser_.content_length() <= kSmallBodyBytesMax;
  if (!small || !body_has_begun) {
    const bool cheap = small && !parser_.expects_continue();
    std::optional<protocol::Response> refusal =
        host_->handler().RefuseHead(parser_.request(), cheap);
    if (refusal) return Refuse(std::move(*refusal), Refusal::kHead);
  }
  // Better to refuse before the client has sent it all than half-way. The last quarter is for small
  // bodies and for large ones that have begun: some must get to their end before more begin.
  const uint64_t in_use = host_->shared().body_bytes.load(std::memory_order_relaxed);
  const uint64_t most = options_.inflight_body_bytes_max;
  const bool large = parser_.content_length() > kSmallBodyBytesMax;
  if (in_use + parser_.content_length() > most || (large && in_use > most / 4 * 3)) {
    return Refuse(Overloaded("too many request bodies under way"), Refusal::kBodyBudget);
  }
  if (parser_.expects_continue() && !body_has_begun) {
    queue_.Push(Bytes::Static("HTTP/1.1 100 Continue\r\n\r\n"));
  }
  pace_.Start(host_->loop().now_ns());
  SetDeadlineAt(pace_.deadline_ns());
}

// While there is plenty a body takes its share as it comes, so that one that is announced and never
// sent costs nothing. When half is in use it takes all it will need at once, or is refused: taken
// piece by piece, what is left could be spread over so many bodies that none gets to its end. But
// it has to have brought some of it: else a few bytes now and then would hold the whole budget.
bool Connection::TakeBodyBudget(uint64_t bytes) {
  if (bytes <= body_budget_) return true;
  const uint64_t most = options_.inflight_body_bytes_max;
  uint64_t now = (bytes + kBudgetStepBytes - 1) / kBudgetStepBytes * kBudgetStepBytes;
  if (bytes >= std::min(kSmallBodyBytesMax, parser_.content_length()) &&
      host_->shared().body_bytes.load(std::memory_order_relaxed) > most / 2) {
    now = std::max(now, parser_.content_length());
  }
  if (!SharedUse::Take(&host_->shared().body_bytes, now - body_budget_, most)) return false;
  body_budget_ = now;
  return true;
}

void Connection::OnWholeRequest() {
  ClearDeadline();
  pace_.End();
  state_ = State::kExchange;
  exchange_open_ = true;
  streaming_ = chunked_ = false;
  keep_alive_ = parser_.keep_alive();
  request_start_ns_ = host_->loop().now_ns();
  host_->counters().requests.Add();
  host_->counters().requests_open.Add();
  if (parser_.unknown_expectation()) {
    return Reply(protocol::ErrorResponse(417, "EXPECTATION_FAILED", "only 100-continue is known"));
  }
  host_->handler().OnRequest(this);
}

void Connection::OnParseError() {
  Refuse(ResponseTo(parser_.error(), parser_.error_reason()), RefusalOf(parser_.error()));
}

void Connection::OnReceiveEnded(int error) {
  peer_ended_ = true;
  if (gone()) return;
  if (error != 0) return Cut();
  if (state_ == State::kMoving) return;
  if (state_ == State::kReading && parser_.InRequest()) {
    protocol::Response cut_off = protocol::ErrorResponse(
        400, "MALFORMED_REQUEST",
        "the connection ended before the request did; nothing was applied, send it again");
    if (!protocol::OutcomeWithoutEngine(parser_.request().method, cut_off).empty()) {
      cut_off.headers.Set("Stream-Outcome", "not-proposed");
    }
    return Refuse(std::move(cut_off), Refusal::kMalformed);
  }
  if (state_ == State::kReading || state_ == State::kDraining) return Close();
  if (exchange_open_ && task_ != nullptr) task_->OnPeerEnded();
}

// ---- answering ---------------------------------------------------------------------------------

void Connection::PushAnswer(const protocol::Response& response, protocol::Framing framing) {
  std::string_view lines = host_->NextAnswerLines(keep_alive_);
  std::string with_connection;
  if (!keep_alive_ || parser_.request().version_minor == 0) {
    with_connection.append(lines);
    with_connection += keep_alive_ ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
    lines = with_connection;
  }
  queue_.Push(host_->handler().SerializeHead(parser_.request(), response, framing, lines));
  if (protocol::SendsBody(response, framing)) {
    for (const Bytes& part : response.body) queue_.Push(part);
  }
  std::size_t kind = static_cast<std::size_t>(response.status / 100);
  auto& counts = host_->counters().responses;
  counts[kind < counts.size() ? kind : 0].Add();
  SetDeadline(options_.send_timeout_ms);
}

void Connection::Refuse(protocol::Response response, Refusal why) {
  CountRefusal(why);
  keep_alive_ = false;
  drain_after_ = true;
  state_ = State::kFlushing;
  pending_.clear();
  // Of the others the method isn't known, or not yet.
  const bool parsed = why == Refusal::kHead || why == Refusal::kBodyBudget;
  const bool head = parsed && parser_.request().method == protocol::Method::kHead;
  PushAnswer(response, head ? protocol::Framing::kHead : protocol::Framing::kLength);
}

void Connection::Reply(protocol::Response response) {
  URSULA_CHECK(exchange_open_ && !streaming_);
  if (gone()) return EndExchange();
  if (stopping() || (peer_ended_ && pending_.empty())) keep_alive_ = false;
  bool head = parser_.request().method == protocol::Method::kHead;
  PushAnswer(response, head ? protocol::Framing::kHead : protocol::Framing::kLength);
  EndExchange();
}

void Connection::StartStream(protocol::Response head) {
  URSULA_CHECK(exchange_open_ && !streaming_);
  streaming_ = true;
  if (gone()) return;
  chunked_ = parser_.request().version_minor >= 1;
  if (stopping() || peer_ended_ || !chunked_) keep_alive_ = false;
  PushAnswer(head, chunked_ ? protocol::Framing::kChunked : protocol::Framing::kUntilClose);
}

void Connection::Send(const Chunk& piece) {
  URSULA_CHECK(exchange_open_ && streaming_);
  if (gone() || piece.empty()) return;
  if (queue_.unsent_bytes() == 0) SetDeadline(options_.send_timeout_ms);
  queue_.Push(chunked_ ? piece.coded() : piece.plain());
}

void Connection::EndStream() {
  URSULA_CHECK(exchange_open_ && streaming_);
  if (!gone() && chunked_) queue_.Push(Bytes::Static("0\r\n\r\n"));
  if (stopping()) keep_alive_ = false;  // A live reader knows by the end of its stream.
  EndExchange();
}

void Connection::Abandon() {
  URSULA_CHECK(exchange_open_ && gone());
  EndExchange();
}

void Connection::EndExchange() {
  exchange_open_ = false;
  ended_task_ = std::move(task_);
  CoreCounters& counters = host_->counters();
  counters.requests_open.Subtract();
  if (!streaming_) {
    counters.request_us.Add((host_->loop().fresh_ns() - request_start_ns_) / 1000);
  }
  if (body_budget_ > 0) SharedUse::Give(&host_->shared().body_bytes, body_budget_);
  body_budget_ = 0;
  if (state_ == State::kClosed) return host_->OnConnectionDone(this);
  if (gone()) return;
  state_ = State::kFlushing;
  SetDeadline(options_.send_timeout_ms);
  if (queue_.unsent_bytes() == 0) OnFlushed();
}

void Connection::OnSent(std::size_t bytes) {
  host_->counters().sent_bytes.Add(bytes);
  if (gone()) return;
  if (queue_.unsent_bytes() > 0) return SetDeadline(options_.send_timeout_ms);
  if (state_ == State::kFlushing) return OnFlushed();
  if (exchange_open_ && streaming_) {
    ClearDeadline();
    if (task_ != nullptr) task_->OnDrained();
  }
}

void Connection::OnSendFailed(int) { Cut(); }

void Connection::OnFlushed() {
  if (stopping() && !keep_alive_ && !drain_after_) return Close();
  // A close in stages (RFC 9112, 9.6): what the client has sent meanwhile would make the kernel
  // reset the connection, and the answer could be lost with it.
  if (!keep_alive_) return StartDraining();
  NextRequest();
}

void Connection::NextRequest() {
  parser_.Next();
  state_ = State::kReading;
  SetDeadline(stopping() ? options_.stop_idle_ms : options_.idle_timeout_ms);
  if (Moves()) return;
  std::string input = std::move(pending_);
  pending_.clear();
  Go(input);
}

// On with what has come.
void Connection::Go(std::string_view input) {
  Consume(input);
  if (state_ == State::kReading && peer_ended_) return Close();
  if (paused_ && !gone() && pending_.size() <= options_.pipelined_bytes_max) {
    paused_ = false;
    socket_->ResumeReceive();
  }
}

void Connection::StartDraining() {
  if (peer_ended_) return Close();
  state_ = State::kDraining;
  pending_.clear();
  SetDeadline(options_.drain_ms);
  socket_->ShutdownSend();
  if (paused_) socket_->ResumeReceive();
  paused_ = false;
}

// ---- moving ------------------------------------------------------------------------------------

void Connection::ServedOn(CoreId core) {
  if (core == host_->loop().core()) {
    served_elsewhere_ = 0;
  } else {
    served_elsewhere_ = core == served_on_ ? served_elsewhere_ + 1 : 1;
  }
  served_on_ = core;
}

// To where its requests have been going for a while, if that is another core and it takes them.
bool Connection::Moves() {
  if (served_elsewhere_ < kMoveAfterRequests || peer_ended_ || stopping() || !admitted_)
    return false;
  served_elsewhere_ = 0;  // If it may not, it asks again after as many.
  if (!host_->MayMove(served_on_)) return false;
  state_ = State::kMoving;
  ClearDeadline();
  host_->loop().CancelTimer(&timer_);
  socket_->Release(end_op_.Then<&Connection::OnReleased>(this));
  return true;
}

void Connection::OnReleased(int64_t descriptor) {
  state_ = State::kClosed;
  host_->counters().connections_open.Subtract();
  MovingConnection moving = {served_on_, static_cast<int>(descriptor), std::move(pending_),
                             peer_ended_, broken_};
  host_->OnReleased(this, std::move(moving));
}

// ---- time and end ------------------------------------------------------------------------------

void Connection::SetDeadline(uint64_t ms) { SetDeadlineAt(host_->loop().now_ns() + ms * kNsPerMs); }

void Connection::SetDeadlineAt(uint64_t deadline_ns) {
  if (gone()) return;
  deadline_ns_ = deadline_ns;
  if (timer_.running() && timer_.deadline_ns() <= deadline_ns_) return;
  host_->loop().StartTimer(&timer_, deadline_ns_);
}

void Connection::OnTimer() {
  if (deadline_ns_ == 0 || gone()) return;
  if (host_->loop().now_ns() < deadline_ns_) {
    host_->loop().StartTimer(&timer_, deadline_ns_);
    return;
  }
  ClearDeadline();
  switch (state_) {
    case State::kReading:
      return OnRequestLate();
    case State::kExchange:
    case State::kFlushing:
      CountRefusal(Refusal::kSlowReader);
      return Cut();
    case State::kDraining:
      return Close();
    case State::kMoving:
    case State::kClosing:
    case State::kClosed:
      return;
  }
}

void Connection::OnRequestLate() {
  if (!parser_.InRequest()) return Close();
  if (pace_.running() && !pace_.IsTooSlow(host_->loop().now_ns())) {
    return SetDeadlineAt(pace_.deadline_ns());
  }
  std::string_view why = pace_.running()
                             ? "the body came too slowly; nothing was applied, send it again"
                             : "the headers came too slowly; send them without pauses";
  Refuse(protocol::ErrorResponse(408, "REQUEST_TIMEOUT", why), Refusal::kTimeout);
}

void Connection::Close() {
  if (gone()) return;
  state_ = State::kClosing;
  host_->loop().CancelTimer(&timer_);
  pending_.clear();
  queue_.Drop();
  socket_->Close(end_op_.Then<&Connection::OnClosed>(this));
}

void Connection::OnClosed(int64_t) {
  state_ = State::kClosed;
  host_->counters().connections_open.Subtract();
  if (body_budget_ > 0 && !exchange_open_) {
    SharedUse::Give(&host_->shared().body_bytes, body_budget_);
    body_budget_ = 0;
  }
  if (!exchange_open_) host_->OnConnectionDone(this);
}

void Connection::CountRefusal(Refusal why) {
  host_->counters().refused[static_cast<std::size_t>(why)].Add();
}

}  // namespace ursula::http
