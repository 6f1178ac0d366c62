// Pages that StreamHandler keeps for the next who ask for them.

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/http/stream_handler_rig.h"

namespace ursula::http {
namespace {

constexpr std::string_view kGzip = "Accept-Encoding: gzip\r\n";

class KeptPagesTest : public StreamHandlerTest {
 protected:
  KeptPagesTest() { kept_pages_bytes_max_ = 4 << 20; }

  static std::string Text(std::size_t bytes) {
    std::string text;
    for (int i = 0; text.size() < bytes; ++i) text += "line " + std::to_string(i) + "\n";
    text.resize(bytes);
    return text;
  }
  std::shared_ptr<FakePeer> Get(std::string_view headers = {}, std::string_view query = {}) {
    auto peer = rig().Connect();
    Send(peer.get(), "GET", std::string(kStream) + "?offset=-1" + std::string(query), {}, headers);
    return peer;
  }
  std::string Answer(std::string_view headers = {}) { return Get(headers)->TakeReceived(); }
  static bool IsWhole(std::string_view answer) {
    const std::size_t at = answer.find("Content-Length: ");
    return at != std::string_view::npos &&
           BodyOf(answer).size() == std::stoul(std::string(answer.substr(at + 16, 10)));
  }
  uint64_t hits() { return rig().server->counters().page_hits.Get(); }
};

TEST_F(KeptPagesTest, EachReadAsksTheEngineAndBringsNoDataTwice) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(20'000))), 201);
  const std::string first = Answer(kGzip);
  EXPECT_EQ(engine_->kept, 0u);
  for (uint64_t i = 1; i <= 3; ++i) {
    const uint64_t reads = engine_->reads;
    const std::string next = Answer(kGzip);
    EXPECT_EQ(engine_->reads, reads + 1);
    EXPECT_EQ(engine_->kept, i);
    EXPECT_EQ(hits(), i);
    EXPECT_EQ(BodyOf(next), BodyOf(first));
    EXPECT_NE(next.find("Content-Encoding: gzip\r\n"), std::string::npos);
    EXPECT_NE(next.find("-gzip\"\r\n"), std::string::npos);
  }
}

TEST_F(KeptPagesTest, AnotherStreamUnderTheNameIsNeverAnsweredWithTheOldOne) {
  for (std::string_view headers : {std::string_view(), kGzip}) {
    const std::string old = Text(20'000), now = std::string(20'000, 'n');
    ASSERT_EQ(StatusOf(Ask("PUT", kStream, old)), 201);
    std::string before;
    for (int i = 0; i < 3; ++i) before = Answer(headers);
    ASSERT_EQ(StatusOf(Ask("DELETE", kStream)), 204);
    EXPECT_EQ(StatusOf(Answer(headers)), 404);
    ASSERT_EQ(StatusOf(Ask("PUT", kStream, now)), 201);
    const uint64_t kept = engine_->kept;
    const std::string after = Answer(headers);
    EXPECT_EQ(engine_->kept, kept);
    EXPECT_NE(BodyOf(after), BodyOf(before));
    if (headers.empty()) {
      EXPECT_EQ(BodyOf(after), now);
    }
    ASSERT_EQ(StatusOf(Ask("DELETE", kStream)), 204);
  }
}

TEST_F(KeptPagesTest, TheTailIsThatOfNow) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(20'000))), 201);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(BodyOf(Answer()), Text(20'000));
  ASSERT_EQ(StatusOf(Ask("POST", kStream, "more")), 204);
  EXPECT_EQ(BodyOf(Answer()), Text(20'000) + "more");
}

TEST_F(KeptPagesTest, ThatNothingHasChangedIsAUseOfThePage) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(20'000))), 201);
  std::string answer;
  for (int i = 0; i < 3; ++i) answer = Answer(kGzip);
  const std::size_t at = answer.find("ETag: ") + 6;
  const std::string tag = answer.substr(at, answer.find("\r\n", at) - at);
  const uint64_t before = hits();
  EXPECT_EQ(StatusOf(Answer(std::string(kGzip) + "If-None-Match: " + tag + "\r\n")), 304);
  EXPECT_EQ(hits(), before + 1);
}

// Its connection idles, and would keep a page that nobody else wants: here, compressed for nobody.
TEST_F(KeptPagesTest, WhoIsToldThatNothingHasChangedHoldsThePageNoLonger) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(500'000))), 201);
  const std::string answer = Answer();
  const std::size_t at = answer.find("ETag: ") + 6;
  const std::string tag = answer.substr(at, answer.find("\r\n", at) - at);
  const uint64_t before = rig().server->counters().page_misses.Get();
  auto gone = Get(kGzip);
  EXPECT_EQ(gone->received(), "");
  auto idle = Get(std::string(kGzip) + "If-None-Match: " + tag + "\r\n");
  EXPECT_EQ(StatusOf(idle->TakeReceived()), 304);
  gone->Break(ECONNRESET);
  rig().AdvanceMs(1);
  auto peer = Get(kGzip);
  rig().AdvanceMs(1);
  EXPECT_TRUE(IsWhole(peer->TakeReceived()));
  EXPECT_EQ(rig().server->counters().page_misses.Get(), before + 2);
}

TEST_F(KeptPagesTest, ThoseWhoComeWhileAPageIsCompressedGetItTogether) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(500'000))), 201);
  std::vector<std::shared_ptr<FakePeer>> peers;
  for (int i = 0; i < 5; ++i) peers.push_back(Get(kGzip));
  for (const auto& peer : peers) EXPECT_EQ(peer->received(), "");
  peers[0]->Break(ECONNRESET);  // Whose page it was.
  peers[3]->Break(ECONNRESET);
  rig().AdvanceMs(1);
  std::string whole;
  for (int i : {1, 2, 4}) {
    const std::string answer = peers[static_cast<std::size_t>(i)]->TakeReceived();
    EXPECT_TRUE(IsWhole(answer)) << i;
    if (whole.empty()) whole = BodyOf(answer);
    EXPECT_EQ(BodyOf(answer), whole);
  }
  EXPECT_LT(whole.size(), 250'000u);
  EXPECT_EQ(rig().server->counters().page_misses.Get(), 1u);
  EXPECT_EQ(hits(), 4u);
}

TEST_F(KeptPagesTest, WhoComesAfterTheyAllWentHasItCompressedAnew) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(500'000))), 201);
  auto gone = Get(kGzip);
  gone->Break(ECONNRESET);
  rig().AdvanceMs(1);
  auto peer = Get(kGzip);
  rig().AdvanceMs(1);
  EXPECT_TRUE(IsWhole(peer->TakeReceived()));
  EXPECT_EQ(rig().server->counters().page_misses.Get(), 2u);
}

TEST_F(KeptPagesTest, ConditionsAreJudgedByWhatThereIsNow) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(20'000))), 201);
  std::string answer;
  for (int i = 0; i < 3; ++i) answer = Answer();
  const std::size_t at = answer.find("ETag: ") + 6;
  const std::string tag = answer.substr(at, answer.find("\r\n", at) - at);
  EXPECT_EQ(StatusOf(Answer("If-None-Match: " + tag + "\r\n")), 304);
  EXPECT_EQ(StatusOf(Answer("If-Match: " + tag + "\r\n")), 200);
  Ask("POST", kStream, "more");
  EXPECT_EQ(StatusOf(Answer("If-None-Match: " + tag + "\r\n")), 200);
  EXPECT_EQ(StatusOf(Answer("If-Match: " + tag + "\r\n")), 412);
}

TEST_F(KeptPagesTest, SubscribersThatCatchUpGetTheDataThatIsKeptAndTheTailOfNow) {
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(20'000))), 201);
  std::vector<std::string> told;
  for (int i = 0; i < 4; ++i) told.push_back(Get({}, "&live=sse")->TakeReceived());
  EXPECT_EQ(hits(), 2u);  // Kept when it was seen the second time.
  for (const std::string& one : told) {
    EXPECT_EQ(CountOf(one, "event: data\n"), 1u);
    EXPECT_EQ(CountOf(one, "event: control\n"), 1u);
    EXPECT_EQ(CountOf(one, "data:line 1\n"), 1u);
    EXPECT_EQ(CountOf(one, "\"upToDate\":true"), 1u);
    EXPECT_EQ(CountOf(one, "id:0000000000000000_0000000000020000\n"), 2u);
  }
  auto live = Get({}, "&live=sse");
  EXPECT_EQ(hits(), 3u);
  live->TakeReceived();
  Ask("POST", kStream, "more");
  rig().AdvanceMs(1);
  EXPECT_EQ(CountOf(live->TakeReceived(), "data:more\n"), 1u);
}

TEST_F(KeptPagesTest, WithoutABudgetNothingIsKept) {
  kept_pages_bytes_max_ = 0;
  ASSERT_EQ(StatusOf(Ask("PUT", kStream, Text(20'000))), 201);
  const std::string first = Answer(kGzip);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(BodyOf(Answer(kGzip)), BodyOf(first));
  EXPECT_EQ(engine_->kept, 0u);
  EXPECT_EQ(hits(), 0u);
}

}  // namespace
}  // namespace ursula::http
