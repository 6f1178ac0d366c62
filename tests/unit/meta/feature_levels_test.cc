#include "lib/meta/feature_levels.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace ursula::meta {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class FeatureLevelsTest : public ::testing::Test {
 protected:
  static LevelMember Member(uint64_t node, uint64_t lives = 0) { return {NodeId{node}, lives}; }
  // All nodes of the cluster say what they can, each second, until then.
  void SayUntil(uint64_t ns) {
    for (; now_ <= ns; now_ += kSecond) {
      for (const auto& [member, level] : can_)
        levels_.OnSaid(member, level, stored_.contains(member) ? stored_[member] : 2, now_);
      verdict_ = levels_.Judge(members_, away_, in_force_, now_);
      if (verdict_.stored_by_all && raised_at_ == 0) raised_at_ = now_;
    }
  }
  bool WaitsFor(const std::string& text) {
    return verdict_.level == 0 && verdict_.waits_for.find(text) != std::string::npos;
  }

  FeatureLevels levels_;
  std::vector<LevelMember> members_ = {Member(1), Member(2), Member(3)};
  std::map<LevelMember, uint32_t> can_ = {{Member(1), 2}, {Member(2), 2}, {Member(3), 2}};
  std::map<LevelMember, uint32_t> stored_;  // 2, where nothing is said.
  std::vector<NodeId> away_;
  uint32_t in_force_ = 1;
  uint64_t now_ = 5 * kSecond;
  uint64_t raised_at_ = 0;
  LevelVerdict verdict_;
};

TEST_F(FeatureLevelsTest, ItIsRaisedOnceAllHaveBeenAbleToForAWhile) {
  SayUntil(14 * kSecond);
  EXPECT_TRUE(WaitsFor("level 2 is to come")) << verdict_.waits_for;
  SayUntil(15 * kSecond);
  EXPECT_EQ(verdict_.level, 2u);
  in_force_ = 2;
  SayUntil(16 * kSecond);
  EXPECT_EQ(verdict_.level, 0u);
  EXPECT_EQ(verdict_.waits_for, "");
  EXPECT_EQ(levels_.MaxOf(NodeId{3}), 2u);
}

TEST_F(FeatureLevelsTest, OneThatIsCappedKeepsAllWhereTheyAre) {
  can_[Member(2)] = 1;
  SayUntil(100 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  EXPECT_TRUE(WaitsFor("level 2 waits for node 2, which can 1")) << verdict_.waits_for;
  can_[Member(2)] = 2;
  SayUntil(109 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  SayUntil(120 * kSecond);
  EXPECT_EQ(raised_at_, 111 * kSecond);
}

TEST_F(FeatureLevelsTest, ItGoesAsFarAsTheLowestCan) {
  can_ = {{Member(1), 4}, {Member(2), 3}, {Member(3), 5}};
  SayUntil(20 * kSecond);
  EXPECT_EQ(verdict_.level, 3u);
}

TEST_F(FeatureLevelsTest, EveryMetaHasItFirst) {
  stored_ = {{Member(2), 1}, {Member(3), 1}};
  SayUntil(50 * kSecond);
  EXPECT_EQ(verdict_.level, 2u);
  EXPECT_EQ(verdict_.waits_for.find("level 2 waits for META of node 2, node 3: "), 0u)
      << verdict_.waits_for;
  EXPECT_EQ(levels_.StoredOf(NodeId{1}), 2u);
  EXPECT_EQ(levels_.StoredOf(NodeId{3}), 1u);
  EXPECT_EQ(levels_.StoredOf(NodeId{4}), 0u);
  stored_.erase(Member(3));
  SayUntil(60 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  stored_.clear();
  SayUntil(61 * kSecond);
  EXPECT_EQ(raised_at_, 61 * kSecond);
  EXPECT_EQ(verdict_.waits_for, "level 2 is being raised");
}

TEST_F(FeatureLevelsTest, NeverWhileOneIsAway) {
  can_.erase(Member(3));
  SayUntil(100 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  EXPECT_TRUE(WaitsFor("level 2 waits for node 3")) << verdict_.waits_for;
  can_[Member(3)] = 2;
  away_ = {NodeId{2}};  // It says so, but its heartbeats don't come.
  SayUntil(200 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  EXPECT_TRUE(WaitsFor("waits for node 2")) << verdict_.waits_for;
}

TEST_F(FeatureLevelsTest, WhatAProcessSaidIsForgottenWithIt) {
  SayUntil(14 * kSecond);
  levels_.OnLost(NodeId{1});
  EXPECT_EQ(levels_.MaxOf(NodeId{1}), 0u);
  EXPECT_EQ(levels_.Judge(members_, away_, in_force_, 15 * kSecond).level, 0u);
  SayUntil(24 * kSecond);  // From its new process on it counts anew.
  EXPECT_EQ(raised_at_, 0u);
  SayUntil(26 * kSecond);
  EXPECT_EQ(raised_at_, 25 * kSecond);
}

TEST_F(FeatureLevelsTest, AWordGrowsOld) {
  SayUntil(14 * kSecond);
  EXPECT_EQ(levels_.Judge(members_, away_, in_force_, 14 * kSecond + FeatureLevels::kHeardNs).level,
            0u);
  EXPECT_EQ(levels_.Judge(members_, away_, in_force_, 15 * kSecond).level, 0u);  // Anew.
}

TEST_F(FeatureLevelsTest, OneThatIsAdmittedMeanwhileIsWaitedFor) {
  SayUntil(14 * kSecond);
  members_.push_back(Member(4));
  SayUntil(40 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  EXPECT_TRUE(WaitsFor("waits for node 4")) << verdict_.waits_for;
  can_[Member(4)] = 1;
  SayUntil(80 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  EXPECT_TRUE(WaitsFor("waits for node 4, which can 1")) << verdict_.waits_for;
  can_[Member(4)] = 2;
  SayUntil(100 * kSecond);
  EXPECT_EQ(raised_at_, 91 * kSecond);
}

// It had said so for long, as if it had been expected: from its admission on it is watched.
TEST_F(FeatureLevelsTest, ANewMemberIsWatchedAsLongAsTheOthers) {
  can_[Member(4)] = 2;
  SayUntil(14 * kSecond);
  members_.push_back(Member(4));
  SayUntil(24 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  SayUntil(25 * kSecond);
  EXPECT_EQ(raised_at_, 25 * kSecond);
}

TEST_F(FeatureLevelsTest, TheWordOfAnEarlierDirectoryIsNone) {
  members_[2] = Member(3, 1);
  SayUntil(100 * kSecond);
  EXPECT_EQ(raised_at_, 0u);
  EXPECT_TRUE(WaitsFor("waits for node 3"));
}

}  // namespace
}  // namespace ursula::meta
