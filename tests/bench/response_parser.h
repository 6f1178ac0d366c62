// tests/bench/response_parser.h
//
// HTTP/1.1 responses out of the bytes of one connection (RFC 9112), as fast as a load generator on
// the server's own machine needs it: one pass over the head, bodies are never copied.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ursula::bench {

// What a load generator wants to know of a response.
struct ResponseHead {
  int status = 0;
  uint64_t content_length = 0;
  bool chunked = false;
  bool until_close = false;  // Neither length nor chunks: the body ends with the connection.
  bool keep_alive = true;
  bool up_to_date = false;       // Stream-Up-To-Date: true
  bool stream_closed = false;    // Stream-Closed: true
  bool gzip = false;             // Content-Encoding: gzip
  std::string next_offset = {};  // Stream-Next-Offset
};

class ResponseParser {
 public:
  enum class Event : uint8_t {
    kNeedMore,  // All bytes were consumed.
    kHead,      // head() is complete; a body or kComplete follows.
    kBody,      // body() is a piece of the body.
    kComplete,  // The response is whole; what follows belongs to the next one.
    kError,     // Not HTTP/1.1 as it is written; nothing more is parsed.
  };
  static constexpr std::size_t kHeadBytesMax = 64 << 10;

  // Consumes from the front of *bytes up to the next event. kHead, kBody and kComplete may come
  // without further bytes: go on until kNeedMore.
  Event Next(std::string_view* bytes);
  // The peer sent FIN. True: that ends a body as it should.
  bool EndedWell() const { return state_ == State::kUntilClose; }
  bool broken() const { return state_ == State::kError; }

  const ResponseHead& head() const { return head_; }
  std::string_view body() const { return body_; }

 private:
  enum class State : uint8_t {
    kHead,
    kLength,
    kUntilClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailer,
    kComplete,
    kError,
  };

  Event ReadHead(std::string_view* bytes);
  Event ReadData(std::string_view* bytes, State after);
  Event ReadChunkLine(std::string_view* bytes);
  bool TakeLine(std::string_view* bytes, std::string_view* line);
  bool ParseHead(std::string_view text);
  bool ParseField(std::string_view line);
  Event Fail();

  State state_ = State::kHead;
  ResponseHead head_;
  std::string_view body_;
  uint64_t left_ = 0;    // Of the body or chunk under way.
  std::string partial_;  // A head or chunk line whose end has not come yet.
  bool consumed_partial_ = false;
};

}  // namespace ursula::bench
