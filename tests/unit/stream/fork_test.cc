#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/stream/machine_driver.h"

namespace ursula::stream {
namespace {

using Kind = LookupResult::Kind;

TEST(MachineForkTest, AForkSharesTheOffsetsBelowItsPoint) {
  MachineDriver driver;
  driver.Do(Creating("s", "abcd"));
  Reply forked = driver.Do(Forking("f", "s", 2));
  EXPECT_EQ(forked.outcome, Outcome::kOk);
  EXPECT_EQ(forked.info.tail.bytes, 2u);
  EXPECT_EQ(forked.info.content_type, "text/plain");
  EXPECT_EQ(driver.Do(Appending("f", "XY")).append.start.bytes, 2u);
  driver.Do(Appending("s", "e"));
  EXPECT_EQ(driver.Read("f"), "abXY");
  EXPECT_EQ(driver.Read("f", 1), "bXY");
  EXPECT_EQ(driver.Read("f", 3), "Y");
  EXPECT_EQ(driver.Read("s"), "abcde");
}

TEST(MachineForkTest, NestedForksReadThroughEveryAncestor) {
  MachineDriver driver;
  driver.Do(Creating("a", "aaaa"));
  driver.Do(Forking("b", "a", 3));
  driver.Do(Appending("b", "bb"));
  driver.Do(Forking("c", "b", 4));
  driver.Do(Appending("c", "c"));
  driver.Do(Forking("d", "c", 2));  // Below c's own, and b's: reaches into a.
  driver.Do(Appending("d", "d"));
  EXPECT_EQ(driver.Read("c"), "aaabc");
  EXPECT_EQ(driver.Read("d"), "aad");
  std::vector<ReadRange> plan = driver.machine().PlanRead(driver.Find("c").incarnation, 1, 100);
  ASSERT_EQ(plan.size(), 3u);
  EXPECT_EQ(plan[0], (ReadRange{Incarnation{1}, 1, 3}));
  EXPECT_EQ(plan[1], (ReadRange{Incarnation{2}, 3, 4}));
  EXPECT_EQ(plan[2], (ReadRange{Incarnation{4}, 4, 5}));
}

TEST(MachineForkTest, AForkOfAClosedStreamIsOpenWithFreshProducersAndSequence) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  Append close = Producing("s", "x", {"p", 4, 0});
  close.close = true;
  close.sequence = "9";
  driver.Do(close);
  EXPECT_FALSE(driver.Do(Forking("f", "s")).info.closed);
  Append append = Producing("f", "y", {"p", 0, 0});
  append.sequence = "1";
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kOk);
}

TEST(MachineForkTest, RefusalsNameTheirReasonAndLeaveNoReference) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  EXPECT_EQ(driver.Do(Forking("f", "none")).outcome, Outcome::kForkSourceNotFound);
  EXPECT_EQ(driver.Do(Forking("f", "s", 3)).outcome, Outcome::kForkOffsetInvalid);
  CreateFork other = Forking("f", "s");
  other.stream.content_type = "application/json";
  EXPECT_EQ(driver.Do(other).outcome, Outcome::kForkContentTypeMismatch);
  EXPECT_EQ(driver.Apply(Delete{Id("s")}).freed.size(), 1u);
}

// What a proposer learned of the source is checked where the fork is applied: nothing is made of
// what holds no more, and never is anything made unresolved.
TEST(MachineForkTest, WhatWasResolvedAgainstAnotherLifeMakesNothing) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  for (Incarnation source : {kNoIncarnation, Incarnation{99}}) {
    CreateFork fork = Forking("f", "s");
    fork.source = source;
    Reply reply = driver.ApplyAsIs(fork).reply;
    EXPECT_EQ(reply.outcome, Outcome::kConflict);
    EXPECT_TRUE(reply.unresolved);
    EXPECT_EQ(driver.Find("f").kind, LookupResult::Kind::kNotFound);
  }
  // What doesn't hang on the point is told all the same.
  CreateFork other = Forking("f", "s");
  other.stream.content_type = "application/json";
  EXPECT_EQ(driver.ApplyAsIs(other).reply.outcome, Outcome::kForkContentTypeMismatch);
  EXPECT_EQ(driver.ApplyAsIs(Forking("f", "none")).reply.outcome, Outcome::kForkSourceNotFound);
}

TEST(MachineForkTest, PointsThatAreTheSamePlaceAreTheSameFork) {
  MachineDriver driver;
  driver.Do(Creating("s", "abcd"));
  driver.Do(Forking("tail", "s"));
  driver.Do(Forking("named", "s", 4));
  CreateFork sub = Forking("sub", "s", 3);
  sub.point.offset = Offset{0};
  sub.point.sub_offset = 3;
  driver.Do(sub);
  auto again = [&](std::string_view name, std::optional<uint64_t> offset) {
    return driver.ApplyAsIs(Forking(name, "s", offset)).reply.outcome;
  };
  EXPECT_EQ(again("tail", 4), Outcome::kExisted);
  EXPECT_EQ(again("named", std::nullopt), Outcome::kExisted);
  EXPECT_EQ(again("sub", 3), Outcome::kExisted);
  EXPECT_EQ(again("sub", 4), Outcome::kConflict);
  EXPECT_EQ(again("tail", 3), Outcome::kConflict);
  // A sub-offset is the same place only where it was resolved.
  CreateFork other = sub;
  other.point.offset = Offset{1};
  other.point.sub_offset = 2;
  other.source = kNoIncarnation;
  EXPECT_EQ(driver.ApplyAsIs(other).reply.outcome, Outcome::kConflict);
  other.source = driver.Find("s").incarnation;
  EXPECT_EQ(driver.ApplyAsIs(other).reply.outcome, Outcome::kExisted);
  driver.Do(Appending("s", "e"));  // Now the tail is another place.
  EXPECT_EQ(again("named", std::nullopt), Outcome::kConflict);
  EXPECT_EQ(again("tail", std::nullopt), Outcome::kExisted);
}

TEST(MachineForkTest, TheSameForkAgainExistsWhateverBecameOfTheSource) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  driver.Do(Forking("f", "s"));
  driver.Do(Appending("s", "cd"));
  EXPECT_EQ(driver.Do(Forking("f", "s")).outcome, Outcome::kExisted);
  EXPECT_EQ(driver.Do(Forking("f", "s", 1)).outcome, Outcome::kConflict);
  EXPECT_EQ(driver.Do(Creating("f")).outcome, Outcome::kConflict);
  CreateFork sub = Forking("f", "s");
  sub.point.sub_offset = 1;
  EXPECT_EQ(driver.Do(sub).outcome, Outcome::kConflict);
  driver.Do(Delete{Id("s")});
  EXPECT_EQ(driver.Do(Forking("f", "s")).outcome, Outcome::kExisted);
}

TEST(MachineForkTest, ADeletedSourceServesItsForksAndGoesWithTheLast) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  driver.Do(Forking("f", "s"));
  driver.Do(Forking("g", "s"));
  EXPECT_TRUE(driver.Apply(Delete{Id("s")}).freed.empty());
  EXPECT_EQ(driver.Find("s").kind, Kind::kSoftDeleted);
  EXPECT_EQ(driver.Do(Appending("s", "x")).outcome, Outcome::kSoftDeleted);
  EXPECT_EQ(driver.Do(Delete{Id("s")}).outcome, Outcome::kSoftDeleted);
  EXPECT_EQ(driver.Do(Creating("s")).outcome, Outcome::kSoftDeleted);
  EXPECT_EQ(driver.Do(Forking("h", "s")).outcome, Outcome::kForkSourceDeleted);
  driver.Do(Delete{Id("f")});
  EXPECT_EQ(driver.Read("g"), "ab");
  EXPECT_EQ(driver.Apply(Delete{Id("g")}).freed.size(), 2u);
  EXPECT_EQ(driver.Find("s").kind, Kind::kNotFound);
}

TEST(MachineForkTest, FreeingCascadesUpwardThroughDeletedLinks) {
  MachineDriver driver;
  driver.Do(Creating("a", "a"));
  driver.Do(Forking("b", "a"));
  driver.Do(Forking("c", "b"));
  driver.Do(Delete{Id("b")});
  driver.Do(Delete{Id("a")});
  EXPECT_EQ(driver.Read("c"), "a");
  EXPECT_EQ(driver.Apply(Delete{Id("c")}).freed.size(), 3u);
}

TEST(MachineForkTest, ALiveSourceSurvivesItsForks) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  driver.Do(Forking("f", "s"));
  driver.Do(Delete{Id("f")});
  EXPECT_EQ(driver.Read("s"), "ab");
}

TEST(MachineForkTest, AnExpiredForkReleasesItsSource) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  CreateFork fork = Forking("f", "s");
  fork.stream.lifetime.ttl_seconds = 1;
  driver.Do(fork);
  driver.Do(Delete{Id("s")});
  driver.Advance(1000);
  EXPECT_EQ(driver.Apply(Expire{{Incarnation{2}}}).freed.size(), 2u);
}

TEST(MachineForkTest, AnExpiredSourceServesItsForksAndItsNameIsFree) {
  MachineDriver driver;
  CreateStream create = Creating("s", "ab");
  create.lifetime.ttl_seconds = 1;
  driver.Do(create);
  CreateFork fork = Forking("f", "s");
  fork.stream.lifetime.ttl_seconds = 60;
  driver.Do(fork);
  driver.Advance(1000);
  EXPECT_EQ(driver.Do(Appending("s", "x")).outcome, Outcome::kNotFound);
  EXPECT_EQ(driver.Do(Creating("s", "new")).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Read("f"), "ab");
  EXPECT_EQ(driver.Read("s"), "new");
  ApplyResult deleted = driver.Apply(Delete{Id("f")});
  EXPECT_EQ(deleted.freed.size(), 2u);
  EXPECT_EQ(driver.Read("s"), "new");
}

TEST(MachineForkTest, AForkInheritsTheLifetimesValueAndCountsByItself) {
  MachineDriver driver;
  CreateStream create = Creating("s");
  create.lifetime.ttl_seconds = 10;
  driver.Do(create);
  driver.Advance(4000);
  Reply forked = driver.Do(Forking("f", "s"));
  EXPECT_EQ(forked.info.lifetime.ttl_seconds, 10u);
  EXPECT_EQ(*driver.Find("f").deadline_ms, driver.now_ms() + 10'000);
  EXPECT_EQ(*driver.Find("s").deadline_ms, driver.now_ms() + 6'000);
  EXPECT_EQ(driver.Do(Forking("f", "s")).outcome, Outcome::kExisted);
}

TEST(MachineForkTest, ForksNestToALimit) {
  Limits limits;
  limits.fork_depth_max = 3;
  MachineDriver driver(limits);
  driver.Do(Creating("0"));
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(driver.Do(Forking(std::to_string(i), std::to_string(i - 1))).outcome, Outcome::kOk);
  }
  EXPECT_EQ(driver.Do(Forking("4", "3")).outcome, Outcome::kForkTooDeep);
}

}  // namespace
}  // namespace ursula::stream
