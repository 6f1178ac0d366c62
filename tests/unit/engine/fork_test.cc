#include <gtest/gtest.h>

#include <string>

#include "lib/engine/placement.h"
#include "tests/unit/engine/test_engine.h"

namespace ursula {
namespace {

using testing_support::TestDirectory;
using testing_support::TestEngine;
using testing_support::TestEngineOptions;

CreateRequest Fork(std::string name, std::string source, std::optional<uint64_t> offset = {},
                   uint64_t sub_offset = 0) {
  CreateRequest create;
  create.stream = TestEngine::Id(std::move(name));
  ForkPoint point;
  point.source = TestEngine::Id(std::move(source));
  if (offset) point.offset = Offset{*offset};
  point.sub_offset = sub_offset;
  create.fork = point;
  return create;
}

// With one group every fork is local; with many most cross groups and cores.
class ForkTest : public testing::TestWithParam<uint32_t> {
 protected:
  TestEngine engine_{{.cores = 2, .groups = GetParam()}};
};

TEST_P(ForkTest, ForkReadsThroughItsSourceAndGoesItsOwnWay) {
  for (int i = 0; i < 8; ++i) {
    std::string source = "src" + std::to_string(i), fork = "fork" + std::to_string(i);
    ASSERT_EQ(engine_.Create(source)->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Append(source, {"one "})->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Append(source, {"two "})->outcome, Outcome::kOk);
    auto made = engine_.Create(Fork(fork, source, 4));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    ASSERT_EQ(made->outcome, Outcome::kOk);
    EXPECT_EQ(made->info.content_type, "text/plain");
    EXPECT_EQ(engine_.Create(Fork(fork, source, 4))->outcome, Outcome::kExisted);
    EXPECT_EQ(engine_.Create(Fork(fork, source, 8))->outcome, Outcome::kConflict);
    ASSERT_EQ(engine_.Append(fork, {"three "})->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Append(source, {"four "})->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Text(fork), "one three ");
    EXPECT_EQ(engine_.Text(source), "one two four ");
    EXPECT_EQ(engine_.Head(fork)->info.tail.bytes, 10u);
  }
}

TEST_P(ForkTest, SourceIsSoftDeletedWhileForksLive) {
  for (int i = 0; i < 8; ++i) {
    std::string source = "src" + std::to_string(i), fork = "fork" + std::to_string(i);
    ASSERT_EQ(engine_.Create(source)->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Append(source, {"data"})->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Create(Fork(fork, source))->outcome, Outcome::kOk);
    const uint64_t incarnation = engine_.Head(source)->info.incarnation;
    ASSERT_EQ(engine_.Delete(source)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Head(source)->outcome, Outcome::kSoftDeleted);
    EXPECT_EQ(engine_.Head(source)->info.incarnation, incarnation);
    EXPECT_EQ(engine_.Read(source)->outcome, Outcome::kSoftDeleted);
    EXPECT_EQ(engine_.Read(source)->info.incarnation, incarnation);
    EXPECT_EQ(engine_.Delete(source)->info.incarnation, incarnation);
    EXPECT_EQ(engine_.Text(fork), "data");
    EXPECT_EQ(engine_.Create(Fork("other" + std::to_string(i), source))->outcome,
              Outcome::kForkSourceDeleted);
    ASSERT_EQ(engine_.Delete(fork)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Head(source)->outcome, Outcome::kNotFound);
    EXPECT_EQ(engine_.Head(fork)->outcome, Outcome::kNotFound);
    // Both names are free again.
    EXPECT_EQ(engine_.Create(fork)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Create(source)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Text(fork), "");
  }
}

TEST_P(ForkTest, PointsOutsideTheDataAreRefused) {
  ASSERT_EQ(engine_.Create("s", "application/json")->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Append("s", {"1", "2", "3"})->outcome, Outcome::kOk);
  for (int i = 0; i < 4; ++i) {
    std::string n = std::to_string(i);
    EXPECT_EQ(engine_.Create(Fork("far" + n, "s", 10))->outcome, Outcome::kForkOffsetInvalid);
    EXPECT_EQ(engine_.Create(Fork("in" + n, "s", 1))->outcome, Outcome::kForkOffsetInvalid);
    EXPECT_EQ(engine_.Create(Fork("over" + n, "s", 0, 4))->outcome, Outcome::kForkOffsetInvalid);
    EXPECT_EQ(engine_.Create(Fork("none" + n, "nothing"))->outcome, Outcome::kForkSourceNotFound);
    ASSERT_EQ(engine_.Create(Fork("sub" + n, "s", 0, 2))->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Text("sub" + n), "1,\n2,\n");
    // Refused names are free.
    EXPECT_EQ(engine_.Create("far" + n)->outcome, Outcome::kOk);
  }
}

TEST_P(ForkTest, NestedForksStitchEveryLevel) {
  ASSERT_EQ(engine_.Create("l0")->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Append("l0", {"abcdef"})->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Create(Fork("l1", "l0", 0, 4))->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Create(Fork("l2", "l1", 0, 3))->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Append("l2", {"X"})->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Create(Fork("l3", "l2"))->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Append("l3", {"Y"})->outcome, Outcome::kOk);
  EXPECT_EQ(engine_.Text("l1"), "abcd");
  EXPECT_EQ(engine_.Text("l3"), "abcXY");
  EXPECT_EQ(engine_.Create(Fork("l4", "l1", 0, 5))->outcome, Outcome::kForkOffsetInvalid);
}

// The name's placement may still lead to a fork that has just gone.
TEST_P(ForkTest, AForkUnderANameThatAnotherForkHasJustLeftIsWhole) {
  ASSERT_EQ(engine_.Create("a")->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Append("a", {"from a"})->outcome, Outcome::kOk);
  for (int i = 0; i < 40; ++i) {
    // Of the same group as the fork's name, so that no placement is needed.
    std::string fork = "f" + std::to_string(i);
    std::string home;
    for (int k = 0; home.empty(); ++k) {
      std::string name = "home" + std::to_string(i) + "-" + std::to_string(k);
      bool same = engine::GroupOf(TestEngine::Id(name), GetParam()) ==
                  engine::GroupOf(TestEngine::Id(fork), GetParam());
      if (same) home = name;
    }
    ASSERT_EQ(engine_.Create(home)->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Append(home, {"from home"})->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Create(Fork(fork, "a"))->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Delete(fork)->outcome, Outcome::kOk);
    auto made = engine_.Create(Fork(fork, home));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    ASSERT_EQ(made->outcome, Outcome::kOk);
    EXPECT_EQ(made->info.tail.bytes, 9u);
    EXPECT_EQ(engine_.Text(fork), "from home");
  }
}

TEST_P(ForkTest, AForkBesideADeleteOfItsNameIsMadeOrFound) {
  ASSERT_EQ(engine_.Create("s")->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Append("s", {"abc"})->outcome, Outcome::kOk);
  for (int i = 0; i < 60; ++i) {
    std::string fork = "f" + std::to_string(i);
    ASSERT_EQ(engine_.Create(Fork(fork, "s"))->outcome, Outcome::kOk);
    auto made = Wait<CreateReply>([&](auto done) {
      engine_->Delete({.stream = TestEngine::Id(fork)}, [](Result<DeleteReply>) {});
      engine_->Create(Fork(fork, "s"), std::move(done));
    });
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_TRUE(made->outcome == Outcome::kOk || made->outcome == Outcome::kExisted)
        << static_cast<int>(made->outcome);
  }
}

TEST_P(ForkTest, ANameThatIsSoftDeletedIsTaken) {
  for (int i = 0; i < 8; ++i) {
    std::string n = std::to_string(i);
    ASSERT_EQ(engine_.Create("s" + n)->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Create(Fork("f" + n, "s" + n))->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Create(Fork("g" + n, "f" + n))->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Delete("f" + n)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Create(Fork("f" + n, "s" + n))->outcome, Outcome::kSoftDeleted);
    EXPECT_EQ(engine_.Create("f" + n)->outcome, Outcome::kSoftDeleted);
  }
}

TEST_P(ForkTest, AForkAskedForAgainIsFoundWhateverBecameOfItsSource) {
  for (int i = 0; i < 8; ++i) {
    std::string n = std::to_string(i);
    ASSERT_EQ(engine_.Create("s" + n)->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Append("s" + n, {"abcd"})->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Create(Fork("tail" + n, "s" + n))->outcome, Outcome::kOk);
    ASSERT_EQ(engine_.Create(Fork("sub" + n, "s" + n, 0, 3))->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Create(Fork("tail" + n, "s" + n, 4))->outcome, Outcome::kExisted);
    EXPECT_EQ(engine_.Create(Fork("sub" + n, "s" + n, 3))->outcome, Outcome::kExisted);
    EXPECT_EQ(engine_.Create(Fork("sub" + n, "s" + n, 0, 2))->outcome, Outcome::kConflict);
    ASSERT_EQ(engine_.Delete("s" + n)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Create(Fork("tail" + n, "s" + n))->outcome, Outcome::kExisted);
    EXPECT_EQ(engine_.Create(Fork("tail" + n, "s" + n, 0, 4))->outcome, Outcome::kExisted);
    EXPECT_EQ(engine_.Create(Fork("sub" + n, "s" + n, 0, 3))->outcome, Outcome::kExisted);
    EXPECT_EQ(engine_.Create(Fork("sub" + n, "s" + n, 3))->outcome, Outcome::kExisted);
    // A body can't be fitted to a source that is gone; the fork is found all the same.
    CreateRequest gone = Fork("tail" + n, "s" + n);
    gone.source_incarnation = 0;
    EXPECT_EQ(engine_.Create(gone)->outcome, Outcome::kExisted);
  }
}

TEST_P(ForkTest, OfAnotherLifeOfTheSourceNothingIsMade) {
  ASSERT_EQ(engine_.Create("s")->outcome, Outcome::kOk);
  uint64_t life = engine_.Head("s")->info.incarnation;
  ASSERT_EQ(engine_.Delete("s")->outcome, Outcome::kOk);
  ASSERT_EQ(engine_.Create("s")->outcome, Outcome::kOk);
  for (int i = 0; i < 4; ++i) {
    CreateRequest fork = Fork("f" + std::to_string(i), "s");
    fork.source_incarnation = life;
    EXPECT_EQ(engine_.Create(fork)->outcome, Outcome::kForkSourceNotFound);
    fork.source_incarnation = engine_.Head("s")->info.incarnation;
    EXPECT_EQ(engine_.Create(fork)->outcome, Outcome::kOk);
  }
}

// An append that a fork inherits the beginning of ends at the fork's start, in memory and on disk.
TEST_P(ForkTest, AnInheritedCutAppendEndsWhereTheForkBegan) {
  TestDirectory directory;
  auto options = [&] {
    return TestEngineOptions{
        .groups = GetParam(), .data_dir = directory.data(), .hot_bytes_max = 1 << 20};
  };
  auto check = [](TestEngine& engine, const std::string& name) {
    EXPECT_EQ(engine.Create(Fork("over" + name, "f", 0, 6))->outcome, Outcome::kForkOffsetInvalid);
    EXPECT_EQ(engine.Create(Fork("upto" + name, "f", 0, 5))->outcome, Outcome::kOk);
    ReadRequest read;
    read.stream = TestEngine::Id("f");
    read.boundaries = true;
    EXPECT_EQ(engine.Read(read)->message_ends, (std::vector<Offset>{{5}, {8}}));
  };
  {
    TestEngine engine(options());
    ASSERT_EQ(engine.Create("s")->outcome, Outcome::kOk);
    ASSERT_EQ(engine.Append("s", {"0123456789"})->outcome, Outcome::kOk);
    ASSERT_EQ(engine.Create(Fork("f", "s", 0, 5))->outcome, Outcome::kOk);
    ASSERT_EQ(engine.Append("f", {"xyz"})->outcome, Outcome::kOk);
    check(engine, "-memory");
    // Enough to push it out of memory.
    ASSERT_EQ(engine.Create("big")->outcome, Outcome::kOk);
    for (int i = 0; i < 64; ++i) {
      auto append = engine.Append("big", {std::string(64 << 10, 'b')});
      if (!append.ok()) --i;  // Payload comes faster than the disk takes it: again.
    }
  }
  TestEngine engine(options());
  ASSERT_TRUE(engine.status.ok()) << engine.status.ToString();
  check(engine, "-disk");
}

INSTANTIATE_TEST_SUITE_P(Groups, ForkTest, testing::Values(1u, 16u));

}  // namespace
}  // namespace ursula
