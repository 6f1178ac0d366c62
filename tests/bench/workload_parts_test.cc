// The arithmetic of workloads: requests, stamps, shares and schedules.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/batch.h"
#include "tests/bench/readers.h"
#include "tests/bench/request.h"
#include "tests/bench/session.h"

namespace ursula::bench {
namespace {

TEST(RequestTest, AppendsAsTheProtocolHasIt) {
  Names names(*ParseUrl("http://127.0.0.1:4437/v1/stream/bench"), "run", "s");
  const auto numbers = std::make_shared<std::vector<uint64_t>>(2, 40);
  EXPECT_EQ(Names(*ParseUrl("http://h/p"), "run", "s", numbers).Path(1), "/p/run-s40");
  ProducerFields producer = {"p", 7};
  EXPECT_EQ(AppendRequest(names, 12, "text/plain", &producer, "hello"),
            "POST /v1/stream/bench/run-s12 HTTP/1.1\r\nHost: 127.0.0.1:4437\r\n"
            "Content-Type: text/plain\r\nProducer-Id: p\r\nProducer-Epoch: 0\r\nProducer-Seq: 7\r\n"
            "Content-Length: 5\r\n\r\nhello");
  EXPECT_EQ(ReadRequest(names, 0, "?offset=-1"),
            "GET /v1/stream/bench/run-s0?offset=-1 HTTP/1.1\r\nHost: 127.0.0.1:4437\r\n\r\n");
  EXPECT_EQ(ReadRequest(names, 0, "", true),
            "GET /v1/stream/bench/run-s0 HTTP/1.1\r\nHost: 127.0.0.1:4437\r\n"
            "Accept-Encoding: gzip\r\n\r\n");
}

TEST(RequestTest, BatchesNameTheirStreamsBelowTheRootTheyAreSentTo) {
  Names names(*ParseUrl("http://h:1/v1/stream/b"), "r", "s");
  EXPECT_EQ(
      BatchRequest(names, 1, 2, 2, "text/plain", "hey"),
      "POST /v1/stream/__batch HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/x-ndjson\r\n"
      "Content-Length: 124\r\n\r\n"
      "{\"stream\":\"b/r-s1\",\"content_type\":\"text/plain\",\"bytes\":3}\nhey\n"
      "{\"stream\":\"b/r-s0\",\"content_type\":\"text/plain\",\"bytes\":3}\nhey\n");
  Names in_bucket(*ParseUrl("http://h:1/demo"), "r", "s");
  const std::string request = BatchRequest(in_bucket, 0, 1, 1, "text/plain", "x");
  EXPECT_TRUE(request.starts_with("POST /demo/append-batch HTTP/1.1\r\n")) << request;
  EXPECT_NE(request.find("{\"stream\":\"r-s0\","), std::string::npos) << request;
}

TEST(RequestTest, PayloadsHaveTheirSize) {
  EXPECT_EQ(MakePayload("text/plain", 5), "abcd\n");
  EXPECT_EQ(MakePayload("application/json", 5), "\"bcd\"");
  EXPECT_EQ(MakePayload("application/octet-stream", 100).size(), 100u);
}

TEST(StampTest, ComesBackFromTheLineItWasWrittenTo) {
  std::string payload = MakePayload("text/plain", kStampedBytesMin);
  Stamp(&payload, 0x0123456789abcdef);
  EXPECT_EQ(payload, "T0123456789abcdef\n");
  EXPECT_EQ(ReadStamp(payload), 0x0123456789abcdefu);
  EXPECT_FALSE(ReadStamp("T0123").has_value());
  EXPECT_FALSE(ReadStamp("X0123456789abcdef").has_value());
  EXPECT_FALSE(ReadStamp("T012345678zabcdef").has_value());
}

TEST(ShareTest, SharesAreDisjointAndCoverEverything) {
  for (uint32_t total : {0u, 1u, 2u, 7u, 64u, 100'001u}) {
    for (uint32_t count : {1u, 2u, 3u, 8u}) {
      uint32_t next = 0;
      for (uint32_t i = 0; i < count; ++i) {
        Share share = ShareOf(total, i, count);
        EXPECT_EQ(share.begin, next);
        EXPECT_LE(share.end - share.begin, total / count + 1);
        next = share.end;
      }
      EXPECT_EQ(next, total);
    }
  }
}

TEST(CountDueTest, CountsWhatBeginsInTheWindow) {
  constexpr uint64_t kSecond = 1'000'000'000;
  EXPECT_EQ(CountDue({5, 5, 5 + kSecond}, 50), 50u);
  EXPECT_EQ(CountDue({5, 5, 6 + kSecond}, 50), 51u);  // The 51st is due at the very end.
  EXPECT_EQ(CountDue({5, 5, 5}, 50), 0u);
  EXPECT_EQ(CountDue({0, 0, kSecond}, 3), 3u);
  EXPECT_EQ(CountDue({0, 0, 10 * kSecond}, 0.25), 3u);  // At 0, 4 and 8 s.
}

TEST(TallyTest, CountsOnlyTheWindow) {
  Tally tally("x");
  tally.SetWindow({0, 100, 200});
  tally.Ended(90, 99, 1);    // Too early.
  tally.Ended(90, 100, 10);  // Ended inside.
  tally.Ended(199, 200, 1);  // Too late.
  EXPECT_EQ(tally.operations(), 1u);
  EXPECT_EQ(tally.bytes(), 10u);
  EXPECT_EQ(tally.latency_ns().max(), 10u);
  tally.EndedOfSchedule(99, 150, 1);    // Was due before.
  tally.EndedOfSchedule(199, 900, 10);  // Was due inside, however late.
  EXPECT_EQ(tally.operations(), 2u);
  EXPECT_EQ(tally.latency_ns().max(), 701u);
}

TEST(TallyTest, MergesCountsErrorsAndNotes) {
  Tally a("x");
  Tally b("x");
  for (Tally* tally : {&a, &b}) {
    tally->SetWindow({0, 0, 10});
    tally->Ended(1, 2, 3);
    tally->Error(StatusError(503), 2);
    tally->Note("cut");
  }
  a.Merge(b);
  EXPECT_EQ(a.operations(), 2u);
  EXPECT_EQ(a.bytes(), 6u);
  EXPECT_EQ(a.errors().at("status 503"), 4u);
  EXPECT_EQ(a.notes().at("cut"), 2u);
}

}  // namespace
}  // namespace ursula::bench
