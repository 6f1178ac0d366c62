#include "lib/storage/wal_tracker.h"

#include <gtest/gtest.h>

namespace ursula::storage {
namespace {

class WalTrackerTest : public ::testing::Test {
 protected:
  void Entry(uint32_t group, uint64_t index) {
    WalRecord record{.group = GroupId{group}, .kind = RecordKind::kEntry, .index = Index{index}};
    tracker_.OnAppended(record);
    tracker_.OnWriting({record.group, record.kind, record.index, record.term, 0});
  }
  void State(uint32_t group, std::string_view payload) {
    WalRecord record{.group = GroupId{group}, .kind = RecordKind::kState, .parts = {payload, {}}};
    tracker_.OnAppended(record);
    tracker_.OnWriting({record.group, record.kind, record.index, record.term, 0});
  }
  void Reset(uint32_t group, uint64_t index) {
    WalRecord record{.group = GroupId{group}, .kind = RecordKind::kReset, .index = Index{index}};
    tracker_.OnAppended(record);
    tracker_.OnWriting({record.group, record.kind, record.index, record.term, 0});
  }
  WalTracker tracker_;
};

TEST_F(WalTrackerTest, AResetFreesWhatCameBeforeItOnceItIsDurable) {
  tracker_.AddSegment(0);
  Entry(1, 1);
  Entry(2, 1);
  tracker_.AddSegment(1);
  Entry(1, 2);
  Reset(1, 40);
  Entry(1, 41);
  tracker_.Release(GroupId{2}, Index{1});
  EXPECT_EQ(tracker_.Release(GroupId{1}, Index{40}), Index{0});
  EXPECT_EQ(tracker_.free_segments(), 0u);
  EXPECT_TRUE(tracker_.TakeResets().empty());
  tracker_.OnDurable();
  EXPECT_EQ(tracker_.TakeResets(), std::vector<GroupId>{GroupId{1}});
  EXPECT_TRUE(tracker_.TakeResets().empty());
  EXPECT_EQ(tracker_.free_segments(), 1u);
  // What follows the reset is needed.
  tracker_.PopFront();
  tracker_.AddSegment(2);
  EXPECT_EQ(tracker_.free_segments(), 0u);
  EXPECT_EQ(tracker_.Release(GroupId{1}, Index{40}), Index{40});
  EXPECT_EQ(tracker_.free_segments(), 0u);
  tracker_.Release(GroupId{1}, Index{41});
  EXPECT_EQ(tracker_.free_segments(), 1u);
}

TEST_F(WalTrackerTest, ASegmentIsFreeOnceEachGroupHasReleasedItsEntries) {
  tracker_.AddSegment(0);
  Entry(1, 1);
  Entry(2, 5);
  tracker_.AddSegment(1);
  Entry(1, 2);
  Entry(2, 6);
  EXPECT_EQ(tracker_.free_segments(), 0u);
  EXPECT_EQ(tracker_.front_groups(), (std::vector<GroupId>{GroupId{1}, GroupId{2}}));
  EXPECT_EQ(tracker_.Release(GroupId{1}, Index{1}), Index{1});
  EXPECT_EQ(tracker_.free_segments(), 0u);
  EXPECT_EQ(tracker_.front_groups(), (std::vector<GroupId>{GroupId{2}}));
  tracker_.Release(GroupId{2}, Index{5});
  EXPECT_EQ(tracker_.free_segments(), 1u);
  EXPECT_EQ(tracker_.PopFront(), 0u);
}

TEST_F(WalTrackerTest, TheNewestSegmentIsNeverFree) {
  tracker_.AddSegment(0);
  Entry(1, 1);
  tracker_.Release(GroupId{1}, Index{1});
  EXPECT_EQ(tracker_.free_segments(), 0u);
}

TEST_F(WalTrackerTest, AFreeSegmentBehindANeededOneStays) {
  tracker_.AddSegment(0);
  Entry(1, 1);
  tracker_.AddSegment(1);
  Entry(2, 1);
  tracker_.AddSegment(2);
  tracker_.Release(GroupId{2}, Index{1});
  EXPECT_EQ(tracker_.free_segments(), 0u);
  tracker_.Release(GroupId{1}, Index{1});
  EXPECT_EQ(tracker_.free_segments(), 2u);
}

TEST_F(WalTrackerTest, ReleasingAllThereIsReleasesWhatWasReplacedToo) {
  tracker_.AddSegment(0);
  for (uint64_t i = 1; i <= 30; ++i) Entry(1, i);
  tracker_.AddSegment(1);
  Entry(1, 20);  // Replaces 20 to 30.
  tracker_.AddSegment(2);
  EXPECT_EQ(tracker_.Release(GroupId{1}, Index{19}), Index{19});
  EXPECT_EQ(tracker_.free_segments(), 0u);
  EXPECT_EQ(tracker_.Release(GroupId{1}, Index{20}), Index{UINT64_MAX});
  EXPECT_EQ(tracker_.free_segments(), 2u);
}

TEST_F(WalTrackerTest, TheNewestDurableStateKeepsItsSegmentUntilItIsMoved) {
  tracker_.AddSegment(0);
  State(1, "old");
  State(1, "new");
  tracker_.OnDurable();
  tracker_.AddSegment(1);
  EXPECT_EQ(tracker_.free_segments(), 1u);
  EXPECT_TRUE(tracker_.front_has_states());
  std::vector<WalTracker::State> moving = tracker_.StatesToMove();
  ASSERT_EQ(moving.size(), 1u);
  EXPECT_EQ(moving[0].payload, "new");
  State(1, "new");
  EXPECT_TRUE(tracker_.front_has_states());      // Not durable yet.
  EXPECT_TRUE(tracker_.StatesToMove().empty());  // But under way.
  tracker_.OnDurable();
  EXPECT_FALSE(tracker_.front_has_states());
  EXPECT_EQ(tracker_.PopFront(), 0u);
}

TEST_F(WalTrackerTest, WhatIsWantedThoughReleasedKeepsItsSegment) {
  tracker_.Keep(GroupId{1}, Index{2});
  for (uint32_t i = 0; i < 4; ++i) {
    tracker_.AddSegment(i);
    Entry(1, i + 1);
  }
  tracker_.Release(GroupId{1}, Index{4});
  // Needed it isn't: it is for its owner to say what goes.
  EXPECT_EQ(tracker_.free_segments(), 3u);
  EXPECT_FALSE(tracker_.front_is_kept());
  EXPECT_EQ(tracker_.kept_segments(), 3u);
  tracker_.PopFront();
  EXPECT_TRUE(tracker_.front_is_kept());
  EXPECT_FALSE(tracker_.Keep(GroupId{1}, Index{1}));  // What is gone stays gone.
  EXPECT_TRUE(tracker_.Keep(GroupId{1}, Index{3}));
  EXPECT_FALSE(tracker_.front_is_kept());
  EXPECT_EQ(tracker_.kept_segments(), 2u);
  Reset(1, 40);
  tracker_.OnDurable();
  EXPECT_EQ(tracker_.kept_segments(), 0u);
}

TEST_F(WalTrackerTest, WhatIsReleasedPieceByPieceIsKeptToItsEnd) {
  tracker_.Keep(GroupId{1}, Index{1});
  tracker_.AddSegment(0);
  Entry(1, 1);
  Entry(1, 2);
  tracker_.Release(GroupId{1}, Index{2});
  Entry(1, 3);
  tracker_.AddSegment(1);
  tracker_.Release(GroupId{1}, Index{3});
  tracker_.Keep(GroupId{1}, Index{3});
  EXPECT_TRUE(tracker_.front_is_kept());
  EXPECT_EQ(tracker_.unwanted_segments(), 0u);
  tracker_.Keep(GroupId{1}, Index{4});
  EXPECT_FALSE(tracker_.front_is_kept());
  EXPECT_EQ(tracker_.unwanted_segments(), 1u);
}

}  // namespace
}  // namespace ursula::storage
