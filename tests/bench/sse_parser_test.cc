#include "tests/bench/sse_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace ursula::bench {
namespace {

class Log final : public SseSink {
 public:
  void OnDataLine(std::string_view line) override { text += "[" + std::string(line) + "]"; }
  void OnControl(std::string_view offset) override { text += "<" + std::string(offset) + ">"; }
  std::string text;
};

constexpr std::string_view kEvents =
    "event: data\ndata:one\ndata: two\n\n: comment\n"
    "event: control\ndata:{\"streamNextOffset\":\"0_7\",\"upToDate\":true}\nid:0_7\n\n"
    "event: data\r\ndata:three\r\n\r\nevent: control\r\ndata: "
    "{\"streamNextOffset\":\"0_9\"}\r\n\r\n";

TEST(SseParserTest, SeesLinesHoweverTheyAreCut) {
  for (std::size_t step = 1; step <= kEvents.size(); ++step) {
    SseParser parser;
    Log log;
    for (std::size_t at = 0; at < kEvents.size(); at += step) {
      parser.Feed(kEvents.substr(at, step), &log);
    }
    ASSERT_EQ(log.text, "[one][two]<0_7>[three]<0_9>") << step;
  }
}

TEST(SseParserTest, ANewConnectionBeginsAtALine) {
  SseParser parser;
  Log log;
  parser.Feed("event: control\ndata:{\"streamNext", &log);
  parser.Reset();
  parser.Feed("event: data\ndata:x\n", &log);
  EXPECT_EQ(log.text, "[x]");
}

}  // namespace
}  // namespace ursula::bench
