// How long calls wait for a leader and for a majority, where an operator has said so.

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;

constexpr uint64_t kNsPerMs = 1'000'000;

StreamId Id() { return {.bucket = kUpstreamBucket, .name = "s"}; }

// The call's end, and how long that took.
struct Ended {
  Status status;
  uint64_t ms = 0;
};

template <class Reply, class Start>
Ended Time(TestCluster& cluster, Start start) {
  const uint64_t begun_ns = cluster.now_ns();
  Result<Reply> reply = cluster.Await<Reply>(std::move(start));
  return {reply.ok() ? Status() : reply.status(), (cluster.now_ns() - begun_ns) / kNsPerMs};
}

class WaitsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(cluster_.AwaitLeaders());
    CreateRequest request;
    request.stream = Id();
    ASSERT_TRUE(Time<CreateReply>(cluster_, [&](auto done) {
                  cluster_.node(1).Create(request, std::move(done));
                }).status.ok());
  }
  Ended Append(uint64_t node) {
    AppendRequest request;
    request.stream = Id();
    request.messages.push_back(Bytes::Copy("x"));
    return Time<AppendReply>(
        cluster_, [&](auto done) { cluster_.node(node).Append(request, std::move(done)); });
  }
  Ended Read(uint64_t node) {
    ReadRequest request;
    request.stream = Id();
    return Time<ReadReply>(cluster_,
                           [&](auto done) { cluster_.node(node).Read(request, std::move(done)); });
  }
  // The one that leads the stream's group, which is the cluster's only one.
  uint64_t Leader() { return cluster_.LeaderOf(GroupId{0}).value_or(0); }

  TestCluster cluster_{
      {.groups = 1, .leader_ms_max = 700, .append_ms_max = 1500, .read_ms_max = 400}};
};

TEST_F(WaitsTest, EachEndsAtItsTime) {
  const uint64_t leader = Leader();
  const uint64_t follower = leader % 3 + 1;
  cluster_.Isolate(leader);
  const Ended read = Read(leader);
  EXPECT_EQ(read.status.code(), StatusCode::kUnavailable) << read.status.ToString();
  EXPECT_GE(read.ms, 400u);
  EXPECT_LE(read.ms, 700u);
  cluster_.Heal();
  ASSERT_TRUE(cluster_.AwaitLeaders());
  // It leads still, for a moment, and nobody confirms what it proposes.
  cluster_.Isolate(Leader());
  const Ended append = Append(Leader());
  EXPECT_EQ(append.status.code(), StatusCode::kOutcomeUnknown) << append.status.ToString();
  EXPECT_GE(append.ms, 1500u);
  EXPECT_LE(append.ms, 1800u);
  cluster_.Heal();
  ASSERT_TRUE(cluster_.AwaitLeaders());
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node != follower) cluster_.Crash(node);
  }
  cluster_.Advance(3000);  // It has heard of no leader since.
  const Ended leaderless = Append(follower);
  EXPECT_EQ(leaderless.status.code(), StatusCode::kUnavailable) << leaderless.status.ToString();
  EXPECT_GE(leaderless.ms, 700u);
  EXPECT_LE(leaderless.ms, 1000u);
}

TEST_F(WaitsTest, AGroupThatHasBeenWithoutALeaderForLongIsToldAtOnce) {
  const uint64_t stays = 2;
  EXPECT_TRUE(cluster_.node(stays).ReadyFor(Id()).ok());
  cluster_.Crash(1);
  cluster_.Crash(3);
  cluster_.Advance(4000);
  EXPECT_TRUE(cluster_.node(stays).ReadyFor(Id()).ok()) << "an election may be under way";
  cluster_.Advance(5000);
  EXPECT_EQ(cluster_.node(stays).ReadyFor(Id()).code(), StatusCode::kUnavailable);
  ASSERT_TRUE(cluster_.Open(1).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  cluster_.Advance(200);
  EXPECT_TRUE(cluster_.node(stays).ReadyFor(Id()).ok());
}

// One whose own log has failed hears of no leader, and sends on what comes to who leads.
TEST_F(WaitsTest, ANodeWhoseReplicaHasFailedIsNotWithoutALeader) {
  cluster_.FailDisk(2);
  (void)Append(2);
  cluster_.Advance(10'000);
  EXPECT_FALSE(cluster_.node(2).Ready().ok());
  EXPECT_TRUE(cluster_.node(2).ReadyFor(Id()).ok());
  EXPECT_TRUE(Append(2).status.ok());
}

TEST(WaitsOptionsTest, ValuesOutOfBoundsAreRefused) {
  auto refusal = [](auto change) {
    EngineOptions options;
    change(&options);
    auto opened = StreamEngine::Open(std::move(options));
    EXPECT_FALSE(opened.ok());
    if (opened.ok()) return std::string();
    EXPECT_EQ(opened.status().code(), StatusCode::kInvalidArgument);
    return std::string(opened.status().message());
  };
  EXPECT_EQ(refusal([](EngineOptions* options) { options->leader_ms_max = 99; }),
            "leader_ms_max is 99: 100 to 600000");
  EXPECT_EQ(refusal([](EngineOptions* options) { options->append_ms_max = 600'001; }),
            "append_ms_max is 600001: 100 to 600000");
  EXPECT_EQ(refusal([](EngineOptions* options) { options->read_ms_max = 0; }),
            "read_ms_max is 0: 100 to 600000");
  EXPECT_NE(refusal([](EngineOptions* options) {
              options->append_ms_max = 4999;
            }).find("append_ms_max is below leader_ms_max"),
            std::string::npos);
  EXPECT_NE(refusal([](EngineOptions* options) {
              options->cluster.window_bytes_max = 1000;
            }).find("window_bytes_max is 1000: 1 MiB to 1 GiB"),
            std::string::npos);
}

}  // namespace
}  // namespace ursula::engine
