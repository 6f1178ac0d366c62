#include "lib/group/barrier.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ursula::group {
namespace {

// A leader among three that has committed in its term: what it is asked, it asks its peers.
class BarrierTest : public ::testing::Test, private raft::Driver, private raft::LogStorage {
 protected:
  BarrierTest() {
    raft::Config config;
    config.self = ReplicaId{1};
    raft::InitialState state;
    state.conf.voters = {ReplicaId{1}, ReplicaId{2}, ReplicaId{3}};
    core_ = std::move(*raft::Core::Create(config, state, this, this));
    raft::Message heartbeat;  // Of another that leads: reads go there.
    heartbeat.kind = raft::MessageKind::kHeartbeat;
    heartbeat.from = ReplicaId{2};
    heartbeat.to = ReplicaId{1};
    heartbeat.term = Term{1};
    core_->Step(heartbeat);
    Contexts();
  }

  // Of the reads that the core has passed on since.
  std::vector<std::string> Contexts() {
    std::vector<std::string> contexts;
    raft::Ready ready;
    while (core_->HasReady()) {
      core_->TakeReady(&ready);
      for (const raft::Message& message : ready.messages) {
        if (message.kind == raft::MessageKind::kReadIndex) {
          contexts.emplace_back(message.context.view());
        }
      }
    }
    return contexts;
  }
  void Add(Barrier* barrier) {
    barrier->Add([this](Status status) { said_ += status.ok() ? "+" : "-"; });
  }
  void Finish(Barrier* barrier, uint64_t applied) {
    for (BarrierDone& done : barrier->TakeReached(Index{applied})) done(Status());
  }

  std::unique_ptr<raft::Core> core_;
  std::string said_;

 private:
  uint32_t Jitter(uint32_t) override { return 0; }
  Index first() const override { return Index{1}; }
  Index last() const override { return Index{0}; }
  Term TermAt(Index) const override { return Term{0}; }
  bool Entries(Index, Index, uint64_t, std::vector<raft::Entry>*) const override { return false; }
  std::optional<raft::Snapshot> NewestSnapshot() const override { return std::nullopt; }
};

TEST_F(BarrierTest, NoTwoOpeningsAndNoTwoReplicasEverUseOneContext) {
  std::set<std::string> seen;
  for (uint64_t replica : {1, 2}) {
    for (uint64_t opening : {5, 6}) {
      Barrier barrier(ReplicaId{replica}, opening);
      for (int round = 0; round < 3; ++round) {
        Add(&barrier);
        barrier.StartRound(core_.get(), 0);
        const std::vector<std::string> asked = Contexts();
        ASSERT_EQ(asked.size(), 1u);
        EXPECT_TRUE(seen.insert(asked[0]).second);
      }
      barrier.FailAll(Status(StatusCode::kUnavailable, ""));
    }
  }
}

TEST_F(BarrierTest, AnAnswerToAnEarlierOpeningConfirmsNothing) {
  Barrier before(ReplicaId{1}, 5);
  Add(&before);
  before.StartRound(core_.get(), 0);
  const std::string old = Contexts().at(0);
  before.FailAll(Status(StatusCode::kUnavailable, ""));
  Barrier barrier(ReplicaId{1}, 6);
  Add(&barrier);
  barrier.StartRound(core_.get(), 0);
  barrier.OnRead({Index{1}, Bytes::Copy(old)});
  EXPECT_FALSE(barrier.HasReached(Index{100}));
  barrier.OnRead({Index{7}, Bytes::Copy(Contexts().at(0))});
  EXPECT_FALSE(barrier.HasReached(Index{6}));
  EXPECT_TRUE(barrier.HasReached(Index{7}));
  Finish(&barrier, 7);
  EXPECT_EQ(said_, "-+");
}

TEST_F(BarrierTest, AskedAgainARoundKeepsItsContext) {
  Barrier barrier(ReplicaId{1}, 5);
  Add(&barrier);
  barrier.StartRound(core_.get(), 0);
  const std::string first = Contexts().at(0);
  barrier.AskAgain(core_.get());
  EXPECT_EQ(Contexts(), std::vector<std::string>{first});
  barrier.OnRead({Index{7}, Bytes::Copy(first)});
  barrier.OnRead({Index{9}, Bytes::Copy(first)});  // The first answer stands.
  barrier.AskAgain(core_.get());
  EXPECT_TRUE(Contexts().empty());
  Finish(&barrier, 7);
  EXPECT_EQ(said_, "+");
}

TEST_F(BarrierTest, OneAnswerConfirmsEarlierRoundsToo) {
  Barrier barrier(ReplicaId{1}, 5);
  for (int round = 0; round < 3; ++round) {
    Add(&barrier);
    barrier.StartRound(core_.get(), 0);
  }
  const std::vector<std::string> asked = Contexts();
  barrier.OnRead({Index{4}, Bytes::Copy(asked.at(1))});
  Finish(&barrier, 4);
  EXPECT_EQ(said_, "++");
  EXPECT_FALSE(barrier.empty());
  barrier.FailAll(Status(StatusCode::kUnavailable, ""));
}

TEST_F(BarrierTest, ItIsFreshAsOfTheBeginningOfWhatItHasReached) {
  Barrier barrier(ReplicaId{1}, 5);
  Add(&barrier);
  barrier.StartRound(core_.get(), 100);
  EXPECT_EQ(barrier.fresh_ns(), std::nullopt);
  barrier.Expire(500);  // As time goes on, it is asked again; an answer may be to the first time.
  barrier.AskAgain(core_.get());
  const std::string first = Contexts().at(0);
  barrier.OnRead({Index{7}, Bytes::Copy(first)});
  Finish(&barrier, 6);
  EXPECT_EQ(barrier.fresh_ns(), std::nullopt);  // Not all of it is applied.
  Finish(&barrier, 7);
  EXPECT_EQ(barrier.fresh_ns(), std::optional<uint64_t>(100));
  for (uint64_t begun_ns : {600, 700}) {
    Add(&barrier);
    barrier.StartRound(core_.get(), begun_ns);
  }
  const std::vector<std::string> asked = Contexts();
  barrier.OnRead({Index{8}, Bytes::Copy(asked.at(0))});
  Finish(&barrier, 8);
  EXPECT_EQ(barrier.fresh_ns(), std::optional<uint64_t>(600));  // The other isn't confirmed.
  barrier.OnRead({Index{8}, Bytes::Copy(asked.at(1))});
  Finish(&barrier, 8);
  EXPECT_EQ(barrier.fresh_ns(), std::optional<uint64_t>(700));
}

TEST_F(BarrierTest, ARoundThatEndsWithoutAnAnswerMakesNothingFresh) {
  Barrier barrier(ReplicaId{1}, 5);
  Add(&barrier);
  barrier.StartRound(core_.get(), 100);
  barrier.Expire(Barrier::kDeadlineNs + 100);
  Add(&barrier);
  barrier.StartRound(core_.get(), 200);
  barrier.FailAll(Status(StatusCode::kUnavailable, ""));
  Finish(&barrier, 100);
  EXPECT_EQ(said_, "--");
  EXPECT_EQ(barrier.fresh_ns(), std::nullopt);
}

TEST_F(BarrierTest, WithoutAnAnswerARoundEndsAtItsDeadline) {
  Barrier barrier(ReplicaId{1}, 5);
  Add(&barrier);
  barrier.StartRound(core_.get(), 100);
  Add(&barrier);
  barrier.StartRound(core_.get(), 200);
  barrier.Expire(Barrier::kDeadlineNs + 99);
  EXPECT_EQ(said_, "");
  barrier.Expire(Barrier::kDeadlineNs + 100);
  EXPECT_EQ(said_, "-");
  barrier.Expire(Barrier::kDeadlineNs + 200);
  EXPECT_EQ(said_, "--");
  EXPECT_TRUE(barrier.empty());
}

}  // namespace
}  // namespace ursula::group
