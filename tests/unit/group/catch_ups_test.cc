// Which peers a leader brings up at the pace, in virtual time.

#include "lib/group/catch_ups.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/manual_loop.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr ReplicaId kBehind{3};

// 1 leads, 2 was sent all that is committed, 3 wasn't. Nothing may be taken at the pace.
class CatchUpsTest : public ::testing::Test, private CatchUpHost {
 protected:
  CatchUpsTest() : pace_(&loop_, Pace::Options{1000}) {
    services_.loop = &loop_;
    services_.pace = &pace_;
    services_.self = ReplicaId{1};
    CatchUpHost* host = this;
    catch_ups_ = std::make_unique<CatchUps>(services_, host);
    pace_.Take(uint64_t{1} << 40);
  }

  void Note(uint64_t commit, uint64_t last) {
    std::vector<raft::PeerStatus> peers(3);
    for (uint64_t i = 0; i < 3; ++i) {
      peers[i].id = ReplicaId{i + 1};
      peers[i].state = raft::ProgressState::kReplicate;
      peers[i].next = Index{i < 2 ? last + 1 : 1};
    }
    raft::ConfState conf;
    conf.voters = {ReplicaId{1}, ReplicaId{2}, kBehind};
    catch_ups_->Note(peers, conf, Index{commit}, Index{last}, [](ReplicaId) { return true; });
  }
  // A tick of a replica, 100 ms later. Whether one waits.
  bool Tick(uint64_t commit, uint64_t last) {
    loop_.AdvanceBy(100 * kMs);
    if (!catch_ups_->Tick()) return false;
    Note(commit, last);
    return true;
  }

  void OnCatchUpAsked() override { ++asked_; }
  void OnCatchUpDue(ReplicaId to) override {
    EXPECT_EQ(to, kBehind);
    may_ = catch_ups_->MayTake(to);
  }

  testing::ManualLoop loop_;
  Pace pace_;
  Services services_;
  std::unique_ptr<CatchUps> catch_ups_;
  int asked_ = 0;
  bool may_ = false;
};

TEST_F(CatchUpsTest, WhoIsNoPartOfAMajorityIsHeldUp) {
  EXPECT_FALSE(catch_ups_->MayTake(kBehind));
  EXPECT_EQ(asked_, 1);
  EXPECT_TRUE(catch_ups_->Waits(kBehind));
  Note(10, 10);
  for (uint64_t tick = 0; tick < 20; ++tick) {
    EXPECT_TRUE(Tick(10 + tick, 12 + tick));  // One after the other is committed.
    EXPECT_TRUE(catch_ups_->Waits(kBehind));
    EXPECT_FALSE(may_);
  }
  catch_ups_->Clear();
  EXPECT_FALSE(catch_ups_->Waits(kBehind));
}

// 2 was sent all and stores nothing, or this one.
TEST_F(CatchUpsTest, NobodyIsHeldUpWhileNothingIsCommitted) {
  EXPECT_FALSE(catch_ups_->MayTake(kBehind));
  Note(10, 12);
  EXPECT_TRUE(Tick(10, 13));
  EXPECT_TRUE(Tick(10, 14));
  EXPECT_FALSE(may_);
  EXPECT_TRUE(Tick(10, 15));
  EXPECT_TRUE(may_);
  EXPECT_FALSE(Tick(10, 15));  // Nobody waits,
  may_ = false;
  EXPECT_FALSE(catch_ups_->MayTake(kBehind));  // and who asks is looked at anew.
  Note(10, 15);
  EXPECT_TRUE(may_);
  EXPECT_FALSE(Tick(11, 15));
  EXPECT_FALSE(catch_ups_->MayTake(kBehind));
  Note(11, 15);
  EXPECT_FALSE(catch_ups_->MayTake(kBehind));
  catch_ups_->Clear();
}

TEST_F(CatchUpsTest, AGroupThatNobodyWroteToIsNotStuck) {
  EXPECT_FALSE(catch_ups_->MayTake(kBehind));
  Note(10, 10);
  for (int tick = 0; tick < 10; ++tick) EXPECT_TRUE(Tick(10, 10));
  EXPECT_TRUE(Tick(10, 11));
  EXPECT_TRUE(Tick(10, 12));
  EXPECT_FALSE(may_);
  catch_ups_->Clear();
}

}  // namespace
}  // namespace ursula::group
