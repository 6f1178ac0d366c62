// Whoever connects to a peer's port and doesn't behave.

#include <arpa/inet.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/peer/dial.h"
#include "server/peer/grpc_transport.h"
#include "server/peer/handshake_format.h"
#include "server/peer/rpc.h"
#include "tests/support/peer_nodes.h"

namespace ursula::peer {
namespace {

using testing::FreePort;
using testing::Loopback;
using testing::PeerNode;

// A stream that says what a test wants, one operation after the other.
class RawPeer {
 public:
  explicit RawPeer(uint16_t port, const char* method = kMethod)
      : channel_(grpc::CreateChannel(Loopback(port), grpc::InsecureChannelCredentials())) {
    call_ = grpc::GenericStub(channel_).PrepareCall(&context_, method, &queue_);
    call_->StartCall(this);
    Next();
  }
  ~RawPeer() {
    if (!finished_) Finish();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  bool Say(std::string_view bytes) {
    call_->Write(CopiedBuffer(bytes), this);
    return Next();
  }
  // Empty: there is no more.
  std::string Hear() {
    grpc::ByteBuffer heard;
    call_->Read(&heard, this);
    return Next() ? Joined(heard, 1 << 20) : "";
  }
  std::string Finish() {
    grpc::Status status;
    context_.TryCancel();
    call_->Finish(&status, this);
    Next();
    finished_ = true;
    return status.error_message();
  }
  // What the other end gives as its reason.
  std::string Ending() {
    while (!Hear().empty()) {
    }
    grpc::Status status;
    call_->Finish(&status, this);
    Next();
    finished_ = true;
    return status.error_message();
  }
  // A whole handshake. What was heard last.
  std::string Greet(const Hello& hello) {
    const std::string bytes = EncodeHello(hello);
    Say(bytes);
    const std::string heard = Hear();
    std::optional<HelloReply> reply = DecodeHelloReply(heard);
    if (!reply) return heard;
    Say(Proof("", Role::kDialler, bytes, reply->hello_bytes));
    return Hear();
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  std::shared_ptr<grpc::Channel> channel_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool finished_ = false;
};

// Answers one call as node 2 would, but with a proof of its own making.
class Impostor {
 public:
  Impostor(uint16_t port, const std::string& secret) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(Loopback(port), grpc::InsecureServerCredentials());
    builder.RegisterAsyncGenericService(&service_);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    thread_ = std::thread([this, secret] { Answer(secret); });
  }
  ~Impostor() {
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
    if (thread_.joinable()) thread_.join();
    queue_->Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
    }
  }

  // Whether a proof, or anything else, was said to it after its answer. Waits until the dialler has
  // said it, or has left. Once.
  bool HeardMore() {
    thread_.join();
    return heard_more_;
  }

 private:
  void Answer(const std::string& secret) {
    grpc::ByteBuffer heard;
    service_.RequestCall(&context_, &stream_, queue_.get(), queue_.get(), this);
    if (!Next()) return;
    stream_.Read(&heard, this);
    if (!Next()) return;
    const std::string theirs = Joined(heard, kHandshakeBytesMax);
    Hello hello = DecodeHello(theirs).value_or(Hello());
    std::swap(hello.node, hello.receiver);
    hello.incarnation = 77;
    hello.nonce = DrawNonce();
    const std::string ours = EncodeHello(hello);
    stream_.Write(
        CopiedBuffer(EncodeHelloReply(ours, Proof(secret, Role::kAcceptor, theirs, ours))), this);
    if (!Next()) return;
    stream_.Read(&heard, this);
    heard_more_ = Next();
  }
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_->Next(&tag, &ok) && ok;
  }

  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  bool heard_more_ = false;
  std::thread thread_;
};

class HostilePeerTest : public ::testing::Test {
 protected:
  PeerNode& One(const PeerNode::Change& change = {}) {
    one_ = std::make_unique<PeerNode>(1, 1, port_, std::map<uint64_t, uint16_t>{{2, two_port_}},
                                      change);
    return *one_;
  }
  Hello FromTwo(uint64_t session = 1, uint16_t core = 0) {
    Hello hello;
    hello.node = NodeId{2};
    hello.receiver = NodeId{1};
    hello.incarnation = 5;
    hello.session = session;
    hello.core = CoreId{core};
    hello.nonce = DrawNonce();
    return hello;
  }
  int Connect() {
    Resolver resolver({});
    Dialled dialled = Dial(Loopback(port_), 10'000, -1, &resolver);
    EXPECT_TRUE(dialled.fd) << dialled.error;
    return dialled.fd.Release();
  }
  // Until the other end closes.
  static void AwaitClosed(int fd) {
    char bytes[4096];
    while (true) {
      pollfd polled = {fd, POLLIN, 0};
      poll(&polled, 1, -1);
      if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0) break;
    }
    close(fd);
  }
  // A peer that behaves is served.
  void ExpectServes() {
    PeerNode two(2, 1, two_port_, std::map<uint64_t, uint16_t>{{1, port_}});
    one_->Clear();
    two.SendSurely(0, 1, Channel::kControl, "frame");
    one_->AwaitFrames(1);
  }

  const uint16_t port_ = FreePort();
  const uint16_t two_port_ = FreePort();
  std::unique_ptr<PeerNode> one_;
};

TEST_F(HostilePeerTest, GarbageIsDropped) {
  One();
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100'000, 'x'), std::string(64, '\0'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(200, '\xff')}) {
    const int fd = Connect();
    EXPECT_GT(send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL), 0);
    AwaitClosed(fd);
  }
  ExpectServes();
}

TEST_F(HostilePeerTest, WhoSaysNothingIsClosedAtTheDeadline) {
  One([](PeerTransportOptions* options) { options->handshake_ms_max = 300; });
  AwaitClosed(Connect());
  const int preface_only = Connect();
  const std::string preface =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9);
  EXPECT_GT(send(preface_only, preface.data(), preface.size(), MSG_NOSIGNAL), 0);
  AwaitClosed(preface_only);
  // A stream that stops in the middle of its handshake.
  RawPeer silent(port_);
  silent.Say(EncodeHello(FromTwo()));
  EXPECT_FALSE(silent.Hear().empty());
  EXPECT_TRUE(silent.Hear().empty());
  ExpectServes();
}

TEST_F(HostilePeerTest, SilentConnectionsGiveWayToNewOnes) {
  PeerNode& one = One([](PeerTransportOptions* options) { options->connections_max = 4; });
  std::vector<int> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(Connect());
  for (int i = 0; i < 46; ++i) AwaitClosed(silent[static_cast<std::size_t>(i)]);
  one.AwaitLog("as many as --peer-connections-max allows");
  ExpectServes();
  for (int i = 46; i < 50; ++i) close(silent[static_cast<std::size_t>(i)]);
}

TEST_F(HostilePeerTest, OpenConnectionsAreNotGivenUp) {
  One([](PeerTransportOptions* options) { options->connections_max = 2; });
  PeerNode two(2, 1, two_port_, std::map<uint64_t, uint16_t>{{1, port_}});
  two.SendSurely(0, 1, Channel::kControl, "frame");
  one_->AwaitFrames(1);
  for (int i = 0; i < 10; ++i) AwaitClosed(Connect());
  two.SendSurely(0, 1, Channel::kControl, "frame");
  one_->AwaitFrames(2);
  EXPECT_EQ(two.CountLog("connected to"), 1u);
}

TEST_F(HostilePeerTest, OpenConnectionsAreNotGivenUpOverIpv6Either) {
  const std::string port = std::to_string(port_);
  One([&](PeerTransportOptions* options) {
    options->listen = "[::1]:" + port;
    options->connections_max = 2;
  });
  PeerNode two(2, 1, two_port_, {},
               [&](PeerTransportOptions* options) { options->peers[NodeId{1}] = "[::1]:" + port; });
  two.SendSurely(0, 1, Channel::kControl, "frame");
  one_->AwaitFrames(1);
  Resolver resolver({});
  for (int i = 0; i < 10; ++i) {
    AwaitClosed(Dial("[::1]:" + port, 10'000, -1, &resolver).fd.Release());
  }
  two.SendSurely(0, 1, Channel::kControl, "frame");
  one_->AwaitFrames(2);
  EXPECT_EQ(two.CountLog("connected to"), 1u);
}

TEST_F(HostilePeerTest, AnotherVersionIsNamed) {
  PeerNode& one = One();
  Hello hello = FromTwo();
  hello.version = 9;
  hello.version_min = 8;
  RawPeer peer(port_);
  peer.Say(EncodeHello(hello));
  EXPECT_EQ(peer.Ending(),
            "the other end speaks versions 8 to 9 of the peer protocol, node 1 speaks version 2, "
            "and there is none that both know: update node 1, and where no release in between "
            "speaks both, stop all nodes before");
  // Of version 1, which said no range.
  std::string older = EncodeHello(FromTwo());
  older[4] = 1;
  older.erase(8, 4);
  RawPeer first(port_);
  first.Say(older);
  EXPECT_NE(first.Ending().find("node 2 speaks version 1 of the peer protocol, node 1 speaks "
                                "version 2, "),
            std::string::npos);
  one.AwaitLog("refused a connection from node 2: node 2 speaks version 1 of the peer protocol");
  EXPECT_EQ(one.event_count(), 0u);
}

TEST_F(HostilePeerTest, WhatIsNoHelloIsRefused) {
  One();
  for (const std::string& words : {std::string("x"), std::string(), std::string(5000, 'x'),
                                   EncodeHello(FromTwo()).substr(0, 70),
                                   EncodeHello(FromTwo()) + std::string(kHandshakeBytesMax, 'x')}) {
    RawPeer peer(port_);
    peer.Say(words);
    EXPECT_EQ(peer.Ending(), "what was said first is no hello of an ursulad");
  }
  RawPeer lost(port_, "/some.Other/Service");
  EXPECT_EQ(lost.Ending(), "nothing but /ursula.Peer/Frames is served here");
  ExpectServes();
}

TEST_F(HostilePeerTest, AProofIsOfThisHandshake) {
  One();
  // What another handshake's proof was.
  const Hello hello = FromTwo();
  std::string first_proof;
  {
    RawPeer peer(port_);
    peer.Say(EncodeHello(hello));
    const std::string heard = peer.Hear();
    std::optional<HelloReply> reply = DecodeHelloReply(heard);
    ASSERT_TRUE(reply);
    EXPECT_TRUE(
        SameProof(reply->mac, Proof("", Role::kAcceptor, EncodeHello(hello), reply->hello_bytes)));
    first_proof = Proof("", Role::kDialler, EncodeHello(hello), reply->hello_bytes);
    // Its own words back at it.
    peer.Say(reply->mac);
    EXPECT_EQ(peer.Ending(),
              "it doesn't know the cluster's secret: give both the same"
              " --cluster-secret-file");
  }
  RawPeer again(port_);
  again.Say(EncodeHello(hello));
  EXPECT_FALSE(again.Hear().empty());
  again.Say(first_proof);
  EXPECT_NE(again.Ending().find("doesn't know the cluster's secret"), std::string::npos);
}

TEST_F(HostilePeerTest, WhoAnswersHasToKnowTheSecretToo) {
  const PeerNode::Change secret = [](PeerTransportOptions* options) { options->secret = "ours"; };
  {
    Impostor impostor(two_port_, "theirs");
    PeerNode& one = One(secret);
    one.AwaitRefused(2, "it doesn't know the cluster's secret");
    one_.reset();
    EXPECT_FALSE(impostor.HeardMore());
  }
  Impostor knows(two_port_, "ours");
  One(secret);
  EXPECT_TRUE(knows.HeardMore());
}

TEST_F(HostilePeerTest, BadMessagesCloseTheirStream) {
  PeerNode& one = One();
  uint64_t session = 0;
  const std::vector<std::string> bad = {
      std::string("\x07\x01x", 3),                          // Another kind.
      std::string("\x03\x05x", 3),                          // Cut off.
      std::string("\x02\x01x", 3),                          // The end of nothing.
      std::string("\x01\xff\xff\xff\xff\xff\x7f\x01x", 9),  // Of too many bytes.
      std::string("\x01\x02\x01x\x03\x01x", 7),             // Begun inside of another.
      "",
  };
  for (const std::string& message : bad) {
    RawPeer peer(port_);
    EXPECT_EQ(peer.Greet(FromTwo(++session)), "\x01");
    peer.Say(std::string("\x03\x04good", 6));
    peer.Say(message);
    EXPECT_EQ(peer.Ending(), "a message holds no frames of this format");
  }
  one.AwaitFrames(bad.size());
  EXPECT_EQ(one.status(2).bad_messages, bad.size());
  // A message above gRPC's limit.
  RawPeer large(port_);
  EXPECT_EQ(large.Greet(FromTwo(++session)), "\x01");
  large.Say(std::string(3 << 20, 'x'));
  EXPECT_NE(large.Ending(), "");
}

TEST_F(HostilePeerTest, ANewerConnectionOfALaneTakesItsPlace) {
  PeerNode& one = One();
  RawPeer older(port_);
  EXPECT_EQ(older.Greet(FromTwo(1)), "\x01");
  older.Say(std::string("\x03\x03old", 5));
  one.AwaitFrames(1);
  RawPeer newer(port_);
  EXPECT_EQ(newer.Greet(FromTwo(2)), "\x01");
  older.Say(std::string("\x03\x03old", 5));
  EXPECT_TRUE(older.Hear().empty());
  one.AwaitLost(2, false);
  newer.Say(std::string("\x03\x03new", 5));
  one.AwaitFrames(2);
  EXPECT_EQ(one.frames(0, Channel::kControl), (std::vector<std::string>{"old", "new"}));
  RawPeer late(port_);
  EXPECT_EQ(late.Greet(FromTwo(1)), "");
  EXPECT_EQ(late.Ending(), "a newer connection of this node is there");
}

TEST_F(HostilePeerTest, ManyStreamsOnOneConnectionAreBounded) {
  One();
  // Each a sender's core of its own, on one channel of gRPC's; those beyond the limit are refused.
  RawPeer beyond(port_);
  beyond.Say(EncodeHello(FromTwo(1, kSenderCoresMax)));
  EXPECT_EQ(beyond.Ending(), "what was said first is no hello of an ursulad");
  RawPeer last(port_);
  EXPECT_EQ(last.Greet(FromTwo(1, kSenderCoresMax - 1)), "\x01");
}

// gRPC has a line for each of these, with the bytes as they came.
TEST_F(HostilePeerTest, WhatStrangersSendFillsNoLog) {
  PeerNode& one = One();
  // HEADERS whose :status is no number.
  const std::string value = "x\n\x1b[31m\xbc";
  const std::string block = "\x48" + std::string(1, static_cast<char>(value.size())) + value;
  const std::string sent = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
                           std::string("\0\0\0\4\0\0\0\0\0\0\0", 11) +
                           static_cast<char>(block.size()) + std::string("\1\4\0\0\0\1", 6) + block;
  for (int i = 0; i < 50; ++i) {
    const int fd = Connect();
    EXPECT_GT(send(fd, sent.data(), sent.size(), MSG_NOSIGNAL), 0);
    shutdown(fd, SHUT_WR);
    AwaitClosed(fd);
  }
  one.AwaitLog("gRPC: ");
  EXPECT_LE(one.CountLog("gRPC: "), 2u);
  EXPECT_EQ(one.CountLog("\xbc") + one.CountLog("\n") + one.CountLog("\x1b"), 0u);
  ExpectServes();
}

}  // namespace
}  // namespace ursula::peer
