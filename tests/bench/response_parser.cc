#include "tests/bench/response_parser.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ursula::bench {
namespace {

constexpr std::size_t kLineBytesMax = 4096;

bool SameText(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool ParseNumber(std::string_view text, int base, uint64_t* number) {
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, *number, base);
  return error == std::errc() && stop == end;
}

// The length with the empty line that ends it, or 0: it is not all there.
std::size_t HeadLength(std::string_view text, std::size_t from) {
  const void* found = memmem(text.data() + from, text.size() - from, "\r\n\r\n", 4);
  if (found == nullptr) return 0;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data()) + 4;
}

}  // namespace

ResponseParser::Event ResponseParser::Next(std::string_view* bytes) {
  switch (state_) {
    case State::kHead:
      return ReadHead(bytes);
    case State::kLength:
      return ReadData(bytes, State::kComplete);
    case State::kUntilClose:
      if (bytes->empty()) return Event::kNeedMore;
      body_ = *bytes;
      *bytes = {};
      return Event::kBody;
    case State::kChunkData:
      return ReadData(bytes, State::kChunkEnd);
    case State::kChunkSize:
    case State::kChunkEnd:
    case State::kTrailer:
      return ReadChunkLine(bytes);
    case State::kComplete:
      state_ = State::kHead;
      return Event::kComplete;
    case State::kError:
      return Event::kError;
  }
  return Event::kError;
}

ResponseParser::Event ResponseParser::Fail() {
  state_ = State::kError;
  return Event::kError;
}

// ---- head --------------------------------------------------------------------------------------

ResponseParser::Event ResponseParser::ReadHead(std::string_view* bytes) {
  if (bytes->empty()) return Event::kNeedMore;
  bool good = false;
  if (partial_.empty()) {
    std::size_t length = HeadLength(*bytes, 0);
    if (length == 0) {
      partial_.assign(*bytes);
      *bytes = {};
      return partial_.size() > kHeadBytesMax ? Fail() : Event::kNeedMore;
    }
    good = ParseHead(bytes->substr(0, length));
    bytes->remove_prefix(length);
  } else {
    std::size_t before = partial_.size();
    partial_.append(*bytes);
    std::size_t length = HeadLength(partial_, before < 3 ? 0 : before - 3);
    if (length == 0) {
      *bytes = {};
      return partial_.size() > kHeadBytesMax ? Fail() : Event::kNeedMore;
    }
    good = ParseHead(std::string_view(partial_).substr(0, length));
    bytes->remove_prefix(length - before);
    partial_.clear();
  }
  return good ? Event::kHead : Fail();
}

// "HTTP/1.1 200 OK", fields, an empty line.
bool ResponseParser::ParseHead(std::string_view text) {
  std::string offset = std::move(head_.next_offset);
  offset.clear();
  head_ = ResponseHead();
  head_.next_offset = std::move(offset);
  if (!text.starts_with("HTTP/1.1 ") || text.size() < 14) return false;
  uint64_t status = 0;
  if (!ParseNumber(text.substr(9, 3), 10, &status) || status < 100) return false;
  head_.status = static_cast<int>(status);
  bool has_length = false;
  std::size_t at = text.find("\r\n") + 2;
  while (at + 2 < text.size()) {
    const void* found = std::memchr(text.data() + at, '\r', text.size() - at);
    std::size_t end = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    std::string_view line = text.substr(at, end - at);
    // Only these begin a field that counts: Connection, Content-Length, Stream-…, Transfer-….
    char first = static_cast<char>(line.front() | 0x20);
    if ((first == 'c' || first == 's' || first == 't') && !ParseField(line)) return false;
    has_length = has_length || (first == 'c' && line.size() > 15 &&
                                SameText(line.substr(0, 15), "Content-Length:"));
    at = end + 2;
  }
  bool no_body = head_.status < 200 || head_.status == 204 || head_.status == 304;
  left_ = head_.content_length;
  head_.until_close = !no_body && !head_.chunked && !has_length;
  if (head_.until_close) head_.keep_alive = false;
  if (no_body || (!head_.chunked && has_length && left_ == 0)) {
    state_ = State::kComplete;
  } else if (head_.chunked) {
    state_ = State::kChunkSize;
  } else {
    state_ = has_length ? State::kLength : State::kUntilClose;
  }
  return true;
}

bool ResponseParser::ParseField(std::string_view line) {
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  std::string_view name = line.substr(0, colon);
  std::string_view value = Trimmed(line.substr(colon + 1));
  if (SameText(name, "Content-Length")) return ParseNumber(value, 10, &head_.content_length);
  if (SameText(name, "Content-Encoding")) head_.gzip = SameText(value, "gzip");
  if (SameText(name, "Connection")) head_.keep_alive = !SameText(value, "close");
  if (SameText(name, "Stream-Next-Offset")) head_.next_offset.assign(value);
  if (SameText(name, "Stream-Up-To-Date")) head_.up_to_date = SameText(value, "true");
  if (SameText(name, "Stream-Closed")) head_.stream_closed = SameText(value, "true");
  if (SameText(name, "Transfer-Encoding")) {
    head_.chunked = SameText(value, "chunked");
    return head_.chunked;
  }
  return true;
}

// ---- body --------------------------------------------------------------------------------------

ResponseParser::Event ResponseParser::ReadData(std::string_view* bytes, State after) {
  if (bytes->empty()) return Event::kNeedMore;
  std::size_t size = static_cast<std::size_t>(std::min<uint64_t>(left_, bytes->size()));
  body_ = bytes->substr(0, size);
  bytes->remove_prefix(size);
  left_ -= size;
  if (left_ == 0) state_ = after;
  return Event::kBody;
}

ResponseParser::Event ResponseParser::ReadChunkLine(std::string_view* bytes) {
  std::string_view line;
  if (!TakeLine(bytes, &line)) {
    return partial_.size() > kLineBytesMax ? Fail() : Event::kNeedMore;
  }
  bool good = true;
  if (state_ == State::kChunkEnd) {
    good = line.empty();
    state_ = State::kChunkSize;
  } else if (state_ == State::kTrailer) {
    if (line.empty()) state_ = State::kComplete;
  } else {
    good = ParseNumber(Trimmed(line.substr(0, line.find(';'))), 16, &left_);
    state_ = left_ == 0 ? State::kTrailer : State::kChunkData;
  }
  if (consumed_partial_) partial_.clear();
  consumed_partial_ = false;
  return good ? Next(bytes) : Fail();
}

// A line without its CRLF. It lies in partial_ when it came in several pieces.
bool ResponseParser::TakeLine(std::string_view* bytes, std::string_view* line) {
  std::size_t end = bytes->find('\n');
  if (end == std::string_view::npos) {
    partial_.append(*bytes);
    *bytes = {};
    return false;
  }
  if (partial_.empty()) {
    *line = bytes->substr(0, end);
  } else {
    partial_.append(bytes->substr(0, end));
    *line = partial_;
    consumed_partial_ = true;
  }
  bytes->remove_prefix(end + 1);
  if (line->ends_with('\r')) line->remove_suffix(1);
  return true;
}

}  // namespace ursula::bench
