// tests/bench/sse_parser.h
//
// The lines of a live read: data, and the offset that each control event names.

#pragma once

#include <string>
#include <string_view>

namespace ursula::bench {

class SseSink {
 public:
  virtual ~SseSink() = default;
  virtual void OnDataLine(std::string_view line) = 0;  // Without "data:". Valid until it returns.
  virtual void OnControl(std::string_view next_offset) = 0;  // What came before it is complete.
};

class SseParser {
 public:
  void Feed(std::string_view bytes, SseSink* sink);
  void Reset();  // A new connection.

 private:
  void TakeLine(std::string_view line, SseSink* sink);

  std::string partial_;
  bool in_control_ = false;
};

}  // namespace ursula::bench
