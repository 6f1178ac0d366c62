#include "lib/raft/quorum.h"

#include "gtest/gtest.h"
#include "lib/base/random.h"

namespace ursula::raft {
namespace {

TEST(QuorumTest, MajorityIndexIsTheGreatestThatMoreThanHalfHaveReached) {
  Random random(1);
  for (int round = 0; round < 5000; ++round) {
    std::vector<Index> positions(1 + random.Below(9));
    for (Index& position : positions) position = Index{random.Below(12)};
    std::vector<Index> shuffled = positions;
    const Index got = MajorityIndex(&shuffled);
    auto holders = [&positions](Index index) {
      std::size_t count = 0;
      for (Index position : positions) count += position >= index;
      return count;
    };
    EXPECT_GT(2 * holders(got), positions.size());
    EXPECT_LE(2 * holders(got + 1), positions.size());
  }
}

TEST(QuorumTest, NoVotersNeverHoldBack) {
  std::vector<Index> none;
  EXPECT_EQ(MajorityIndex(&none), Index{UINT64_MAX});
  EXPECT_EQ(MajorityVote(0, 0, 0), VoteResult::kWon);
}

TEST(QuorumTest, AVoteIsPendingExactlyWhileItCanGoBothWays) {
  for (std::size_t voters = 1; voters <= 7; ++voters) {
    for (std::size_t yes = 0; yes <= voters; ++yes) {
      for (std::size_t no = 0; yes + no <= voters; ++no) {
        const bool won = 2 * yes > voters;
        const bool can_win = 2 * (voters - no) > voters;
        EXPECT_EQ(MajorityVote(voters, yes, no), won       ? VoteResult::kWon
                                                 : can_win ? VoteResult::kPending
                                                           : VoteResult::kLost);
      }
    }
  }
}

TEST(QuorumTest, AJointVoteNeedsBothHalvesAndIsLostByEither) {
  using enum VoteResult;
  EXPECT_EQ(JointVote(kWon, kWon), kWon);
  EXPECT_EQ(JointVote(kWon, kPending), kPending);
  EXPECT_EQ(JointVote(kPending, kWon), kPending);
  EXPECT_EQ(JointVote(kPending, kPending), kPending);
  for (VoteResult other : {kWon, kPending, kLost}) {
    EXPECT_EQ(JointVote(kLost, other), kLost);
    EXPECT_EQ(JointVote(other, kLost), kLost);
  }
}

TEST(QuorumTest, ASetStaysAscendingAndWithoutTwins) {
  NodeSet set;
  for (uint64_t node : {5u, 1u, 3u, 5u, 1u}) Insert(&set, ReplicaId{node});
  EXPECT_EQ(set, (NodeSet{ReplicaId{1}, ReplicaId{3}, ReplicaId{5}}));
  Erase(&set, ReplicaId{3});
  Erase(&set, ReplicaId{4});
  EXPECT_EQ(set, (NodeSet{ReplicaId{1}, ReplicaId{5}}));
  EXPECT_TRUE(Contains(set, ReplicaId{5}));
  EXPECT_FALSE(Contains(set, ReplicaId{3}));
}

}  // namespace
}  // namespace ursula::raft
