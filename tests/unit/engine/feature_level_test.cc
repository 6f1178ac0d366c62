// A cluster's feature level: it is raised once every node can, never otherwise, and from then on
// nobody takes part who can't.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"
#include "lib/storage/directory_format.h"
#include "tests/support/fault_disk.h"
#include "tests/support/test_cluster.h"
#include "tests/unit/engine/manual_engine.h"
#include "tests/unit/engine/written.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;
using testing::TestClusterOptions;
using testing_support::ManualEngine;

constexpr uint64_t kSettleMs = meta::FeatureLevels::kSettleNs / 1'000'000;

StreamId Id(const std::string& name) { return {.bucket = kUpstreamBucket, .name = name}; }

bool Reached(std::string_view name) {
  for (const SometimesMark& mark : SometimesMarks()) {
    if (name == mark.name) return mark.reached;
  }
  return false;
}

class Levels {
 public:
  explicit Levels(TestClusterOptions options) : cluster_(std::move(options)) {}
  TestCluster* operator->() { return &cluster_; }

  ClusterStatus At(uint64_t node) { return cluster_.node(node).Cluster(); }
  // Every node that is up takes part, and every group of it is there.
  bool AllAt(uint32_t level) {
    for (uint64_t node = 1; node <= cluster_.size(); ++node) {
      if (!cluster_.up(node)) continue;
      if (At(node).feature_level != level) return false;
      Engine& engine = static_cast<Engine&>(cluster_.node(node));
      for (group::Replica* replica : engine.shard(CoreId{0}).Replicas()) {
        if (replica->machine().feature_level() != level) return false;
      }
    }
    return true;
  }
  bool AwaitAllAt(uint32_t level) {
    return cluster_.RunUntil([this, level] { return AllAt(level); });
  }

  Status Create(uint64_t at, const std::string& name) {
    CreateRequest request;
    request.stream = Id(name);
    auto reply = cluster_.Await<CreateReply>(
        [&](auto done) { cluster_.node(at).Create(std::move(request), std::move(done)); });
    return reply.ok() ? Status() : reply.status();
  }
  Status Append(uint64_t at, const std::string& name, const std::string& text,
                std::optional<Producer> producer = {}) {
    AppendRequest request;
    request.stream = Id(name);
    request.messages.push_back(Bytes::Copy(text));
    request.producer = std::move(producer);
    auto reply = cluster_.Await<AppendReply>(
        [&](auto done) { cluster_.node(at).Append(std::move(request), std::move(done)); });
    return reply.ok() ? Status() : reply.status();
  }
  std::string Read(uint64_t at, const std::string& name) {
    ReadRequest request;
    request.stream = Id(name);
    auto reply = cluster_.Await<ReadReply>(
        [&](auto done) { cluster_.node(at).Read(std::move(request), std::move(done)); });
    if (!reply.ok()) return reply.status().ToString();
    std::string text;
    for (const Bytes& part : reply->parts) text += part.view();
    return text;
  }
  storage::DirectoryMeta Meta(uint64_t node) {
    auto meta = storage::DecodeDirectoryMeta(cluster_.disk(node).Content("/data/META"));
    EXPECT_TRUE(meta.ok()) << meta.status().ToString();
    return meta.ok() ? *meta : storage::DirectoryMeta{};
  }
  // REQUIRES: it isn't up.
  void PutBackMetaOf(uint64_t node, uint32_t level) {
    storage::DirectoryMeta meta = Meta(node);
    meta.feature_level = level;
    cluster_.disk(node).Overwrite("/data/META", 0, storage::EncodeDirectoryMeta(meta));
  }
  Status Reopen(uint64_t node, uint32_t level_max) {
    if (cluster_.up(node)) {
      Status stopped = cluster_.Stop(node);
      if (!stopped.ok()) return stopped;
    }
    cluster_.SetFeatureLevelMax(node, level_max);
    return cluster_.Open(node);
  }

 private:
  TestCluster cluster_;
};

// When it is, if node 1 is opened anew and nothing comes in between.
uint64_t WhenRaised(const TestClusterOptions& options) {
  Levels levels(options);
  EXPECT_TRUE(levels->AwaitLeaders());
  EXPECT_TRUE(levels.Reopen(1, 2).ok());
  EXPECT_TRUE(levels->RunUntil([&] { return levels.At(1).feature_level == 2; }));
  return levels->now_ns();
}

TEST(FeatureLevelTest, ANewClusterIsFoundedAtTheLowestOfItsNodes) {
  Levels highest({.groups = 3});
  EXPECT_TRUE(highest.AllAt(2));
  EXPECT_EQ(highest.At(1).feature_level_max, kFeatureLevelMax);
  ASSERT_TRUE(highest->AwaitLeaders());
  highest->Advance(2000);
  EXPECT_EQ(highest.At(1).feature_level_waits_for, "");
  EXPECT_EQ(highest.At(3).members[1].feature_level_max, 2u);

  Levels one({.groups = 3, .feature_levels = {2, 1, 2}});
  ASSERT_TRUE(one->AwaitLeaders());
  ASSERT_TRUE(one.Create(1, "s").ok());
  one->Advance(3 * kSettleMs);
  EXPECT_TRUE(one.AllAt(1));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(one.At(node).feature_level_waits_for,
              "level 2 waits for node 2, which can 1: start it with the newer release, without a "
              "lower --feature-level-max");
    EXPECT_EQ(one.At(node).members[1].feature_level_max, 1u);
  }
  ASSERT_TRUE(one.Append(2, "s", "x").ok());
}

// As a client does that was told to try again: the producer's numbers keep it from being twice.
TEST(FeatureLevelTest, ARollingUpgradeServesAllTheTimeAndRaisesItAtTheEnd) {
  Levels levels({.groups = 4, .cores = {1, 1, 1}, .feature_levels = {1, 1, 1}});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Create(1, "s").ok());
  Written written;
  uint64_t sequence = 0;
  auto append = [&](uint64_t at) {
    const std::string text = "<" + std::to_string(sequence) + ">";
    Status status;
    for (int tries = 0; tries < 100; ++tries) {
      status = levels.Append(at, "s", text, Producer{"p", 0, sequence});
      if (status.ok()) break;
      EXPECT_TRUE(status.code() == StatusCode::kUnavailable ||
                  status.code() == StatusCode::kOutcomeUnknown)
          << status.ToString();
      levels->Advance(100);
    }
    EXPECT_TRUE(status.ok()) << status.ToString();
    written.Add(text, true);
    ++sequence;
  };
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_TRUE(levels.AllAt(1));
    ASSERT_TRUE(levels->Stop(node).ok());
    const uint64_t other = node % 3 + 1;
    for (int i = 0; i < 20; ++i) append(other);
    levels->SetFeatureLevelMax(node, 2);
    ASSERT_TRUE(levels->Open(node).ok());
    for (int i = 0; i < 20; ++i) append(node);
    ASSERT_TRUE(levels->AwaitLeaders());
    levels->Advance(2000);
  }
  EXPECT_TRUE(levels.AllAt(1)) << levels.At(1).feature_level;
  const uint64_t end_ns = levels->now_ns() + 30'000'000'000;
  while (!levels.AllAt(2) && levels->now_ns() < end_ns) append(1 + sequence % 3);
  EXPECT_TRUE(levels.AllAt(2));
  for (uint64_t node = 1; node <= 3; ++node) {
    written.ExpectIn(levels.Read(node, "s"));
    EXPECT_EQ(levels.At(node).feature_level_waits_for, "");
  }
}

TEST(FeatureLevelTest, OneThatIsAwayIsWaitedFor) {
  Levels levels({.groups = 2, .feature_levels = {1, 2, 2}});
  ASSERT_TRUE(levels->AwaitLeaders());
  levels->Crash(3);
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  levels->Advance(4 * kSettleMs);
  EXPECT_TRUE(levels.AllAt(1));
  EXPECT_EQ(levels.At(1).feature_level_waits_for,
            "level 2 waits for node 3: every member must be there, and say it can");
  ASSERT_TRUE(levels->Open(3).ok());
  levels->Advance(kSettleMs - 1000);
  EXPECT_TRUE(levels.AllAt(1));
  EXPECT_TRUE(levels.AwaitAllAt(2));
}

// Its last word is young; its heartbeats tell.
TEST(FeatureLevelTest, OneThatFallsSilentJustBeforeIsWaitedFor) {
  Levels levels({.groups = 2, .feature_levels = {1, 2, 2}});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  levels->Advance(kSettleMs - 2000);
  EXPECT_TRUE(levels.AllAt(1));
  levels->Isolate(3);
  levels->Advance(8000);
  EXPECT_TRUE(levels.AllAt(1));
  levels->Heal();
  EXPECT_TRUE(levels.AwaitAllAt(2));
}

// What it said it said in a process that has ended.
TEST(FeatureLevelTest, OneThatEndsJustBeforeIsWaitedFor) {
  const TestClusterOptions options = {.groups = 1, .feature_levels = {1, 2, 2}};
  const uint64_t raised_ns = WhenRaised(options);
  Levels levels(options);
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  const uint64_t out = levels->LeaderOf(GroupId{0}) == 3 ? 2 : 3;
  levels->Advance((raised_ns - levels->now_ns()) / 1'000'000 - 700);
  levels->Kill(out);
  levels->Advance(8000);
  EXPECT_TRUE(levels.AllAt(1));
  ASSERT_TRUE(levels.Reopen(out, 2).ok());
  EXPECT_TRUE(levels.AwaitAllAt(2));
}

TEST(FeatureLevelTest, AfterTheRaiseALowerOneIsNotOpened) {
  Levels levels({.groups = 2, .feature_levels = {2, 2, 1}});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Reopen(3, 2).ok());
  ASSERT_TRUE(levels.AwaitAllAt(2));
  const Status status = levels.Reopen(3, 1);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "/data is at feature level 2, and --feature-level-max is 1: there is no way back; give "
            "a higher one, or leave it out");
  ASSERT_TRUE(levels.Reopen(3, 2).ok());
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Create(3, "s").ok());
}

// It has written META and said so, and nothing of the raise reaches it. An older META is put back,
// and what starts there can't: its directory has nothing of the new level, and it says why it takes
// no part.
TEST(FeatureLevelTest, OneThatWasCutOffAtTheRaiseAndCannotIsOut) {
  Levels levels({.groups = 2, .feature_levels = {1, 2, 2}});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  const uint64_t out = levels->LeaderOf(GroupId{0}) == 3 ? 2 : 3;
  ASSERT_TRUE(levels->RunUntil([&] {
    return levels.Meta(1).feature_level == 2 && levels.Meta(2).feature_level == 2 &&
           levels.Meta(3).feature_level == 2;
  }));
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node != out) levels->Cut(node, out);
  }
  ASSERT_TRUE(levels->RunUntil([&] { return levels.At(1).feature_level == 2; }, 5000));
  levels->Crash(out);
  levels.PutBackMetaOf(out, 1);
  ASSERT_TRUE(levels.Reopen(out, 1).ok());
  EXPECT_EQ(levels.At(out).feature_level, 1u);
  levels->Heal();
  ASSERT_TRUE(levels->RunUntil(
      [&] { return levels->node(out).Ready().code() == StatusCode::kFailedPrecondition; }));
  EXPECT_EQ(levels->node(out).Ready().message(),
            "the cluster is at feature level 2, and this node can 1: start it with a release that "
            "can more, and without a lower --feature-level-max (feature_level_max)");
  ASSERT_TRUE(levels.Create(1, "s").ok());
  levels->Advance(5000);
  // The same directory goes on where it stood, with a release that can; and as it was, with one
  // that can't.
  ASSERT_TRUE(levels.Reopen(out, 1).ok());
  ASSERT_TRUE(levels.Reopen(out, 2).ok());
  ASSERT_TRUE(levels.AwaitAllAt(2));
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Append(out, "s", "x").ok());
}

TEST(FeatureLevelTest, ANewNodeIsWaitedForAndOneThatCannotIsNotTakenIn) {
  Levels levels({.nodes = 5, .groups = 2, .founders = 3, .feature_levels = {1, 2, 2, 1, 1}});
  auto add = [&](uint64_t node) {
    auto reply = levels->Await<MemberReply>([&](auto done) {
      levels->node(1).ChangeMember({.kind = MemberChange::Kind::kAdd, .node = NodeId{node}},
                                   std::move(done));
    });
    return reply.ok() && reply->outcome == MemberOutcome::kAccepted;
  };
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Create(1, "s").ok());
  ASSERT_TRUE(levels.Append(1, "s", "x").ok());
  ASSERT_TRUE(add(4));
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  ASSERT_TRUE(levels->AwaitLeaders());
  // In the midst of the raise.
  levels->Advance(kSettleMs - 3000);
  ASSERT_TRUE(levels->Open(4).ok());
  levels->Advance(4 * kSettleMs);
  EXPECT_TRUE(levels.AllAt(1));
  EXPECT_NE(levels.At(2).feature_level_waits_for.find("waits for node 4, which can 1"),
            std::string::npos)
      << levels.At(2).feature_level_waits_for;
  ASSERT_TRUE(levels.Reopen(4, 2).ok());
  ASSERT_TRUE(levels.AwaitAllAt(2));
  ASSERT_TRUE(add(5));
  const Status status = levels->Open(5);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("is at feature level 2, and node 5 can 1: start it with a "
                                  "release that can more"),
            std::string::npos)
      << status.ToString();
  levels->SetFeatureLevelMax(5, 2);
  ASSERT_TRUE(levels->Open(5).ok());
  ASSERT_TRUE(levels.AwaitAllAt(2));
  EXPECT_EQ(levels.Read(5, "s"), "x");
}

// A directory that came empty has META raised before the first of what the others have.
TEST(FeatureLevelTest, AReplacedDirectoryLearnsTheLevelFirst) {
  Levels levels({.groups = 2, .feature_levels = {1, 2, 2}});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Create(2, "s").ok());
  ASSERT_TRUE(levels.Append(2, "s", "kept").ok());
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  ASSERT_TRUE(levels.AwaitAllAt(2));
  levels->Crash(3);
  levels->Wipe(3);
  levels->SetFeatureLevelMax(3, 1);
  EXPECT_EQ(levels->Open(3).code(), StatusCode::kFailedPrecondition);
  levels->Wipe(3);
  ASSERT_TRUE(levels.Reopen(3, 2).ok());
  ASSERT_TRUE(levels.AwaitAllAt(2));
  EXPECT_EQ(levels.Read(3, "s"), "kept");
  levels->Crash(3);
  EXPECT_EQ(levels.Reopen(3, 1).code(), StatusCode::kFailedPrecondition);
}

// Where nothing in the log sets the level, a state that began with another would stay another.
TEST(FeatureLevelTest, ALaterDirectoryBeginsWithTheLevelThatWasFoundedAt) {
  Levels levels({.groups = 2});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Create(2, "s").ok());
  levels->Crash(3);
  levels->Wipe(3);
  ASSERT_TRUE(levels->Open(3).ok());
  ASSERT_TRUE(levels->RunUntil([&] {
    const MemberStatus member = levels.At(1).members.at(2);
    return member.lives_before == 1 && member.stage == MemberStatus::Stage::kMember;
  }));
  levels->Advance(1000);
  EXPECT_TRUE(levels.AllAt(2));
  levels->Crash(3);
  ASSERT_TRUE(levels->Open(3).ok());
  EXPECT_TRUE(levels.AllAt(2));
}

// META comes first, so a crash may leave directories that are ahead of the cluster. With one node
// that can't, the cluster then goes on where it was; those directories don't go back.
TEST(FeatureLevelTest, ACrashAtAnyPointOfTheRaise) {
  int ahead = 0;
  int raised = 0;
  int before = 0;
  for (uint64_t ms = kSettleMs - 500; ms < kSettleMs + 3000; ms += 50) {
    Levels levels({.groups = 2, .feature_levels = {1, 2, 2}, .seed = 3});
    ASSERT_TRUE(levels->AwaitLeaders());
    ASSERT_TRUE(levels.Create(1, "s").ok());
    ASSERT_TRUE(levels.Reopen(1, 2).ok());
    levels->Advance(ms);
    for (uint64_t node = 1; node <= 3; ++node) levels->Crash(node);
    ASSERT_TRUE(levels->Open(1).ok() && levels->Open(2).ok());
    levels->SetFeatureLevelMax(3, 1);
    const bool lower = levels->Open(3).ok();
    ASSERT_TRUE(levels->RunUntil([&] { return levels->node(1).Ready().ok(); }));
    levels->Advance(2 * kSettleMs);
    ASSERT_TRUE(levels.Append(1, "s", "x").ok()) << ms;
    const uint32_t level = levels.At(1).feature_level;
    if (level == 2) {
      ++raised;
      EXPECT_TRUE(!lower || levels->node(3).Ready().code() == StatusCode::kFailedPrecondition);
      continue;
    }
    EXPECT_EQ(levels.Read(2, "s"), "x");
    const bool back = levels.Reopen(1, 1).ok() && levels.Reopen(2, 1).ok();
    ++(back && lower ? before : ahead);
  }
  EXPECT_GT(before, 0);
  EXPECT_GT(ahead, 0);
  EXPECT_GT(raised, 0);
}

TEST(FeatureLevelTest, AnswersOfPayloadAreOfTheNewFormOnlyAtTheNewLevel) {
  const char* const mark = "levels: the sum of an answer was of its ends, too";
  Levels levels({.groups = 1, .feature_levels = {1, 2, 2}, .seed = 4});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Create(2, "s").ok());
  const bool before = Reached(mark);
  const std::string text(30'000, 'x');
  auto fill = [&] {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(levels.Append(2, "s", text).ok());
  };
  // A new directory asks for all of it.
  auto replace = [&](uint64_t lives_before) {
    levels->Crash(3);
    levels->Wipe(3);
    ASSERT_TRUE(levels->Open(3).ok());
    ASSERT_TRUE(levels->RunUntil([&] {
      const MemberStatus member = levels.At(1).members.at(2);
      return member.lives_before == lives_before && member.stage == MemberStatus::Stage::kMember;
    }));
  };
  fill();
  replace(1);
  EXPECT_EQ(Reached(mark), before);
  EXPECT_TRUE(levels.AllAt(1));
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  ASSERT_TRUE(levels.AwaitAllAt(2));
  replace(2);
  EXPECT_TRUE(Reached(mark));
}

// Until its META can be written the others go on at the former level, in every group; and where it
// is the one that leads, they may go back.
TEST(FeatureLevelTest, AMetaThatCannotBeWrittenHoldsTheRaiseAlone) {
  for (const bool of_leader : {false, true}) {
    Levels levels({.groups = 3, .feature_levels = {1, 2, 2}});
    ASSERT_TRUE(levels->AwaitLeaders());
    ASSERT_TRUE(levels.Create(1, "s").ok());
    ASSERT_TRUE(levels.Reopen(1, 2).ok());
    ASSERT_TRUE(levels->AwaitLeaders());
    const uint64_t leader = levels->LeaderOf(GroupId{0}).value_or(1);
    const uint64_t held = of_leader ? leader : leader % 3 + 1;
    const uint64_t other = held % 3 + 1;
    levels->disk(held).faults().write_now_error = ENOSPC;
    levels->Advance(80'000);
    EXPECT_TRUE(levels.AllAt(1));
    const std::string why = "feature level 2 can't be written to META: ";
    EXPECT_EQ(levels.At(held).feature_level_waits_for.find(why), 0u)
        << levels.At(held).feature_level_waits_for;
    const std::string names = of_leader ? "node 1, node 2, node 3" : "node " + std::to_string(held);
    EXPECT_EQ(levels.At(other).feature_level_waits_for,
              "level 2 waits for META of " + names +
                  ": every node writes it down first; where that lasts, see that node's log");
    EXPECT_EQ(levels.Meta(held).feature_level, 1u);
    EXPECT_EQ(levels.Meta(other).feature_level, of_leader ? 1u : 2u);
    const auto tries = std::ranges::count_if(levels->log(held), [&](const std::string& line) {
      return line.find(why) != std::string::npos;
    });
    EXPECT_GE(tries, 5);
    EXPECT_LE(tries, 8);  // After 1, 2, 4, 8, 16, 30 s.
    for (uint64_t node = 1; node <= 3; ++node) {
      ASSERT_TRUE(levels.Append(node, "s", std::to_string(node)).ok());
      EXPECT_TRUE(levels->node(node).Ready().ok());
    }
    levels->disk(held).faults().write_now_error = 0;
    EXPECT_TRUE(levels.AwaitAllAt(2));
    levels->Advance(1000);
    for (uint64_t node = 1; node <= 3; ++node) {
      EXPECT_EQ(levels.At(node).feature_level_waits_for, "");
    }
  }
}

TEST(FeatureLevelTest, TheLeaderSaysWhatARaiseWaitsForUntilItIsInForce) {
  Levels levels({.groups = 2, .feature_levels = {1, 2, 2}});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  ASSERT_TRUE(levels->AwaitLeaders());
  levels->Advance(2000);
  const uint64_t leader = levels->LeaderOf(GroupId{0}).value_or(1);
  std::vector<std::string> said = {""};
  ASSERT_TRUE(levels->RunUntil([&] {
    const ClusterStatus status = levels.At(leader);
    if (status.feature_level == 1 && status.feature_level_waits_for != said.back()) {
      said.push_back(status.feature_level_waits_for);
    }
    return status.feature_level == 2;
  }));
  EXPECT_EQ(std::ranges::count(said, ""), 1);
  EXPECT_EQ(said.back(), "level 2 is being raised");
}

// Its groups may be ahead of the meta group, as after a recovery; what it has a newcomer gets.
TEST(FeatureLevelTest, NobodyIsTakenInWhoCannotWhatMetaHas) {
  Levels levels({.nodes = 5, .groups = 2, .founders = 3, .feature_levels = {1, 2, 2, 1}});
  ASSERT_TRUE(levels->AwaitLeaders());
  ASSERT_TRUE(levels.Reopen(1, 2).ok());
  ASSERT_TRUE(levels->AwaitLeaders());
  auto added = levels->Await<MemberReply>([&](auto done) {
    levels->node(1).ChangeMember({.kind = MemberChange::Kind::kAdd, .node = NodeId{4}},
                                 std::move(done));
  });
  ASSERT_TRUE(added.ok() && added->outcome == MemberOutcome::kAccepted);
  const uint64_t held = levels->LeaderOf(GroupId{0}).value_or(1) % 3 + 1;
  levels->disk(held).faults().write_now_error = ENOSPC;
  levels->Advance(2 * kSettleMs);
  ASSERT_EQ(levels.Meta(held % 3 + 1).feature_level, 2u);
  ASSERT_TRUE(levels.AllAt(1));
  levels->Cut(held, 4);  // It would take it in.
  levels->Cut(4, held);
  const Status status = levels->Open(4);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("is at feature level 2, and node 4 can 1"), std::string::npos)
      << status.ToString();
  levels->Heal();
  levels->disk(held).faults().write_now_error = 0;
  levels->SetFeatureLevelMax(4, 2);
  ASSERT_TRUE(levels->Open(4).ok());
  EXPECT_TRUE(levels.AwaitAllAt(2));
}

TEST(FeatureLevelTest, AServerThatIsAloneIsRaisedTooAndHasNoWayBack) {
  ManualEngine alone(3, 2, 1);
  EXPECT_EQ(alone->Cluster().feature_level, 1u);
  ASSERT_TRUE(alone.Create(Id("s")).ok());
  alone.AdvanceMs(3 * kSettleMs);
  EXPECT_EQ(alone->Cluster().feature_level, 1u);
  ASSERT_TRUE(alone.Reopen(2).ok());
  alone.AdvanceMs(kSettleMs / 2);
  EXPECT_EQ(alone->Cluster().feature_level, 1u);
  ASSERT_TRUE(alone.Reopen(1).ok());  // Until then there is one.
  ASSERT_TRUE(alone.Reopen(2).ok());
  ASSERT_TRUE(alone.runtime().RunUntil([&] { return alone->Cluster().feature_level == 2; }));
  alone.AdvanceMs(1000);
  ASSERT_TRUE(alone.Append(Id("s"), "x").ok());
  ASSERT_TRUE(alone.Reopen(2).ok());
  alone.AdvanceMs(1000);
  EXPECT_EQ(alone->Cluster().feature_level, 2u);
  EXPECT_EQ(alone.Reopen(1).code(), StatusCode::kFailedPrecondition);
}

TEST(FeatureLevelTest, WhatTheBuildDoesNotKnowIsNoLevel) {
  for (uint32_t level : {0u, kFeatureLevelMax + 1}) {
    EngineOptions options;
    options.feature_level_max = level;
    EXPECT_EQ(StreamEngine::Open(std::move(options)).status().code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace ursula::engine
