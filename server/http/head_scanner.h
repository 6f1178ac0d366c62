// server/http/head_scanner.h
//
// HeadScanner finds where a request's head ends and refuses what no head may hold: bare CR or LF,
// NUL, folded lines, and a request line that is not three words with one space between them, on all
// of which parsers disagree. It also counts against the limits.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ursula::http {

class HeadScanner {
 public:
  struct Limits {
    std::size_t line_bytes_max = 0;
    std::size_t header_bytes_max = 0;
  };
  enum class Verdict : uint8_t {
    kMore,
    kEnd,
    kMalformed,
    kMalformedLine,
    kLineTooLong,
    kHeadersTooLarge,
  };

  explicit HeadScanner(const Limits& limits) : limits_(limits) {}

  // Scans on; `*consumed` is how many bytes of `bytes` belong to the head, its end included.
  Verdict Scan(std::string_view bytes, std::size_t* consumed);
  void Reset();

  bool started() const { return started_; }  // A byte of the request line was seen.

 private:
  std::size_t SkipPlain(std::string_view bytes);
  Verdict Step(char c);
  Verdict EndOfLine();
  bool FitsRequestLine(char c);

  Limits limits_;
  std::size_t line_bytes_ = 0;    // Of the request line.
  std::size_t header_bytes_ = 0;  // Of all lines after it.
  std::size_t blank_bytes_ = 0;   // CRLFs before the request line, which are skipped.
  uint32_t word_ = 0;             // Of the request line: method, target, version.
  std::size_t word_bytes_ = 0;
  bool started_ = false;
  bool in_headers_ = false;
  bool after_cr_ = false;
  bool line_empty_ = true;
};

}  // namespace ursula::http
