#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/stream/machine_driver.h"

namespace ursula::stream {
namespace {

using Step = DeleteBucket::Step;

constexpr Incarnation kLife{5};
constexpr Incarnation kAttempt{7};

CreateStream InBucket(std::string_view name, Incarnation bucket_incarnation) {
  CreateStream create = Creating(name);
  create.id.bucket = "photos";
  create.bucket = {bucket_incarnation, Incarnation{100}};
  return create;
}

TEST(MachineBucketTest, ABucketIsCreatedOnceAndFoundByItsIncarnation) {
  MachineDriver driver;
  EXPECT_FALSE(driver.machine().BucketFind("photos").has_value());
  Reply made = driver.Do(CreateBucket{"photos"});
  EXPECT_EQ(made.outcome, Outcome::kOk);
  Reply again = driver.Do(CreateBucket{"photos"});
  EXPECT_EQ(again.outcome, Outcome::kExisted);
  EXPECT_EQ(again.incarnation, made.incarnation);
  EXPECT_EQ(driver.machine().BucketFind("photos")->incarnation, made.incarnation);
}

TEST(MachineBucketTest, TheUpstreamBucketAlwaysExistsAndStays) {
  MachineDriver driver;
  EXPECT_TRUE(driver.machine().BucketFind("v1").has_value());
  EXPECT_EQ(driver.Do(CreateBucket{"v1"}).outcome, Outcome::kExisted);
  EXPECT_EQ(driver.Do(DeleteBucket{"v1"}).outcome, Outcome::kBucketNotEmpty);
  EXPECT_EQ(driver.Do(FenceBucket{"v1", kLife, kAttempt}).outcome, Outcome::kBucketNotEmpty);
}

TEST(MachineBucketTest, DeletingTakesTwoStepsAndEachMayBeRepeated) {
  MachineDriver driver;
  Incarnation incarnation = driver.Do(CreateBucket{"photos"}).incarnation;
  Incarnation attempt;
  for (int i = 0; i < 2; ++i) {
    Reply begun = driver.Do(DeleteBucket{"photos", Step::kBegin, {}});
    EXPECT_EQ(begun.outcome, Outcome::kOk);
    EXPECT_EQ(begun.incarnation, incarnation);
    attempt = begun.attempt;
  }
  EXPECT_EQ(driver.machine().DeletingBuckets(), std::vector<std::string>{"photos"});
  EXPECT_EQ(driver.Do(DeleteBucket{"photos", Step::kFinish, attempt}).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(DeleteBucket{"photos", Step::kFinish, attempt}).outcome,
            Outcome::kBucketNotFound);
  Incarnation next = driver.Do(CreateBucket{"photos"}).incarnation;
  EXPECT_NE(next, incarnation);
  // A late repetition of the old deletion leaves the new bucket alone.
  EXPECT_EQ(driver.Do(DeleteBucket{"photos", Step::kFinish, attempt}).outcome,
            Outcome::kBucketNotFound);
  EXPECT_TRUE(driver.machine().BucketFind("photos").has_value());
}

TEST(MachineBucketTest, AnOlderAttemptEndsNothing) {
  MachineDriver driver;
  driver.Do(CreateBucket{"photos"});
  Incarnation older = driver.Do(DeleteBucket{"photos", Step::kBegin, {}}).attempt;
  Incarnation newer = driver.Do(DeleteBucket{"photos", Step::kBegin, {}}).attempt;
  for (Step step : {Step::kFinish, Step::kAbort}) {
    EXPECT_EQ(driver.Do(DeleteBucket{"photos", step, older}).outcome, Outcome::kBucketNotFound);
  }
  EXPECT_TRUE(driver.machine().BucketFind("photos")->deleting);
  EXPECT_EQ(driver.Do(DeleteBucket{"photos", Step::kFinish, newer}).outcome, Outcome::kOk);
}

TEST(MachineBucketTest, AbortingBringsTheBucketBack) {
  MachineDriver driver;
  driver.Do(CreateBucket{"photos"});
  Incarnation attempt = driver.Do(DeleteBucket{"photos", Step::kBegin, {}}).attempt;
  EXPECT_TRUE(driver.machine().BucketFind("photos")->deleting);
  driver.Do(DeleteBucket{"photos", Step::kAbort, attempt});
  EXPECT_FALSE(driver.machine().BucketFind("photos")->deleting);
}

TEST(MachineBucketTest, EndingSaysWhichAttemptsHaveEnded) {
  MachineDriver driver;
  driver.Do(CreateBucket{"photos"});
  driver.Do(CreateBucket{"other"});
  Incarnation first = driver.Do(DeleteBucket{"photos", Step::kBegin, {}}).attempt;
  Incarnation second = driver.Do(DeleteBucket{"other", Step::kBegin, {}}).attempt;
  Reply ended = driver.Do(DeleteBucket{"other", Step::kAbort, second});
  EXPECT_EQ(ended.settled_through, Incarnation{Raw(first) - 1});
  ended = driver.Do(DeleteBucket{"photos", Step::kFinish, first});
  EXPECT_EQ(ended.settled_through, Incarnation{driver.index()});
}

bool Fenced(MachineDriver& driver, uint64_t life) {
  return driver.machine().IsFenced("photos", {Incarnation{life}, Incarnation{100}});
}

TEST(MachineBucketTest, AFenceRefusesThisAndOlderIncarnationsOnly) {
  MachineDriver driver;
  EXPECT_EQ(driver.Do(FenceBucket{"photos", kLife, kAttempt}).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(InBucket("a", Incarnation{5})).outcome, Outcome::kBucketNotFound);
  EXPECT_EQ(driver.Do(InBucket("a", Incarnation{4})).outcome, Outcome::kBucketNotFound);
  EXPECT_EQ(driver.Do(InBucket("a", Incarnation{6})).outcome, Outcome::kOk);
}

TEST(MachineBucketTest, AnUndoneFenceLeavesOlderLivesFenced) {
  MachineDriver driver;
  driver.Do(FenceBucket{"photos", kLife, kAttempt});
  EXPECT_TRUE(Fenced(driver, 5));
  driver.Do(UnfenceBucket{"photos", kLife, kAttempt});
  EXPECT_FALSE(Fenced(driver, 5));
  EXPECT_TRUE(Fenced(driver, 4));
}

// Between nodes a step may come twice, late, and after what undoes it.
// What a create in a bucket that is being deleted is stamped with: what was so before the attempt.
TEST(MachineBucketTest, AStampFromBeforeAnAttemptIsRefusedOnceThatHasEndedTheBucket) {
  for (const bool settled : {false, true}) {
    MachineDriver driver;
    CreateStream create = InBucket("a", kLife);
    create.bucket.seen = Incarnation{Raw(kAttempt) - 1};
    EXPECT_FALSE(driver.machine().MayBeUnfenced("photos", create.bucket));
    driver.Do(FenceBucket{"photos", kLife, kAttempt});
    EXPECT_TRUE(driver.machine().MayBeUnfenced("photos", create.bucket));
    // Another bucket's older attempt goes on, or has ended.
    driver.Do(SettleFences{Incarnation{Raw(kAttempt) - (settled ? 0 : 1)}});
    EXPECT_EQ(driver.machine().MayBeUnfenced("photos", create.bucket), !settled);
    EXPECT_EQ(driver.Do(create).outcome, Outcome::kBucketNotFound);
  }
}

TEST(MachineBucketTest, OnlyAFenceOfThisLifeThatStandsMayBeTakenBack) {
  MachineDriver driver;
  const BucketStamp stamp = InBucket("a", kLife).bucket;
  const BucketStamp older = InBucket("a", Incarnation{Raw(kLife) - 1}).bucket;
  driver.Do(FenceBucket{"photos", kLife, kAttempt});
  EXPECT_TRUE(driver.machine().MayBeUnfenced("photos", stamp));
  EXPECT_FALSE(driver.machine().MayBeUnfenced("photos", older));
  driver.Do(UnfenceBucket{"photos", kLife, kAttempt});
  EXPECT_FALSE(driver.machine().MayBeUnfenced("photos", stamp));
  EXPECT_FALSE(driver.machine().MayBeUnfenced("photos", older));
  EXPECT_TRUE(driver.machine().IsFenced("photos", older));
}

TEST(MachineBucketTest, ALateFenceFencesNothing) {
  FenceBucket fence{"photos", kLife, kAttempt};
  UnfenceBucket unfence{"photos", kLife, kAttempt};
  MachineDriver repeated;
  repeated.Do(fence);
  repeated.Do(unfence);
  EXPECT_EQ(repeated.Do(fence).outcome, Outcome::kConflict);
  EXPECT_FALSE(Fenced(repeated, 5));
  MachineDriver overtaken;
  overtaken.Do(unfence);
  EXPECT_EQ(overtaken.Do(fence).outcome, Outcome::kConflict);
  EXPECT_FALSE(Fenced(overtaken, 5));
  MachineDriver settled;
  settled.Do(SettleFences{kAttempt});
  EXPECT_EQ(settled.Do(fence).outcome, Outcome::kConflict);
  EXPECT_FALSE(Fenced(settled, 5));
  MachineDriver older;
  older.Do(FenceBucket{"photos", kLife, Incarnation{9}});
  older.Do(unfence);
  EXPECT_TRUE(Fenced(older, 5)) << "an older attempt's end undid a newer fence";
}

TEST(MachineBucketTest, SettledFencesAreForgottenAndOldStampsRefused) {
  MachineDriver driver;
  for (int i = 0; i < 50; ++i) {
    driver.Do(FenceBucket{"gone" + std::to_string(i), kLife, Incarnation{kAttempt}});
  }
  driver.Do(SettleFences{kAttempt});
  int fences = 0;
  driver.machine().CollectChanges(true, [&](std::string_view key, std::optional<std::string_view>) {
    fences += key.front() == kFenceRecord ? 1 : 0;
  });
  EXPECT_EQ(fences, 0);
  CreateStream create = InBucket("a", kLife);
  create.bucket.seen = Incarnation{6};
  EXPECT_EQ(driver.Do(create).outcome, Outcome::kBucketNotFound);
  create.bucket.seen = kAttempt;
  EXPECT_EQ(driver.Do(create).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(Creating("upstream")).outcome, Outcome::kOk);
}

TEST(MachineBucketTest, WhatTakesANameKeepsTheBucketUnfenced) {
  MachineDriver driver;
  FenceBucket fence{"photos", kLife, kAttempt};
  driver.Do(InBucket("a", Incarnation{5}));
  EXPECT_EQ(driver.Do(fence).outcome, Outcome::kBucketNotEmpty);
  EXPECT_EQ(driver.Do(InBucket("b", Incarnation{5})).outcome, Outcome::kOk);
  driver.Do(Delete{InBucket("a", {}).id});
  driver.Do(Delete{InBucket("b", {}).id});
  Reserve reserve;
  reserve.stream = InBucket("f", Incarnation{5});
  reserve.target = GroupId{9};
  Incarnation reservation = driver.Do(reserve).placement->reservation.id;
  EXPECT_EQ(driver.Do(fence).outcome, Outcome::kBucketNotEmpty);
  driver.Do(Unreserve{reserve.stream.id, reservation});
  EXPECT_EQ(driver.Do(fence).outcome, Outcome::kOk);
}

TEST(MachineBucketTest, ExpiredStreamsDoNotKeepABucket) {
  MachineDriver driver;
  for (const char* name : {"a", "b"}) {
    CreateStream create = InBucket(name, Incarnation{5});
    create.lifetime.ttl_seconds = 1;
    driver.Do(create);
  }
  driver.Advance(1000);
  ApplyResult fenced = driver.Apply(FenceBucket{"photos", kLife, kAttempt});
  EXPECT_EQ(fenced.reply.outcome, Outcome::kOk);
  EXPECT_EQ(fenced.freed.size(), 2u);
}

TEST(MachineBucketTest, ABucketOfALongerNameIsAnother) {
  MachineDriver driver;
  CreateStream create = InBucket("a", Incarnation{5});
  create.id.bucket = "photos2";
  driver.Do(create);
  EXPECT_EQ(driver.Do(FenceBucket{"photos", kLife, kAttempt}).outcome, Outcome::kOk);
}

}  // namespace
}  // namespace ursula::stream
