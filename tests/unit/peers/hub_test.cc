#include "lib/peers/hub.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/peers/frame_format.h"
#include "lib/peers/said_beats.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_network.h"

namespace ursula::peers {
namespace {

// Takes what it is told to, and keeps it.
class FakeTransport final : public Transport {
 public:
  struct Sent {
    NodeId to = {};
    Channel channel = Channel::kControl;
    std::string frame = {};
  };

  void Attach(CoreId, FrameSink* sink) override { sink_ = sink; }
  void Detach(CoreId) override { sink_ = nullptr; }
  SendOutcome Send(CoreId, NodeId to, Channel channel, std::vector<Bytes> frame) override {
    if (outcome != SendOutcome::kTaken) return outcome;
    std::string joined;
    for (const Bytes& part : frame) joined.append(part.view());
    sent.push_back({to, channel, std::move(joined)});
    return outcome;
  }
  uint64_t frame_bytes_wanted() const override { return 1000; }
  FrameSink& sink() { return *sink_; }

  SendOutcome outcome = SendOutcome::kTaken;
  std::vector<Sent> sent;

 private:
  FrameSink* sink_ = nullptr;
};

class Listening : public Receiver {
 public:
  void OnLetter(NodeId from, GroupId group, Bytes letter) override {
    heard += std::to_string(static_cast<uint64_t>(from)) + ":" +
             std::to_string(static_cast<uint32_t>(group)) + ":" + std::string(letter.view()) + " ";
  }
  void OnBeats(Beats record) override {
    heard += std::to_string(Raw(record.from)) + ">" + std::to_string(Raw(record.to)) + ":";
    for (const Beat& beat : record.beats) {
      heard += std::to_string(Raw(beat.group)) + (beat.answer ? "!" : "?") +
               std::to_string(beat.index) + ",";
    }
    heard += " ";
  }
  void OnPeerLost(NodeId peer, bool ended) override {
    heard += "lost " + std::to_string(static_cast<uint64_t>(peer)) + (ended ? " ended " : " ");
  }
  void OnDropped(NodeId to, GroupId group, uint64_t token) override {
    heard += "dropped " + std::to_string(static_cast<uint64_t>(to)) + ":" +
             std::to_string(static_cast<uint32_t>(group)) + ":" + std::to_string(token) + " ";
  }
  void OnOtherFrame(NodeId from, Bytes frame) override {
    heard += "frame " + std::to_string(static_cast<uint64_t>(from)) + " of " +
             std::to_string(frame.size()) + " ";
  }
  std::string heard;
};

ByteParts Text(std::string_view text) {
  ByteParts parts;
  parts.Put(Bytes::Copy(text));
  return parts;
}

class HubTest : public ::testing::Test {
 protected:
  testing::ManualLoop loop;
  FakeTransport transport;
  Listening listening;
  Hub hub{&loop, &transport, &listening, {.window_bytes_max = 3000}};
  // Of what was sent, heard by another.
  std::string Deliver() {
    std::string heard;
    for (const FakeTransport::Sent& sent : std::exchange(transport.sent, {})) {
      listening.heard.clear();
      transport.sink().OnFrame(sent.to, sent.channel, Bytes::Copy(sent.frame));
      heard += "[" + listening.heard + "]";
    }
    return heard;
  }
};

TEST_F(HubTest, LettersOfATurnLeaveTogether) {
  hub.Send(NodeId{2}, GroupId{1}, Channel::kControl, Text("a"));
  hub.Send(NodeId{3}, GroupId{1}, Channel::kControl, Text("b"));
  hub.Send(NodeId{2}, GroupId{5}, Channel::kControl, Text("c"));
  hub.Send(NodeId{2}, GroupId{5}, Channel::kBulk, Text("d"));
  EXPECT_TRUE(transport.sent.empty());
  loop.RunUntilIdle();
  EXPECT_EQ(Deliver(), "[2:1:a 2:5:c ][2:5:d ][3:1:b ]");
}

TEST_F(HubTest, BeatsOfATurnAreOneRecordOfEachTwoReplicas) {
  const ReplicaId self{1};
  for (uint32_t group : {7, 3, 900}) {
    hub.SendBeat(self, ReplicaId{2}, {.group = GroupId{group}, .term = 4, .index = 10 * group});
  }
  hub.SendBeat(self, ReplicaId{2}, {.group = GroupId{5}, .answer = true, .term = 4});
  // The directory that this node has now isn't in its group yet.
  hub.SendBeat(self, ReplicaOf(NodeId{2}, 1), {.group = GroupId{5}, .term = 9});
  hub.Send(NodeId{2}, GroupId{1}, Channel::kControl, Text("a"));
  loop.RunUntilIdle();
  ASSERT_EQ(transport.sent.size(), 1u);
  EXPECT_EQ(transport.sent[0].channel, Channel::kControl);
  EXPECT_EQ(hub.stats().sent_letters, 3u);
  transport.sent[0].to = NodeId{1};  // By whom it was sent.
  EXPECT_EQ(Deliver(), "[1:1:a 1>2:3?30,5!0,7?70,900?9000, 1>65538:5?0, ]");
  EXPECT_EQ(hub.stats().bad_frames, 0u);
  EXPECT_EQ(hub.stats().waiting_bytes, 0u);
}

TEST_F(HubTest, BeatsThatWereSaidBeforeAreSaidByTheirNumber) {
  const auto beat = [this] {
    for (uint32_t group = 0; group < 100; ++group) {
      hub.SendBeat(ReplicaId{2}, ReplicaId{2}, {.group = GroupId{group}, .term = 4, .index = 900});
    }
    loop.RunUntilIdle();
    const uint64_t bytes = transport.sent.back().frame.size();
    EXPECT_NE(Deliver().find("2>2:0?900,1?900,"), std::string::npos);
    return bytes;
  };
  EXPECT_GT(beat(), 200u);
  EXPECT_LT(beat(), 40u);
  transport.sink().OnLost(NodeId{2}, false);  // At both ends, which are one here.
  EXPECT_GT(beat(), 200u);
  EXPECT_LT(beat(), 40u);
  EXPECT_EQ(hub.stats().unknown_beats, 0u);
}

TEST_F(HubTest, ARecordOfBeatsHasAMost) {
  for (std::size_t i = 0; i < kBeatsMax + 1; ++i) {
    hub.SendBeat(ReplicaId{1}, ReplicaId{2}, {.group = GroupId{1}, .term = 4});
  }
  loop.RunUntilIdle();
  EXPECT_EQ(hub.stats().sent_letters + hub.stats().dropped_letters, 2u);
}

TEST_F(HubTest, AFrameOfRecordsThatAreSaidAgainAndAgainIsReadInPart) {
  Beats record{.from = ReplicaId{2}, .to = ReplicaId{1}};
  record.beats.resize(4000);
  SaidBeats said(7);
  const std::string whole = said.Write(EncodeBeats(&record));
  const std::string again = said.Write(EncodeBeats(&record));
  ASSERT_LT(again.size(), 10u);
  ByteParts letters;
  PutLetter(kBeatsGroup, Text(whole), &letters);
  for (int i = 0; i < 1000; ++i) PutLetter(kBeatsGroup, Text(again), &letters);
  PutLetter(GroupId{1}, Text("a"), &letters);
  std::string frame;
  for (const Bytes& part : FinishFrame(std::move(letters), 0)) frame += part.view();
  transport.sink().OnFrame(NodeId{2}, Channel::kControl, Bytes::Copy(frame));
  const auto heard =
      static_cast<std::size_t>(std::count(listening.heard.begin(), listening.heard.end(), ','));
  EXPECT_GE(heard, 4 * kBeatsMax);
  EXPECT_LE(heard, 5 * kBeatsMax);
  EXPECT_TRUE(listening.heard.ends_with("2:1:a "));  // Others' letters aren't held up.
  EXPECT_EQ(hub.stats().unknown_beats, 1001 - heard / 4000);
}

TEST_F(HubTest, BeatsInAnotherNodesNameAreHeardByNobody) {
  hub.SendBeat(ReplicaId{3}, ReplicaId{2}, {.group = GroupId{5}, .term = 4});
  hub.Send(NodeId{2}, kBeatsGroup, Channel::kControl, Text("\xFF"));
  loop.RunUntilIdle();
  EXPECT_EQ(Deliver(), "[]");
  EXPECT_EQ(hub.stats().bad_frames, 2u);
}

TEST_F(HubTest, AFrameEndsWhereTheNextLetterWouldNotFit) {
  const std::string some(600, 'x');
  const std::string large(2000, 'y');
  for (int i = 0; i < 2; ++i) hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text(some));
  loop.RunUntilIdle();
  EXPECT_EQ(transport.sent.size(), 2u);
  transport.sent.clear();
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text(large));
  loop.RunUntilIdle();
  EXPECT_EQ(transport.sent.size(), 1u);
}

TEST_F(HubTest, AFullTransportIsWaitedForInOrderUpToTheWindow) {
  transport.outcome = SendOutcome::kFull;
  const std::string some(900, 'x');
  EXPECT_TRUE(hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("1" + some)));
  loop.RunUntilIdle();  // In a frame of its own, refused.
  for (int i = 2; i <= 4; ++i) {
    EXPECT_TRUE(hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text(std::to_string(i) + some)));
  }
  EXPECT_TRUE(hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("5" + some)));
  EXPECT_FALSE(hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("6" + some)));
  EXPECT_TRUE(hub.Send(NodeId{2}, GroupId{1}, Channel::kControl, Text("vote")));
  EXPECT_EQ(hub.stats().dropped_letters, 1u);
  loop.RunUntilIdle();
  EXPECT_TRUE(transport.sent.empty());
  transport.outcome = SendOutcome::kTaken;
  transport.sink().OnRoom(NodeId{2}, Channel::kControl);
  ASSERT_EQ(transport.sent.size(), 1u);
  EXPECT_EQ(Deliver(), "[2:1:vote ]");
  transport.sink().OnRoom(NodeId{2}, Channel::kBulk);
  ASSERT_EQ(transport.sent.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NE(transport.sent[i].frame.find(std::to_string(i + 1) + "xxx"), std::string::npos);
  }
  EXPECT_EQ(hub.stats().waiting_bytes, 0u);
}

TEST_F(HubTest, WhatCannotBeReachedIsForgotten) {
  transport.outcome = SendOutcome::kUnreachable;
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("a"));
  hub.Send(NodeId{2}, GroupId{3}, Channel::kBulk, Text("b"), 7);
  loop.RunUntilIdle();
  EXPECT_EQ(listening.heard, "dropped 2:1:0 dropped 2:3:7 ");
  EXPECT_EQ(hub.stats().dropped_letters, 2u);
  EXPECT_EQ(hub.stats().waiting_bytes, 0u);
  transport.outcome = SendOutcome::kTaken;
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("c"));
  loop.RunUntilIdle();
  EXPECT_EQ(Deliver(), "[2:1:c ]");
}

TEST_F(HubTest, ABrokenConnectionIsTold) {
  transport.outcome = SendOutcome::kFull;
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("a"));
  loop.RunUntilIdle();
  transport.sink().OnLost(NodeId{2}, true);
  EXPECT_EQ(listening.heard, "dropped 2:1:0 lost 2 ended ");
  EXPECT_EQ(hub.stats().waiting_bytes, 0u);
}

// It may have arrived: whoever waits for an answer can't be told that it didn't leave.
TEST_F(HubTest, WhatTheTransportHasTakenIsNotCalledDropped) {
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("a"), 7);
  loop.RunUntilIdle();
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("b"), 8);
  transport.sink().OnLost(NodeId{2}, false);
  EXPECT_EQ(listening.heard, "dropped 2:1:8 lost 2 ");
}

TEST_F(HubTest, ALetterCanBeTakenBackUntilItLeaves) {
  transport.outcome = SendOutcome::kFull;
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("a"), 7);
  loop.RunUntilIdle();  // In a frame that was refused: it may be on its way by now.
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("b"), 8);
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("c"), 9);
  EXPECT_FALSE(hub.Withdraw(NodeId{2}, Channel::kBulk, 7));
  EXPECT_TRUE(hub.Withdraw(NodeId{2}, Channel::kBulk, 8));
  EXPECT_FALSE(hub.Withdraw(NodeId{2}, Channel::kBulk, 8));
  transport.outcome = SendOutcome::kTaken;
  transport.sink().OnRoom(NodeId{2}, Channel::kBulk);
  EXPECT_EQ(Deliver(), "[2:1:a ][2:1:c ]");
  EXPECT_EQ(hub.stats().waiting_bytes, 0u);
}

TEST_F(HubTest, AFrameOfTheNodesThemselvesIsPassedOn) {
  transport.sink().OnFrame(NodeId{2}, Channel::kControl, Bytes::Copy("\xF0rest"));
  EXPECT_EQ(listening.heard, "frame 2 of 5 ");
  EXPECT_EQ(hub.stats().bad_frames, 0u);
}

TEST_F(HubTest, ADamagedFrameIsCountedAndHeardByNobody) {
  hub.Send(NodeId{2}, GroupId{1}, Channel::kBulk, Text("a"));
  loop.RunUntilIdle();
  std::string frame = transport.sent[0].frame;
  frame.back() ^= 1;
  transport.sink().OnFrame(NodeId{2}, Channel::kBulk, Bytes::Copy(frame));
  EXPECT_EQ(listening.heard, "");
  EXPECT_EQ(hub.stats().bad_frames, 1u);
}

// The network that other tests run on keeps the contract.
TEST(TestNetworkTest, FramesArriveInOrderUntilTheConnectionBreaks) {
  testing::FaultDisk disk(1);
  testing::ManualRuntime one(1, &disk);
  testing::ManualRuntime two(1, &disk);
  testing::TestNetwork network(7);
  Listening at_one;
  Listening at_two;
  auto first = std::make_unique<Hub>(&one.loop(CoreId{0}), network.Join(NodeId{1}, &one), &at_one);
  auto second = std::make_unique<Hub>(&two.loop(CoreId{0}), network.Join(NodeId{2}, &two), &at_two);
  auto run = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      one.AdvanceBy(1'000'000);
      two.AdvanceBy(1'000'000);
    }
  };
  std::string all;
  for (int i = 0; i < 20; ++i) {
    first->Send(NodeId{2}, GroupId{0}, Channel::kBulk, Text(std::to_string(i)));
    one.RunTurn();
    all += "1:0:" + std::to_string(i) + " ";
  }
  run(2);
  EXPECT_EQ(at_two.heard, all);
  at_two.heard.clear();
  first->Send(NodeId{2}, GroupId{0}, Channel::kBulk, Text("lost"));
  one.RunTurn();
  network.Break(NodeId{1}, NodeId{2});
  run(2);
  EXPECT_EQ(at_two.heard, "lost 1 ");
  EXPECT_EQ(at_one.heard, "lost 2 ");
  at_one.heard.clear();
  second.reset();
  network.Leave(NodeId{2}, true);
  run(2);
  EXPECT_EQ(at_one.heard, "lost 2 ended ");
  first.reset();
  network.Leave(NodeId{1}, true);
}

}  // namespace
}  // namespace ursula::peers
