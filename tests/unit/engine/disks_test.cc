// What a node of a cluster does about its own disk: one that hangs, though nobody writes, or is
// full leads nothing as long as others can, says so, and comes back by itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "tests/support/fault_disk.h"
#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kHungMs = 30'000;

class DisksTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kGroups = 9;

  void SetUp() override {
    ASSERT_TRUE(cluster_.AwaitLeaders());
    ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 3 && Led(2) == 3 && Led(3) == 3; }));
    cluster_.Advance(3000);  // A hand-over may have been under way.
    ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 3 && Led(2) == 3 && Led(3) == 3; }));
  }

  // Each operation of its disk that begins from now on takes that long.
  void TakeUs(uint64_t node, uint64_t us) {
    cluster_.disk(node).faults().latency_min_ns = us * 1000;
    cluster_.disk(node).faults().latency_max_ns = us * 1000;
  }
  void Take(uint64_t node, uint64_t ms) { TakeUs(node, 1000 * ms); }
  void Mend(uint64_t node) { TakeUs(node, 100); }
  void Full(uint64_t node, bool full) {
    cluster_.disk(node).faults().capacity_bytes = full ? 0 : uint64_t{1} << 40;
  }
  std::size_t Led(uint64_t node) {
    std::size_t led = 0;
    for (uint32_t group = 0; group < kGroups; ++group) {
      led += cluster_.LeaderOf(GroupId{group}) == node ? 1 : 0;
    }
    return led;
  }
  DiskState StateOf(uint64_t node, uint64_t at) {
    for (const MemberStatus& member : cluster_.node(at).Cluster().members) {
      if (member.node == NodeId{node}) return member.disk;
    }
    ADD_FAILURE() << "no member";
    return DiskState::kFine;
  }
  bool Acknowledged(uint64_t node, const std::string& name) {
    CreateRequest request;
    request.stream = {.bucket = kUpstreamBucket, .name = name};
    return cluster_
        .Await<CreateReply>(
            [&](auto done) { cluster_.node(node).Create(request, std::move(done)); })
        .ok();
  }
  Status AppendAt(uint64_t node, const std::string& name) {
    AppendRequest request;
    request.stream = {.bucket = kUpstreamBucket, .name = name};
    request.messages.push_back(Bytes::Copy(std::string(32 << 10, 'x')));
    return cluster_
        .Await<AppendReply>(
            [&](auto done) { cluster_.node(node).Append(request, std::move(done)); })
        .status();
  }
  // Whatever becomes of the appends.
  template <class Condition>
  bool AppendUntil(const std::string& name, Condition condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
      if (!AppendAt(2, name).ok()) cluster_.Advance(100);
    }
    return condition();
  }
  bool Reads(uint64_t node, const std::string& name) {
    ReadRequest request;
    request.stream = {.bucket = kUpstreamBucket, .name = name};
    return cluster_
        .Await<ReadReply>([&](auto done) { cluster_.node(node).Read(request, std::move(done)); })
        .ok();
  }
  std::size_t LogLines(uint64_t node, std::string_view part) {
    return static_cast<std::size_t>(std::ranges::count_if(
        cluster_.log(node),
        [part](const std::string& line) { return line.find(part) != std::string::npos; }));
  }
  // A group whose terms rise changes its leader.
  uint64_t Terms() {
    uint64_t terms = 0;
    for (const GroupStatus& group : cluster_.node(2).Cluster().groups) terms += group.term;
    return terms;
  }

  uint64_t Moved() {
    uint64_t moved = 0;
    for (uint64_t node = 1; node <= 3; ++node) moved += cluster_.node(node).Stats().leads_given_up;
    return moved;
  }

  testing::TestCluster cluster_{{.groups = kGroups, .cores = {2, 1, 2}}};
};

TEST_F(DisksTest, AnIdleNodeWhoseDiskHangsLeadsNothingAndSaysSo) {
  ASSERT_TRUE(cluster_.node(1).Ready().ok());
  Take(1, kHungMs);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 0; }, 6000));
  const Status ready = cluster_.node(1).Ready();
  EXPECT_EQ(ready.code(), StatusCode::kUnavailable);
  EXPECT_NE(ready.message().find("the disk of /data/wal hasn't answered for"), std::string::npos)
      << ready.ToString();
  EXPECT_EQ(LogLines(1, "hasn't answered"), 1u);
  EXPECT_GE(cluster_.node(1).Stats().disks_hung, 1u);
  EXPECT_EQ(cluster_.node(1).Stats().leads_given_up, 3u);
  ASSERT_TRUE(cluster_.RunUntil([&] { return StateOf(1, 2) == DiskState::kHangs; }, 1000));
  // Nobody gives it a lead, though it leads less than the others, and it stands for none.
  const uint64_t terms = Terms();
  for (int i = 0; i < 100; ++i) {
    cluster_.Advance(100);
    ASSERT_EQ(Led(1), 0u);
  }
  EXPECT_EQ(Terms(), terms);
  EXPECT_TRUE(Acknowledged(2, "s"));
}

TEST_F(DisksTest, ItComesBackByItselfAndLeadsAgain) {
  Take(3, 6000);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(3) == 0; }, 6000));
  Mend(3);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(3) == 3; }));
  EXPECT_TRUE(cluster_.node(3).Ready().ok());
  EXPECT_EQ(cluster_.node(3).Stats().disks_hung, 0u);
  EXPECT_EQ(StateOf(3, 1), DiskState::kFine);
  EXPECT_EQ(LogLines(3, "answers again"), LogLines(3, "hasn't answered"));
  EXPECT_TRUE(Acknowledged(3, "s"));
}

TEST_F(DisksTest, WhereAllHangLeadersStayWhereTheyAre) {
  for (uint64_t node = 1; node <= 3; ++node) Take(node, 8000);
  cluster_.Advance(6000);
  for (uint64_t node = 1; node <= 3; ++node) EXPECT_FALSE(cluster_.node(node).Ready().ok());
  for (uint64_t node = 1; node <= 3; ++node) Mend(node);
  ASSERT_TRUE(cluster_.RunUntil([&] {
    for (uint64_t node = 1; node <= 3; ++node) {
      if (!cluster_.node(node).Ready().ok()) return false;
    }
    return true;
  }));
  ASSERT_TRUE(cluster_.AwaitLeaders());
  EXPECT_TRUE(Acknowledged(1, "s"));
}

TEST_F(DisksTest, AHandOverThatIsAskedForIsNotTakenByOneThatHangs) {
  Take(1, kHungMs);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 0; }, 6000));
  const GroupId group{4};
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.LeaderOf(group).value_or(1) != 1; }));
  cluster_.Advance(2000);
  const uint64_t leader = *cluster_.LeaderOf(group);
  const uint64_t terms = Terms();
  (void)cluster_.Await<TransferReply>(
      [&](auto done) { cluster_.node(leader).TransferLeader(group, NodeId{1}, std::move(done)); });
  cluster_.Advance(4000);
  EXPECT_EQ(cluster_.LeaderOf(group), leader);
  EXPECT_EQ(Terms(), terms);
  EXPECT_TRUE(cluster_.AwaitLeaders());
}

// ---- full ---------------------------------------------------------------------------------------

TEST_F(DisksTest, AFullNodeLeadsNothingAndSaysWhichVolumeThatIs) {
  ASSERT_TRUE(Acknowledged(2, "s"));
  Full(1, true);
  ASSERT_TRUE(AppendUntil("s", [&] { return StateOf(1, 2) == DiskState::kFull; }));
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 0; }, 5000));
  const Status ready = cluster_.node(1).Ready();
  EXPECT_EQ(ready.code(), StatusCode::kStorageFull);
  EXPECT_NE(ready.message().find("make room on the volume of /data/"), std::string::npos)
      << ready.ToString();
  EXPECT_EQ(cluster_.node(1).Stats().disks_full > 0, true);
  // It isn't given any, and the others go on, at whichever node they are asked.
  const uint64_t terms = Terms();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(AppendAt(1, "s").ok());
    cluster_.Advance(100);
    ASSERT_EQ(Led(1), 0u);
  }
  EXPECT_EQ(Terms(), terms);
  Full(1, false);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 3; }));
  EXPECT_TRUE(cluster_.node(1).Ready().ok());
}

TEST_F(DisksTest, WhereAllAreFullLeadersStayWhereTheyAreAndReadsGoOn) {
  ASSERT_TRUE(Acknowledged(2, "s"));
  for (uint64_t node = 1; node <= 3; ++node) Full(node, true);
  ASSERT_TRUE(AppendUntil("s", [&] {
    for (uint64_t node = 1; node <= 3; ++node) {
      if (StateOf(node, 1) != DiskState::kFull) return false;
    }
    return true;
  }));
  cluster_.Advance(3000);
  const uint64_t terms = Terms();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(AppendAt(2, "s").code(), StatusCode::kStorageFull);
    EXPECT_TRUE(Reads(1 + i % 3, "s"));
    cluster_.Advance(500);
  }
  EXPECT_EQ(Terms(), terms);
  for (uint64_t node = 1; node <= 3; ++node) Full(node, false);
  ASSERT_TRUE(cluster_.RunUntil([&] { return AppendAt(2, "s").ok(); }));
}

// ---- slow ---------------------------------------------------------------------------------------

TEST_F(DisksTest, LeadersAreMovedOffADiskThatIsOnlySlower) {
  Take(1, 10);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 0; }, 40'000));
  EXPECT_TRUE(cluster_.node(1).Ready().ok());
  EXPECT_EQ(StateOf(1, 2), DiskState::kSlow);
  cluster_.Advance(5000);  // The others spread what they were given.
  const uint64_t terms = Terms();
  for (int i = 0; i < 200; ++i) {
    cluster_.Advance(100);
    ASSERT_EQ(Led(1), 0u);
  }
  EXPECT_EQ(Terms(), terms);
  // An operator's word counts, for as long as a group isn't moved twice.
  const GroupId group{4};
  (void)cluster_.Await<TransferReply>([&](auto done) {
    const uint64_t leader = *cluster_.LeaderOf(group);
    cluster_.node(leader).TransferLeader(group, NodeId{1}, std::move(done));
  });
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 1; }, 2000));
  cluster_.Advance(9000);
  EXPECT_EQ(Led(1), 1u);
  EXPECT_TRUE(cluster_.RunUntil([&] { return Led(1) == 0; }, 4000));
  Mend(1);
  EXPECT_TRUE(cluster_.RunUntil([&] { return Led(1) == 3; }));
  EXPECT_EQ(StateOf(1, 2), DiskState::kFine);
}

TEST_F(DisksTest, TheyGoToOneThatIsMoreThanTwiceAsQuickAlone) {
  TakeUs(1, 6000);
  TakeUs(2, 3500);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Led(1) == 0; }, 40'000));
  EXPECT_EQ(StateOf(2, 3), DiskState::kFine);
  EXPECT_GE(Led(3), 5u);  // It may have handed one on.
}

TEST_F(DisksTest, WhereAllAreSlowNoneMoves) {
  const uint64_t moved = Moved();
  for (uint64_t node = 1; node <= 3; ++node) Take(node, 10);
  const uint64_t terms = Terms();
  cluster_.Advance(30'000);
  EXPECT_EQ(Terms(), terms);
  EXPECT_EQ(Moved(), moved);
  for (uint64_t node = 1; node <= 3; ++node) EXPECT_EQ(StateOf(node, 1), DiskState::kFine);
}

}  // namespace
}  // namespace ursula::engine
