#include "tests/bench/request.h"

#include <charconv>

namespace ursula::bench {
namespace {

constexpr std::size_t kDigits = 16;
constexpr char kFiller[] = "abcdefghijklmnopqrstuvwxyz0123456789";

// With room for other lines and for `body_bytes`: it is made for each request.
std::string Line(std::string_view method, const Names& names, uint64_t stream,
                 std::string_view query, std::size_t body_bytes = 0) {
  std::string text;
  text.reserve(512 + body_bytes);
  text.append(method);
  names.AppendPath(stream, &text);
  text.append(query).append(" HTTP/1.1\r\nHost: ");
  text.append(names.authority()).append("\r\n");
  return text;
}

}  // namespace

std::string CreateRequest(const Names& names, uint64_t stream, std::string_view content_type) {
  return Line("PUT ", names, stream, "")
      .append("Content-Type: ")
      .append(content_type)
      .append("\r\nContent-Length: 0\r\n\r\n");
}

std::string AppendRequest(const Names& names, uint64_t stream, std::string_view content_type,
                          const ProducerFields* producer, std::string_view payload) {
  std::string text = Line("POST ", names, stream, "", payload.size());
  text.append("Content-Type: ").append(content_type);
  if (producer != nullptr) {
    text.append("\r\nProducer-Id: ").append(producer->id);
    text.append("\r\nProducer-Epoch: 0\r\nProducer-Seq: ").append(std::to_string(producer->seq));
  }
  text.append("\r\nContent-Length: ").append(std::to_string(payload.size())).append("\r\n\r\n");
  text.append(payload);
  return text;
}

std::string ReadRequest(const Names& names, uint64_t stream, std::string_view query, bool gzip) {
  std::string text = Line("GET ", names, stream, query);
  if (gzip) text.append("Accept-Encoding: gzip\r\n");
  return text.append("\r\n");
}

std::string MakePayload(std::string_view content_type, std::size_t bytes) {
  std::string payload(bytes, ' ');
  for (std::size_t i = 0; i < bytes; ++i) payload[i] = kFiller[i % (sizeof kFiller - 1)];
  if (content_type == "application/json" && bytes >= 2) {
    payload.front() = '"';
    payload.back() = '"';
  } else if (bytes > 0) {
    payload.back() = '\n';
  }
  return payload;
}

void Stamp(std::string* payload, uint64_t time_ns) {
  (*payload)[0] = 'T';
  for (std::size_t i = kDigits; i > 0; --i) {
    (*payload)[i] = "0123456789abcdef"[time_ns & 15];
    time_ns >>= 4;
  }
}

std::optional<uint64_t> ReadStamp(std::string_view line) {
  if (line.size() < 1 + kDigits || line[0] != 'T') return std::nullopt;
  uint64_t time = 0;
  const char* end = line.data() + 1 + kDigits;
  auto [stop, error] = std::from_chars(line.data() + 1, end, time, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return time;
}

}  // namespace ursula::bench
