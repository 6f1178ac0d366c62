#include "server/peer/grpc_transport.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/peer_nodes.h"

namespace ursula::peer {
namespace {

using testing::FreePort;
using testing::PeerEvent;
using testing::PeerNode;

// Nodes 1 and 2.
class GrpcTransportTest : public ::testing::Test {
 protected:
  PeerNode& One(uint16_t cores = 1, const PeerNode::Change& change = {}) {
    one_ = std::make_unique<PeerNode>(1, cores, port_one_, std::map<uint64_t, uint16_t>{{2, port_two_}},
                                      change);
    return *one_;
  }
  PeerNode& Two(uint16_t cores = 1, const PeerNode::Change& change = {}) {
    two_ = std::make_unique<PeerNode>(2, cores, port_two_, std::map<uint64_t, uint16_t>{{1, port_one_}},
                                      change);
    return *two_;
  }
  void EndTwo() { two_.reset(); }

  const uint16_t port_one_ = FreePort();
  const uint16_t port_two_ = FreePort();
  std::unique_ptr<PeerNode> one_;
  std::unique_ptr<PeerNode> two_;
};

std::string Numbered(uint64_t number, std::size_t bytes = 0) {
  std::string text = std::to_string(number) + ":";
  text.resize(std::max(text.size(), bytes), static_cast<char>('a' + number % 26));
  return text;
}

TEST_F(GrpcTransportTest, FramesGoBothWaysOnBothChannels) {
  PeerNode& one = One();
  PeerNode& two = Two();
  one.SendSurely(0, 2, Channel::kControl, "to two, control");
  one.SendSurely(0, 2, Channel::kBulk, "to two, bulk");
  two.SendSurely(0, 1, Channel::kControl, "to one, control");
  two.SendSurely(0, 1, Channel::kBulk, "");
  two.AwaitFrames(2);
  one.AwaitFrames(2);
  EXPECT_EQ(two.frames(0, Channel::kControl), std::vector<std::string>{"to two, control"});
  EXPECT_EQ(two.frames(0, Channel::kBulk), std::vector<std::string>{"to two, bulk"});
  EXPECT_EQ(one.frames(0, Channel::kControl), std::vector<std::string>{"to one, control"});
  EXPECT_EQ(one.frames(0, Channel::kBulk), std::vector<std::string>{""});
}

TEST_F(GrpcTransportTest, CoresOfDifferingCountsAreFoldedOntoEachOther) {
  PeerNode& one = One(5);
  PeerNode& two = Two(2);
  for (uint16_t core = 0; core < 5; ++core) {
    one.SendSurely(core, 2, Channel::kControl, "from " + std::to_string(core));
  }
  for (uint16_t core = 0; core < 2; ++core) {
    two.SendSurely(core, 1, Channel::kBulk, "from " + std::to_string(core));
  }
  two.AwaitFrames(5);
  one.AwaitFrames(2);
  std::vector<std::string> even = two.frames(0, Channel::kControl);
  std::sort(even.begin(), even.end());
  EXPECT_EQ(even, (std::vector<std::string>{"from 0", "from 2", "from 4"}));
  EXPECT_EQ(two.frames(1, Channel::kControl).size(), 2u);
  EXPECT_EQ(one.frames(1, Channel::kBulk), std::vector<std::string>{"from 1"});
}

TEST_F(GrpcTransportTest, FramesOfAChannelComeInOrderAndNoneTwice) {
  constexpr uint64_t kFrames = 3000;
  const PeerNode::Change small_window = [](PeerTransportOptions* options) {
    options->window_bytes_max = 64 << 10;
    options->fragment_bytes_max = 20'000;
  };
  PeerNode& one = One(2, small_window);
  PeerNode& two = Two(2, small_window);
  std::vector<std::string> sent;
  for (uint64_t i = 0; i < kFrames; ++i) {
    sent.push_back(Numbered(i, i % 97 == 0 ? 50'000 : i % 300));
    for (uint16_t core = 0; core < 2; ++core) {
      one.SendSurely(core, 2, Channel::kBulk, sent.back());
      two.SendSurely(core, 1, Channel::kControl, sent.back());
    }
  }
  one.AwaitFrames(2 * kFrames);
  two.AwaitFrames(2 * kFrames);
  for (uint16_t core = 0; core < 2; ++core) {
    EXPECT_EQ(two.frames(core, Channel::kBulk), sent);
    EXPECT_EQ(one.frames(core, Channel::kControl), sent);
  }
  EXPECT_EQ(one.status(2).sent_frames, 2 * kFrames);
  EXPECT_EQ(one.status(2).received_frames, 2 * kFrames);
}

}  // namespace
}  // namespace ursula::peer
