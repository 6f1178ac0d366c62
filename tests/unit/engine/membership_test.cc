// Which directories a cluster has: a lost one comes back as the node's next life, a node that is
// alone grows, and a directory that isn't the cluster's any more takes no part.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/base/random.h"
#include "lib/base/sometimes.h"
#include "tests/support/test_cluster.h"
#include "tests/unit/engine/written.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;

StreamId Id(std::string name, std::string bucket = kUpstreamBucket) {
  return {.bucket = std::move(bucket), .name = std::move(name)};
}

class MembershipTest : public ::testing::Test {
 protected:
  explicit MembershipTest(testing::TestClusterOptions options = {.cores = {1, 2, 3}})
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

  // Asks for it, where it isn't so yet.
  bool Lead(uint32_t group, uint64_t node) {
    const uint64_t leader = cluster_.LeaderOf(GroupId{group}).value_or(node);
    if (leader == node) return cluster_.LeaderOf(GroupId{group}).has_value();
    (void)cluster_.Await<TransferReply>([&](auto done) {
      cluster_.node(leader).TransferLeader(GroupId{group}, NodeId{node}, std::move(done));
    });
    return false;
  }

  TestCluster cluster_;
};

bool AllMembers(TestCluster& cluster, std::size_t count) {
  for (uint64_t node = 1; node <= count; ++node) {
    const std::vector<MemberStatus> members = cluster.node(node).Cluster().members;
    if (members.size() != count) return false;
    for (const MemberStatus& member : members) {
      if (member.stage != MemberStatus::Stage::kMember) return false;
    }
  }
  return true;
}

TEST_F(MembershipTest, ANodeThatHasLostItsDirectoryComesBackWhole) {
  std::string expected;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Create(1, Id("s" + std::to_string(i))).ok());
  }
  for (uint64_t life = 1; life <= 3; ++life) {
    const uint64_t lost = 1 + life % 3;
    const uint64_t other = 1 + (life + 1) % 3;
    const uint64_t third = 1 + (life + 2) % 3;
    expected += std::string(3000, static_cast<char>('a' + life));
    for (int i = 0; i < 8; ++i) {
      ASSERT_TRUE(
          Append(other, Id("s" + std::to_string(i)), expected.substr(expected.size() - 3000)).ok());
    }
    cluster_.Crash(lost);
    cluster_.Wipe(lost);
    Status opened = cluster_.Open(lost);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    ASSERT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }))
        << cluster_.node(other).Cluster().members_wait_for;
    EXPECT_EQ(cluster_.node(other).Cluster().members[lost - 1].lives_before, 1u);
    // With the new one a majority has all that there was.
    cluster_.Crash(third);
    ASSERT_TRUE(cluster_.AwaitLeaders());
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(Read(lost, Id("s" + std::to_string(i))), expected);
      ASSERT_TRUE(Append(lost, Id("s" + std::to_string(i)), "+").ok());
    }
    expected += "+";
    ASSERT_TRUE(cluster_.Open(third).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
  }
}

TEST_F(MembershipTest, ADirectoryThatWasReplacedAndIsLostOnceMoreIsAnotherLife) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  std::string expected;
  for (uint64_t life = 1; life <= 3; ++life) {
    expected += "x";
    ASSERT_TRUE(Append(1, Id("s"), "x").ok());
    cluster_.Kill(2);
    cluster_.Wipe(2);
    ASSERT_TRUE(cluster_.Open(2).ok());
    // Sometimes before every group has taken it in.
    if (life == 2) cluster_.Advance(150);
    if (life == 2) continue;
    ASSERT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }));
    EXPECT_EQ(cluster_.node(1).Cluster().members[1].lives_before, life);
    EXPECT_EQ(Read(2, Id("s")), expected);
  }
}

TEST_F(MembershipTest, AnOlderStateOfADirectoryThatIsPutBackTakesNoPart) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  ASSERT_TRUE(cluster_.Stop(2).ok());
  cluster_.Keep(2);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(Append(1, Id("s"), "kept").ok());
  cluster_.Advance(3000);
  cluster_.Crash(2);
  cluster_.PutBack(2);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.node(2).Ready().message().find("an older state of this directory") !=
           std::string::npos;
  }));
  // It votes for nobody, and is no part of any majority.
  cluster_.Crash(3);
  EXPECT_FALSE(Append(1, Id("s"), "lost?").ok());
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(Append(1, Id("s"), "+").ok());
  cluster_.Crash(2);
  Status again = cluster_.Open(2);
  EXPECT_EQ(again.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(again.message().find("is no member of its cluster any more"), std::string::npos);
  // Emptied, it joins again.
  cluster_.Wipe(2);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }));
  EXPECT_TRUE(Read(2, Id("s")).starts_with("kept")) << Read(2, Id("s"));
}

// The leader of group 0 isn't heard; peers go by what they have applied, as it does.
TEST_F(MembershipTest, WhatIsPutBackAndOpenedTwiceIsFoundOut) {
  ASSERT_TRUE(cluster_.RunUntil([&] { return Lead(0, 1); }));
  ASSERT_TRUE(cluster_.Stop(2).ok());
  cluster_.Keep(2);
  ASSERT_TRUE(cluster_.Open(2).ok());
  cluster_.Advance(3000);
  cluster_.Crash(2);
  cluster_.PutBack(2);
  cluster_.Cut(1, 2);
  ASSERT_TRUE(cluster_.Open(2).ok());
  cluster_.Kill(2);
  ASSERT_TRUE(cluster_.Open(2).ok());
  EXPECT_TRUE(cluster_.RunUntil(
      [&] { return cluster_.node(2).Ready().code() == StatusCode::kFailedPrecondition; }));
}

TEST_F(MembershipTest, ADirectoryThatWasReplacedTakesNoPart) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  ASSERT_TRUE(Append(1, Id("s"), "kept").ok());
  cluster_.Crash(2);
  cluster_.Keep(2);
  cluster_.Wipe(2);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }));
  cluster_.Crash(2);
  cluster_.PutBack(2);  // The volume that wasn't mounted.
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.node(2).Ready().message().find(
               "another directory has taken this one's place") != std::string::npos;
  }));
  ASSERT_TRUE(Append(3, Id("s"), "+").ok());
  EXPECT_EQ(Read(1, Id("s")), "kept+");
}

// Directories are lost while others crash and come back, also in the middle of being taken in.
class LostAtAnyTime : public ::testing::TestWithParam<uint64_t> {
 protected:
  static constexpr int kStreams = 4;

  LostAtAnyTime()
      : random_(GetParam()),
        cluster_({.cores = {1, 2, 1}, .seed = GetParam()}),
        written_(kStreams) {}

  void Append() {
    const std::size_t stream = random_.Below(kStreams);
    const std::string text = std::to_string(++number_) + ".";
    AppendRequest request;
    request.stream = Id("s" + std::to_string(stream));
    request.messages.push_back(Bytes::Copy(text));
    const uint64_t node = AnyUp();
    auto reply = cluster_.Await<AppendReply>(
        [&](auto done) { cluster_.node(node).Append(std::move(request), std::move(done)); });
    ASSERT_TRUE(!reply.ok() || reply->outcome == Outcome::kOk);
    const bool nothing = !reply.ok() && reply.status().code() != StatusCode::kOutcomeUnknown;
    if (!nothing) written_[stream].Add(text, reply.ok());
  }

  uint64_t AnyUp() {
    uint64_t node = 1 + random_.Below(3);
    while (!cluster_.up(node)) node = 1 + node % 3;
    return node;
  }

  // One at a time is away; it comes back as it was, or empty.
  void Trouble() {
    const uint64_t node = 1 + random_.Below(3);
    if (random_.OneIn(2)) {
      cluster_.Crash(node);
    } else {
      cluster_.Kill(node);
    }
    for (uint64_t i = random_.Below(4); i > 0; --i) Append();
    // As long as a directory is being taken in, another one's loss may be a majority's.
    const bool may_lose = joining_ == 0 || joining_ == node;
    if (may_lose && random_.OneIn(2)) {
      cluster_.Wipe(node);
      joining_ = node;
    }
    Status opened = cluster_.Open(node);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    cluster_.Advance(random_.OneIn(3) ? 20 * random_.Below(100) : random_.Below(20));
    if (joining_ != 0 && AllMembers(cluster_, 3)) joining_ = 0;
  }

  void Check(uint64_t node, std::size_t stream) {
    ReadRequest request;
    request.stream = Id("s" + std::to_string(stream));
    auto reply = cluster_.Await<ReadReply>(
        [&](auto done) { cluster_.node(node).Read(std::move(request), std::move(done)); });
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    std::string text;
    for (const Bytes& part : reply->parts) text += part.view();
    written_[stream].ExpectIn(text);
  }

  Random random_;
  TestCluster cluster_;
  std::vector<Written> written_;
  uint64_t number_ = 0;
  uint64_t joining_ = 0;
};

TEST_P(LostAtAnyTime, NothingAcknowledgedIsLost) {
  ASSERT_TRUE(cluster_.AwaitLeaders());
  for (int i = 0; i < kStreams; ++i) {
    CreateRequest request;
    request.stream = Id("s" + std::to_string(i));
    auto created = cluster_.Await<CreateReply>(
        [&](auto done) { cluster_.node(1).Create(std::move(request), std::move(done)); });
    ASSERT_TRUE(created.ok());
  }
  for (int round = 0; round < 12; ++round) {
    for (uint64_t i = random_.Below(6); i > 0; --i) Append();
    Trouble();
    if (HasFatalFailure()) return;
  }
  ASSERT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }));
  ASSERT_TRUE(cluster_.AwaitLeaders());
  // Two of them, whichever, have it all.
  cluster_.Crash(1 + GetParam() % 3);
  for (uint64_t node = 1; node <= 3; ++node) {
    for (std::size_t stream = 0; cluster_.up(node) && stream < kStreams; ++stream) {
      Check(node, stream);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LostAtAnyTime, ::testing::Range<uint64_t>(1, 41));

class OneOfThree : public MembershipTest {
 protected:
  OneOfThree() : MembershipTest({.founders = 1, .cores = {2, 1, 1}}) {}
};

TEST_F(OneOfThree, ANodeThatIsAloneGrowsToThreeWhileItServes) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  ASSERT_TRUE(Append(1, Id("s"), "alone").ok());
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(Append(1, Id("s"), "+two").ok());
  cluster_.Advance(5000);
  // Two can't be a majority of anything without each other: the second learns until there is a
  // third.
  EXPECT_FALSE(AllMembers(cluster_, 2));
  cluster_.Crash(2);
  ASSERT_TRUE(Append(1, Id("s"), "+one").ok());
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(Append(3, Id("s"), "+three").ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }));
  cluster_.Crash(1);
  ASSERT_TRUE(Append(2, Id("s"), "+without the first").ok());
  EXPECT_EQ(Read(3, Id("s")), "alone+two+one+three+without the first");
  // Whose directory says that it founded alone.
  ASSERT_TRUE(cluster_.Open(1).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  EXPECT_EQ(Read(1, Id("s")), "alone+two+one+three+without the first");
}

TEST_F(OneOfThree, ANodeThatIsLostWhileBothAreTakenInIsTakenInAgain) {
  ASSERT_TRUE(cluster_.Open(2).ok());
  cluster_.Crash(2);
  cluster_.Wipe(2);
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(cluster_.Open(2).ok());
  EXPECT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }));
}

// It would be a majority by itself for as long as it ran.
TEST_F(OneOfThree, ACopyOfBeforeItGrewIsRefused) {
  ASSERT_TRUE(Create(1, Id("s")).ok());
  ASSERT_TRUE(Append(1, Id("s"), "alone").ok());
  ASSERT_TRUE(cluster_.Stop(1).ok());
  cluster_.Keep(1);
  ASSERT_TRUE(cluster_.Open(1).ok());
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return AllMembers(cluster_, 3); }));
  ASSERT_TRUE(Append(2, Id("s"), "+three").ok());
  cluster_.Crash(1);
  cluster_.PutBack(1);
  cluster_.Isolate(1);
  // Twice: in a lower term than the others' it would be told by the first letter.
  ASSERT_TRUE(cluster_.Open(1).ok());
  cluster_.Crash(1);
  ASSERT_TRUE(cluster_.Open(1).ok());
  cluster_.Heal();
  ASSERT_TRUE(cluster_.RunUntil(
      [&] { return cluster_.node(1).Ready().code() == StatusCode::kFailedPrecondition; }, 3000));
  // What it is asked it passes on, and decides nothing.
  const bool passed_on = Append(1, Id("s"), "+one").ok();
  EXPECT_EQ(Read(2, Id("s")), passed_on ? "alone+three+one" : "alone+three");
}

// Last: by what the suite as a whole came by.
TEST(MembershipMarks, EveryOneWasHit) {
  int marks = 0;
  for (const SometimesMark& mark : SometimesMarks()) {
    if (!std::string_view(mark.name).starts_with("members: ")) continue;
    ++marks;
    EXPECT_TRUE(mark.reached.load()) << mark.name;
  }
  EXPECT_GE(marks, 5);
}

}  // namespace
}  // namespace ursula::engine
