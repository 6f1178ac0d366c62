#include "tests/bench/client.h"

#include <cerrno>

#include "lib/base/check.h"

namespace ursula::bench {

void Client::Leave() {
  leaving_ = true;
  Close();
}

void Client::Reconnect() {
  reconnecting_ = true;
  usable_ = false;
  Close();
}

void Client::Request(std::string_view request) {
  URSULA_CHECK(idle());
  busy_ = true;
  whole_ = false;
  Write(request);
}

void Client::OnOpened() {
  parser_ = ResponseParser();
  opened_ = true;
  usable_ = true;
  busy_ = false;
  reconnecting_ = false;
  OnUsable();
}

void Client::OnBytes(std::string_view bytes) {
  while (usable_ && !leaving_) {
    switch (parser_.Next(&bytes)) {
      case ResponseParser::Event::kNeedMore:
        return;
      case ResponseParser::Event::kHead:
        if (!busy_) return Close();  // Nobody asked: 408 before the close, for example.
        OnHead(parser_.head());
        break;
      case ResponseParser::Event::kBody:
        OnBody(parser_.body());
        break;
      case ResponseParser::Event::kComplete:
        whole_ = true;
        if (!writing()) Complete();
        break;
      case ResponseParser::Event::kError:
        busy_ = true;  // Bytes that are no HTTP are a loss whether or not something was asked.
        return Close();
    }
  }
}

void Client::OnSent() {
  if (whole_) Complete();
}

void Client::Complete() {
  busy_ = false;
  whole_ = false;
  bool keep = parser_.head().keep_alive;
  usable_ = keep;
  OnResponse(parser_.head());
  if (!keep) Close();
}

void Client::OnEnded(int error) {
  bool was_open = opened_;
  bool lost = busy_ && !reconnecting_ && !leaving_;
  bool http_end = lost && parser_.EndedWell();
  bool not_http = lost && parser_.broken();
  usable_ = false;
  busy_ = false;
  if (leaving_) return;
  opened_ = false;
  if (!was_open) return OnDead(error);
  if (http_end) {
    OnResponse(parser_.head());
  } else if (lost) {
    OnLost(not_http ? EPROTO : error);
  }
  if (!leaving_ && closed()) Open();
}

}  // namespace ursula::bench
