#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/engine/test_engine.h"

namespace ursula {
namespace {

using testing_support::TestDirectory;
using testing_support::TestEngine;

AppendRequest Text(const std::string& name, const std::string& text) {
  AppendRequest request;
  request.stream = TestEngine::Id(name);
  request.messages = {Bytes::Copy(text)};
  return request;
}

CreateRequest ForkOf(const std::string& name, const std::string& source) {
  CreateRequest create;
  create.stream = TestEngine::Id(name);
  create.fork = ForkPoint{.source = TestEngine::Id(source)};
  return create;
}

class ConditionTest : public testing::TestWithParam<uint32_t> {
 protected:
  Outcome Delete(const std::string& name, Precondition condition) {
    return Wait<DeleteReply>([&](auto done) {
             engine_->Delete({TestEngine::Id(name), condition}, std::move(done));
           })
        ->outcome;
  }

  TestEngine engine_{{.cores = 2, .groups = GetParam()}};
};

TEST_P(ConditionTest, AnAppendExpectsATailAndALife) {
  ASSERT_EQ(engine_.Create("s")->outcome, Outcome::kOk);
  AppendRequest first = Text("s", "ab");
  first.expected_tail = Offset{0};
  auto reply = engine_.Append(first);
  EXPECT_EQ(reply->outcome, Outcome::kOk);
  // The same again: never taken for the one that landed.
  reply = engine_.Append(first);
  EXPECT_EQ(reply->outcome, Outcome::kPreconditionFailed);
  EXPECT_EQ(reply->tail, Offset{2});
  EXPECT_EQ(reply->incarnation, engine_.Head("s")->info.incarnation);
  AppendRequest life = Text("s", "c");
  life.expected_incarnation = reply->incarnation;
  EXPECT_EQ(engine_.Append(life)->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Delete("s")->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Create("s")->outcome, Outcome::kOk);
  EXPECT_EQ(engine_.Append(life)->outcome, Outcome::kPreconditionFailed);
  EXPECT_EQ(engine_.Text("s"), "");
}

TEST_P(ConditionTest, AFailedConditionUsesUpNoSequence) {
  ASSERT_EQ(engine_.Create("s")->outcome, Outcome::kOk);
  AppendRequest append = Text("s", "a");
  append.producer = Producer{"p", 0, 0};
  append.sequence = "1";
  append.expected_tail = Offset{7};
  EXPECT_EQ(engine_.Append(append)->outcome, Outcome::kPreconditionFailed);
  append.expected_tail = Offset{0};
  EXPECT_EQ(engine_.Append(append)->outcome, Outcome::kOk);
  // What would be refused or is a duplicate ignores its condition.
  append.expected_tail = Offset{7};
  EXPECT_EQ(engine_.Append(append)->outcome, Outcome::kDuplicate);
  append.producer = Producer{"p", 0, 5};
  EXPECT_EQ(engine_.Append(append)->outcome, Outcome::kProducerGap);
  append.producer = Producer{"p", 0, 1};
  EXPECT_EQ(engine_.Append(append)->outcome, Outcome::kSequenceConflict);
}

TEST_P(ConditionTest, CreatesAndDeletesOnCondition) {
  for (int i = 0; i < 6; ++i) {
    const std::string name = "s" + std::to_string(i);
    CreateRequest create;
    create.stream = TestEngine::Id(name);
    create.content_type = "text/plain";
    create.condition.exists = true;
    EXPECT_EQ(engine_.Create(create)->outcome, Outcome::kPreconditionFailed);
    create.condition = {};
    create.condition.absent = true;
    EXPECT_EQ(engine_.Create(create)->outcome, Outcome::kOk);
    auto again = engine_.Create(create);
    EXPECT_EQ(again->outcome, Outcome::kPreconditionFailed);
    EXPECT_EQ(again->info.incarnation, engine_.Head(name)->info.incarnation);
    CreateRequest fork = ForkOf("f" + name, name);
    fork.condition.absent = true;
    EXPECT_EQ(engine_.Create(fork)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Create(fork)->outcome, Outcome::kPreconditionFailed);
    AppendRequest append = Text("f" + name, "x");
    append.expected_tail = Offset{0};
    EXPECT_EQ(engine_.Append(append)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Append(append)->outcome, Outcome::kPreconditionFailed);
    Precondition old;
    old.any_of = {{.tail = Offset{0}, .closed = false}};
    EXPECT_EQ(Delete("f" + name, old), Outcome::kPreconditionFailed);
    EXPECT_EQ(engine_.Text("f" + name), "x");
    old.any_of.push_back({.tail = Offset{1}});
    EXPECT_EQ(Delete("f" + name, old), Outcome::kOk);
    EXPECT_EQ(Delete("f" + name, old), Outcome::kNotFound);
  }
}

// Two writers on threads of their own, one expected tail after the other: one of the two each time.
TEST_P(ConditionTest, OfTwoWritersThatExpectOneTailOneSucceeds) {
  constexpr int kRounds = 500;
  ASSERT_EQ(engine_.Create("s")->outcome, Outcome::kOk);
  std::atomic<int> succeeded = 0;
  auto write = [&](char byte) {
    for (uint64_t tail = 0; tail < kRounds; ++tail) {
      AppendRequest append = Text("s", std::string(1, byte));
      append.expected_tail = Offset{tail};
      auto reply = engine_.Append(append);
      ASSERT_TRUE(reply.ok()) << reply.status().ToString();
      if (reply->outcome == Outcome::kOk) ++succeeded;
      // On a tail that is not reached yet: wait for the other by trying again.
      if (reply->outcome == Outcome::kPreconditionFailed && reply->tail.bytes < tail + 1) --tail;
    }
  };
  std::thread other([&] { write('b'); });
  write('a');
  other.join();
  EXPECT_EQ(succeeded, kRounds);
  EXPECT_EQ(engine_.Text("s").size(), std::size_t{kRounds});
}

INSTANTIATE_TEST_SUITE_P(Groups, ConditionTest, testing::Values(1u, 16u));

TEST(HistoryTest, LivesOfAnEngineAndOfADirectoryAreToldApart) {
  auto life = [](TestEngine engine) {
    EXPECT_TRUE(engine.status.ok()) << engine.status.ToString();
    EXPECT_TRUE(engine.Create("s").ok());
    return engine.Head("s")->info.incarnation;
  };
  EXPECT_NE(life(TestEngine({})), life(TestEngine({})));
  TestDirectory one, other;
  uint64_t first = life(TestEngine({.data_dir = one.data()}));
  EXPECT_EQ(first, life(TestEngine({.data_dir = one.data()})));
  EXPECT_NE(first, life(TestEngine({.data_dir = other.data()})));
  // A copy is told that it is one.
  uint64_t copied = life(TestEngine({.data_dir = one.data(), .new_history = true}));
  EXPECT_NE(first, copied);
  EXPECT_EQ(copied, life(TestEngine({.data_dir = one.data()})));
}

}  // namespace
}  // namespace ursula
