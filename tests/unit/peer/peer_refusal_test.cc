// Peers that aren't let in: each is told why, and no frame passes.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/peer/grpc_transport.h"
#include "tests/support/peer_nodes.h"

namespace ursula::peer {
namespace {

using testing::FreePort;
using testing::PeerEvent;
using testing::PeerNode;

class PeerRefusalTest : public ::testing::Test {
 protected:
  using Ports = std::map<uint64_t, uint16_t>;

  // Nodes 1 and 2 with an option that differs: refused in both directions with that sentence.
  void ExpectRefused(const PeerNode::Change& change_one, const PeerNode::Change& change_two,
                     const std::string& sentence) {
    PeerNode one(1, 2, one_port_, Ports{{2, two_port_}}, change_one);
    PeerNode two(2, 2, two_port_, Ports{{1, one_port_}}, change_two);
    one.AwaitRefused(2, sentence);
    two.AwaitRefused(1, sentence);
    ExpectNothingPasses(one, 2);
    ExpectNothingPasses(two, 1);
    EXPECT_NE(one.status(2).refusal.find(sentence), std::string::npos) << one.status(2).refusal;
  }
  void ExpectNothingPasses(PeerNode& from, uint64_t to) {
    EXPECT_EQ(from.Send(0, to, Channel::kControl, "frame"), SendOutcome::kUnreachable);
    EXPECT_FALSE(from.status(to).connected);
    EXPECT_FALSE(from.status(to).connected_from);
    EXPECT_EQ(from.CountLog("connected to"), 0u);
    EXPECT_EQ(from.event_count(), 0u);
  }

  static PeerNode::Change Secret(const std::string& secret) {
    return [secret](PeerTransportOptions* options) { options->secret = secret; };
  }
  static PeerNode::Change Cluster(uint64_t id, uint32_t group_count = 0) {
    return [=](PeerTransportOptions* options) {
      options->cluster_id = id;
      options->group_count = group_count;
    };
  }

  const uint16_t one_port_ = FreePort();
  const uint16_t two_port_ = FreePort();
};

TEST_F(PeerRefusalTest, AnotherSecret) {
  ExpectRefused(Secret("ours"), Secret("theirs"), "doesn't know the cluster's secret");
}

TEST_F(PeerRefusalTest, NoSecretWhereTheOtherHasOne) {
  ExpectRefused(Secret("ours"), Secret(""), "node 1 has a cluster secret and node 2 has none");
}

TEST_F(PeerRefusalTest, AnotherCluster) { ExpectRefused(Cluster(7), Cluster(8), "to cluster "); }

TEST_F(PeerRefusalTest, AnotherNumberOfGroups) {
  ExpectRefused(Cluster(7, 64), Cluster(7, 16), "groups, node ");
}

// The level comes to be known later than the connection, so the next one is refused.
TEST_F(PeerRefusalTest, WhoCannotBeOfTheClustersFeatureLevel) {
  PeerNode one(1, 1, one_port_, Ports{{2, two_port_}});
  one.transport().OnFeatureLevel(2);
  {
    PeerNode two(2, 1, two_port_, Ports{{1, one_port_}});
    one.SendSurely(0, 2, Channel::kControl, "frame");
    two.AwaitFrames(1);
    EXPECT_EQ(one.status(2).feature_level_max, kFeatureLevelMax);
    EXPECT_EQ(one.status(2).version, 2u);
  }
  PeerNode two(2, 1, two_port_, Ports{{1, one_port_}},
               [](PeerTransportOptions* options) { options->feature_level_max = 1; });
  const std::string sentence = "the cluster is at feature level 2, and node 2 can 1: start node 2 ";
  one.AwaitRefused(2, sentence);
  two.AwaitRefused(1, sentence);
  ExpectNothingPasses(two, 1);
}

// A limit that differs is told at both ends, and refuses nobody. It may come to be known later than
// the connection.
TEST_F(PeerRefusalTest, LimitsThatDifferAreToldAndFramesPass) {
  PeerNode one(1, 1, one_port_, Ports{{2, two_port_}}, [](PeerTransportOptions* options) {
    options->append_bytes_max = 1000;
    options->http_address = "one.example:80";
  });
  PeerNode two(2, 1, two_port_, Ports{{1, one_port_}},
               [](PeerTransportOptions* options) { options->append_bytes_max = 1000; });
  one.SendSurely(0, 2, Channel::kControl, "frame");
  two.SendSurely(0, 1, Channel::kControl, "frame");
  two.AwaitFrames(1);
  one.AwaitFrames(1);
  EXPECT_EQ(two.status(1).http_address, "one.example:80");
  EXPECT_EQ(one.status(2).http_address, "");
  EXPECT_EQ(one.status(2).append_bytes_max, 1000u);
  EXPECT_EQ(one.status(2).warning + two.status(1).warning, "");
  two.transport().SetAppendBytesMax(1000);
  EXPECT_EQ(one.CountLog("takes appends") + two.CountLog("takes appends"), 0u);
  two.transport().SetAppendBytesMax(700);
  one.AwaitLog("node 1's log takes appends of up to 1000 bytes, node 2's of up to 700");
  two.AwaitLog("node 2's log takes appends of up to 700 bytes, node 1's of up to 1000");
  EXPECT_NE(one.status(2).warning.find("larger than node 2 takes"), std::string::npos);
  EXPECT_NE(two.status(1).warning.find("larger than node 2 takes"), std::string::npos);
  one.SendSurely(0, 2, Channel::kControl, "frame");
  two.AwaitFrames(2);
  EXPECT_EQ(one.CountLog("takes appends"), 1u) << "once, however often they connect";
}

TEST_F(PeerRefusalTest, AnAddressThatIsAnotherNodes) {
  // Node 1 takes node 2's address for node 3's.
  PeerNode one(1, 1, one_port_, Ports{{3, two_port_}});
  PeerNode two(2, 1, two_port_, Ports{{1, FreePort()}});
  one.AwaitLog("this is node 2, but node 1 dialled node 3 here");
  two.AwaitLog("this is node 2, but node 1 dialled node 3 here");
  ExpectNothingPasses(one, 3);
  ExpectNothingPasses(two, 1);
}

TEST_F(PeerRefusalTest, AStranger) {
  PeerNode one(1, 1, one_port_, {});
  PeerNode two(2, 1, two_port_, Ports{{1, one_port_}});
  two.AwaitLog("node 2 isn't one of the --peers of node 1");
  one.AwaitLog("node 2 isn't one of the --peers of node 1");
  ExpectNothingPasses(two, 1);
}

TEST_F(PeerRefusalTest, ANodeWithThisNodesId) {
  PeerNode one(1, 1, one_port_, Ports{{2, two_port_}});
  PeerNode other_one(1, 1, two_port_, Ports{{2, one_port_}});
  // Each takes the other for node 2.
  one.AwaitLog("two nodes have the id 1");
  other_one.AwaitLog("two nodes have the id 1");
  ExpectNothingPasses(one, 2);
  ExpectNothingPasses(other_one, 2);
}

TEST_F(PeerRefusalTest, TwoNodesWithOneId) {
  PeerNode one(1, 1, one_port_, Ports{{2, two_port_}});
  PeerNode two(2, 1, two_port_, Ports{{1, one_port_}});
  one.AwaitConnected(2);
  two.SendSurely(0, 1, Channel::kControl, "of the first");
  one.AwaitFrames(1);
  PeerNode second_two(2, 1, FreePort(), Ports{{1, one_port_}});
  second_two.AwaitLog("two nodes have one id");
  one.AwaitLog("another process is connected as node 2");
  ExpectNothingPasses(second_two, 1);
  // The first is left alone.
  two.SendSurely(0, 1, Channel::kControl, "of the first");
  one.AwaitFrames(2);
  EXPECT_EQ(one.event_count(), 2u);
}

TEST_F(PeerRefusalTest, ANodeThatFoundsTakesPartAndLearnsItsCluster) {
  PeerNode one(1, 1, one_port_, Ports{{2, two_port_}}, Cluster(0));
  PeerNode two(2, 1, two_port_, Ports{{1, one_port_}}, Cluster(0));
  one.SendSurely(0, 2, Channel::kControl, "the plan");
  two.AwaitConnected(1);
  two.AwaitFrames(1);
  one.transport().SetCluster(9, 64);
  one.AwaitLost(2, false);
  one.AwaitConnected(2, 2);
  one.SendSurely(0, 2, Channel::kControl, "as a member");
  two.AwaitFrames(2);
  EXPECT_EQ(two.status(1).connected_from, true);

  // Of the same cluster: nothing changes.
  const std::size_t before = one.CountLog("connected to");
  two.AwaitConnected(1, 2);
  two.transport().SetCluster(9, 64);
  two.SendSurely(0, 1, Channel::kControl, "so am I");
  one.AwaitFrames(1);
  EXPECT_EQ(one.CountLog("connected to"), before);

  // Of another: it is out.
  two.transport().SetCluster(10);
  one.AwaitLog("to cluster ");
  two.AwaitLog("to cluster ");
}

TEST_F(PeerRefusalTest, TheSameSecretLetsIn) {
  PeerNode one(1, 2, one_port_, Ports{{2, two_port_}}, Secret("ours"));
  PeerNode two(2, 3, two_port_, Ports{{1, one_port_}}, Secret("ours"));
  one.SendSurely(1, 2, Channel::kBulk, "frame");
  two.SendSurely(2, 1, Channel::kBulk, "frame");
  one.AwaitFrames(1);
  two.AwaitFrames(1);
}

}  // namespace
}  // namespace ursula::peer
