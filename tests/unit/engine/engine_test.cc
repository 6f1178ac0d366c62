#include "lib/engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>

#include "tests/unit/engine/test_engine.h"

namespace ursula {
namespace {

using testing_support::TestEngine;

TEST(EngineTest, WhatIsAppendedIsReadBack) {
  TestEngine engine({});
  ASSERT_TRUE(engine.status.ok()) << engine.status.ToString();
  ASSERT_EQ(engine.Create("a")->outcome, Outcome::kOk);
  EXPECT_EQ(engine.Create("a")->outcome, Outcome::kExisted);
  EXPECT_EQ(engine.Create("a", "application/json")->outcome, Outcome::kConflict);
  auto appended = engine.Append("a", {"hello ", "world"});
  ASSERT_TRUE(appended.ok());
  EXPECT_EQ(appended->outcome, Outcome::kOk);
  EXPECT_EQ(appended->tail.bytes, 11u);
  EXPECT_EQ(engine.Text("a"), "hello world");
  EXPECT_EQ(engine.Text("a", 6), "world");
  EXPECT_EQ(engine.Read("b")->outcome, Outcome::kNotFound);
}

TEST(EngineTest, WhatIsTooLargeForOneAppendIsSoForACreate) {
  TestEngine engine({.message_bytes_max = 1000});
  ASSERT_TRUE(engine.status.ok());
  CreateRequest request;
  request.stream = TestEngine::Id("s");
  request.messages = {Bytes::Copy(std::string(600, 'x')), Bytes::Copy(std::string(401, 'x'))};
  auto created = engine.Create(request);
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  EXPECT_EQ(created->outcome, Outcome::kTooLarge);
  request.messages.pop_back();
  created = engine.Create(request);
  ASSERT_TRUE(created.ok() && created->outcome == Outcome::kOk);
  auto appended = engine.Append("s", {std::string(1001, 'x')});
  ASSERT_TRUE(appended.ok());
  EXPECT_EQ(appended->outcome, Outcome::kTooLarge);
}

TEST(EngineTest, JsonMessagesAreFramedAndPagesEndAtMessageEnds) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("j", "application/json")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Append("j", {"{\"a\":1}", "2", "[3]"})->tail.bytes, 9u + 3u + 5u);
  EXPECT_EQ(engine.Text("j"), "{\"a\":1},\n2,\n[3],\n");
  auto page = engine.Read("j", 0, 10);
  EXPECT_EQ(page->next.bytes, 9u);
  EXPECT_FALSE(page->up_to_date);
  page = engine.Read("j", 0, 1);  // A message larger than the page comes whole.
  EXPECT_EQ(page->next.bytes, 9u);
  EXPECT_EQ(engine.Read("j", 3)->outcome, Outcome::kOffsetInvalid);
  EXPECT_EQ(engine.Read("j", 12)->outcome, Outcome::kOk);
  ReadRequest ends;
  ends.stream = TestEngine::Id("j");
  ends.boundaries = true;
  auto reply = engine.Read(ends);
  ASSERT_EQ(reply->message_ends.size(), 3u);
  EXPECT_EQ(reply->message_ends[1].bytes, 12u);
}

TEST(EngineTest, PageOfAnySizeIsThePageThereIs) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("j", "application/json")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Append("j", {"1", "2"})->tail.bytes, 6u);
  for (uint64_t from : {0u, 3u}) {
    auto page = engine.Read("j", from, UINT64_MAX);
    ASSERT_TRUE(page.ok());
    EXPECT_EQ(page->next.bytes, 6u);
  }
}

// Without credit, with data unread: only the stream's end is news.
TEST(EngineTest, FollowerOutOfCreditHearsOfDelete) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("f")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Append("f", {"abc"})->outcome, Outcome::kOk);
  struct Slow final : Follower {
    void OnData(ReadReply reply) override {
      for (const Bytes& part : reply.parts) bytes += part.size();
      if (bytes >= wanted) got.set_value();
    }
    void OnEnd(Status status, Outcome outcome) override { ended.set_value({status, outcome}); }
    uint64_t bytes = 0;
    uint64_t wanted = 2;
    std::promise<void> got;
    std::promise<std::pair<Status, Outcome>> ended;
  } slow;
  Ticket ticket = engine->Follow({.stream = TestEngine::Id("f"), .unread_bytes_max = 2}, &slow);
  slow.got.get_future().wait();
  slow.got = {};
  slow.wanted = 4;
  engine->Grant(ticket, 2);  // It goes on, and is out of credit once more.
  ASSERT_EQ(engine.Append("f", {"defg"})->outcome, Outcome::kOk);
  slow.got.get_future().wait();
  ASSERT_EQ(engine.Delete("f")->outcome, Outcome::kOk);
  auto [status, outcome] = slow.ended.get_future().get();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(outcome, Outcome::kNotFound);
}

// It resumes by what it remembers, and the name is another stream's now.
TEST(EngineTest, AFollowerIsToldThatItsStreamIsAnotherOne) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("f")->outcome, Outcome::kOk);
  const uint64_t incarnation = engine.Head("f")->info.incarnation;
  struct Recording final : Follower {
    void OnData(ReadReply reply) override {
      for (const Bytes& part : reply.parts) text += part.view();
      got.set_value();
    }
    void OnEnd(Status status, Outcome outcome) override { ended.set_value({status, outcome}); }
    std::string text;
    std::promise<void> got;
    std::promise<std::pair<Status, Outcome>> ended;
  };
  ASSERT_EQ(engine.Append("f", {"abc"})->outcome, Outcome::kOk);
  FollowRequest request{.stream = TestEngine::Id("f"), .from = {1}, .incarnation = incarnation};
  Recording same;
  Ticket ticket = engine->Follow(request, &same);
  same.got.get_future().wait();
  EXPECT_EQ(same.text, "bc");
  engine->Cancel(ticket);
  EXPECT_EQ(same.ended.get_future().get().first.code(), StatusCode::kCancelled);
  ASSERT_EQ(engine.Delete("f")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Create("f")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Append("f", {"something longer"})->outcome, Outcome::kOk);
  Recording other;
  engine->Follow(request, &other);
  auto [status, outcome] = other.ended.get_future().get();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(outcome, Outcome::kNotFound);
  EXPECT_EQ(other.text, "");
}

TEST(EngineTest, FollowerOutOfCreditIsCancelledAtOnce) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("f")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Append("f", {"abc"})->outcome, Outcome::kOk);
  struct Slow final : Follower {
    void OnData(ReadReply) override { got.set_value(); }
    void OnEnd(Status status, Outcome) override { ended.set_value(status.code()); }
    std::promise<void> got;
    std::promise<StatusCode> ended;
  } slow;
  Ticket ticket = engine->Follow({.stream = TestEngine::Id("f"), .unread_bytes_max = 3}, &slow);
  slow.got.get_future().wait();
  engine->Cancel(ticket);
  EXPECT_EQ(slow.ended.get_future().get(), StatusCode::kCancelled);
}

TEST(EngineTest, ReadAtTheTailWaitsForTheNextAppend) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("w")->outcome, Outcome::kOk);
  ReadRequest request;
  request.stream = TestEngine::Id("w");
  request.wait_ms = 30'000;
  std::promise<Result<ReadReply>> promise;
  engine->Read(request, [&](Result<ReadReply> reply) { promise.set_value(std::move(reply)); });
  ASSERT_EQ(engine.Append("w", {"x"})->outcome, Outcome::kOk);
  auto reply = promise.get_future().get();
  ASSERT_TRUE(reply.ok());
  ASSERT_EQ(reply->parts.size(), 1u);
  EXPECT_EQ(reply->parts[0].view(), "x");
}

TEST(EngineTest, WaitRunsOutWithAnEmptyReply) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("w")->outcome, Outcome::kOk);
  ReadRequest request;
  request.stream = TestEngine::Id("w");
  request.wait_ms = 5;
  auto reply = engine.Read(request);
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(reply->parts.empty());
  EXPECT_TRUE(reply->up_to_date);
}

TEST(EngineTest, CancelledReadEndsAsCancelled) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("w")->outcome, Outcome::kOk);
  ReadRequest request;
  request.stream = TestEngine::Id("w");
  request.wait_ms = 600'000;
  std::promise<Result<ReadReply>> promise;
  Ticket ticket =
      engine->Read(request, [&](Result<ReadReply> reply) { promise.set_value(std::move(reply)); });
  engine->Cancel(ticket);
  EXPECT_EQ(promise.get_future().get().status().code(), StatusCode::kCancelled);
}

TEST(EngineTest, ClosingWakesReadersAndRefusesAppends) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("c")->outcome, Outcome::kOk);
  ReadRequest request;
  request.stream = TestEngine::Id("c");
  request.wait_ms = 600'000;
  std::promise<Result<ReadReply>> promise;
  engine->Read(request, [&](Result<ReadReply> reply) { promise.set_value(std::move(reply)); });
  AppendRequest close;
  close.stream = TestEngine::Id("c");
  close.close = true;
  ASSERT_EQ(engine.Append(close)->outcome, Outcome::kOk);
  auto reply = promise.get_future().get();
  EXPECT_TRUE(reply->info.closed);
  auto refused = engine.Append("c", {"late"});
  EXPECT_EQ(refused->outcome, Outcome::kClosed);
  EXPECT_TRUE(refused->closed);
}

TEST(EngineTest, ProducerSequencesAreAppliedOnce) {
  TestEngine engine({});
  ASSERT_EQ(engine.Create("p")->outcome, Outcome::kOk);
  AppendRequest append;
  append.stream = TestEngine::Id("p");
  append.messages = {Bytes::Static("one")};
  append.producer = Producer{"me", 0, 0};
  EXPECT_EQ(engine.Append(append)->outcome, Outcome::kOk);
  EXPECT_EQ(engine.Append(append)->outcome, Outcome::kDuplicate);
  append.producer->sequence = 2;
  auto gap = engine.Append(append);
  EXPECT_EQ(gap->outcome, Outcome::kProducerGap);
  EXPECT_EQ(gap->producer_expected_sequence, 1u);
  EXPECT_EQ(engine.Text("p"), "one");
}

TEST(EngineTest, StreamsOfABucketAreListedInOrderAcrossGroups) {
  TestEngine engine({.cores = 2, .groups = 40});  // More than are asked at a time.
  EXPECT_EQ(engine.Bucket(&StreamEngine::CreateBucket, "team")->outcome, Outcome::kOk);
  EXPECT_EQ(engine.Bucket(&StreamEngine::CreateBucket, "team")->outcome, Outcome::kExisted);
  EXPECT_EQ(engine.Bucket(&StreamEngine::GetBucket, "nope")->outcome, Outcome::kBucketNotFound);
  std::set<std::string> names;
  for (int i = 0; i < 25; ++i) {
    CreateRequest create;
    create.stream = {
        .bucket = "team", .affinity = i % 2 ? "" : "side", .name = "s" + std::to_string(i)};
    ASSERT_EQ(engine.Create(create)->outcome, Outcome::kOk);
    names.insert(i % 2 ? create.stream.name : "side/" + create.stream.name);
  }
  std::vector<std::string> listed;
  ListRequest request;
  request.bucket = "team";
  request.limit = 4;
  for (;;) {
    auto page = engine.List(request);
    ASSERT_TRUE(page.ok());
    for (auto& stream : page->streams) listed.push_back(stream.path);
    if (!page->more) break;
    request.after = listed.back();
  }
  EXPECT_EQ(listed, std::vector<std::string>(names.begin(), names.end()));
}

TEST(EngineTest, BucketIsDeletedOnlyWhenEmptyAndThenRefusesCreates) {
  TestEngine engine({.cores = 2, .groups = 7});
  CreateRequest create;
  create.stream = {.bucket = "team", .name = "s"};
  EXPECT_EQ(engine.Create(create)->outcome, Outcome::kBucketNotFound);
  ASSERT_EQ(engine.Bucket(&StreamEngine::CreateBucket, "team")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Create(create)->outcome, Outcome::kOk);
  EXPECT_EQ(engine.Bucket(&StreamEngine::DeleteBucket, "team")->outcome, Outcome::kBucketNotEmpty);
  create.stream.name = "t";
  EXPECT_EQ(engine.Create(create)->outcome, Outcome::kOk) << "a refused deletion leaves no fence";
  for (const char* name : {"s", "t"}) {
    auto gone = Wait<DeleteReply>([&](auto done) {
      engine->Delete({.stream = {.bucket = "team", .name = name}}, std::move(done));
    });
    EXPECT_EQ(gone->outcome, Outcome::kOk);
  }
  EXPECT_EQ(engine.Bucket(&StreamEngine::DeleteBucket, "team")->outcome, Outcome::kOk);
  EXPECT_EQ(engine.Create(create)->outcome, Outcome::kBucketNotFound);
  ASSERT_EQ(engine.Bucket(&StreamEngine::CreateBucket, "team")->outcome, Outcome::kOk);
  EXPECT_EQ(engine.Create(create)->outcome, Outcome::kOk);
}

TEST(EngineTest, TwoEnginesShareOneRuntime) {
  auto runtime = NewRuntime({});
  ASSERT_TRUE(runtime.ok());
  EngineOptions options;
  options.runtime = runtime->get();
  auto first = StreamEngine::Open(std::move(options));
  options = {};
  options.runtime = runtime->get();
  auto second = StreamEngine::Open(std::move(options));
  ASSERT_TRUE(first.ok() && second.ok());
  CreateRequest create;
  create.stream = TestEngine::Id("x");
  auto in_first = Wait<CreateReply>([&](auto done) { (*first)->Create(create, std::move(done)); });
  EXPECT_EQ(in_first->outcome, Outcome::kOk);
  auto in_second =
      Wait<HeadReply>([&](auto done) { (*second)->Head(TestEngine::Id("x"), std::move(done)); });
  EXPECT_EQ(in_second->outcome, Outcome::kNotFound);
}

TEST(EngineTest, CallbacksMayCallTheEngineAgain) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("r")->outcome, Outcome::kOk);
  std::promise<void> finished;
  std::atomic<int> left = 100;
  std::function<void()> next = [&] {
    AppendRequest append;
    append.stream = TestEngine::Id("r");
    append.messages = {Bytes::Static("x")};
    engine->Append(append, [&](Result<AppendReply> reply) {
      ASSERT_TRUE(reply.ok());
      if (--left == 0) return finished.set_value();
      next();
    });
  };
  next();
  finished.get_future().wait();
  EXPECT_EQ(engine.Head("r")->info.tail.bytes, 100u);
}

TEST(EngineTest, StopEndsWaitingReadsAndRefusesNewCalls) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
  ReadRequest request;
  request.stream = TestEngine::Id("s");
  request.wait_ms = 600'000;
  std::promise<Result<ReadReply>> promise;
  engine->Read(request, [&](Result<ReadReply> reply) { promise.set_value(std::move(reply)); });
  auto stopped = Wait<Stopped>([&](auto done) { engine->Stop(std::move(done)); });
  EXPECT_TRUE(stopped.ok());
  EXPECT_EQ(promise.get_future().get().status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace ursula
