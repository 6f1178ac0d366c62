#include "lib/meta/disks.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace ursula::meta {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class DisksTest : public ::testing::Test {
 protected:
  void Say(uint64_t node, const DiskReport& report) { disks_.OnSaid(NodeId{node}, report, now_); }
  void SayQuick(uint64_t node, uint64_t p50_us) { Say(node, {.sync_p50_us = p50_us}); }
  DiskState StateOf(uint64_t node) {
    const std::map<NodeId, DiskState> states = disks_.Judge(nodes_, now_);
    auto found = states.find(NodeId{node});
    return found == states.end() ? DiskState::kFine : found->second;
  }

  Disks disks_;
  std::vector<NodeId> nodes_ = {NodeId{1}, NodeId{2}, NodeId{3}};
  uint64_t now_ = 5 * kSecond;
};

TEST_F(DisksTest, ANodesWordHoldsUntilItIsOldOrItIsLost) {
  EXPECT_EQ(StateOf(2), DiskState::kFine);
  Say(1, {.hangs = true, .full = true});
  Say(2, {.full = true});
  EXPECT_EQ(StateOf(1), DiskState::kHangs);
  EXPECT_EQ(StateOf(2), DiskState::kFull);
  EXPECT_EQ(StateOf(3), DiskState::kFine);
  now_ += Disks::kHeardNs - 1;
  EXPECT_EQ(StateOf(2), DiskState::kFull);
  Say(1, {.hangs = true});
  now_ += 1;
  EXPECT_EQ(StateOf(1), DiskState::kHangs);
  EXPECT_EQ(StateOf(2), DiskState::kFine);
  disks_.OnLost(NodeId{1});
  EXPECT_EQ(StateOf(1), DiskState::kFine);
}

TEST_F(DisksTest, ADiskIsSlowBesideOneThatIsMoreThanTwiceAsQuick) {
  SayQuick(1, 5000);
  EXPECT_EQ(StateOf(1), DiskState::kFine);  // Nobody else says how quick it is.
  SayQuick(2, 2500);
  EXPECT_EQ(StateOf(1), DiskState::kFine);
  SayQuick(3, 2499);
  EXPECT_EQ(StateOf(1), DiskState::kSlow);
  EXPECT_EQ(StateOf(2), DiskState::kFine);
  EXPECT_EQ(StateOf(3), DiskState::kFine);
}

TEST_F(DisksTest, NoneIsSlowWhereAllAre) {
  for (uint64_t node = 1; node <= 3; ++node) SayQuick(node, 40'000 + node);
  for (uint64_t node = 1; node <= 3; ++node) EXPECT_EQ(StateOf(node), DiskState::kFine);
}

TEST_F(DisksTest, ASlowOneIsSlowUntilItIsMuchQuicker) {
  SayQuick(1, 9000);
  SayQuick(2, 4000);
  EXPECT_EQ(StateOf(1), DiskState::kSlow);
  SayQuick(1, 6600);
  EXPECT_EQ(StateOf(1), DiskState::kSlow);
  SayQuick(1, 6000);
  EXPECT_EQ(StateOf(1), DiskState::kFine);
  SayQuick(1, 6600);
  EXPECT_EQ(StateOf(1), DiskState::kFine);
}

TEST_F(DisksTest, AQuickDiskIsNotSlowBesideAQuickerOne) {
  SayQuick(1, Disks::kSlowUsMin);
  SayQuick(2, 100);
  EXPECT_EQ(StateOf(1), DiskState::kFine);
  for (int i = 0; i < 3; ++i) SayQuick(1, 2 * Disks::kSlowUsMin);
  EXPECT_EQ(StateOf(1), DiskState::kFine);
  SayQuick(1, 2 * Disks::kSlowUsMin + 1);
  EXPECT_EQ(StateOf(1), DiskState::kSlow);
  EXPECT_EQ(disks_.Find(NodeId{2}, now_)->sync_p50_us, 100u);
}

// All disks become slow at once, and quick again, and each tells so at a moment of its own.
TEST_F(DisksTest, WordsOfDifferentMomentsMakeNoneSlow) {
  for (uint64_t p50_us : {100u, 900'000u, 50u, 30'000u, 2500u}) {
    for (int word = 0; word < 20; ++word) {
      for (uint64_t node = 1; node <= 3; ++node) {
        SayQuick(node, p50_us);
        now_ += kSecond;
        for (uint64_t other = 1; other <= 3; ++other) {
          ASSERT_EQ(StateOf(other), DiskState::kFine)
              << other << " after " << node << ": " << p50_us;
        }
      }
    }
    for (uint64_t node = 1; node <= 3; ++node) {
      EXPECT_EQ(disks_.Find(NodeId{node}, now_)->sync_p50_us, p50_us);
    }
  }
  // Of one alone a few are enough.
  for (int word = 0; word < 3; ++word) SayQuick(1, 10'000);
  EXPECT_EQ(StateOf(1), DiskState::kSlow);
}

TEST_F(DisksTest, ADiskThatNobodyMayLeadOnMakesNoOtherSlow) {
  SayQuick(1, 9000);
  Say(2, {.full = true, .sync_p50_us = 100});
  Say(3, {.hangs = true, .sync_p50_us = 100});
  EXPECT_EQ(StateOf(1), DiskState::kFine);
  SayQuick(4, 100);  // It is cordoned.
  EXPECT_EQ(StateOf(1), DiskState::kFine);
  SayQuick(3, 100);
  EXPECT_EQ(StateOf(1), DiskState::kSlow);
}

}  // namespace
}  // namespace ursula::meta
