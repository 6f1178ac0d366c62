#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/stream/machine_driver.h"

namespace ursula::stream {
namespace {

using Step = DeleteBucket::Step;

CreateStream InBucket(std::string_view name, Incarnation bucket_incarnation) {
  CreateStream create = Creating(name);
  create.id.bucket = "photos";
  create.bucket_incarnation = bucket_incarnation;
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
  EXPECT_EQ(driver.Do(FenceBucket{"v1", Incarnation{1}}).outcome, Outcome::kBucketNotEmpty);
}

TEST(MachineBucketTest, DeletingTakesTwoStepsAndEachMayBeRepeated) {
  MachineDriver driver;
  Incarnation incarnation = driver.Do(CreateBucket{"photos"}).incarnation;
  for (int i = 0; i < 2; ++i) {
    Reply begun = driver.Do(DeleteBucket{"photos", Step::kBegin, {}});
    EXPECT_EQ(begun.outcome, Outcome::kOk);
    EXPECT_EQ(begun.incarnation, incarnation);
  }
  EXPECT_EQ(driver.machine().DeletingBuckets(), std::vector<std::string>{"photos"});
  EXPECT_EQ(driver.Do(DeleteBucket{"photos", Step::kFinish, incarnation}).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(DeleteBucket{"photos", Step::kFinish, incarnation}).outcome,
            Outcome::kBucketNotFound);
  Incarnation next = driver.Do(CreateBucket{"photos"}).incarnation;
  EXPECT_NE(next, incarnation);
  // A late repetition of the old deletion leaves the new bucket alone.
  EXPECT_EQ(driver.Do(DeleteBucket{"photos", Step::kFinish, incarnation}).outcome,
            Outcome::kBucketNotFound);
  EXPECT_TRUE(driver.machine().BucketFind("photos").has_value());
}

TEST(MachineBucketTest, AbortingBringsTheBucketBack) {
  MachineDriver driver;
  Incarnation incarnation = driver.Do(CreateBucket{"photos"}).incarnation;
  driver.Do(DeleteBucket{"photos", Step::kBegin, {}});
  EXPECT_TRUE(driver.machine().BucketFind("photos")->deleting);
  driver.Do(DeleteBucket{"photos", Step::kAbort, incarnation});
  EXPECT_FALSE(driver.machine().BucketFind("photos")->deleting);
}

TEST(MachineBucketTest, AFenceRefusesThisAndOlderIncarnationsOnly) {
  MachineDriver driver;
  EXPECT_EQ(driver.Do(FenceBucket{"photos", Incarnation{5}}).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(InBucket("a", Incarnation{5})).outcome, Outcome::kBucketNotFound);
  EXPECT_EQ(driver.Do(InBucket("a", Incarnation{4})).outcome, Outcome::kBucketNotFound);
  EXPECT_EQ(driver.Do(InBucket("a", Incarnation{6})).outcome, Outcome::kOk);
}

TEST(MachineBucketTest, AnOlderFenceDoesNotLowerANewerOne) {
  MachineDriver driver;
  driver.Do(FenceBucket{"photos", Incarnation{5}});
  driver.Do(FenceBucket{"photos", Incarnation{3}});
  EXPECT_TRUE(driver.machine().IsFenced("photos", Incarnation{5}));
  driver.Do(UnfenceBucket{"photos", Incarnation{3}});
  EXPECT_TRUE(driver.machine().IsFenced("photos", Incarnation{5}));
  driver.Do(UnfenceBucket{"photos", Incarnation{5}});
  EXPECT_FALSE(driver.machine().IsFenced("photos", Incarnation{5}));
  EXPECT_TRUE(driver.machine().IsFenced("photos", Incarnation{4}));
}

TEST(MachineBucketTest, WhatTakesANameKeepsTheBucketUnfenced) {
  MachineDriver driver;
  FenceBucket fence{"photos", Incarnation{5}};
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
  ApplyResult fenced = driver.Apply(FenceBucket{"photos", Incarnation{5}});
  EXPECT_EQ(fenced.reply.outcome, Outcome::kOk);
  EXPECT_EQ(fenced.freed.size(), 2u);
}

TEST(MachineBucketTest, ABucketOfALongerNameIsAnother) {
  MachineDriver driver;
  CreateStream create = InBucket("a", Incarnation{5});
  create.id.bucket = "photos2";
  driver.Do(create);
  EXPECT_EQ(driver.Do(FenceBucket{"photos", Incarnation{5}}).outcome, Outcome::kOk);
}

}  // namespace
}  // namespace ursula::stream
