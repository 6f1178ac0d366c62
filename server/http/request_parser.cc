#include "server/http/request_parser.h"

#include <llhttp.h>

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "server/http/characters.h"
#include "server/http/chunk_decoder.h"
#include "server/http/head_scanner.h"
#include "server/protocol/authority.h"

namespace ursula::http {
namespace {

// Chunk lines and trailers cost the peer bytes that are not body. Chunks of one byte cost six for
// each, so this lets any honest encoder through.
constexpr uint64_t kFramingBytesPerBodyByteMax = 16;
constexpr uint64_t kFramingBytesMin = 64 << 10;
constexpr uint64_t kBodyBytesFirst = 64 << 10;  // Of memory, for a body of known length.
constexpr std::size_t kMethodBytesMax = 32;
constexpr std::string_view kVersions = "only HTTP/1.0 and HTTP/1.1 are spoken here";

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// The forms of RFC 9112, 3.2, that an origin server meets. llhttp takes more: fragments, any scheme
// and an authority of any kind; and a '\\' that some take for a '/'.
bool IsTargetSound(const protocol::Request& request) {
  std::string_view target = request.target;
  if (target == "*") return request.method == protocol::Method::kOptions;
  if (target.find('#') != std::string_view::npos) return false;
  if (request.path().find('\\') != std::string_view::npos) return false;
  if (target.starts_with('/')) return true;
  std::size_t scheme = target.find("://");
  return scheme != std::string_view::npos &&
         (EqualsIgnoringCase(target.substr(0, scheme), "http") ||
          EqualsIgnoringCase(target.substr(0, scheme), "https")) &&
         protocol::IsAuthority(request.authority());
}

std::string Longer(std::string_view what, uint64_t bytes_max) {
  return std::string(what) + " longer than " + std::to_string(bytes_max) + " bytes";
}

}  // namespace

struct RequestParser::State {
  explicit State(const RequestLimits& request_limits)
      : limits(request_limits), scanner({limits.line_bytes_max, limits.header_bytes_max}) {
    llhttp_settings_init(&settings);
    settings.on_url = [](llhttp_t* p, const char* at, size_t n) {
      Of(p).request.target.append(at, n);
      return 0;
    };
    settings.on_header_field = [](llhttp_t* p, const char* at, size_t n) {
      Of(p).field.append(at, n);
      return 0;
    };
    settings.on_header_value = [](llhttp_t* p, const char* at, size_t n) {
      Of(p).value.append(at, n);
      return 0;
    };
    settings.on_header_value_complete = [](llhttp_t* p) { return Of(p).OnHeader(); };
    settings.on_headers_complete = [](llhttp_t* p) { return Of(p).OnHeadersComplete(); };
    settings.on_body = [](llhttp_t* p, const char* at, size_t n) { return Of(p).OnBody({at, n}); };
    settings.on_message_complete = [](llhttp_t* p) {
      Of(p).complete = true;
      return static_cast<int>(HPE_PAUSED);
    };
    Start();
  }

  static State& Of(llhttp_t* p) { return *static_cast<State*>(p->data); }

  void Start() {
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = this;
    scanner.Reset();
    chunks = {};
    request.Clear();
    field.clear();
    value.clear();
    body.clear();
    method_text.clear();
    head_done = head_reported = complete = keep_alive = chunked = false;
    continue_expected = expectation_unknown = false;
    content_length = framing_bytes = 0;
  }

  int Refuse(ParseError what, std::string why) {
    if (error == ParseError::kNone) {
      error = what;
      reason = std::move(why);
    }
    return -1;
  }

  int RefuseBody() {
    return Refuse(ParseError::kBodyTooLarge, Longer("the body is", limits.body_bytes_max));
  }

  int OnHeader() {
    if (field.empty()) return Refuse(ParseError::kMalformed, "a header line without a name");
    if (request.headers.size() >= limits.header_count_max) {
      return Refuse(ParseError::kHeadersTooLarge,
                    "more than " + std::to_string(limits.header_count_max) + " header lines");
    }
    request.headers.Add(field, Trim(value));
    field.clear();
    value.clear();
    return 0;
  }

  int OnHeadersComplete() {
    head_done = true;
    if (parser.method == HTTP_CONNECT) return Refuse(ParseError::kMethodUnknown, "CONNECT");
    if (llhttp_get_http_major(&parser) != 1 || llhttp_get_http_minor(&parser) > 1) {
      return Refuse(ParseError::kVersionUnknown, std::string(kVersions));
    }
    keep_alive = llhttp_should_keep_alive(&parser) != 0;
    parser.upgrade = 0;  // No other protocol is offered: the request is answered as it stands.
    request.version_minor = llhttp_get_http_minor(&parser);
    request.method = protocol::MethodFromName(
        llhttp_method_name(static_cast<llhttp_method_t>(llhttp_get_method(&parser))));
    if (!IsTargetSound(request)) {
      return Refuse(ParseError::kMalformed, "the request's target is no path and no http URL");
    }
    return CheckFraming();
  }

  int CheckFraming() {
    const protocol::Headers& headers = request.headers;
    std::size_t hosts = headers.Count("host");
    if (hosts > 1 || (hosts == 0 && request.version_minor >= 1)) {
      return Refuse(ParseError::kMalformed, "exactly one Host header is needed");
    }
    chunked = headers.Count("transfer-encoding") > 0;
    if (chunked && (headers.Count("transfer-encoding") > 1 || request.version_minor == 0 ||
                    !EqualsIgnoringCase(*headers.Find("transfer-encoding"), "chunked"))) {
      return Refuse(ParseError::kMalformed, "the only Transfer-Encoding taken is chunked");
    }
    if (chunked && headers.Count("content-length") > 0) {
      return Refuse(ParseError::kMalformed, "Content-Length beside Transfer-Encoding");
    }
    const std::optional<std::string_view> length = headers.Find("content-length");
    if (length.has_value() && length->size() > 1 && length->front() == '0') {
      return Refuse(ParseError::kMalformed,
                    "Content-Length begins with a zero");  // Octal, to some.
    }
    content_length = chunked ? 0 : parser.content_length;
    has_body = chunked || content_length > 0;
    if (content_length > limits.body_bytes_max) return RefuseBody();
    const std::optional<std::string_view> expect = headers.Find("expect");
    if (expect.has_value() && request.version_minor >= 1) {
      continue_expected = EqualsIgnoringCase(*expect, "100-continue");
      expectation_unknown = !continue_expected;
    }
    return has_body ? static_cast<int>(HPE_PAUSED) : 0;
  }

  int OnBody(std::string_view bytes) {
    if (bytes.size() > limits.body_bytes_max - body.size()) return RefuseBody();
    if (body.empty() && bytes.size() == content_length) {  // In one piece, as most small ones are.
      request.body = Bytes::Copy(bytes);
      return 0;
    }
    if (body.size() + bytes.size() > body.capacity() && content_length > 0) GrowBody();
    body.append(bytes);
    return 0;
  }

  // Not all at once, for a header alone must not cost the memory; in the end exactly what is
  // needed, which neither append nor reserve would do by themselves.
  void GrowBody() {
    const uint64_t capacity = std::max<uint64_t>(kBodyBytesFirst, 4 * uint64_t{body.size()});
    std::string grown;
    grown.reserve(static_cast<std::size_t>(std::min(content_length, capacity)));
    grown.append(body);
    body.swap(grown);
  }

  // llhttp over `bytes`; how many it took.
  std::size_t Execute(std::string_view bytes) {
    llhttp_errno_t outcome = llhttp_execute(&parser, bytes.data(), bytes.size());
    if (outcome == HPE_OK) return bytes.size();
    const char* at = llhttp_get_error_pos(&parser);
    std::size_t taken = at == nullptr ? 0 : static_cast<std::size_t>(at - bytes.data());
    if (outcome == HPE_PAUSED) {
      llhttp_resume(&parser);
      return std::min(taken, bytes.size());
    }
    const char* why = llhttp_get_error_reason(&parser);
    RememberMethod(bytes.substr(0, taken + 1));
    if (outcome == HPE_INVALID_VERSION) {  // Of the right form: the scanner saw to that.
      Refuse(ParseError::kVersionUnknown, std::string(kVersions));
      return 0;
    }
    Refuse(IsMethodError(outcome) ? ParseError::kMethodUnknown : ParseError::kMalformed,
           why == nullptr ? "malformed request" : why);
    return 0;
  }

  // "BREW / HTTP/1.1" names a method that nobody serves; "\x16\x03" is no HTTP at all.
  bool IsMethodError(llhttp_errno_t outcome) const {
    if (outcome != HPE_INVALID_METHOD) return false;
    std::size_t end = method_text.find(' ');
    if (end == std::string::npos) end = method_text.size();
    return end > 0 &&
           std::all_of(method_text.begin(), method_text.begin() + static_cast<std::ptrdiff_t>(end),
                       IsTokenCharacter);
  }

  void RememberMethod(std::string_view bytes) {
    if (method_text.empty()) {
      bytes.remove_prefix(std::min(bytes.find_first_not_of("\r\n"), bytes.size()));
    }
    method_text.append(bytes.substr(0, kMethodBytesMax - method_text.size()));
  }

  void RefuseHead(HeadScanner::Verdict verdict) {
    switch (verdict) {
      case HeadScanner::Verdict::kLineTooLong:
        Refuse(ParseError::kLineTooLong, Longer("the request line is", limits.line_bytes_max));
        break;
      case HeadScanner::Verdict::kHeadersTooLarge:
        Refuse(ParseError::kHeadersTooLarge, Longer("the headers are", limits.header_bytes_max));
        break;
      case HeadScanner::Verdict::kMalformedLine:
        Refuse(ParseError::kMalformed, "the request line is not METHOD TARGET HTTP/1.1");
        break;
      default:
        Refuse(ParseError::kMalformed, "a bare CR, LF or NUL, or a folded line, in the head");
        break;
    }
  }

  std::size_t FeedHead(std::string_view bytes) {
    const std::size_t taken = TakeHead(bytes);
    // Whoever is refused before the head's end may want to know what has become of a write.
    request.method =
        protocol::MethodFromName(std::string_view(method_text).substr(0, method_text.find(' ')));
    return taken;
  }

  std::size_t TakeHead(std::string_view bytes) {
    std::size_t size = 0;
    const HeadScanner::Verdict verdict = scanner.Scan(bytes, &size);
    const bool sound =
        verdict == HeadScanner::Verdict::kMore || verdict == HeadScanner::Verdict::kEnd;
    // What is wrong first decides, so that it doesn't matter how the bytes were cut.
    const std::string_view head = bytes.substr(0, sound ? size : size - 1);
    if (!head.empty()) Execute(head);
    if (error != ParseError::kNone) return 0;
    RememberMethod(head);
    if (!sound) {
      RefuseHead(verdict);
      return 0;
    }
    // Both must see the same end of the head, else somebody smuggles.
    if (head_done != (verdict == HeadScanner::Verdict::kEnd)) {
      Refuse(ParseError::kMalformed, "the head's end is ambiguous");
    }
    return size;
  }

  std::size_t Decode(std::string_view bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size() && !complete && error == ParseError::kNone) {
      std::size_t consumed = 0;
      ChunkDecoder::Event event = chunks.Feed(bytes.substr(taken), &consumed);
      taken += consumed;
      if (event == ChunkDecoder::Event::kData) OnBody(chunks.data());
      if (event == ChunkDecoder::Event::kEnd) complete = true;
      if (event == ChunkDecoder::Event::kError) {
        Refuse(ParseError::kMalformed, std::string(chunks.reason()));
      }
      // Known to be too much before it has come.
      if (chunks.in_data() && chunks.chunk_bytes_left() > limits.body_bytes_max - body.size()) {
        RefuseBody();
      }
    }
    return taken;
  }

  std::size_t FeedBody(std::string_view bytes) {
    if (!chunked) return Execute(bytes);
    std::size_t before = body.size();
    std::size_t taken = Decode(bytes);
    framing_bytes += taken - std::min(taken, body.size() - before);
    if (framing_bytes > kFramingBytesMin + kFramingBytesPerBodyByteMax * body.size()) {
      Refuse(ParseError::kMalformed, "too many bytes of chunk framing");
    }
    return taken;
  }

  RequestLimits limits;
  llhttp_settings_t settings;
  llhttp_t parser;
  HeadScanner scanner;
  ChunkDecoder chunks;
  protocol::Request request;
  std::string field;
  std::string value;
  std::string body;
  std::string method_text;
  bool head_done = false;      // The blank line was parsed.
  bool head_reported = false;  // kHead was given.
  bool chunked = false;
  bool has_body = false;
  bool complete = false;
  bool keep_alive = false;
  bool continue_expected = false;
  bool expectation_unknown = false;
  uint64_t content_length = 0;
  uint64_t framing_bytes = 0;
  ParseError error = ParseError::kNone;
  std::string reason;
};

RequestParser::RequestParser(const RequestLimits& limits)
    : state_(std::make_unique<State>(limits)) {}
RequestParser::~RequestParser() = default;

std::size_t RequestParser::Feed(std::string_view bytes, Event* event) {
  State& s = *state_;
  URSULA_CHECK(!s.complete);
  std::size_t taken = 0;
  if (s.error == ParseError::kNone && !bytes.empty()) {
    taken = s.head_done ? s.FeedBody(bytes) : s.FeedHead(bytes);
  }
  *event = Event::kNeedMore;
  if (s.error != ParseError::kNone) {
    *event = Event::kError;
  } else if (s.complete) {
    if (s.request.body.empty()) s.request.body = Bytes::Take(std::move(s.body));
    *event = Event::kComplete;
  } else if (s.head_done && !s.head_reported) {
    *event = Event::kHead;
  }
  s.head_reported = s.head_done;
  return taken;
}

void RequestParser::Next() {
  URSULA_CHECK(state_->complete);
  state_->Start();
}

bool RequestParser::InRequest() const { return state_->scanner.started() && !state_->complete; }
ParseError RequestParser::error() const { return state_->error; }
const std::string& RequestParser::error_reason() const { return state_->reason; }
protocol::Request& RequestParser::request() { return state_->request; }
bool RequestParser::keep_alive() const { return state_->keep_alive; }
bool RequestParser::expects_continue() const { return state_->continue_expected; }
bool RequestParser::unknown_expectation() const { return state_->expectation_unknown; }
uint64_t RequestParser::content_length() const { return state_->content_length; }
uint64_t RequestParser::body_bytes() const {
  return state_->complete ? state_->request.body.size() : state_->body.size();
}

}  // namespace ursula::http
