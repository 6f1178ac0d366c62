// Many appends in one call: each judged by itself, those of one stream in their order.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/engine/placement.h"
#include "tests/unit/engine/test_engine.h"
#include "ursula/engine.h"
#include "ursula/outcome.h"

namespace ursula {
namespace {

using testing_support::TestEngine;

using Items = std::vector<AppendRequest>;

AppendRequest To(const std::string& name, const std::string& text) {
  AppendRequest request;
  request.stream = TestEngine::Id(name);
  if (!text.empty()) request.messages.push_back(Bytes::Copy(text));
  return request;
}

AppendRequest By(uint64_t sequence, AppendRequest request) {
  request.producer = Producer{"p", 1, sequence};
  return request;
}

class AppendBatchTest : public testing::Test {
 protected:
  Result<AppendBatchReply> Batch(Items items) {
    return Wait<AppendBatchReply>(
        [&](auto done) { engine_->AppendBatch(std::move(items), std::move(done)); });
  }
  // "kOk" is 0; "!CODE" of what was not decided.
  std::string Outcomes(Items items) {
    auto reply = Batch(std::move(items));
    if (!reply.ok()) return reply.status().ToString();
    std::string text;
    for (const Result<AppendReply>& item : reply->items) {
      if (!text.empty()) text += ' ';
      text +=
          item.ok() ? Name(item->outcome) : "!" + std::string(StatusCodeName(item.status().code()));
    }
    return text;
  }
  static std::string Name(Outcome outcome) {
    const std::string_view described = Describe(outcome);
    return std::string(described.substr(0, described.find(':')));
  }

  TestEngine engine_{{.cores = 2, .groups = 8, .message_bytes_max = 1000}};
};

TEST_F(AppendBatchTest, AppendsOfOneStreamAreInOrderAndThoseOfManyAreAllThere) {
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(engine_.Create("s" + std::to_string(i)).ok());
  Items items;
  std::string expected;
  for (int round = 0; round < 10; ++round) {
    expected += std::to_string(round) + ",";
    for (int i = 0; i < 16; ++i) {
      items.push_back(To("s" + std::to_string(i), std::to_string(round) + ","));
    }
  }
  auto reply = Batch(std::move(items));
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  ASSERT_EQ(reply->items.size(), 160u);
  for (std::size_t i = 0; i < reply->items.size(); ++i) {
    ASSERT_TRUE(reply->items[i].ok()) << i << reply->items[i].status().ToString();
    EXPECT_EQ(reply->items[i]->outcome, Outcome::kOk) << i;
    EXPECT_EQ(reply->items[i]->tail.bytes, (i / 16 + 1) * 2) << i;  // Its own, not another's.
  }
  for (int i = 0; i < 16; ++i) EXPECT_EQ(engine_.Text("s" + std::to_string(i)), expected);
}

TEST_F(AppendBatchTest, EachIsAnsweredAsIfItWereAlone) {
  ASSERT_TRUE(engine_.Create("text").ok());
  ASSERT_TRUE(engine_.Create("json", "application/json").ok());
  ASSERT_TRUE(engine_.Bucket(&StreamEngine::CreateBucket, "docs").ok());
  AppendRequest typed = To("text", "x");
  typed.content_type = "application/json";
  typed.messages = {Bytes::Static("1")};
  AppendRequest bad_json = To("json", "{");
  AppendRequest in_bucket = To("none", "x");
  in_bucket.stream.bucket = "docs";
  AppendRequest in_no_bucket = in_bucket;
  in_no_bucket.stream.bucket = "nobucket";
  AppendRequest conditional = To("text", "late");
  conditional.expected_tail = Offset{0};
  AppendRequest close = To("text", "");
  close.close = true;
  EXPECT_EQ(Outcomes({To("text", "a"), typed, To("nothing", "x"), bad_json, To("json", "[1]"),
                      in_bucket, in_no_bucket, conditional, To("", "x"), To("text", ""),
                      To("text", std::string(1001, 'x')), To("text", "b"), close, To("text", "c")}),
            "OK CONTENT_TYPE_MISMATCH NOT_FOUND !INVALID_ARGUMENT OK NOT_FOUND BUCKET_NOT_FOUND "
            "PRECONDITION_FAILED !INVALID_ARGUMENT !INVALID_ARGUMENT TOO_LARGE OK OK CLOSED");
  EXPECT_EQ(engine_.Text("text"), "ab");
  EXPECT_EQ(engine_.Text("json"), "[1],\n");
}

// What is refused as the state stands is answered behind a barrier. What stands behind it in the
// request must not come first: it could make the refused one fit.
TEST_F(AppendBatchTest, ARefusedOneIsNotOvertakenByThoseBehindIt) {
  for (int round = 0; round < 20; ++round) {
    const std::string name = "s" + std::to_string(round);
    ASSERT_TRUE(engine_.Create(name).ok());
    EXPECT_EQ(
        Outcomes({By(2, To(name, "two too early")), By(0, To(name, "0")), By(1, To(name, "1")),
                  By(1, To(name, "again")), By(2, To(name, "2")), By(4, To(name, "gap"))}),
        "PRODUCER_GAP OK OK DUPLICATE OK PRODUCER_GAP");
    EXPECT_EQ(engine_.Text(name), "012");
    EXPECT_EQ(Outcomes({By(5, To(name, "gap")), By(3, To(name, "3")), By(4, To(name, "4")),
                        By(5, To(name, "5"))}),
              "PRODUCER_GAP OK OK OK");
    // All of it again: nothing is stored twice.
    EXPECT_EQ(Outcomes({By(3, To(name, "3")), By(4, To(name, "4")), By(6, To(name, "6"))}),
              "DUPLICATE DUPLICATE OK");
    EXPECT_EQ(engine_.Text(name), "0123456");
  }
}

// A limit refuses at once, and then a smaller one, or a close, might be let in.
TEST(AppendBatchLimitTest, WhatALimitRefusesIsNotOvertakenByThoseBehindIt) {
  TestEngine engine({.cores = 1, .inflight_bytes_max = 1 << 20});
  ASSERT_TRUE(engine.Create("s").ok());
  ASSERT_TRUE(engine.Create("t").ok());
  const std::string large(700'000, 'x');
  AppendRequest close = To("s", "");
  close.close = true;
  auto reply = Wait<AppendBatchReply>([&](auto done) {
    engine->AppendBatch({To("s", large), To("s", large), To("s", "y"), close, To("t", "z")},
                        std::move(done));
  });
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(reply->items[0].ok());
  EXPECT_EQ(reply->items[1].status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(reply->items[2].status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(reply->items[3].status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(reply->items[4].ok());
  EXPECT_EQ(engine.Head("s")->info.tail.bytes, large.size());
  EXPECT_FALSE(engine.Head("s")->info.closed);
}

TEST_F(AppendBatchTest, ForksGetTheirAppendsWhereverTheyAre) {
  for (int i = 0; i < 8; ++i) {
    const std::string source = "source" + std::to_string(i), fork = "fork" + std::to_string(i);
    ASSERT_TRUE(engine_.Create(source).ok());
    CreateRequest create;
    create.stream = TestEngine::Id(fork);
    create.fork.emplace().source = TestEngine::Id(source);
    ASSERT_EQ(engine_.Create(create)->outcome, Outcome::kOk);
    EXPECT_EQ(Outcomes({To(fork, "a"), To(source, "x"), To(fork, "b"), By(7, To(fork, "no")),
                        To(fork, "c")}),
              "OK OK OK PRODUCER_GAP OK");
    EXPECT_EQ(engine_.Text(fork), "abc");
    EXPECT_EQ(engine_.Text(source), "x");
  }
}

TEST_F(AppendBatchTest, SizesThatAreNoBatchAreRefused) {
  ASSERT_TRUE(engine_.Create("s").ok());
  EXPECT_EQ(Batch({}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Batch(Items(kAppendBatchItemsMax + 1, To("s", "x"))).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_.Text("s"), "");
  auto most = Batch(Items(kAppendBatchItemsMax, To("s", "x")));
  ASSERT_TRUE(most.ok());
  EXPECT_EQ(engine_.Text("s").size(), kAppendBatchItemsMax);
  // Without one that can be begun, the answer comes all the same.
  EXPECT_EQ(Outcomes({To("", "x")}), "!INVALID_ARGUMENT");
  ASSERT_TRUE(Wait<Stopped>([&](auto done) { engine_->Stop(std::move(done)); }).ok());
  EXPECT_EQ(Batch({To("s", "x")}).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(AppendBatchTest, TheAnswerComesOnTheCallersCoreAndNeverInsideTheCall) {
  ASSERT_TRUE(engine_.Create("s").ok());
  // From a completion, which runs on a core.
  auto reply = Wait<AppendBatchReply>([&](Done<AppendBatchReply> done) {
    engine_->Head(TestEngine::Id("s"), [&, done = std::move(done)](Result<HeadReply>) mutable {
      auto inside = std::make_shared<bool>(true);
      engine_->AppendBatch({To("s", "a"), To("none", "b"), To("", "c")},
                           [inside, done = std::move(done)](auto answer) mutable {
                             EXPECT_FALSE(*inside);
                             done(std::move(answer));
                           });
      *inside = false;
    });
  });
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->items.size(), 3u);
}

}  // namespace
}  // namespace ursula
