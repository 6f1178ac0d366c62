// Arguments that the public headers forbid are refused before anything is written.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/engine/test_engine.h"
#include "ursula/engine.h"
#include "ursula/outcome.h"
#include "ursula/sync.h"

namespace ursula {
namespace {

using testing_support::TestDirectory;
using testing_support::TestEngine;
using testing_support::TestEngineOptions;

const std::string kNul("a\0b", 3);

StreamId Id(std::string bucket, std::string affinity, std::string name) {
  return {.bucket = std::move(bucket), .affinity = std::move(affinity), .name = std::move(name)};
}

std::vector<StreamId> BadIds() {
  return {Id("v1", "", ""),
          Id("v1", "", kNul),
          Id("v1", kNul, "s"),
          Id("v1", "", std::string(1025, 'x')),
          Id("v1", std::string(1025, 'x'), "s"),
          Id("v1", std::string(70'000, 'x'), "s"),
          Id("A", "", "s"),
          Id("", "", "s"),
          Id("abc", "", "s"),
          Id("Upper", "", "s"),
          Id(std::string(65, 'x'), "", "s"),
          Id(std::string("team\0", 5), "", "s")};
}

template <class Reply>
StatusCode CodeOf(const Result<Reply>& result) {
  return result.status().code();
}

StatusCode FollowCode(StreamEngine& engine, FollowRequest request) {
  struct Ended final : Follower {
    void OnData(ReadReply) override {}
    void OnEnd(Status status, Outcome) override { done(Result<Stopped>(std::move(status))); }
    Done<Stopped> done;
  } follower;
  return CodeOf(Wait<Stopped>([&](auto done) {
    follower.done = std::move(done);
    engine.Follow(request, &follower);
  }));
}

void ExpectNamesRefused(TestEngine& engine) {
  for (const StreamId& id : BadIds()) {
    SCOPED_TRACE(id.bucket + "/" + id.affinity.substr(0, 10) + "/" + id.name.substr(0, 10));
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    CreateRequest create;
    create.stream = id;
    EXPECT_EQ(CodeOf(engine.Create(create)), kInvalid);
    CreateRequest fork;
    fork.stream = TestEngine::Id("fork");
    fork.fork = ForkPoint{.source = id};
    EXPECT_EQ(CodeOf(engine.Create(fork)), kInvalid);
    AppendRequest append;
    append.stream = id;
    append.messages = {Bytes::Static("x")};
    EXPECT_EQ(CodeOf(engine.Append(append)), kInvalid);
    EXPECT_EQ(CodeOf(engine.Read(ReadRequest{.stream = id})), kInvalid);
    EXPECT_EQ(CodeOf(Wait<DeleteReply>(
                  [&](auto done) { engine->Delete({.stream = id}, std::move(done)); })),
              kInvalid);
    EXPECT_EQ(CodeOf(Wait<HeadReply>([&](auto done) { engine->Head(id, std::move(done)); })),
              kInvalid);
    EXPECT_EQ(FollowCode(*engine, {.stream = id}), kInvalid);
  }
  for (std::string bucket : {"A", "", "abc", "team/", "Team"}) {
    EXPECT_EQ(CodeOf(engine.Bucket(&StreamEngine::CreateBucket, bucket)),
              StatusCode::kInvalidArgument);
    EXPECT_EQ(CodeOf(engine.Bucket(&StreamEngine::GetBucket, bucket)),
              StatusCode::kInvalidArgument);
    EXPECT_EQ(CodeOf(engine.Bucket(&StreamEngine::DeleteBucket, bucket)),
              StatusCode::kInvalidArgument);
    EXPECT_EQ(CodeOf(engine.List({.bucket = bucket})), StatusCode::kInvalidArgument);
  }
}

// What is written and can't be read back keeps the whole directory shut.
TEST(ArgumentsTest, DirectoryOpensAfterNamesThatCannotBeStored) {
  TestDirectory directory;
  for (int round = 0; round < 2; ++round) {
    TestEngine engine({.data_dir = directory.data()});
    ASSERT_TRUE(engine.status.ok()) << engine.status.ToString();
    ExpectNamesRefused(engine);
    EXPECT_EQ(CodeOf(engine.Bucket(&StreamEngine::CreateBucket, std::string("team\0", 5))),
              StatusCode::kInvalidArgument);
    ASSERT_TRUE(engine.Create("s").ok());
    EXPECT_TRUE(engine->Ready().ok()) << engine->Ready().ToString();
  }
}

TEST(ArgumentsTest, LongestNamesAreTaken) {
  TestDirectory directory;
  const StreamId longest = Id(std::string(64, 'b'), std::string(1024, 'a'), std::string(1024, 'n'));
  for (Outcome wanted : {Outcome::kOk, Outcome::kExisted}) {
    TestEngine engine({.data_dir = directory.data()});
    ASSERT_TRUE(engine.status.ok()) << engine.status.ToString();
    EXPECT_EQ(engine.Bucket(&StreamEngine::CreateBucket, longest.bucket)->outcome, wanted);
    CreateRequest create;
    create.stream = longest;
    EXPECT_EQ(engine.Create(create)->outcome, wanted);
  }
}

TEST(ArgumentsTest, LifetimeIsOneOfTheTwo) {
  TestEngine engine({});
  CreateRequest create;
  create.stream = TestEngine::Id("s");
  create.lifetime.ttl_seconds = 100;
  create.lifetime.expires_at_ms = 4'000'000'000'000;
  EXPECT_EQ(CodeOf(engine.Create(create)), StatusCode::kInvalidArgument);
  create.lifetime.ttl_seconds = {};
  EXPECT_EQ(engine.Create(create)->outcome, Outcome::kOk);
}

TEST(ArgumentsTest, AppendHasContentOrCloses) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
  EXPECT_EQ(CodeOf(engine.Append("s", {})), StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(engine.Append("s", {"", ""})), StatusCode::kInvalidArgument);
  AppendRequest close;
  close.stream = TestEngine::Id("s");
  close.close = true;
  EXPECT_EQ(engine.Append(close)->outcome, Outcome::kOk);
}

TEST(ArgumentsTest, BrokenJsonIsNotStored) {
  TestEngine engine({.cores = 2, .groups = 8});
  ASSERT_EQ(engine.Create("j", "application/json")->outcome, Outcome::kOk);
  const std::vector<std::string> bad = {
      "",      "{",       "1 2",      "[1,]",         "{\"a\":1}x",
      "1,\n2", "[1,\r2]", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
      "nul"};
  for (const std::string& text : bad) {
    for (std::string type : {"", "application/json", "Application/JSON; charset=utf-8"}) {
      AppendRequest append;
      append.stream = TestEngine::Id("j");
      append.content_type = type;
      append.messages = {Bytes::Static("1"), Bytes::Copy(text)};
      EXPECT_EQ(CodeOf(engine.Append(append)), StatusCode::kInvalidArgument) << type << text;
    }
    CreateRequest create;
    create.stream = TestEngine::Id("other");
    create.content_type = "application/json";
    create.messages = {Bytes::Copy(text)};
    EXPECT_EQ(CodeOf(engine.Create(create)), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(engine.Append("j", {" {\"\xc3\xa9\": [1e5, \"\xf0\x9f\x98\x80\"]} ", "2"})->outcome,
            Outcome::kOk);
  // In the same group as its source, and in others; the name is free afterwards.
  for (int i = 0; i < 8; ++i) {
    CreateRequest fork;
    fork.stream = TestEngine::Id("fork" + std::to_string(i));
    fork.fork = ForkPoint{.source = TestEngine::Id("j")};
    fork.messages = {Bytes::Static("{")};
    EXPECT_EQ(CodeOf(engine.Create(fork)), StatusCode::kInvalidArgument);
    fork.messages = {Bytes::Static("[]")};
    EXPECT_EQ(engine.Create(fork)->outcome, Outcome::kOk);
  }
  EXPECT_EQ(engine.Text("fork3"), engine.Text("j") + "[],\n");
}

TEST(ArgumentsTest, OutcomesCountInAStatus) {
  TestEngine engine({});
  EXPECT_EQ(StatusOf(engine.Append("s", {"x"})).ToString(),
            "FAILED_PRECONDITION: NOT_FOUND: there is no such stream");
  EXPECT_TRUE(StatusOf(engine.Create("s")).ok());
  EXPECT_TRUE(StatusOf(engine.Create("s")).ok()) << "it is as was asked for";
  EXPECT_EQ(StatusOf(engine.Create("s", "text/html")).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(StatusOf(engine.Append("s", {})).code(), StatusCode::kInvalidArgument);
}

TEST(ArgumentsTest, ProducersHaveAnIdAndNumbersThatJavaScriptHolds) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
  AppendRequest append;
  append.stream = TestEngine::Id("s");
  append.messages = {Bytes::Static("x")};
  for (const Producer& producer :
       {Producer{"", 0, 0}, Producer{"p", uint64_t{1} << 53, 0}, Producer{"p", 0, UINT64_MAX}}) {
    append.producer = producer;
    EXPECT_EQ(CodeOf(engine.Append(append)), StatusCode::kInvalidArgument);
  }
  append.producer = Producer{"p", (uint64_t{1} << 53) - 1, 0};
  EXPECT_EQ(engine.Append(append)->outcome, Outcome::kOk);
}

TEST(ArgumentsTest, APaceOfWhatComesBackIsNoneOrAMebibyteAtLeast) {
  auto opens = [](uint64_t bytes_per_second) {
    EngineOptions options;
    options.rejoin_bytes_per_second = bytes_per_second;
    return CodeOf(StreamEngine::Open(std::move(options)));
  };
  EXPECT_EQ(opens(1), StatusCode::kInvalidArgument);
  EXPECT_EQ(opens((1 << 20) - 1), StatusCode::kInvalidArgument);
  EXPECT_EQ(opens(1 << 20), StatusCode::kOk);
  EXPECT_EQ(opens(0), StatusCode::kOk);
}

TEST(ArgumentsTest, PreconditionsAndListsHaveLimits) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
  DeleteRequest remove;
  remove.stream = TestEngine::Id("s");
  remove.condition.none_of.resize(65);
  auto removed = [&] {
    return Wait<DeleteReply>([&](auto done) { engine->Delete(remove, std::move(done)); });
  };
  EXPECT_EQ(CodeOf(removed()), StatusCode::kInvalidArgument);
  AppendRequest append;
  append.stream = TestEngine::Id("s");
  append.messages = {Bytes::Static("x")};
  append.condition.any_of.resize(65);
  EXPECT_EQ(CodeOf(engine.Append(append)), StatusCode::kInvalidArgument);
  CreateRequest create;
  create.stream = TestEngine::Id("t");
  create.condition.none_of.resize(65);
  EXPECT_EQ(CodeOf(engine.Create(create)), StatusCode::kInvalidArgument);
  for (uint32_t limit : {0u, 1001u}) {
    EXPECT_EQ(CodeOf(engine.List({.bucket = kUpstreamBucket, .limit = limit})),
              StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(engine.List({.bucket = kUpstreamBucket, .limit = 1000}).ok());
  EXPECT_EQ(FollowCode(*engine, {.stream = TestEngine::Id("s"), .unread_bytes_max = 0}),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ursula
