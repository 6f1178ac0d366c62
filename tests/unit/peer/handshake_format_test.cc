#include "server/peer/handshake_format.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace ursula::peer {
namespace {

Hello Example() {
  Hello hello;
  hello.has_secret = true;
  hello.node = NodeId{1};
  hello.receiver = NodeId{2};
  hello.incarnation = 3;
  hello.session = 4;
  hello.cluster_id = 5;
  hello.group_count = 6;
  hello.feature_level_max = 7;
  hello.feature_level = 6;
  hello.core = CoreId{8};
  hello.channel = Channel::kBulk;
  hello.wall_ms = 9;
  hello.nonce.fill('n');
  return hello;
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (char c : bytes) {
    hex.push_back("0123456789abcdef"[static_cast<uint8_t>(c) >> 4]);
    hex.push_back("0123456789abcdef"[static_cast<uint8_t>(c) & 15]);
  }
  return hex;
}

TEST(HandshakeFormatTest, TheBytesOfAHello) {
  EXPECT_EQ(Hex(EncodeHello(Example())),
            "55525350"
            "02000000"
            "02000000"
            "01"
            "0100000000000000"
            "0200000000000000"
            "0300000000000000"
            "0400000000000000"
            "0500000000000000"
            "06000000"
            "07000000"
            "06000000"
            "0800"
            "01"
            "0900000000000000"
            "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e");
}

// Behind what releases before it read.
TEST(HandshakeFormatTest, TheBytesOfWhatWasAddedToAHello) {
  Hello hello = Example();
  const std::string before = EncodeHello(hello);
  hello.http_address = "h:80";
  hello.append_bytes_max = 300;
  const std::string bytes = EncodeHello(hello);
  EXPECT_EQ(bytes.substr(0, before.size()), before);
  EXPECT_EQ(Hex(bytes.substr(before.size())), "0904683a38300a02ac02");
  const std::optional<Hello> read = DecodeHello(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->http_address, "h:80");
  EXPECT_EQ(read->append_bytes_max, 300u);
  const std::optional<Hello> older = DecodeHello(before);
  ASSERT_TRUE(older.has_value());
  EXPECT_EQ(older->http_address, "");
  EXPECT_EQ(older->append_bytes_max, 0u);
}

TEST(HandshakeFormatTest, OfWhatWasAddedOnlyWhatIsOneIsTaken) {
  const std::string hello = EncodeHello(Example());
  auto field = [](char tag, const std::string& value) {
    return std::string(1, tag) + static_cast<char>(value.size()) + value;
  };
  struct Case {
    std::string tail;
    std::string http_address;
    uint64_t append_bytes_max;
  };
  const Case cases[] = {
      {field(11, "newer") + field(9, "h:1"), "h:1", 0},
      {field(9, "h:1") + field(10, "\x05\x05"), "h:1", 0},
      {field(10, ""), "", 0},
      {field(9, "h\n:1"), "", 0},
      {field(9, "a b:1"), "", 0},
      {field(10, "\x05") + std::string("\x09\x7fshort"), "", 5},
      {std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "", 0},
  };
  for (const Case& one : cases) {
    const std::optional<Hello> read = DecodeHello(hello + one.tail);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->http_address, one.http_address) << Hex(one.tail);
    EXPECT_EQ(read->append_bytes_max, one.append_bytes_max) << Hex(one.tail);
    EXPECT_EQ(read->nonce, Example().nonce);
  }
  Hello longest = Example();
  longest.http_address = std::string(kHttpAddressBytesMax, 'h');
  EXPECT_EQ(DecodeHello(EncodeHello(longest))->http_address, longest.http_address);
  longest.http_address += "h";
  EXPECT_EQ(DecodeHello(EncodeHello(longest))->http_address, "");
}

TEST(HandshakeFormatTest, LimitsThatDifferMakeASentenceWithBothNumbers) {
  Hello ours = Example();
  Hello theirs = Example();
  theirs.node = NodeId{3};
  EXPECT_FALSE(LimitSentence(ours, theirs));
  ours.append_bytes_max = 100;
  EXPECT_FALSE(LimitSentence(ours, theirs)) << "it doesn't say";
  theirs.append_bytes_max = 100;
  EXPECT_FALSE(LimitSentence(ours, theirs));
  theirs.append_bytes_max = 99;
  const std::string smaller = LimitSentence(ours, theirs).value_or("");
  EXPECT_NE(
      smaller.find("node 1's log takes appends of up to 100 bytes, node 3's of up to 99: what "
                   "is larger than node 3 takes it never stores"),
      std::string::npos)
      << smaller;
  theirs.append_bytes_max = 101;
  EXPECT_NE(LimitSentence(ours, theirs).value_or("").find("larger than node 1 takes"),
            std::string::npos);
}

TEST(HandshakeFormatTest, AHelloIsReadAsItWasWritten) {
  const std::string bytes = EncodeHello(Example());
  const std::optional<Hello> read = DecodeHello(bytes + "of a later release");
  ASSERT_TRUE(read);
  EXPECT_EQ(EncodeHello(*read), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeHello(bytes.substr(0, size))) << size;
  }
}

// The bytes of the hello above in version 1, which had no range.
std::string HelloOfVersion1() {
  std::string bytes = EncodeHello(Example());
  bytes[4] = 1;
  bytes.erase(8, 4);                      // The lowest version,
  bytes.erase(8 + 1 + 5 * 8 + 4 + 4, 4);  // and the level in force.
  return bytes;
}

TEST(HandshakeFormatTest, OfVersion1ItIsReadWhoseItIs) {
  const std::string bytes = HelloOfVersion1();
  EXPECT_EQ(Hex(bytes),
            "5552535001000000010100000000000000020000000000000003000000000000000400000000000000"
            "05000000000000000600000007000000080001"
            "09000000000000006e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e");
  const std::optional<Hello> read = DecodeHello(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->version, 1u);
  EXPECT_EQ(read->version_min, 1u);
  EXPECT_EQ(read->node, NodeId{1});
  EXPECT_FALSE(DecodeHello(bytes.substr(0, 20)));
  Hello ours;
  ours.node = NodeId{2};
  EXPECT_EQ(Refusal(ours, *read, {}),
            "node 1 speaks version 1 of the peer protocol, node 2 speaks version 2, and there is "
            "none that both know: update node 1, and where no release in between speaks both, stop "
            "all nodes before");
}

TEST(HandshakeFormatTest, WhereNoVersionIsCommonOnlyTheRangeIsRead) {
  const std::optional<Hello> read = DecodeHello(std::string("URSP\7\0\0\0\5\0\0\0rest", 16));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->version, 7u);
  EXPECT_EQ(read->version_min, 5u);
  EXPECT_FALSE(CommonVersion(Example(), *read));
  EXPECT_NE(Refusal(Example(), *read, {})
                ->find("the other end speaks versions 5 to 7 of the peer "
                       "protocol, node 1 speaks version 2, "),
            std::string::npos);
  EXPECT_NE(Refusal(Example(), *read, {})->find("update node 1"), std::string::npos);
  EXPECT_FALSE(DecodeHello(std::string("URSP\2\0\0\0\3\0\0\0rest", 16)));  // No range.
}

TEST(HandshakeFormatTest, ANewerReleaseThatSpeaksOursIsReadWhole) {
  Hello newer = Example();
  newer.version = kProtocolVersion + 3;
  newer.version_min = kProtocolVersion;
  const std::string bytes = EncodeHello(newer);
  const std::optional<Hello> read = DecodeHello(bytes + "what it adds");
  ASSERT_TRUE(read);
  EXPECT_EQ(EncodeHello(*read), bytes);
  EXPECT_EQ(CommonVersion(Hello(), *read), kProtocolVersion);
}

TEST(HandshakeFormatTest, TheHighestVersionThatBothKnowIsSpoken) {
  auto of = [](uint32_t min, uint32_t max) {
    Hello hello;
    hello.version_min = min;
    hello.version = max;
    return hello;
  };
  EXPECT_EQ(CommonVersion(of(2, 4), of(3, 6)), 4u);
  EXPECT_EQ(CommonVersion(of(3, 6), of(2, 4)), 4u);
  EXPECT_EQ(CommonVersion(of(2, 2), of(2, 9)), 2u);
  EXPECT_EQ(CommonVersion(of(2, 3), of(4, 5)), std::nullopt);
  EXPECT_EQ(CommonVersion(of(4, 5), of(2, 3)), std::nullopt);
}

TEST(HandshakeFormatTest, CoresAndChannelsOutOfRangeAreRefused) {
  Hello hello = Example();
  hello.core = CoreId{kSenderCoresMax};
  EXPECT_FALSE(DecodeHello(EncodeHello(hello)));
  hello = Example();
  hello.channel = static_cast<Channel>(2);
  EXPECT_FALSE(DecodeHello(EncodeHello(hello)));
}

TEST(HandshakeFormatTest, AReplyIsReadAsItWasWritten) {
  const std::string hello = EncodeHello(Example());
  const std::string mac(kMacBytes, 'm');
  const std::string bytes = EncodeHelloReply(hello, mac);
  const std::optional<HelloReply> read = DecodeHelloReply(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->hello_bytes, hello);
  EXPECT_EQ(read->mac, mac);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeHelloReply(bytes.substr(0, size))) << size;
  }
}

// HMAC-SHA256 as Python's hmac module has it.
TEST(HandshakeFormatTest, TheBytesOfAProof) {
  EXPECT_EQ(Hex(Proof("secret", Role::kDialler, "a", "bc")),
            "64ff701c93636ac90c122e42c1357d3ce094f4892e46947082eef8773646dced");
  EXPECT_EQ(Hex(Proof("", Role::kAcceptor, "a", "bc")),
            "e4a191a97accfa8a8e5b77dc86c8eaac6ab00ff6eaf37b25a56bba2af773ee08");
}

TEST(HandshakeFormatTest, AProofDependsOnAllOfIt) {
  const std::string proof = Proof("secret", Role::kDialler, "a", "bc");
  EXPECT_TRUE(SameProof(proof, Proof("secret", Role::kDialler, "a", "bc")));
  EXPECT_FALSE(SameProof(proof, Proof("Secret", Role::kDialler, "a", "bc")));
  EXPECT_FALSE(SameProof(proof, Proof("secret", Role::kAcceptor, "a", "bc")));
  EXPECT_FALSE(SameProof(proof, Proof("secret", Role::kDialler, "ab", "c")));
  EXPECT_FALSE(SameProof(proof, proof.substr(1)));
  EXPECT_FALSE(SameProof("", ""));
}

class RefusalTest : public ::testing::Test {
 protected:
  RefusalTest() {
    ours_.node = NodeId{2};
    ours_.receiver = NodeId{1};
    ours_.cluster_id = 9;
    ours_.group_count = 64;
    theirs_ = ours_;
    theirs_.node = NodeId{1};
    theirs_.receiver = NodeId{2};
  }
  std::string Refused() { return Refusal(ours_, theirs_, peers_).value_or(""); }

  Hello ours_, theirs_;
  std::map<NodeId, std::string> peers_ = {{NodeId{1}, "one:1"}, {NodeId{2}, "two:1"}};
};

TEST_F(RefusalTest, WhatAgreesIsAccepted) { EXPECT_EQ(Refused(), ""); }

TEST_F(RefusalTest, WhatOneDoesNotKnowYetAgreesWithAnything) {
  theirs_.cluster_id = 0;
  theirs_.group_count = 0;
  EXPECT_EQ(Refused(), "");
  std::swap(ours_.cluster_id, theirs_.cluster_id);
  std::swap(ours_.group_count, theirs_.group_count);
  EXPECT_EQ(Refused(), "");
}

TEST_F(RefusalTest, ASentenceSaysWhatDiffersAndWhatToDo) {
  theirs_.receiver = NodeId{3};
  EXPECT_EQ(Refused(),
            "this is node 2, but node 1 dialled node 3 here: correct the address in --peers of"
            " node 1");
  theirs_.receiver = NodeId{2};
  theirs_.node = NodeId{2};
  EXPECT_NE(Refused().find("two nodes have the id 2"), std::string::npos);
  theirs_.node = NodeId{4};
  EXPECT_NE(Refused().find("node 4 isn't one of the --peers of node 2"), std::string::npos);
  theirs_.node = NodeId{1};
  theirs_.has_secret = true;
  EXPECT_NE(Refused().find("node 1 has a cluster secret and node 2 has none"), std::string::npos);
  std::swap(ours_.has_secret, theirs_.has_secret);
  EXPECT_NE(Refused().find("node 2 has a cluster secret and node 1 has none"), std::string::npos);
  theirs_.has_secret = true;
  theirs_.cluster_id = 8;
  EXPECT_NE(Refused().find("node 1 belongs to cluster 0000000000000008, node 2 to cluster "
                           "0000000000000009"),
            std::string::npos);
  theirs_.cluster_id = 9;
  theirs_.group_count = 16;
  EXPECT_NE(Refused().find("node 1 has 16 groups, node 2 has 64"), std::string::npos);
}

TEST_F(RefusalTest, WhoCannotBeWhatTheClusterIsIsRefusedAtBothEnds) {
  ours_.feature_level_max = theirs_.feature_level_max = 2;
  ours_.feature_level = 2;
  EXPECT_EQ(Refused(), "");  // It knows of no level yet, and can.
  theirs_.feature_level_max = 1;
  EXPECT_EQ(Refused(),
            "the cluster is at feature level 2, and node 1 can 1: start node 1 with a release that "
            "can 2, and without a lower --feature-level-max");
  std::swap(ours_.feature_level_max, theirs_.feature_level_max);
  std::swap(ours_.feature_level, theirs_.feature_level);
  EXPECT_NE(Refused().find("is at feature level 2, and node 2 can 1: start node 2 "),
            std::string::npos);
  theirs_.feature_level = 1;  // Not raised.
  EXPECT_EQ(Refused(), "");
}

TEST(CleanSentenceTest, APeersWordsMakeOneLineOfALog) {
  EXPECT_EQ(CleanSentence("as it is"), "as it is");
  EXPECT_EQ(CleanSentence("two\nlines\x1b[2J"), "two?lines?[2J");
  EXPECT_EQ(CleanSentence(std::string(1000, 'x')).size(), 300u);
}

}  // namespace
}  // namespace ursula::peer
