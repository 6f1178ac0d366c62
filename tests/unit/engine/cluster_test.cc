// Engines with peers: any of them answers for any stream, and what one has acknowledged the others
// have.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/engine/placement.h"
#include "lib/storage/directory.h"
#include "tests/support/fault_disk.h"
#include "tests/support/founded_directories.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_network.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;

StreamId Id(std::string name, std::string bucket = kUpstreamBucket) {
  return {.bucket = std::move(bucket), .name = std::move(name)};
}

class ClusterTest : public ::testing::Test {
 protected:
  explicit ClusterTest(testing::TestClusterOptions options = {.cores = {1, 2, 3}})
      : cluster_(std::move(options)) {}

  void SetUp() override { ASSERT_TRUE(cluster_.AwaitLeaders()); }

  Result<CreateReply> Create(uint64_t node, StreamId id) {
    CreateRequest request;
    request.stream = std::move(id);
    return Create(node, std::move(request));
  }
  Result<CreateReply> Create(uint64_t node, CreateRequest request) {
    return cluster_.Await<CreateReply>(
        [&](auto done) { cluster_.node(node).Create(std::move(request), std::move(done)); });
  }
  Result<AppendReply> Append(uint64_t node, StreamId id, const std::string& text) {
    AppendRequest request;
    request.stream = std::move(id);
    request.messages.push_back(Bytes::Copy(text));
    return cluster_.Await<AppendReply>(
        [&](auto done) { cluster_.node(node).Append(std::move(request), std::move(done)); });
  }
  // What the stream holds, as this node reads it; or the status, or "outcome N".
  std::string Read(uint64_t node, StreamId id) {
    ReadRequest request;
    request.stream = std::move(id);
    auto reply = cluster_.Await<ReadReply>(
        [&](auto done) { cluster_.node(node).Read(std::move(request), std::move(done)); });
    if (!reply.ok()) return reply.status().ToString();
    if (reply->outcome != Outcome::kOk) {
      return "outcome " + std::to_string(static_cast<int>(reply->outcome));
    }
    std::string text;
    for (const Bytes& part : reply->parts) text += part.view();
    return text;
  }
  Result<DeleteReply> Delete(uint64_t node, StreamId id) {
    return cluster_.Await<DeleteReply>(
        [&](auto done) { cluster_.node(node).Delete({.stream = std::move(id)}, std::move(done)); });
  }

  // The nodes that are up know of another leader of each group.
  bool NobodyLooksTo(uint64_t gone) {
    for (uint64_t node = 1; node <= 3; ++node) {
      if (!cluster_.up(node)) continue;
      for (const GroupStatus& group : cluster_.node(node).Cluster().groups) {
        if (group.leader == NodeId{} || group.leader == NodeId{gone}) return false;
      }
    }
    return true;
  }

  TestCluster cluster_;
};

TEST_F(ClusterTest, AnyNodeTakesAppendsAndReadsForAnyStream) {
  for (int i = 0; i < 12; ++i) {
    const std::string name = "s" + std::to_string(i);
    ASSERT_TRUE(Create(1 + i % 3, Id(name)).ok());
    for (uint64_t node = 1; node <= 3; ++node) {
      auto appended = Append(node, Id(name), std::to_string(node));
      ASSERT_TRUE(appended.ok()) << appended.status().ToString();
      EXPECT_EQ(appended->outcome, Outcome::kOk);
      EXPECT_EQ(appended->tail.bytes, node);
      // Seen by every later read, wherever.
      for (uint64_t reader = 1; reader <= 3; ++reader) {
        EXPECT_EQ(Read(reader, Id(name)), std::string("123").substr(0, node));
      }
    }
  }
  cluster_.Advance(200);  // Figures are published now and then.
  EngineStats all;
  for (uint64_t node = 1; node <= 3; ++node) all.Add(cluster_.node(node).Stats());
  EXPECT_GE(all.forwarded_calls, 12u * 2);  // Of each stream's three two went on to another node.
  EXPECT_EQ(all.groups_led, 4u);
  EXPECT_GE(all.elections_won, 4u);
  EXPECT_GE(all.read_rounds, 12u * 9);  // Nobody read at the same time as another.
  // To each of two followers once.
  const double committed = static_cast<double>(all.entries_applied) / 3;
  EXPECT_GE(committed, 12 * 4);
  EXPECT_NEAR(static_cast<double>(all.peer_sent_entries) / committed, 2, 0.2);
}

TEST_F(ClusterTest, WhatWasAcknowledgedOutlivesItsLeader) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  std::string expected;
  for (uint64_t round = 0; round < 6; ++round) {
    const uint64_t down = 1 + round % 3;
    const uint64_t writer = 1 + (round + 1) % 3;
    expected += "a";
    ASSERT_TRUE(Append(writer, Id("s"), "a").ok());
    if (round % 2 == 0) {
      cluster_.Kill(down);
    } else {
      cluster_.Crash(down);
    }
    // It waits for another leader, where that was the one.
    expected += "b";
    auto appended = Append(writer, Id("s"), "b");
    ASSERT_TRUE(appended.ok()) << appended.status().ToString();
    EXPECT_EQ(Read(writer, Id("s")), expected);
    ASSERT_TRUE(cluster_.Open(down).ok());
    EXPECT_EQ(Read(down, Id("s")), expected);
  }
}

TEST_F(ClusterTest, WithoutAMajorityNothingIsAcknowledgedAndNothingIsRead) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  cluster_.Crash(2);
  cluster_.Crash(3);
  auto appended = Append(1, Id("s"), "lost?");
  EXPECT_FALSE(appended.ok());
  EXPECT_TRUE(Read(1, Id("s")).starts_with("UNAVAILABLE")) << Read(1, Id("s"));
  cluster_.Advance(6000);
  EXPECT_EQ(cluster_.node(1).Ready().code(), StatusCode::kUnavailable);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.node(1).Ready().ok(); }));
  EXPECT_TRUE(Append(2, Id("s"), "kept").ok());
}

TEST_F(ClusterTest, ACallWhoseAnswerIsLostIsUnknownAndCarriedOutOnce) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  // Every group's leader's answers to node 1 are lost.
  const StreamId id = Id("s");
  uint64_t unknown = 0;
  for (uint64_t writer = 1; writer <= 3; ++writer) {
    for (uint64_t other = 1; other <= 3; ++other) {
      if (other != writer) cluster_.Cut(other, writer);
    }
    auto appended = Append(writer, id, std::to_string(writer));
    cluster_.Heal();
    ASSERT_TRUE(cluster_.AwaitLeaders());
    if (!appended.ok()) {
      EXPECT_EQ(appended.status().code(), StatusCode::kOutcomeUnknown)
          << appended.status().ToString();
      ++unknown;
    }
  }
  EXPECT_GE(unknown, 2u);
  const std::string text = Read(1, id);
  for (char writer : {'1', '2', '3'}) EXPECT_LE(std::ranges::count(text, writer), 1) << text;
  cluster_.Advance(20'000);
  EXPECT_EQ(Read(2, id), text);  // Nothing comes later.
}

// By a transport that breaks its contract.
TEST_F(ClusterTest, ACallThatComesTwiceIsCarriedOutOnce) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  cluster_.RepeatFrames();
  std::string all;
  for (uint64_t i = 0; i < 12; ++i) {
    auto appended = Append(1 + i % 3, Id("s"), std::to_string(i));
    ASSERT_TRUE(appended.ok()) << appended.status().ToString();
    all += std::to_string(i);
    cluster_.Advance(10);  // The second has come, too.
    EXPECT_EQ(Read(1, Id("s")), all);
  }
}

// Node 2 sends those of group 3 from its core 1, which node 3 hears on its core 1 and hands to its
// core 0: there one waits while both nodes stand still.
TEST_F(ClusterTest, ACallIsNotCarriedOutOnceItsCallerWasToldThatNobodyKnows) {
  constexpr GroupId kGroup{3};
  StreamId id = Id("s");
  while (GroupOf(id, 4) != kGroup) id.name += "s";
  ASSERT_TRUE(Create(1, id).ok());
  const uint64_t leader = *cluster_.LeaderOf(kGroup);
  auto handed = cluster_.Await<TransferReply>(
      [&](auto done) { cluster_.node(leader).TransferLeader(kGroup, NodeId{3}, std::move(done)); });
  ASSERT_TRUE(handed.ok()) << handed.status().ToString();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.LeaderOf(kGroup) == 3; }));
  ASSERT_TRUE(Append(2, id, "before").ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.posted(3) == 0; }));
  AppendRequest request;
  request.stream = id;
  request.messages.push_back(Bytes::Copy("late"));
  std::optional<Result<AppendReply>> reply;
  cluster_.node(2).Append(std::move(request),
                          [&](Result<AppendReply> result) { reply = std::move(result); });
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.posted(3) > 0; }, 1)) << "nothing is shown";
  cluster_.Pause(1, 11'000);  // Else it would elect another leader.
  cluster_.Pause(3, 11'000);
  ASSERT_TRUE(cluster_.RunUntil([&] { return reply.has_value(); }));
  EXPECT_EQ(reply->status().code(), StatusCode::kOutcomeUnknown) << reply->status().ToString();
  cluster_.Advance(20'000);
  EXPECT_EQ(Read(2, id), "before");
}

TEST_F(ClusterTest, BucketsAndForksAreMadeFromAnyNode) {
  auto bucket = cluster_.Await<BucketReply>(
      [&](auto done) { cluster_.node(2).CreateBucket("docs", std::move(done)); });
  ASSERT_TRUE(bucket.ok());
  for (int i = 0; i < 8; ++i) {
    const std::string source = "source" + std::to_string(i);
    const std::string fork = "fork" + std::to_string(i);
    ASSERT_EQ(Create(1, Id(source, "docs"))->outcome, Outcome::kOk);
    ASSERT_TRUE(Append(2, Id(source, "docs"), "before").ok());
    CreateRequest request;
    request.stream = Id(fork, "docs");
    request.fork.emplace().source = Id(source, "docs");
    auto made = Create(3, request);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_EQ(made->outcome, Outcome::kOk);
    EXPECT_EQ(Create(1, request)->outcome, Outcome::kExisted);
    ASSERT_TRUE(Append(1, Id(fork, "docs"), "+").ok());
    EXPECT_EQ(Read(2, Id(fork, "docs")), "before+");
    auto head = cluster_.Await<HeadReply>(
        [&](auto done) { cluster_.node(2).Head(Id(fork, "docs"), std::move(done)); });
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(head->info.tail.bytes, 7u);
  }
  auto list = cluster_.Await<ListReply>([&](auto done) {
    cluster_.node(3).List({.bucket = "docs", .limit = 1000}, std::move(done));
  });
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->streams.size(), 16u);
  auto refused = cluster_.Await<BucketReply>(
      [&](auto done) { cluster_.node(3).DeleteBucket("docs", std::move(done)); });
  ASSERT_TRUE(refused.ok()) << refused.status().ToString();
  EXPECT_EQ(refused->outcome, Outcome::kBucketNotEmpty);
  for (const ListReply::Stream& stream : list->streams) {
    ASSERT_TRUE(Delete(1, Id(stream.path, "docs")).ok());
  }
  Result<BucketReply> deleted = Status(StatusCode::kInternal, "");
  for (uint64_t node = 1; node <= 3; ++node) {
    deleted = cluster_.Await<BucketReply>(
        [&](auto done) { cluster_.node(node).DeleteBucket("docs", std::move(done)); });
    ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
    EXPECT_EQ(deleted->outcome, node == 1 ? Outcome::kOk : Outcome::kBucketNotFound);
  }
  EXPECT_EQ(Create(2, Id("new", "docs"))->outcome, Outcome::kBucketNotFound);
}

// Deletions are asked for at every node, all the time, and creates too: none is refused or held up,
// whoever leads their groups.
TEST_F(ClusterTest, CreatesGoOnBesideDeletionsThatAreRefusedAtAnyNode) {
  ASSERT_TRUE(cluster_
                  .Await<BucketReply>(
                      [&](auto done) { cluster_.node(2).CreateBucket("docs", std::move(done)); })
                  .ok());
  ASSERT_EQ(Create(1, Id("first", "docs"))->outcome, Outcome::kOk);
  bool over = false;
  int refused = 0;
  std::function<void(uint64_t)> ask = [&](uint64_t node) {
    cluster_.node(node).DeleteBucket("docs", [&, node](Result<BucketReply> reply) {
      if (over) return;
      EXPECT_TRUE(reply.ok()) << reply.status().ToString();
      EXPECT_TRUE(!reply.ok() || reply->outcome == Outcome::kBucketNotEmpty);
      ++refused;
      ask(node);
    });
  };
  for (uint64_t node = 1; node <= 3; ++node) ask(node);
  uint64_t longest_ns = 0;
  for (int i = 0; i < 60; ++i) {
    cluster_.Advance(i % 5);
    const uint64_t from_ns = cluster_.now_ns();
    auto made = Create(1 + i % 3, Id("s" + std::to_string(i), "docs"));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_EQ(made->outcome, Outcome::kOk);
    longest_ns = std::max(longest_ns, cluster_.now_ns() - from_ns);
  }
  over = true;
  cluster_.Advance(1000);
  EXPECT_GE(refused, 60);
  EXPECT_LT(longest_ns, 20'000'000u);
}

TEST_F(ClusterTest, AReadThatWaitsAtAFollowerSeesWhatAnotherNodeAppends) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  int woken = 0;
  for (uint64_t node = 1; node <= 3; ++node) {
    ReadRequest request;
    request.stream = Id("s");
    request.wait_ms = 30'000;
    cluster_.node(node).Read(request, [&](Result<ReadReply> reply) {
      ASSERT_TRUE(reply.ok());
      EXPECT_EQ(reply->next.bytes, 4u);
      ++woken;
    });
  }
  cluster_.Advance(500);
  EXPECT_EQ(woken, 0);
  ASSERT_TRUE(Append(2, Id("s"), "news").ok());
  EXPECT_TRUE(cluster_.RunUntil([&] { return woken == 3; }, 1000));
}

TEST_F(ClusterTest, ALeaderWhoseProcessEndsIsReplacedWithoutATimeout) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(Create(1, Id("s" + std::to_string(i))).ok());
  for (uint64_t node = 1; node <= 3; ++node) {
    cluster_.Kill(node);
    const uint64_t before_ns = cluster_.now_ns();
    for (int i = 0; i < 12; ++i) {
      auto appended = Append(1 + node % 3, Id("s" + std::to_string(i)), "x");
      ASSERT_TRUE(appended.ok()) << appended.status().ToString();
    }
    EXPECT_LT(cluster_.now_ns() - before_ns, 700'000'000u);
    ASSERT_TRUE(cluster_.Open(node).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
  }
}

TEST_F(ClusterTest, AStopHandsItsGroupsOver) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  for (uint64_t node = 1; node <= 3; ++node) {
    const uint64_t before_ns = cluster_.now_ns();
    ASSERT_TRUE(cluster_.Stop(node).ok());
    EXPECT_LT(cluster_.now_ns() - before_ns, 1'000'000'000u);
    auto appended = Append(1 + node % 3, Id("s"), "x");
    ASSERT_TRUE(appended.ok()) << appended.status().ToString();
    EXPECT_LT(cluster_.now_ns() - before_ns, 1'000'000'000u);  // No election had to be waited for.
    ASSERT_TRUE(cluster_.Open(node).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
  }
}

// Appends to a stream at a node, one after the other.
struct Appender {
  void Next() {
    if (!*going) return;
    AppendRequest request;
    request.stream = stream;
    request.messages.push_back(Bytes::Copy("x"));
    node->Append(std::move(request), [this](Result<AppendReply> reply) {
      EXPECT_TRUE(reply.ok()) << reply.status().ToString();
      ++answered;
      Next();
    });
  }
  StreamEngine* node;
  StreamId stream;
  const bool* going;
  uint64_t answered = 0;
};

TEST_F(ClusterTest, AStopIsNoFailureOfAnyCall) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(Create(1, Id("s" + std::to_string(i))).ok());
  for (uint64_t round = 0; round < 12; ++round) {
    const uint64_t stopped = 1 + round % 3;
    bool going = true;
    std::vector<Appender> appenders;
    for (uint64_t node : {1 + stopped % 3, 1 + (stopped + 1) % 3}) {
      for (int i = 0; i < 12; ++i) {
        appenders.push_back({&cluster_.node(node), Id("s" + std::to_string(i)), &going});
      }
    }
    for (Appender& appender : appenders) appender.Next();
    cluster_.Advance(20);
    // One of the others is late to hear who leads now, and asks who led.
    cluster_.Pause(1 + stopped % 3, round);
    ASSERT_TRUE(cluster_.Stop(stopped).ok());
    for (Appender& appender : appenders) appender.answered = 0;
    cluster_.Advance(200);
    going = false;
    cluster_.Advance(200);
    for (const Appender& appender : appenders) EXPECT_GT(appender.answered, 0u);
    ASSERT_TRUE(cluster_.Open(stopped).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
  }
}

// It leads nothing and was heard of a moment ago: that makes it no heir.
TEST_F(ClusterTest, NobodyHandsOverToANodeThatHasEnded) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(Create(1, Id("s" + std::to_string(i))).ok());
  for (uint64_t round = 0; round < 40; ++round) {
    const uint64_t gone = 1 + round % 3;
    cluster_.Advance(5'000 + 130 * round);  // Leaders are spread, at another time each.
    cluster_.Kill(gone);
    ASSERT_TRUE(cluster_.RunUntil([&] { return NobodyLooksTo(gone); }));
    cluster_.Advance(100 * (round % 12));
    const uint64_t before_ns = cluster_.now_ns();
    for (int i = 0; i < 12; ++i) {
      ASSERT_TRUE(Append(1 + (gone + i % 2) % 3, Id("s" + std::to_string(i)), "x").ok());
    }
    EXPECT_LT(cluster_.now_ns() - before_ns, 100'000'000u) << round;
    ASSERT_TRUE(cluster_.Open(gone).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
  }
}

TEST_F(ClusterTest, LeadersSpreadAgainAfterNodesWereGone) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(Create(1, Id("s" + std::to_string(i))).ok());
  for (uint64_t node : {1, 2}) {
    cluster_.Kill(node);
    ASSERT_TRUE(cluster_.Open(node).ok());
  }
  ASSERT_TRUE(cluster_.AwaitLeaders());
  // Meanwhile appends go on everywhere, several at a time: a hand-over is no failure of any.
  constexpr int kAppends = 48'000;
  int answered = 0;
  for (int i = 0; i < kAppends; ++i) {
    AppendRequest request;
    request.stream = Id("s" + std::to_string(i % 12));
    request.messages.push_back(Bytes::Copy("x"));
    cluster_.node(1 + i % 3).Append(std::move(request), [&](Result<AppendReply> reply) {
      EXPECT_TRUE(reply.ok()) << reply.status().ToString();
      ++answered;
    });
    if (i % 12 == 0) cluster_.Advance(1);
  }
  EXPECT_TRUE(cluster_.RunUntil([&] { return answered == kAppends; }, 200));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_GE(cluster_.node(node).Stats().groups_led, 1u) << node;
    EXPECT_LE(cluster_.node(node).Stats().groups_led, 2u) << node;
  }
}

TEST_F(ClusterTest, EveryAnswerOfAStoppingNodeComes) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  cluster_.Isolate(1);
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    AppendRequest request;
    request.stream = Id("s");
    request.messages.push_back(Bytes::Copy("x"));
    cluster_.node(1).Append(std::move(request), [&](Result<AppendReply> reply) {
      EXPECT_FALSE(reply.ok());
      ++answered;
    });
  }
  ASSERT_TRUE(cluster_.Stop(1).ok());
  EXPECT_EQ(answered, 10);
}

// A follower that stops may meet a stream past its deadline, of which its leader alone could say.
TEST_F(ClusterTest, AReadOfAStreamPastItsDeadlineKeepsNoStopFromEnding) {
  constexpr int kTries = 24;
  for (int i = 0; i < kTries; ++i) {
    CreateRequest request;
    request.stream = Id("short" + std::to_string(i));
    request.lifetime.ttl_seconds = 1;
    ASSERT_TRUE(Create(1, request).ok());
    cluster_.Advance(950 + 8 * static_cast<uint64_t>(i));  // Before, and after, and swept away.
    bool answered = false;
    cluster_.node(2).Head(request.stream, [&](Result<HeadReply>) { answered = true; });
    ASSERT_TRUE(cluster_.Stop(2).ok()) << i;
    EXPECT_TRUE(answered) << i;
    ASSERT_TRUE(cluster_.Open(2).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
  }
}

TEST_F(ClusterTest, CallsOfANodeWhoseLogHasFailedDontGoRoundItsPeers) {
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(Create(1, Id("s" + std::to_string(i))).ok());
  // Its peers go on to name it as their leader, until they have elected others.
  const uint64_t failed = *cluster_.LeaderOf(GroupId{0});
  cluster_.FailDisk(failed);
  int applied = 0;
  int answered = 0;
  auto append_all = [&] {
    for (int i = 0; i < 8; ++i) {
      AppendRequest request;
      request.stream = Id("s" + std::to_string(i));
      request.messages.push_back(Bytes::Copy("x"));
      cluster_.node(failed).Append(std::move(request), [&](Result<AppendReply> reply) {
        applied += reply.ok() ? 1 : 0;
        ++answered;
      });
    }
  };
  append_all();
  cluster_.Advance(100);
  append_all();
  EXPECT_TRUE(cluster_.RunUntil([&] { return answered == 16; }, 15'000));
  EXPECT_GE(applied, 8);  // Those that came later found the new leaders.
  cluster_.Advance(200);
  EXPECT_LT(cluster_.node(failed).Stats().forwarded_calls, 500u);
}

TEST_F(ClusterTest, WhatWaitsForALeaderIsBoundedInBytes) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  cluster_.Crash(2);
  cluster_.Crash(3);
  cluster_.Advance(3000);  // It has stepped down.
  constexpr int kAppends = 1500;
  constexpr uint64_t kBytes = 60'000;
  int refused = 0;
  int unavailable = 0;
  const Bytes text = Bytes::Take(std::string(kBytes, 'x'));
  for (int i = 0; i < kAppends; ++i) {
    AppendRequest request;
    request.stream = Id("s");
    request.messages.push_back(text);
    cluster_.node(1).Append(std::move(request), [&](Result<AppendReply> reply) {
      refused += reply.status().code() == StatusCode::kResourceExhausted ? 1 : 0;
      unavailable += reply.status().code() == StatusCode::kUnavailable ? 1 : 0;
    });
  }
  cluster_.Advance(1000);
  const EngineStats stats = cluster_.node(1).Stats();
  EXPECT_GT(refused, 0);
  EXPECT_LE(stats.inflight_bytes, uint64_t{64} << 20);
  EXPECT_GE(stats.inflight_bytes, uint64_t{60} << 20);
  cluster_.Advance(6000);
  EXPECT_EQ(refused + unavailable, kAppends);
  EXPECT_EQ(cluster_.node(1).Stats().inflight_bytes, 0u);  // All of it was given back.
}

// ---- what isn't opened -------------------------------------------------------------------------

class ClusterOpenTest : public ::testing::Test {
 protected:
  ClusterOpenTest() {
    testing::FaultDisk first(2);
    testing::FaultDisk third(3);
    testing::FoundDirectories({&first, &disk_, &third}, "/data", 4, 1);
    testing::ManualLoop loop(&disk_);
    auto opened = storage::DataDirectory::Open(loop.disk(), "/data", {});
    EXPECT_TRUE(opened.ok());
    if (opened.ok()) cluster_id_ = (*opened)->cluster_id();
  }

  Status Open(ClusterOptions cluster) { return Open(std::move(cluster), &disk_); }
  Status Open(ClusterOptions cluster, testing::FaultDisk* disk) {
    testing::TestNetwork network;
    testing::ManualRuntime runtime(1, disk);
    const bool alone = Raw(cluster.node) == 0;
    if (!alone) cluster.transport = network.Join(cluster.node, &runtime);
    EngineOptions options;
    options.runtime = &runtime;
    options.data_dir = "/data";
    options.cluster = cluster;
    auto opened = StreamEngine::Open(std::move(options));
    return opened.status();
  }

  testing::FaultDisk disk_{1};
  uint64_t cluster_id_ = 0;
};

TEST_F(ClusterOpenTest, ADirectoryOfSeveralIsNotOpenedAsIfItsNodeWereAlone) {
  Status status = Open({.node = NodeId{0}});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("node 2"), std::string::npos) << status.message();
  EXPECT_TRUE(Open({.node = NodeId{2}}).ok());
}

TEST_F(ClusterOpenTest, NorByAnotherNodeOrForAnotherCluster) {
  EXPECT_EQ(Open({.node = NodeId{3}}).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Open({.node = NodeId{2}, .cluster_id = cluster_id_ + 1}).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Open({.node = NodeId{2}, .cluster_id = cluster_id_}).ok());
}

TEST_F(ClusterOpenTest, AnEmptyDirectoryWithoutFoundersFoundsNothing) {
  testing::FaultDisk empty(4);
  Status status = Open({.node = NodeId{2}}, &empty);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("founders"), std::string::npos) << status.message();
}

TEST_F(ClusterOpenTest, FoundersAreNumberedFromOneAndOddInNumber) {
  auto founders = [](std::vector<uint64_t> ids) {
    ClusterOptions cluster{.node = NodeId{2}};
    for (uint64_t id : ids) cluster.founders.push_back(NodeId{id});
    return cluster;
  };
  EXPECT_EQ(Open(founders({1, 2})).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Open(founders({2, 3, 4})).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Open(founders({1, 1, 2})).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Open(founders({1})).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Open(founders({3, 2, 1})).ok());
}

}  // namespace
}  // namespace ursula::engine
