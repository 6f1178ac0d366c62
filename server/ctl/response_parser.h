// server/ctl/response_parser.h
//
// ResponseParser turns the bytes of a connection into one HTTP/1.1 response.
//
// Invariant: what it holds is bounded, whatever comes.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/protocol/headers.h"

namespace ursula::ctl {

struct HttpResponse {
  int status = 0;
  protocol::Headers headers = {};
  std::string body = {};
};

class ResponseParser {
 public:
  static constexpr std::size_t kHeadBytesMax = 64 << 10;
  static constexpr std::size_t kHeadersMax = 100;
  static constexpr std::size_t kBodyBytesMax = 16 << 20;

  enum class State : uint8_t {
    kNeedMore,
    kComplete,  // See response(). Whatever follows is not looked at.
    kBad,       // See reason().
  };

  ResponseParser();
  ~ResponseParser();
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  State Feed(std::string_view bytes);
  State End();  // The connection has ended: so does a body of no stated length.

  HttpResponse& response();
  const std::string& reason() const;

 private:
  struct Impl;  // Keeps llhttp.h to one file.
  std::unique_ptr<Impl> impl_;
};

}  // namespace ursula::ctl
