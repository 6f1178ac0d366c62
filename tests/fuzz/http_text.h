// tests/fuzz/http_text.h
//
// A client's strict reading of what a server has sent: whole responses, one after the other.

#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"

namespace ursula::fuzz {

struct HttpResponse {
  int status = 0;
  std::vector<std::string> lines = {};  // Of the head, without the status line.
  std::string body = {};
  bool whole = true;  // False: the connection ended, or the test did, inside of it.
};

// "name: value" of the header, or empty. `lower_name` ends with ": ".
inline std::string_view ValueOf(const HttpResponse& response, std::string_view lower_name) {
  for (const std::string& line : response.lines) {
    if (line.size() < lower_name.size()) continue;
    std::string head = line.substr(0, lower_name.size());
    std::transform(head.begin(), head.end(), head.begin(),
                   [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
    if (head == lower_name) return std::string_view(line).substr(lower_name.size());
  }
  return {};
}

class HttpReader {
 public:
  explicit HttpReader(std::string_view bytes) : rest_(bytes) {}

  std::vector<HttpResponse> Read() {
    std::vector<HttpResponse> responses;
    while (!rest_.empty()) responses.push_back(ReadOne());
    return responses;
  }

 private:
  HttpResponse ReadOne() {
    HttpResponse response;
    const std::string_view first = Line();
    URSULA_CHECK(first.starts_with("HTTP/1.1 ") && first.size() > 13 && first[12] == ' ');
    std::from_chars(first.data() + 9, first.data() + 12, response.status);
    URSULA_CHECK(response.status >= 100 && response.status <= 599);
    for (std::string_view line = Line(); !line.empty(); line = Line()) {
      const std::size_t colon = line.find(": ");
      URSULA_CHECK(colon != std::string_view::npos && colon > 0);
      URSULA_CHECK(line.substr(0, colon).find(' ') == std::string_view::npos);
      response.lines.emplace_back(line);
    }
    ReadBody(&response);
    return response;
  }

  // Each line of a head ends with CRLF, and holds neither alone.
  std::string_view Line() {
    const std::size_t end = rest_.find("\r\n");
    URSULA_CHECK(end != std::string_view::npos);
    const std::string_view line = rest_.substr(0, end);
    URSULA_CHECK(line.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    rest_.remove_prefix(end + 2);
    return line;
  }

  std::string_view Take(HttpResponse* response, uint64_t bytes) {
    if (bytes > rest_.size()) response->whole = false;
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(bytes));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  void ReadBody(HttpResponse* response) {
    const std::string_view length = ValueOf(*response, "content-length: ");
    const bool chunked = ValueOf(*response, "transfer-encoding: ") == "chunked";
    URSULA_CHECK(length.empty() || !chunked);
    if (chunked) {
      ReadChunks(response);
    } else if (!length.empty()) {
      uint64_t bytes = 0;
      const auto end = std::from_chars(length.data(), length.data() + length.size(), bytes);
      URSULA_CHECK(end.ptr == length.data() + length.size());
      // An answer to HEAD has no body and claims no length.
      response->body = Take(response, bytes);
    } else if (response->status >= 200 && response->status != 204 && response->status != 304 &&
               !rest_.starts_with("HTTP/1.1 ")) {
      response->body = Take(response, rest_.size());
    }
  }

  void ReadChunks(HttpResponse* response) {
    while (!rest_.empty()) {
      const std::string_view line = Line();
      uint64_t bytes = 0;
      const auto end = std::from_chars(line.data(), line.data() + line.size(), bytes, 16);
      URSULA_CHECK(!line.empty() && end.ptr == line.data() + line.size());
      response->body += Take(response, bytes);
      if (!response->whole) return;
      URSULA_CHECK(Line().empty());
      if (bytes == 0) return;
    }
    response->whole = false;
  }

  std::string_view rest_;
};

}  // namespace ursula::fuzz
