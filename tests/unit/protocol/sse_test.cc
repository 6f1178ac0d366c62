#include "server/protocol/sse.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "lib/base/strings.h"
#include "server/protocol/offset.h"

namespace ursula::protocol {
namespace {

struct Event {
  std::string name = {};
  std::string data = {};
  std::string id = {};
};

// A client's reading of an event stream (WHATWG HTML, 9.2.6). `text` must use LF alone.
std::vector<Event> ParseEvents(std::string_view text) {
  std::vector<Event> events;
  Event event;
  bool has_data = false;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.empty()) {
      if (has_data) events.push_back(event);
      event = Event{};
      has_data = false;
      continue;
    }
    std::size_t colon = line.find(':');
    std::string_view field = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "event") event.name = value;
    if (field == "id") event.id = value;
    if (field == "data") {
      if (has_data) event.data += '\n';
      event.data += value;
      has_data = true;
    }
  }
  return events;
}

ReadReply Reply(std::vector<std::string> parts, uint64_t start, bool up_to_date = true) {
  ReadReply reply;
  reply.start = Offset{start};
  reply.next = Offset{start};
  for (const std::string& part : parts) {
    reply.next.bytes += part.size();
    reply.parts.push_back(Bytes::Copy(part));
  }
  reply.up_to_date = up_to_date;
  return reply;
}

ReadReply Closing(ReadReply reply) {
  reply.info.closed = true;
  return reply;
}

std::string Encode(SseForm form, const ReadReply& reply) {
  SseEncoder encoder(form);
  return encoder.Encode(reply, 7).bytes;
}

std::string WithLfAlone(std::string_view text) {
  std::string lines;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool of_crlf = text[i] == '\n' && i > 0 && text[i - 1] == '\r';
    if (!of_crlf) lines.push_back(text[i] == '\r' ? '\n' : text[i]);
  }
  return lines;
}

TEST(SseFormTest, TextAndJsonAreSentAsTheyAre) {
  EXPECT_EQ(SseFormOf("text/html; charset=utf-8"), SseForm::kText);
  EXPECT_EQ(SseFormOf("Application/JSON"), SseForm::kJson);
  EXPECT_EQ(SseFormOf("application/octet-stream"), SseForm::kBase64);
  EXPECT_EQ(SseFormOf("application/x-ndjson"), SseForm::kBase64);
}

// Rule 3: a space behind "event:", none behind "data:", control JSON on one line.
TEST(SseEncoderTest, Rule03ExactBytes) {
  EXPECT_EQ(Encode(SseForm::kText, Reply({"hello"}, 0)),
            "event: data\ndata:hello\nid:0000000000000000_0000000000000005\n\n"
            "event: control\n"
            "data:{\"streamNextOffset\":\"0000000000000000_0000000000000005\","
            "\"streamCursor\":\"7\",\"upToDate\":true}\n"
            "id:0000000000000000_0000000000000005\n\n");
}

// Rules 4 and 5: one buffer holds a data event and its control event, whatever the payload says.
TEST(SseEncoderTest, Rule04And05DataAndControlInOneFrame) {
  std::string bytes =
      Encode(SseForm::kText, Reply({"event: control\ndata:{\"x\":1}\n\n", "more"}, 0, false));
  std::vector<Event> events = ParseEvents(bytes);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].name, "data");
  EXPECT_EQ(events[0].data, "event: control\ndata:{\"x\":1}\n\nmore");
  EXPECT_EQ(events[1].name, "control");
  EXPECT_EQ(events[1].data.find("upToDate"), std::string::npos);
}

TEST(SseEncoderTest, WithoutDataTheControlEventStandsAlone) {
  std::vector<Event> events = ParseEvents(Encode(SseForm::kText, Reply({}, 12)));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].name, "control");
  EXPECT_EQ(events[0].id, "0000000000000000_0000000000000012");
}

// Rule 7: CR, LF and CRLF each end a line.
TEST(SseEncoderTest, Rule07EveryLineEndBecomesALine) {
  std::string bytes = Encode(SseForm::kText, Reply({"a\nb\rc\r\nd\n\ne\n"}, 0));
  EXPECT_TRUE(
      bytes.starts_with("event: data\ndata:a\ndata:b\ndata:c\ndata:d\ndata:\ndata:e\ndata:"
                        "\nid:"));
  EXPECT_EQ(Encode(SseForm::kText, Reply({"a\r", "\nb"}, 0)),
            Encode(SseForm::kText, Reply({"a\r\nb"}, 0)));
}

TEST(SseEncoderTest, ALeadingSpaceSurvivesTheClient) {
  std::vector<Event> events =
      ParseEvents(Encode(SseForm::kText, Reply({" a\n", "  b\n", "", " c"}, 0)));
  EXPECT_EQ(events[0].data, " a\n  b\n c");
}

// Rule 8: what was appended together with the close comes before the closing control event.
TEST(SseEncoderTest, Rule08FinalDataThenTheClosingControl) {
  SseEncoder encoder(SseForm::kText);
  SseFrame frame = encoder.Encode(Closing(Reply({"last"}, 0)), 7);
  EXPECT_TRUE(frame.closed);
  std::vector<Event> events = ParseEvents(frame.bytes);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].data, "last");
  EXPECT_EQ(events[1].data,
            "{\"streamNextOffset\":\"0000000000000000_0000000000000004\",\"upToDate\":true,"
            "\"streamClosed\":true}");
  frame = encoder.Encode(Closing(Reply({"x"}, 4, false)), 7);
  EXPECT_FALSE(frame.closed);
  EXPECT_EQ(frame.bytes.find("streamClosed"), std::string::npos);
}

TEST(SseEncoderTest, JsonIsAlwaysOneArrayOnOneLine) {
  EXPECT_EQ(ParseEvents(Encode(SseForm::kJson, Reply({"{\"a\":1},\n"}, 0)))[0].data, "[{\"a\":1}]");
  EXPECT_EQ(ParseEvents(Encode(SseForm::kJson, Reply({"1,", "\n[2,3],\n", "4,\n"}, 0)))[0].data,
            "[1,[2,3],4]");
  EXPECT_TRUE(
      Encode(SseForm::kJson, Reply({"\"x\",\n"}, 0))
          .starts_with("event: data\ndata:[\"x\"]\nid:0000000000000000_0000000000000005\n\nevent: "
                       "control\n"));
}

TEST(SseEncoderTest, BinaryIsPaddedBase64OfTheWholeEvent) {
  std::string raw("\0\1\2\3\xff", 5);
  std::string data =
      ParseEvents(Encode(SseForm::kBase64, Reply({raw.substr(0, 2), raw.substr(2)}, 0)))[0].data;
  EXPECT_EQ(data.size() % 4, 0u);
  std::string decoded;
  ASSERT_TRUE(absl::Base64Unescape(A(data), &decoded));
  EXPECT_EQ(decoded, raw);
  EXPECT_EQ(ParseEvents(Encode(SseForm::kBase64, Reply({"\xC3"}, 0)))[0].data, "ww==");
}

TEST(SseEncoderTest, AnIncompleteCodePointWaitsAndTheOffsetStaysBeforeIt) {
  SseEncoder encoder(SseForm::kText);
  SseFrame frame = encoder.Encode(Reply({"a\xF0\x9F", "\x98"}, 0), 7);
  EXPECT_EQ(frame.next, (Position{{1}, true}));
  EXPECT_EQ(encoder.held(), "\xF0\x9F\x98");
  std::vector<Event> events = ParseEvents(frame.bytes);
  EXPECT_EQ(events[0].data, "a");
  EXPECT_EQ(events[1].id, FormatOffset({{1}, true}));
  frame = encoder.Encode(Reply({"\x80z"}, 4), 7);
  EXPECT_EQ(frame.next, (Position{{6}}));
  EXPECT_EQ(ParseEvents(frame.bytes)[0].data, "\xF0\x9F\x98\x80z");
  EXPECT_EQ(encoder.held(), "");
}

TEST(SseEncoderTest, DataThatIsAllHeldBackYieldsAControlEventAlone) {
  SseEncoder encoder(SseForm::kText);
  SseFrame frame = encoder.Encode(Reply({"\xC3"}, 5), 7);
  std::vector<Event> events = ParseEvents(frame.bytes);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(frame.next, (Position{{5}, true}));
  EXPECT_EQ(events[0].id, FormatOffset({{5}, true}));
}

TEST(SseEncoderTest, BytesThatNoneCanCompleteAreNotHeld) {
  for (const char* text : {"\xFF", "\x80", "\xC0", "\xF5", "a\x80\x80\x80\x80", "\xC3\xA9"}) {
    SseEncoder encoder(SseForm::kText);
    encoder.Encode(Reply({text}, 0), 7);
    EXPECT_EQ(encoder.held(), "") << absl::CHexEscape(text);
  }
}

TEST(SseEncoderTest, TheEndOfAClosedStreamHoldsNothingBack) {
  SseEncoder encoder(SseForm::kText);
  SseFrame frame = encoder.Encode(Closing(Reply({"a\xC3"}, 0)), 7);
  EXPECT_EQ(frame.next, (Position{{2}}));
  EXPECT_EQ(ParseEvents(frame.bytes)[0].data, "a\xC3");
  SseEncoder other(SseForm::kText);
  other.Encode(Reply({"a\xC3"}, 0), 7);
  frame = other.Encode(Closing(Reply({}, 2)), 7);
  EXPECT_EQ(frame.next, (Position{{2}}));
  EXPECT_EQ(ParseEvents(frame.bytes)[0].data, "\xC3");
}

TEST(SseEncoderTest, APageThatEndsBetweenCrAndLfWaits) {
  SseEncoder encoder(SseForm::kText);
  EXPECT_EQ(encoder.Encode(Reply({"a\r"}, 0, false), 7).next, (Position{{1}, true}));
  SseFrame frame = encoder.Encode(Reply({"\nb"}, 2), 7);
  EXPECT_EQ(ParseEvents(frame.bytes)[0].data, "\nb");
  EXPECT_EQ(frame.next, (Position{{4}}));
}

TEST(SseEncoderTest, AnAppendThatEndsInACrWaitsForItsLf) {
  SseEncoder encoder(SseForm::kText);
  SseFrame frame = encoder.Encode(Reply({"a\r"}, 0), 7);
  EXPECT_EQ(frame.next, (Position{{1}, true}));
  EXPECT_EQ(ParseEvents(frame.bytes)[0].data, "a");
  EXPECT_EQ(ParseEvents(frame.bytes)[0].id, FormatOffset({{1}, true}));
  frame = encoder.Encode(Reply({"\nb"}, 2), 7);
  EXPECT_EQ(ParseEvents(frame.bytes)[0].data, "\nb");
  // A CR that ends a line by itself is sent with what follows it, or with the close.
  SseEncoder other(SseForm::kText);
  other.Encode(Reply({"a\r"}, 0), 7);
  EXPECT_EQ(ParseEvents(other.Encode(Reply({"b\r"}, 2), 7).bytes)[0].data, "\nb");
  frame = other.Encode(Closing(Reply({}, 4)), 7);
  EXPECT_EQ(ParseEvents(frame.bytes)[0].data, "\n");
  EXPECT_EQ(frame.next, (Position{{4}}));
}

TEST(SseEncoderTest, AnEventOfDataNamesWhereItEnds) {
  for (SseForm form : {SseForm::kText, SseForm::kJson, SseForm::kBase64}) {
    std::vector<Event> events = ParseEvents(Encode(form, Reply({"1,\n"}, 4)));
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].id, FormatOffset({{7}}));
    EXPECT_EQ(events[1].id, events[0].id);
  }
}

TEST(SseEncoderTest, APageThatEndsInsideAnAppendSaysSo) {
  ReadReply reply = Reply({"abc"}, 4);
  reply.cut = true;
  for (SseForm form : {SseForm::kText, SseForm::kBase64}) {
    SseFrame frame = SseEncoder(form).Encode(reply, 7);
    EXPECT_EQ(frame.next, (Position{{7}, true}));
    for (const Event& event : ParseEvents(frame.bytes)) {
      EXPECT_EQ(event.id, "0000000000000000_0000000000000007.");
    }
  }
}

TEST(SsePrimingTest, TellsTheStartAndHowSoonToComeAgainAndIsNoEvent) {
  std::string priming = EncodeSsePriming({{5}});
  EXPECT_EQ(priming, "retry:1000\nid:0000000000000000_0000000000000005\n\n");
  EXPECT_TRUE(ParseEvents(priming).empty());
}

TEST(SseControlTest, KeepAliveAndEndOfConnection) {
  SseControl control;
  control.next = {{3}};
  control.cursor = 9;
  EXPECT_EQ(EncodeSseControl(control),
            "event: control\ndata:{\"streamNextOffset\":\"0000000000000000_0000000000000003\","
            "\"streamCursor\":\"9\"}\nid:0000000000000000_0000000000000003\n\n");
  EXPECT_TRUE(ParseEvents(kSseHeartbeat).empty());
}

// Who can't read the head of the answer is told whose offsets they are all the same.
TEST(SseControlTest, SaysWhichStreamItIsOf) {
  SseControl control;
  control.next = {{3}};
  control.closed = true;
  control.incarnation = 0xabc;
  EXPECT_EQ(EncodeSseControl(control),
            "event: control\ndata:{\"streamNextOffset\":\"0000000000000000_0000000000000003\","
            "\"streamClosed\":true,\"streamIncarnation\":\"0000000000000abc\"}\n"
            "id:0000000000000000_0000000000000003\n\n");
  for (SseForm form : {SseForm::kText, SseForm::kJson, SseForm::kBase64}) {
    ReadReply reply = Reply({"1,\n"}, 0);
    reply.info.incarnation = 0xabc;
    EXPECT_NE(Encode(form, reply).find(",\"streamIncarnation\":\"0000000000000abc\"}\n"),
              std::string::npos);
  }
}

// Any text, cut anywhere, resumed after any frame: the client has the text (line ends as LF), and
// every offset it was told names exactly what it had. A CR at the very end waits.
TEST(SseEncoderTest, AnyCutOfValidTextArrivesWhole) {
  constexpr std::string_view kPieces[] = {
      "a",  " ",   "\n", "\xC3\xA9", "\xE2\x82\xAC", ":", "data:", "\n\n", "\xF0\x9F\x98\x80",
      "\r", "\r\n"};
  uint64_t seed = 7;
  Random random(seed);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint64_t i = random.Below(12); i > 0; --i) text += kPieces[random.Below(11)];
    SseEncoder encoder(SseForm::kText);
    std::string received;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t take = 1 + random.Below(text.size() - at);
      ReadReply reply = Reply({text.substr(at, take)}, at, at + take == text.size());
      at += take;
      SseFrame frame = encoder.Encode(reply, 7);
      for (const Event& event : ParseEvents(frame.bytes)) {
        if (event.name == "data") received += event.data;
        ASSERT_EQ(event.id, FormatOffset(frame.next));
      }
      ASSERT_EQ(received, WithLfAlone(text.substr(0, frame.next.offset.bytes)))
          << "seed=" << seed << " " << round;
      if (random.OneIn(4)) {  // Reconnect at the offset that was told.
        encoder = SseEncoder(SseForm::kText);
        at = frame.next.offset.bytes;
      }
    }
    if (text.ends_with('\r')) text.pop_back();
    ASSERT_EQ(received, WithLfAlone(text)) << "seed=" << seed;
  }
}

}  // namespace
}  // namespace ursula::protocol
