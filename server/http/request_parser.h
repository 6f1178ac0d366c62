// server/http/request_parser.h
//
// RequestParser turns the bytes of one connection into requests, strictly: what two HTTP parsers
// could read in two ways (bare CR or LF, Content-Length beside Transfer-Encoding, repeated Host …)
// is refused. llhttp parses heads, ChunkDecoder takes chunked bodies apart; the checks that llhttp
// leaves out are made here before it sees the bytes.
//
// Invariant: memory held is bounded by RequestLimits, whatever the peer sends.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/protocol/http_message.h"

namespace ursula::http {

struct RequestLimits {
  std::size_t line_bytes_max = 8 << 10;          // The request line; above: 414.
  std::size_t header_bytes_max = 64 << 10;       // All header lines; above: 431.
  uint32_t header_count_max = 100;               // Above: 431.
  uint64_t body_bytes_max = uint64_t{32} << 20;  // Above: 413.
};

enum class ParseError : uint8_t {
  kNone,
  kMalformed,        // 400
  kMethodUnknown,    // 405
  kLineTooLong,      // 414
  kHeadersTooLarge,  // 431
  kBodyTooLarge,     // 413
  kVersionUnknown,   // 505
};

class RequestParser {
 public:
  enum class Event : uint8_t {
    kNeedMore,  // All bytes were consumed.
    kHead,      // The head is complete and a body will follow; Feed goes on with it.
    kComplete,  // A whole request stands in `request()`. Next() before feeding on.
    kError,     // See error(). Nothing more is parsed.
  };

  explicit RequestParser(const RequestLimits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Consumes some of `bytes` and says how many; stops after each event.
  std::size_t Feed(std::string_view bytes, Event* event);
  // Makes ready for the next request of the connection.
  void Next();

  // Some bytes of a request were seen and it is not complete yet.
  bool InRequest() const;

  ParseError error() const;
  const std::string& error_reason() const;

  // From kHead on; the body from kComplete on. The caller may move things out of it.
  protocol::Request& request();
  bool keep_alive() const;           // As the request asks.
  bool expects_continue() const;     // Expect: 100-continue, by a client that may use it.
  bool unknown_expectation() const;  // Expect: anything else.
  // From kHead on: Content-Length, 0 for a chunked body.
  uint64_t content_length() const;
  uint64_t body_bytes() const;  // So far.

 private:
  struct State;  // Keeps llhttp.h to one file.
  std::unique_ptr<State> state_;
};

}  // namespace ursula::http
