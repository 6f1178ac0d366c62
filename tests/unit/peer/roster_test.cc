#include "server/peer/roster.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ursula::peer {
namespace {

struct FakeStream final : public IncomingStream {
  void Close() override { closed = true; }
  bool closed = false;
};

struct Lost final : public FrameSink {
  void OnFrame(NodeId, Channel, Bytes) override {}
  void OnRoom(NodeId, Channel) override {}
  void OnLost(NodeId, bool ended) override { told.push_back(ended); }
  std::vector<bool> told;
};

// Of node 1, which has peer 2 and one core.
class RosterTest : public ::testing::Test {
 protected:
  RosterTest()
      : cores_(1, [this](CoreId, Function<void()> work) { posted_.push_back(std::move(work)); }),
        roster_(Options(), &cores_) {
    cores_.Attach(CoreId{0}, &sink_);
  }
  PeerTransportOptions Options() {
    PeerTransportOptions options;
    options.node = NodeId{1};
    options.incarnation = 100;
    options.peers = {{NodeId{1}, "self:1"}, {NodeId{2}, "two:1"}};
    options.log = [this](bool, std::string_view line) { log_.emplace_back(line); };
    return options;
  }
  std::vector<bool> Told() {
    for (Function<void()>& work : std::exchange(posted_, {})) work();
    return std::exchange(sink_.told, {});
  }
  Hello FromTwo(uint64_t incarnation, uint64_t session, uint64_t cluster_id = 0) {
    Hello hello;
    hello.node = NodeId{2};
    hello.receiver = NodeId{1};
    hello.incarnation = incarnation;
    hello.session = session;
    hello.cluster_id = cluster_id;
    return hello;
  }
  std::optional<std::string> Admit(const std::shared_ptr<FakeStream>& stream, const Hello& theirs) {
    return roster_.Admit(stream, roster_.OurHello(NodeId{2}), theirs);
  }
  std::optional<std::string> Answered(uint64_t incarnation, uint64_t cluster_id = 0) {
    Answer answer;
    answer.ours = roster_.OurHello(NodeId{2});
    answer.theirs = FromTwo(incarnation, 0, cluster_id);
    return roster_.OnAnswered(NodeId{2}, answer);
  }

  std::vector<Function<void()>> posted_;
  std::vector<std::string> log_;
  Cores cores_;
  Roster roster_;
  Lost sink_;
};

using Tells = std::vector<bool>;

TEST_F(RosterTest, AProcessHasEndedWhenNothingOfItIsLeftAndItsHostRefuses) {
  auto stream = std::make_shared<FakeStream>();
  roster_.OnDialled(NodeId{2}, true);
  EXPECT_EQ(Told(), Tells{});  // None was met.
  EXPECT_EQ(Answered(7), std::nullopt);
  EXPECT_EQ(Admit(stream, FromTwo(7, 1)), std::nullopt);
  roster_.OnOutgoingLost(NodeId{2});
  EXPECT_EQ(Told(), Tells{false});
  roster_.OnDialled(NodeId{2}, true);
  EXPECT_EQ(Told(), Tells{});  // Its stream is still open.
  roster_.OnIncomingLost(stream.get(), FromTwo(7, 1));
  EXPECT_EQ(Told(), (Tells{false, true}));
  roster_.OnDialled(NodeId{2}, true);
  EXPECT_EQ(Answered(8), std::nullopt);
  EXPECT_EQ(Told(), Tells{});  // It was told.
}

TEST_F(RosterTest, ANewProcessAtThePeersAddressEndsTheOldOnesStreams) {
  auto old = std::make_shared<FakeStream>();
  EXPECT_EQ(Admit(old, FromTwo(7, 5)), std::nullopt);
  EXPECT_EQ(Answered(8), std::nullopt);
  EXPECT_TRUE(old->closed);
  EXPECT_EQ(Told(), (Tells{false, true}));
  // And the new one counts its sessions from the start.
  EXPECT_EQ(Admit(std::make_shared<FakeStream>(), FromTwo(8, 1)), std::nullopt);
}

TEST_F(RosterTest, AnotherProcessDoesNotTakeTheOnesPlaceThatIsThere) {
  auto first = std::make_shared<FakeStream>();
  EXPECT_EQ(Admit(first, FromTwo(7, 1)), std::nullopt);
  EXPECT_NE(Admit(std::make_shared<FakeStream>(), FromTwo(8, 1)), std::nullopt);
  EXPECT_FALSE(first->closed);
  roster_.OnIncomingLost(first.get(), FromTwo(7, 1));
  EXPECT_EQ(Admit(std::make_shared<FakeStream>(), FromTwo(8, 1)), std::nullopt);
  EXPECT_EQ(Told(), (Tells{false, true}));
}

TEST_F(RosterTest, ANewerSessionTakesThePlaceOfAnOlderOne) {
  auto older = std::make_shared<FakeStream>();
  auto newer = std::make_shared<FakeStream>();
  EXPECT_EQ(Admit(older, FromTwo(7, 1)), std::nullopt);
  EXPECT_EQ(Admit(newer, FromTwo(7, 2)), std::nullopt);
  EXPECT_TRUE(older->closed);
  EXPECT_FALSE(newer->closed);
  EXPECT_EQ(Told(), Tells{false});
  EXPECT_NE(Admit(std::make_shared<FakeStream>(), FromTwo(7, 1)), std::nullopt);
  EXPECT_NE(Admit(std::make_shared<FakeStream>(), FromTwo(7, 2)), std::nullopt);
  // What is left of the older one ends nothing.
  roster_.OnIncomingLost(older.get(), FromTwo(7, 1));
  EXPECT_FALSE(newer->closed);
  EXPECT_EQ(Told(), Tells{});
}

TEST_F(RosterTest, AClusterThatBecomesKnownEndsWhatWasAgreedWithoutIt) {
  auto with_none = std::make_shared<FakeStream>();
  EXPECT_EQ(Admit(with_none, FromTwo(7, 1)), std::nullopt);
  EXPECT_EQ(Answered(7, 9), std::nullopt);
  const Hello before = roster_.OurHello(NodeId{2});
  EXPECT_EQ(roster_.SetCluster(9, 64), std::vector<NodeId>{});
  EXPECT_TRUE(with_none->closed);
  EXPECT_EQ(roster_.OurHello(NodeId{2}).cluster_id, 9u);
  EXPECT_EQ(roster_.OurHello(NodeId{2}).group_count, 64u);
  // Its handshake began before.
  EXPECT_NE(roster_.Admit(std::make_shared<FakeStream>(), before, FromTwo(7, 2)), std::nullopt);
  EXPECT_EQ(roster_.SetCluster(10, 0), std::vector<NodeId>{NodeId{2}});
  EXPECT_EQ(roster_.OurHello(NodeId{2}).group_count, 64u);
}

TEST_F(RosterTest, TheSameRefusalIsLoggedOnce) {
  for (int i = 0; i < 3; ++i) {
    roster_.NoteRefusal(NodeId{2}, Roster::Direction::kOutgoing, "no");
  }
  roster_.NoteRefusal(NodeId{2}, Roster::Direction::kIncoming, "no");
  EXPECT_EQ(log_, (std::vector<std::string>{"no connection to node 2: no",
                                            "refused a connection from node 2: no"}));
  EXPECT_EQ(Answered(7), std::nullopt);
  roster_.NoteRefusal(NodeId{2}, Roster::Direction::kOutgoing, "no");
  EXPECT_EQ(log_.size(), 3u);
}

TEST_F(RosterTest, StrangersDoNotFillTheLog) {
  for (uint64_t node = 1000; node < 2000; ++node) {
    roster_.NoteRefusal(NodeId{node}, Roster::Direction::kIncoming, "no");
  }
  EXPECT_LT(log_.size(), 100u);
  for (int i = 0; i < 1000; ++i) {
    roster_.NoteRefusal(NodeId{2}, Roster::Direction::kIncoming, std::to_string(i));
  }
  EXPECT_LT(log_.size(), 200u);
}

}  // namespace
}  // namespace ursula::peer
