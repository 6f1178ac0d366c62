#include "tests/bench/sse_parser.h"

#include <cstddef>

namespace ursula::bench {

void SseParser::Reset() {
  partial_.clear();
  in_control_ = false;
}

void SseParser::Feed(std::string_view bytes, SseSink* sink) {
  std::size_t end = bytes.find('\n');
  if (!partial_.empty() && end != std::string_view::npos) {
    partial_.append(bytes.substr(0, end));
    TakeLine(partial_, sink);
    partial_.clear();
    bytes.remove_prefix(end + 1);
    end = bytes.find('\n');
  }
  while (end != std::string_view::npos) {
    TakeLine(bytes.substr(0, end), sink);
    bytes.remove_prefix(end + 1);
    end = bytes.find('\n');
  }
  partial_.append(bytes);
}

void SseParser::TakeLine(std::string_view line, SseSink* sink) {
  constexpr std::string_view kOffset = "\"streamNextOffset\":\"";
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("event:")) {
    in_control_ = line.ends_with("control");
    return;
  }
  if (!line.starts_with("data:")) return;
  line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
  if (!in_control_) return sink->OnDataLine(line);
  std::size_t at = line.find(kOffset);
  if (at == std::string_view::npos) return;
  line.remove_prefix(at + kOffset.size());
  sink->OnControl(line.substr(0, line.find('"')));
}

}  // namespace ursula::bench
