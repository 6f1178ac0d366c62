#include <gtest/gtest.h>

#include <string>

#include "lib/engine/placement.h"
#include "tests/unit/engine/test_engine.h"

namespace ursula {
namespace {

using testing_support::TestDirectory;
using testing_support::TestEngine;

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
    ASSERT_EQ(engine_.Delete(source)->outcome, Outcome::kOk);
    EXPECT_EQ(engine_.Head(source)->outcome, Outcome::kSoftDeleted);
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

INSTANTIATE_TEST_SUITE_P(Groups, ForkTest, testing::Values(1u, 16u));

}  // namespace
}  // namespace ursula
