#include "lib/raft/progress.h"

#include "gtest/gtest.h"
#include "lib/base/random.h"

namespace ursula::raft {
namespace {

Progress Replicating(uint64_t match, uint32_t messages_max = 4) {
  Progress progress;
  progress.match = Index{match};
  progress.inflights = Inflights(messages_max, 1000);
  progress.BecomeReplicate();
  return progress;
}

TEST(InflightsTest, IsFullByMessagesOrByBytes) {
  Inflights by_count(2, 1000);
  by_count.Add(Index{1}, 1);
  EXPECT_FALSE(by_count.full());
  by_count.Add(Index{2}, 1);
  EXPECT_TRUE(by_count.full());
  Inflights by_bytes(100, 10);
  by_bytes.Add(Index{1}, 9);
  EXPECT_FALSE(by_bytes.full());
  by_bytes.Add(Index{2}, 9);
  EXPECT_TRUE(by_bytes.full());
  by_bytes.FreeThrough(Index{1});
  EXPECT_FALSE(by_bytes.full());
}

TEST(InflightsTest, KeepsOrderWhileItGrowsAndWraps) {
  Random random(7);
  Inflights inflights(64, UINT64_MAX);
  uint64_t added = 0;
  uint64_t freed = 0;
  for (int round = 0; round < 10000; ++round) {
    if (added - freed < 64 && random.OneIn(2)) {
      inflights.Add(Index{++added}, 1);
    } else {
      freed += random.Below(added - freed + 1);
      inflights.FreeThrough(Index{freed});
    }
    ASSERT_EQ(inflights.count(), added - freed);
    ASSERT_EQ(inflights.full(), added - freed == 64);
  }
}

TEST(ProgressTest, AProbeWaitsAfterOneMessage) {
  Progress progress;
  progress.inflights = Inflights(4, 1000);
  EXPECT_FALSE(progress.paused());
  progress.SentEntries(0, 0);
  EXPECT_FALSE(progress.paused()) << "an empty one costs nothing";
  progress.SentEntries(1, 5);
  EXPECT_TRUE(progress.paused());
  EXPECT_EQ(progress.next, Index{1}) << "nothing is assumed to have arrived";
}

TEST(ProgressTest, APipelineRunsAheadUntilItIsFull) {
  Progress progress = Replicating(10, 2);
  progress.SentEntries(3, 5);
  EXPECT_EQ(progress.next, Index{14});
  EXPECT_FALSE(progress.paused());
  progress.SentEntries(1, 5);
  EXPECT_TRUE(progress.paused());
  EXPECT_TRUE(progress.Acknowledged(Index{13}));
  progress.inflights.FreeThrough(Index{13});
  EXPECT_FALSE(progress.paused());
  EXPECT_EQ(progress.match, Index{13});
  EXPECT_EQ(progress.next, Index{15});
}

TEST(ProgressTest, OldAnswersChangeNothing) {
  Progress progress = Replicating(10);
  progress.SentEntries(5, 5);
  EXPECT_FALSE(progress.Acknowledged(Index{10}));
  EXPECT_FALSE(progress.Rejected(Index{10}, Index{3}));
  EXPECT_EQ(progress.next, Index{16});
  Progress probe;
  probe.next = Index{20};
  EXPECT_FALSE(probe.Rejected(Index{18}, Index{2})) << "not of the probe that is out";
  EXPECT_EQ(probe.next, Index{20});
}

TEST(ProgressTest, ARefusedProbeGoesBackToTheHintButNeverBelowWhatMatches) {
  Progress probe;
  probe.match = Index{5};
  probe.next = Index{20};
  EXPECT_TRUE(probe.Rejected(Index{19}, Index{11}));
  EXPECT_EQ(probe.next, Index{12});
  EXPECT_TRUE(probe.Rejected(Index{11}, Index{2}));
  EXPECT_EQ(probe.next, Index{6});
}

// A directory that was put back: asked again at once, it would say the same for ever.
TEST(ProgressTest, WhoRefusesWhatItHasAcknowledgedIsNotAskedAgainAtOnce) {
  Progress probe;
  probe.match = Index{5};
  probe.next = Index{6};
  probe.SentEntries(1, 1);
  EXPECT_FALSE(probe.Rejected(Index{5}, Index{4}));
  EXPECT_EQ(probe.next, Index{6});
  EXPECT_TRUE(probe.paused()) << "until a heartbeat is answered";
}

TEST(ProgressTest, AfterASnapshotProbingBeginsBehindIt) {
  Progress progress = Replicating(3);
  progress.BecomeSnapshot(Index{30});
  EXPECT_TRUE(progress.paused());
  EXPECT_EQ(progress.next, Index{31});
  progress.BecomeProbe();
  EXPECT_EQ(progress.next, Index{31});
  EXPECT_FALSE(progress.paused());

  Progress failed = Replicating(3);
  failed.BecomeSnapshot(Index{30});
  failed.pending_snapshot = Index{};
  failed.BecomeProbe();
  EXPECT_EQ(failed.next, Index{4});
}

TEST(ProgressTest, ACommitIndexIsWorthSendingOnlyIfTheFollowerCanUseIt) {
  Progress progress = Replicating(10);
  progress.sent_commit = Index{8};
  EXPECT_TRUE(progress.CommitWouldHelp(Index{9}));
  EXPECT_FALSE(progress.CommitWouldHelp(Index{8}));
  progress.sent_commit = Index{10};
  EXPECT_FALSE(progress.CommitWouldHelp(Index{12})) << "it was sent nothing above 10";
}

}  // namespace
}  // namespace ursula::raft
