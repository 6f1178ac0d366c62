// The pace of what catches up, in virtual time.

#include "lib/group/pace.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/manual_loop.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr uint64_t kRate = 1'000'000;  // Bytes a second: one takes a microsecond.

class PaceTest : public ::testing::Test {
 protected:
  struct Taker final : Pace::Waiter {
    explicit Taker(std::function<void()> what) : then(std::move(what)) {}
    void OnPace() override { then(); }
    std::function<void()> then;
  };

  void Make(uint64_t rate) { pace_ = std::make_unique<Pace>(&loop_, Pace::Options{rate}); }
  // One that takes so much again and again, as soon as it may.
  Taker& Greedy(const std::string& name, uint64_t bytes) {
    auto& taker = takers_.emplace_back(std::make_unique<Taker>([] {}));
    taker->then = [this, name, bytes, self = taker.get()] {
      while (pace_->MayTake(self)) {
        pace_->Take(bytes);
        taken_ += name;
      }
    };
    taker->then();
    return *taker;
  }
  // What uses up the burst.
  void UseUp(uint64_t bytes = 0) { pace_->Take(kRate * Pace::kBurstNs / kSecond + bytes); }

  testing::ManualLoop loop_;
  std::unique_ptr<Pace> pace_;
  std::vector<std::unique_ptr<Taker>> takers_;
  std::string taken_;
};

TEST_F(PaceTest, WithoutARateNobodyWaits) {
  Make(0);
  Taker one([] {});
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(pace_->MayTake(&one));
    pace_->Take(1 << 30);
  }
  EXPECT_EQ(pace_->stats().bytes, uint64_t{1000} << 30);
  EXPECT_EQ(pace_->stats().waited_ns, 0u);
}

TEST_F(PaceTest, InAnySpanItIsTheRatesShareABurstAndOneTake) {
  Make(kRate);
  Greedy("a", 30'000);
  Greedy("b", 7'000);
  for (int span = 0; span < 100; ++span) {
    const uint64_t before = pace_->stats().bytes;
    loop_.AdvanceBy(100 * kMs);
    const uint64_t took = pace_->stats().bytes - before;
    EXPECT_LE(took, 100'000u + 10'000u + 30'000u);
  }
  EXPECT_NEAR(static_cast<double>(pace_->stats().bytes), 10e6, 50e3);
  EXPECT_NEAR(static_cast<double>(pace_->stats().waited_ns), 10e9, 50e6);
}

TEST_F(PaceTest, WhoWaitsIsCalledInTheOrderOfAsking) {
  Make(kRate);
  UseUp(5'000);
  Greedy("a", 5'000);
  Greedy("b", 5'000);
  Greedy("c", 5'000);
  EXPECT_EQ(taken_, "");
  loop_.AdvanceBy(26 * kMs);
  EXPECT_EQ(taken_, "abcab");  // One each, of those 5 ms.
}

TEST_F(PaceTest, WhoAsksDoesntOvertakeWhoWaits) {
  Make(kRate);
  UseUp(1'000);
  Greedy("a", 100'000);
  loop_.clock().now_ns += 5 * kMs;  // A turn that took long: the timer is late.
  Greedy("b", 100'000);
  EXPECT_EQ(taken_, "");
  loop_.RunUntilIdle();
  EXPECT_EQ(taken_, "a");
  loop_.AdvanceBy(105 * kMs);
  EXPECT_EQ(taken_, "ab");
}

TEST_F(PaceTest, WhatIsHurriedIsTakenAtOnceAndTheOthersWaitTheLonger) {
  Make(kRate);
  UseUp();
  Greedy("a", 10'000);
  taken_.clear();
  pace_->Take(300'000);
  loop_.AdvanceBy(300 * kMs);
  EXPECT_EQ(taken_, "");
  loop_.AdvanceBy(20 * kMs);
  EXPECT_NE(taken_, "");
  pace_->Take(uint64_t{1} << 40);  // Not for days.
  taken_.clear();
  loop_.AdvanceBy(Pace::kDebtNsMax + kMs);
  EXPECT_NE(taken_, "");
}

TEST_F(PaceTest, WhatWasTakenForNothingComesBack) {
  Make(kRate);
  UseUp(10'000);
  const Pace::Taken taken = pace_->Take(490'000);
  Greedy("a", 1'000);
  pace_->Correct(taken, 0);
  loop_.AdvanceBy(11 * kMs);
  EXPECT_NE(taken_, "");
}

// Else who takes more than is held against him would earn by it.
TEST_F(PaceTest, NoMoreComesBackThanItHeldUpTheNext) {
  Make(kRate);
  UseUp(9'000'000);
  const Pace::Taken taken = pace_->Take(6'000'000);  // A second of it counts.
  EXPECT_EQ(taken.ns, kSecond);
  pace_->Correct(taken, 3'000'000);  // So does one of these.
  pace_->Correct(pace_->Take(6'000'000), 0);
  Greedy("a", 1'000);
  loop_.AdvanceBy(Pace::kDebtNsMax - kMs);
  EXPECT_EQ(taken_, "");
  loop_.AdvanceBy(2 * kMs);
  EXPECT_NE(taken_, "");
}

TEST_F(PaceTest, HoweverMuchIsHurriedOthersGoOn) {
  Make(kRate);
  UseUp(1'000);
  Greedy("a", 1'000'000);
  Greedy("b", 1'000'000);
  for (uint64_t ns = 0; ns < 6 * Pace::kDebtNsMax; ns += kSecond / 10) {
    pace_->Take(20'000'000);
    loop_.AdvanceBy(kSecond / 10);
  }
  EXPECT_GE(taken_.size(), 5u);
  EXPECT_LE(taken_.size(), 7u);
  EXPECT_EQ(taken_.substr(0, 4), "abab");
}

TEST_F(PaceTest, WhatIsWrittenMeanwhileComesOnTop) {
  Make(kRate);
  Greedy("a", 1'000);
  for (int i = 0; i < 1000; ++i) {
    loop_.AdvanceBy(kMs);
    pace_->Earn(3'000);
    loop_.RunUntilIdle();
  }
  EXPECT_GT(pace_->stats().bytes, 3'900'000u);
}

TEST_F(PaceTest, OneThatStopsWaitingIsntCalled) {
  Make(kRate);
  UseUp(1'000);
  Greedy("a", 1'000);
  auto gone = std::make_unique<Taker>([] { FAIL() << "it is gone"; });
  EXPECT_FALSE(pace_->MayTake(gone.get()));
  Greedy("b", 1'000);
  gone.reset();
  loop_.AdvanceBy(3 * kMs);
  EXPECT_EQ(taken_.substr(0, 2), "ab");
  // Whoever is called may end others.
  auto other = std::make_unique<Taker>([] { FAIL() << "it is gone, too"; });
  Taker first([&] { other.reset(); });
  takers_.clear();
  UseUp(1'000);
  EXPECT_FALSE(pace_->MayTake(&first));
  EXPECT_FALSE(pace_->MayTake(other.get()));
  loop_.AdvanceBy(kSecond);
  EXPECT_EQ(other, nullptr);
}

TEST_F(PaceTest, AtOneByteASecondItStandsStillAndDoesntSpin) {
  Make(1);
  Greedy("a", 1 << 20);
  EXPECT_EQ(taken_, "a");
  uint64_t turns = 0;
  const uint64_t end_ns = loop_.now_ns() + 10 * Pace::kDebtNsMax + kSecond;
  while (loop_.NextEventNs() < end_ns) {
    loop_.AdvanceTo(loop_.NextEventNs());
    if (loop_.RunTurn()) ++turns;
    ++turns;
  }
  EXPECT_EQ(taken_, std::string(11, 'a'));
  EXPECT_LT(turns, 100u);
}

// As after a suspend: a burst is all that was saved up.
TEST_F(PaceTest, ALongTimeWithoutTurnsSavesUpABurst) {
  Make(kRate);
  UseUp();
  Greedy("a", 1'000);
  taken_.clear();
  loop_.clock().now_ns += 3600 * kSecond;
  loop_.RunUntilIdle();
  EXPECT_GE(taken_.size(), 9u);
  EXPECT_LE(taken_.size(), 12u);
}

}  // namespace
}  // namespace ursula::group
