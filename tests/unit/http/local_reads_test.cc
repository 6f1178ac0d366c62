// Reads that may be a little old, over HTTP.

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/http/stream_handler_rig.h"

namespace ursula::http {
namespace {

bool Has(const std::string& response, std::string_view line) {
  return response.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
}

std::string Local(std::string_view more = "") {
  return std::string(kStream) + "?consistency=local" + std::string(more);
}

class LocalReadsTest : public StreamHandlerTest {
 protected:
  // "first " is old, "second" has come since.
  void SetUp() override {
    CreateText(kStream);
    engine_->StandStill();
    engine_->staleness_ms = 321;
    ASSERT_EQ(StatusOf(Ask("POST", kStream, "second")), 204);
  }
  // The tag of a read of all there is.
  std::string NewestTag() {
    const std::string answer = Ask("GET", kStream);
    const std::size_t at = answer.find("\r\nETag: ") + 8;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }
};

TEST_F(LocalReadsTest, TheyAreOfWhatIsThereAndSayHowOldThatIs) {
  std::string read = Ask("GET", Local());
  EXPECT_EQ(BodyOf(read), "first ");
  EXPECT_TRUE(Has(read, "Stream-Staleness-Ms: 321")) << read;
  EXPECT_TRUE(Has(read, "Cache-Control: no-cache")) << read;
  std::string head = Ask("HEAD", Local());
  EXPECT_TRUE(Has(head, "Stream-Next-Offset: " + std::string(kTail6))) << head;
  EXPECT_TRUE(Has(head, "Stream-Staleness-Ms: 321")) << head;
  EXPECT_EQ(BodyOf(Ask("GET", kStream)), "first second");
  EXPECT_FALSE(Has(Ask("GET", kStream), "Stream-Staleness-Ms: 321"));
}

TEST_F(LocalReadsTest, WhoHasMoreGetsMore) {
  const std::string tag = NewestTag();
  std::string same = AskUnder("If-None-Match: " + tag, "GET", Local());
  EXPECT_EQ(StatusOf(same), 304);
  EXPECT_TRUE(Has(same, "Stream-Staleness-Ms: 0")) << same;
  EXPECT_EQ(StatusOf(AskUnder("If-Match: " + tag, "GET", Local())), 200);
  std::string head = AskUnder("If-None-Match: " + tag, "HEAD", Local());
  EXPECT_EQ(StatusOf(head), 304);
  EXPECT_EQ(StatusOf(AskUnder("If-None-Match: \"x\"", "GET", Local())), 200);
}

TEST_F(LocalReadsTest, ASubscriberBeginsWithThemAndGoesOnAsAnyOther) {
  auto peer = Subscribe(Local("&live=sse&offset=-1"));
  const std::string events = peer->TakeReceived();
  EXPECT_TRUE(Has(events, "Stream-Staleness-Ms: 321")) << events;
  EXPECT_NE(events.find("data:first \n"), std::string::npos) << events;
  EXPECT_NE(events.find("data:second\n"), std::string::npos) << events;
}

TEST_F(LocalReadsTest, ARequestThatSaysItWrongIsRefused) {
  EXPECT_EQ(StatusOf(Ask("GET", std::string(kStream) + "?consistency=leader")), 400);
  EXPECT_EQ(StatusOf(Ask("GET", Local("&max_staleness_ms=x"))), 400);
  EXPECT_EQ(StatusOf(Ask("GET", "/v1/stream/none?consistency=leader")), 404);
}

}  // namespace
}  // namespace ursula::http
