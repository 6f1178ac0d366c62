#include "server/ctl/response_parser.h"

#include <llhttp.h>

#include <utility>

namespace ursula::ctl {

struct ResponseParser::Impl {
  Impl() {
    llhttp_settings_init(&settings);
    settings.on_status = [](llhttp_t* p, const char*, std::size_t n) { return Of(p).CountHead(n); };
    settings.on_header_field = [](llhttp_t* p, const char* at, std::size_t n) {
      return Of(p).Take(at, n, &Of(p).name);
    };
    settings.on_header_value = [](llhttp_t* p, const char* at, std::size_t n) {
      return Of(p).Take(at, n, &Of(p).value);
    };
    settings.on_header_value_complete = [](llhttp_t* p) { return Of(p).OnHeader(); };
    settings.on_headers_complete = [](llhttp_t* p) { return Of(p).OnHead(); };
    settings.on_body = [](llhttp_t* p, const char* at, std::size_t n) {
      return Of(p).OnBody({at, n});
    };
    settings.on_message_complete = [](llhttp_t* p) {
      Of(p).state = State::kComplete;
      return static_cast<int>(HPE_PAUSED);
    };
    llhttp_init(&parser, HTTP_RESPONSE, &settings);
    parser.data = this;
  }

  static Impl& Of(llhttp_t* p) { return *static_cast<Impl*>(p->data); }

  int Refuse(std::string why) {
    if (why_bad.empty()) why_bad = std::move(why);
    return -1;
  }
  int CountHead(std::size_t bytes) {
    head_bytes += bytes;
    return head_bytes > kHeadBytesMax ? Refuse("its head is too long") : 0;
  }
  int Take(const char* at, std::size_t bytes, std::string* into) {
    if (CountHead(bytes) != 0) return -1;
    into->append(at, bytes);
    return 0;
  }
  int OnHeader() {
    if (in_body) return Refuse("it has trailers");
    if (response.headers.size() >= kHeadersMax) return Refuse("it has too many headers");
    response.headers.Add(name, value);
    name.clear();
    value.clear();
    return 0;
  }
  int OnHead() {
    response.status = llhttp_get_status_code(&parser);
    if (llhttp_get_http_major(&parser) != 1) return Refuse("it isn't HTTP/1.1");
    if (response.status < 200 || response.status > 599) return Refuse("its status is odd");
    in_body = true;
    return 0;
  }
  int OnBody(std::string_view piece) {
    if (response.body.size() + piece.size() > kBodyBytesMax) return Refuse("its body is too long");
    response.body += piece;
    return 0;
  }

  State Settle(llhttp_errno_t outcome) {
    if (state == State::kNeedMore && outcome != HPE_OK) {
      const char* const reason = llhttp_get_error_reason(&parser);
      Refuse(reason == nullptr ? "it isn't HTTP" : reason);
      state = State::kBad;
    }
    return state;
  }

  llhttp_settings_t settings;
  llhttp_t parser;
  State state = State::kNeedMore;
  HttpResponse response;
  std::string name;
  std::string value;
  std::size_t head_bytes = 0;
  bool in_body = false;
  std::string why_bad;
};

ResponseParser::ResponseParser() : impl_(std::make_unique<Impl>()) {}
ResponseParser::~ResponseParser() = default;

ResponseParser::State ResponseParser::Feed(std::string_view bytes) {
  if (impl_->state != State::kNeedMore) return impl_->state;
  return impl_->Settle(llhttp_execute(&impl_->parser, bytes.data(), bytes.size()));
}

ResponseParser::State ResponseParser::End() {
  if (impl_->state != State::kNeedMore) return impl_->state;
  const State state = impl_->Settle(llhttp_finish(&impl_->parser));
  if (state != State::kNeedMore) return state;
  impl_->Refuse("it ended early");
  return impl_->state = State::kBad;
}

HttpResponse& ResponseParser::response() { return impl_->response; }
const std::string& ResponseParser::reason() const { return impl_->why_bad; }

}  // namespace ursula::ctl
