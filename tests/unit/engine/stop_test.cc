// Calls before, during and after Stop: each ends once, and none after it can do harm.

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "tests/unit/engine/test_engine.h"
#include "ursula/engine.h"
#include "ursula/sync.h"

namespace ursula {
namespace {

using testing_support::TestEngine;

struct Called {};

// The code that each method of an engine answers with.
std::vector<StatusCode> CallEach(TestEngine& engine) {
  std::vector<StatusCode> codes;
  auto id = TestEngine::Id("s");
  codes.push_back(engine.Bucket(&StreamEngine::CreateBucket, "team").status().code());
  codes.push_back(engine.Bucket(&StreamEngine::GetBucket, "team").status().code());
  codes.push_back(engine.Bucket(&StreamEngine::DeleteBucket, "team").status().code());
  codes.push_back(engine.List({.bucket = kUpstreamBucket}).status().code());
  codes.push_back(engine.Create("s").status().code());
  codes.push_back(engine.Head("s").status().code());
  codes.push_back(engine.Delete("s").status().code());
  codes.push_back(engine.Append("s", {"x"}).status().code());
  codes.push_back(engine.Read("s").status().code());
  struct Ended final : Follower {
    void OnData(ReadReply) override {}
    void OnEnd(Status status, Outcome) override { promise.set_value(status.code()); }
    std::promise<StatusCode> promise;
  } ended;
  Ticket ticket = engine->Follow({.stream = id}, &ended);
  engine->Grant(ticket, 1);
  engine->Cancel(ticket);
  codes.push_back(ended.promise.get_future().get());
  codes.push_back(engine->Ready().code());
  codes.push_back(Wait<Stopped>([&](auto done) { engine->Stop(std::move(done)); }).status().code());
  return codes;
}

TEST(EngineStopTest, EachCallAfterStopIsAFailedPrecondition) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
  ASSERT_TRUE(Wait<Stopped>([&](auto done) { engine->Stop(std::move(done)); }).ok());
  for (int round = 0; round < 3; ++round) {
    for (StatusCode code : CallEach(engine)) EXPECT_EQ(code, StatusCode::kFailedPrecondition);
  }
}

// Threads that append and read, until all of them have been refused.
TEST(EngineStopTest, CallsThatMeetStopEndOnceAndThenAreRefused) {
  constexpr int kThreads = 3;
  std::unique_ptr<Runtime> runtime = testing_support::MakeRuntime(2);
  for (int round = 0; round < 10; ++round) {
    TestEngine engine({.runtime = runtime.get()});
    ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
    std::atomic<int> running = 0;
    std::vector<std::thread> threads;
    std::set<StatusCode> codes[kThreads];
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        ++running;
        for (StatusCode code = StatusCode::kOk; code != StatusCode::kFailedPrecondition;) {
          code =
              i == 0 ? engine.Append("s", {"x"}).status().code() : engine.Read("s").status().code();
          codes[i].insert(code);
        }
      });
    }
    while (running < kThreads) std::this_thread::yield();
    EXPECT_TRUE(Wait<Stopped>([&](auto done) { engine->Stop(std::move(done)); }).ok());
    for (std::thread& thread : threads) thread.join();
    for (auto& seen : codes) {
      for (StatusCode code : seen) {
        EXPECT_TRUE(code == StatusCode::kOk || code == StatusCode::kFailedPrecondition ||
                    code == StatusCode::kCancelled)
            << StatusCodeName(code);
      }
    }
  }
}

TEST(EngineStopTest, DestructorWaitsForAStopThatAnotherBegan) {
  std::unique_ptr<Runtime> runtime = testing_support::MakeRuntime(2);
  for (int round = 0; round < 20; ++round) {
    std::promise<void> stopped;
    {
      TestEngine engine({.runtime = runtime.get()});
      ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
      engine->Stop([&](Result<Stopped> result) {
        EXPECT_TRUE(result.ok());
        stopped.set_value();
      });
    }
    stopped.get_future().get();
  }
}

TEST(EngineStopTest, WhatARefusedCallWaitsForIsAnsweredBeforeTheEngineGoes) {
  std::unique_ptr<Runtime> runtime = testing_support::MakeRuntime(2);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> answers = 0;
    constexpr int kCalls = 100;
    {
      TestEngine engine({.runtime = runtime.get()});
      ASSERT_TRUE(Wait<Stopped>([&](auto done) { engine->Stop(std::move(done)); }).ok());
      for (int i = 0; i < kCalls; ++i) {
        engine->Head(TestEngine::Id("s" + std::to_string(i)),
                     [&](Result<HeadReply>) { ++answers; });
      }
    }
    EXPECT_EQ(answers, kCalls);
  }
}

// Calls from inside completions, on a core.
TEST(EngineStopTest, CompletionsThatCallAgainEndWithStop) {
  TestEngine engine({.cores = 2});
  ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
  std::promise<StatusCode> last;
  std::function<void()> next = [&] {
    engine->Head(TestEngine::Id("s"), [&](Result<HeadReply> reply) {
      if (!reply.ok()) return last.set_value(reply.status().code());
      next();
    });
  };
  next();
  EXPECT_TRUE(Wait<Stopped>([&](auto done) { engine->Stop(std::move(done)); }).ok());
  EXPECT_EQ(last.get_future().get(), StatusCode::kFailedPrecondition);
}

// What tells other groups that a fork's name is free goes on behind the answer.
TEST(EngineStopTest, ChoresUnderWayEndBeforeTheGroupsTheyGoTo) {
  std::unique_ptr<Runtime> runtime = testing_support::MakeRuntime(2);
  for (int round = 0; round < 30; ++round) {
    TestEngine engine({.groups = 16, .runtime = runtime.get()});
    ASSERT_EQ(engine.Create("source")->outcome, Outcome::kOk);
    constexpr int kForks = 16;
    for (int i = 0; i < kForks; ++i) {
      CreateRequest fork;
      fork.stream = TestEngine::Id("fork" + std::to_string(i));
      fork.fork = ForkPoint{.source = TestEngine::Id("source")};
      ASSERT_EQ(engine.Create(fork)->outcome, Outcome::kOk);
    }
    for (int i = 0; i < kForks; ++i) {
      engine->Delete({.stream = TestEngine::Id("fork" + std::to_string(i))},
                     [](Result<DeleteReply>) {});
    }
    EXPECT_TRUE(Wait<Stopped>([&](auto done) { engine->Stop(std::move(done)); }).ok());
  }
}

// ---- executors -------------------------------------------------------------------------------

TEST(EngineExecutorTest, WorkThatIsDroppedEndsItsCall) {
  std::atomic<int> dropped = 0;
  TestEngine engine({.executor = [&](Function<void()>) { ++dropped; }});
  struct Silent final : Follower {
    void OnData(ReadReply) override {}
    void OnEnd(Status, Outcome) override {}
  } follower;
  engine->Head(TestEngine::Id("s"), [](Result<HeadReply>) {});
  engine->Follow({.stream = TestEngine::Id("s")}, &follower);
  while (dropped < 2) std::this_thread::yield();
}  // The destructor waits for both.

TEST(EngineExecutorTest, ExecutorThatThrowsHasDroppedTheWork) {
  std::atomic<int> calls = 0;
  TestEngine engine({.executor = [&](Function<void()>) {
    ++calls;
    std::vector<int>().at(1);
  }});
  engine->Head(TestEngine::Id("s"), [](Result<HeadReply>) {});
  while (calls < 1) std::this_thread::yield();
}

TEST(EngineExecutorTest, WhatAnExecutorDropsOfAFollowEndsIt) {
  std::unique_ptr<Runtime> runtime = testing_support::MakeRuntime(1);
  std::mutex mutex;
  std::condition_variable changed;
  bool dropping = false;
  int ends = 0;
  TestEngine engine({.runtime = runtime.get(), .executor = [&](Function<void()> work) {
                       if (!std::exchange(dropping, false)) work();
                     }});
  struct Counting final : Follower {
    void OnData(ReadReply) override {}
    void OnEnd(Status status, Outcome) override {
      EXPECT_EQ(status.code(), StatusCode::kCancelled);
      std::lock_guard<std::mutex> lock(*mutex);
      ++*ends;
      changed->notify_one();
    }
    std::mutex* mutex = nullptr;
    std::condition_variable* changed = nullptr;
    int* ends = nullptr;
  } follower;
  follower.mutex = &mutex;
  follower.changed = &changed;
  follower.ends = &ends;
  ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Append("s", {"x"})->outcome, Outcome::kOk);
  dropping = true;
  engine->Follow({.stream = TestEngine::Id("s")}, &follower);
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return ends == 1; });
}

// The host's threads may still be on their way out of a completion when the engine goes.
TEST(EngineExecutorTest, EngineGoesWhileItsLastCompletionReturns) {
  std::unique_ptr<Runtime> runtime = testing_support::MakeRuntime(2);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    std::mutex mutex;
    {
      TestEngine engine({.runtime = runtime.get(), .executor = [&](Function<void()> work) {
                           std::lock_guard<std::mutex> lock(mutex);
                           threads.emplace_back([work = std::move(work)]() mutable { work(); });
                         }});
      for (int i = 0; i < 4; ++i) {
        engine->Head(TestEngine::Id("s"), [](Result<HeadReply>) {});
      }
    }
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(EngineDeathTest, EngineDestroyedOnACoreEndsTheProcessWithASentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        std::unique_ptr<Runtime> runtime = testing_support::MakeRuntime(1);
        EngineOptions options;
        options.runtime = runtime.get();
        auto engine = StreamEngine::Open(std::move(options));
        StreamEngine* raw = engine->get();
        raw->Head(TestEngine::Id("s"), [&](Result<HeadReply>) { engine->reset(); });
        std::promise<void>().get_future().wait();
      },
      "an engine is destroyed on one of its cores");
}

// ---- never inside the call -------------------------------------------------------------------

TEST(EngineCallTest, DoneNeverRunsInsideTheCall) {
  TestEngine engine({});
  ASSERT_EQ(engine.Bucket(&StreamEngine::CreateBucket, "team")->outcome, Outcome::kOk);
  std::promise<void> finished;
  std::atomic<int> answers = 0;
  engine->Head(TestEngine::Id("s"), [&](Result<HeadReply>) {  // On the meta group's core.
    for (int i = 0; i < 2; ++i) {
      auto inside = std::make_shared<bool>(true);
      engine->DeleteBucket("team", [&, inside](Result<BucketReply> reply) {
        EXPECT_FALSE(*inside);
        EXPECT_TRUE(reply.ok() || reply.status().code() == StatusCode::kUnavailable);
        if (++answers == 2) finished.set_value();
      });
      *inside = false;
    }
  });
  finished.get_future().wait();
}

}  // namespace
}  // namespace ursula
