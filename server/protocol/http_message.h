// server/protocol/http_message.h
//
// An HTTP request as the connection parsed it and a response as the mapping made it; plain values.
// SerializeHead turns a response's head into bytes. What belongs to the connection (Date,
// Connection, X-Request-Id) is passed in by it.
//
// Invariant: every serialized head carries the security and CORS headers, errors included.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/protocol/headers.h"
#include "ursula/bytes.h"

namespace ursula::protocol {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kOther };

// "GET" → kGet; any name that is not served is kOther. Case-sensitive, as HTTP says.
Method MethodFromName(std::string_view name);

struct Request {
  Method method = Method::kGet;
  std::string target = {};  // As it stood in the request line.
  Headers headers = {};
  Bytes body = {};            // Decoded of its transfer coding; one piece.
  uint8_t version_minor = 1;  // Of HTTP/1.x.

  void Clear();  // Makes ready for the connection's next one.

  // Parts of `target`, raw. An absolute-form target's scheme and authority are skipped. Views into
  // `target`.
  std::string_view path() const;
  std::string_view query() const;      // Without the '?'.
  std::string_view authority() const;  // Of an absolute-form target, else empty.
};

struct Response {
  int status = 200;
  Headers headers = {};
  std::vector<Bytes> body = {};

  std::size_t body_bytes() const;
};

enum class Framing : uint8_t {
  kLength,      // Content-Length: the body's size. (Never written for 204 and 304.)
  kChunked,     // Transfer-Encoding: chunked. HTTP/1.1 only.
  kUntilClose,  // Neither: the body ends with the connection (HTTP/1.0 streams).
  kHead,        // Answer to HEAD: the body must not be sent; no length is claimed.
};

// The body may be sent: not for HEAD, 204, 304.
bool SendsBody(const Response& response, Framing framing);

// Status line, the response's headers, `origin_lines` (cors.h) and the other headers that every
// response carries, framing, `more_lines`, blank line. Lines are complete, each with its CRLF, for
// instance "Date: …\r\n".
Bytes SerializeHead(const Response& response, Framing framing, std::string_view more_lines,
                    std::string_view origin_lines);

// "Not Found". Empty for a number that this server never sends.
std::string_view ReasonPhrase(int status);

}  // namespace ursula::protocol
