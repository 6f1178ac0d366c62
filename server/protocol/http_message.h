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
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "ursula/bytes.h"

namespace ursula::protocol {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kOther };

// "GET" → kGet; any name that is not served is kOther. Case-sensitive, as HTTP says.
Method MethodFromName(std::string_view name);

struct Header {
  std::string name = {};
  std::string value = {};  // Without white space at its ends.
};

// In order of arrival; names compare without regard to case; a name may repeat.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> list) : list_(list) {}

  void Add(std::string_view name, std::string_view value);
  void Set(std::string_view name, std::string_view value);  // Replaces all of that name.
  void Remove(std::string_view name);

  // The first value, or null. Valid until the next change.
  const std::string* Find(std::string_view name) const;
  std::size_t Count(std::string_view name) const;
  // All values of a list header as one list: "a, b". Empty if there is none.
  std::string Joined(std::string_view name) const;

  const std::vector<Header>& list() const { return list_; }
  bool empty() const { return list_.empty(); }
  void Clear();  // Keeps room for as many as are common.

 private:
  std::vector<Header> list_;
};

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

// Status line, the response's headers, the headers every response carries, framing, `more_lines`
// (complete lines, each with its CRLF, for instance "Date: …\r\n"), blank line.
// REQUIRES: no CR, LF or NUL in names and values (they are dropped if there are).
std::string SerializeHead(const Response& response, Framing framing, std::string_view more_lines);

// "Not Found". Empty for a number that this server never sends.
std::string_view ReasonPhrase(int status);

}  // namespace ursula::protocol
