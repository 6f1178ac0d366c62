#include "server/peer/handshake_format.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/base/ids.h"

namespace ursula::peer {
namespace {

constexpr std::string_view kMagic = "URSP";
constexpr uint8_t kFlagSecret = 1;
constexpr uint32_t kVersionWithoutRange = 1;
constexpr std::size_t kSentenceMax = 300;
// Of the fields behind the nonce.
constexpr uint64_t kHttpAddressTag = 9;
constexpr uint64_t kAppendBytesMaxTag = 10;

std::string Number(uint64_t number) { return std::to_string(number); }
std::string Name(NodeId node) { return "node " + Number(Raw(node)); }

std::string Cluster(uint64_t id) {  // As --cluster-id takes it.
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text.push_back(kDigits[(id >> shift) & 15]);
  return "cluster " + text;
}

std::string WrongAddress(const Hello& ours, const Hello& theirs) {
  return "this is " + Name(ours.node) + ", but " + Name(theirs.node) + " dialled " +
         Name(theirs.receiver) + " here: correct the address in --peers of " + Name(theirs.node);
}

std::string Versions(const Hello& hello) {
  const std::string who = Raw(hello.node) == 0 ? "the other end" : Name(hello.node);
  const std::string highest = Number(hello.version);
  if (hello.version_min == hello.version) return who + " speaks version " + highest;
  return who + " speaks versions " + Number(hello.version_min) + " to " + highest;
}

std::string VersionsSentence(const Hello& ours, const Hello& theirs) {
  const Hello& older = theirs.version < ours.version ? theirs : ours;
  const std::string who = Raw(older.node) == 0 ? "the other end" : Name(older.node);
  return Versions(theirs) + " of the peer protocol, " + Versions(ours) +
         ", and there is none that both know: update " + who +
         ", and where no release in between speaks both, stop all nodes before";
}

std::string LevelSentence(const Hello& ahead, const Hello& behind) {
  return "the cluster is at feature level " + Number(ahead.feature_level) + ", and " +
         Name(behind.node) + " can " + Number(behind.feature_level_max) + ": start " +
         Name(behind.node) + " with a release that can " + Number(ahead.feature_level) +
         ", and without a lower --feature-level-max";
}

bool IsBehind(const Hello& one, const Hello& other) {
  return one.feature_level_max != 0 && one.feature_level_max < other.feature_level;
}

std::string SecretSentence(const Hello& with, const Hello& without) {
  return Name(with.node) + " has a cluster secret and " + Name(without.node) +
         " has none: give both the same --cluster-secret-file";
}

}  // namespace

std::string EncodeHello(const Hello& hello) {
  std::string out(kMagic);
  PutFixed<uint32_t>(&out, hello.version);
  PutFixed<uint32_t>(&out, hello.version_min);
  PutFixed<uint8_t>(&out, hello.has_secret ? kFlagSecret : 0);
  PutFixed<uint64_t>(&out, Raw(hello.node));
  PutFixed<uint64_t>(&out, Raw(hello.receiver));
  PutFixed<uint64_t>(&out, hello.incarnation);
  PutFixed<uint64_t>(&out, hello.session);
  PutFixed<uint64_t>(&out, hello.cluster_id);
  PutFixed<uint32_t>(&out, hello.group_count);
  PutFixed<uint32_t>(&out, hello.feature_level_max);
  PutFixed<uint32_t>(&out, hello.feature_level);
  PutFixed<uint16_t>(&out, Raw(hello.core));
  PutFixed<uint8_t>(&out, Raw(hello.channel));
  PutFixed<uint64_t>(&out, static_cast<uint64_t>(hello.wall_ms));
  out.append(hello.nonce.data(), hello.nonce.size());
  if (!hello.http_address.empty()) {
    PutVarint(&out, kHttpAddressTag);
    PutString(&out, hello.http_address);
  }
  if (hello.append_bytes_max != 0) {
    std::string number;
    PutVarint(&number, hello.append_bytes_max);
    PutVarint(&out, kAppendBytesMaxTag);
    PutString(&out, number);
  }
  return out;
}

namespace {

bool IsPlain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// Tags that aren't known are a later release's, and so is all from what can't be read on.
void TakeFields(Reader* reader, Hello* hello) {
  while (reader->ok() && !reader->rest().empty()) {
    const uint64_t tag = reader->Varint();
    const std::string_view value = reader->String();
    if (!reader->ok()) return;
    if (tag == kHttpAddressTag && value.size() <= kHttpAddressBytesMax && IsPlain(value)) {
      hello->http_address = std::string(value);
    } else if (tag == kAppendBytesMaxTag) {
      Reader number(value);
      const uint64_t bytes = number.Varint();
      if (number.AtEnd()) hello->append_bytes_max = bytes;
    }
  }
}

}  // namespace

std::optional<Hello> DecodeHello(std::string_view bytes) {
  if (bytes.size() > kHandshakeBytesMax) return std::nullopt;
  Reader reader(bytes);
  if (reader.Take(kMagic.size()) != kMagic) return std::nullopt;
  Hello hello;
  hello.version = reader.Fixed<uint32_t>();
  if (!reader.ok()) return std::nullopt;
  if (hello.version <= kVersionWithoutRange) {
    hello.version_min = hello.version;
    if (hello.version != kVersionWithoutRange) return hello;
    reader.Take(sizeof(uint8_t));
    hello.node = NodeId{reader.Fixed<uint64_t>()};
    hello.receiver = NodeId{reader.Fixed<uint64_t>()};
    return reader.ok() ? std::optional<Hello>(hello) : std::nullopt;
  }
  hello.version_min = reader.Fixed<uint32_t>();
  if (!reader.ok() || hello.version_min > hello.version) return std::nullopt;
  if (!CommonVersion(Hello(), hello)) return hello;
  hello.has_secret = (reader.Fixed<uint8_t>() & kFlagSecret) != 0;
  hello.node = NodeId{reader.Fixed<uint64_t>()};
  hello.receiver = NodeId{reader.Fixed<uint64_t>()};
  hello.incarnation = reader.Fixed<uint64_t>();
  hello.session = reader.Fixed<uint64_t>();
  hello.cluster_id = reader.Fixed<uint64_t>();
  hello.group_count = reader.Fixed<uint32_t>();
  hello.feature_level_max = reader.Fixed<uint32_t>();
  hello.feature_level = reader.Fixed<uint32_t>();
  hello.core = CoreId{reader.Fixed<uint16_t>()};
  const uint8_t channel = reader.Fixed<uint8_t>();
  hello.wall_ms = static_cast<int64_t>(reader.Fixed<uint64_t>());
  const std::string_view nonce = reader.Take(kNonceBytes);
  if (!reader.ok() || channel >= kChannelCount) return std::nullopt;
  if (Raw(hello.core) >= kSenderCoresMax) return std::nullopt;
  hello.channel = static_cast<Channel>(channel);
  nonce.copy(hello.nonce.data(), kNonceBytes);
  TakeFields(&reader, &hello);
  return hello;
}

std::string EncodeHelloReply(std::string_view hello, std::string_view mac) {
  std::string out;
  PutFixed<uint16_t>(&out, static_cast<uint16_t>(hello.size()));
  out.append(hello);
  out.append(mac);
  return out;
}

std::optional<HelloReply> DecodeHelloReply(std::string_view bytes) {
  Reader reader(bytes);
  HelloReply reply;
  reply.hello_bytes = reader.Take(reader.Fixed<uint16_t>());
  reply.mac = reader.Take(kMacBytes);
  if (!reader.ok()) return std::nullopt;
  std::optional<Hello> hello = DecodeHello(reply.hello_bytes);
  if (!hello) return std::nullopt;
  reply.hello = *hello;
  return reply;
}

std::optional<uint32_t> CommonVersion(const Hello& ours, const Hello& theirs) {
  const uint32_t highest = std::min(ours.version, theirs.version);
  if (highest < std::max(ours.version_min, theirs.version_min)) return std::nullopt;
  return highest;
}

std::string Proof(std::string_view secret, Role role, std::string_view dialler_hello,
                  std::string_view acceptor_hello) {
  std::string text = role == Role::kDialler ? "ursula peer: the dialler is here"
                                            : "ursula peer: the acceptor is here";
  text.push_back('\0');
  PutString(&text, dialler_hello);
  PutString(&text, acceptor_hello);
  std::string mac(kMacBytes, '\0');
  unsigned size = 0;
  const unsigned char* done = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                                   reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                   reinterpret_cast<unsigned char*>(mac.data()), &size);
  URSULA_CHECK(done != nullptr && size == kMacBytes);
  return mac;
}

bool SameProof(std::string_view a, std::string_view b) {
  return a.size() == kMacBytes && b.size() == kMacBytes &&
         CRYPTO_memcmp(a.data(), b.data(), kMacBytes) == 0;
}

Nonce DrawNonce() {
  Nonce nonce;
  URSULA_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(nonce.data()),
                          static_cast<int>(nonce.size())) == 1);
  return nonce;
}

std::optional<std::string> Refusal(const Hello& ours, const Hello& theirs,
                                   const std::map<NodeId, std::string>& peers) {
  if (!CommonVersion(ours, theirs)) return VersionsSentence(ours, theirs);
  if (theirs.node == ours.node) {
    return "two nodes have the id " + Number(Raw(ours.node)) +
           ": give each a --node-id of its own, and leave this node's own address out of the "
           "others'";
  }
  if (theirs.receiver != ours.node) return WrongAddress(ours, theirs);
  if (!peers.contains(theirs.node)) {
    return Name(theirs.node) + " isn't one of the --peers of " + Name(ours.node) +
           ": add it there, or correct its --node-id";
  }
  if (ours.has_secret && !theirs.has_secret) return SecretSentence(ours, theirs);
  if (theirs.has_secret && !ours.has_secret) return SecretSentence(theirs, ours);
  if (ours.cluster_id != 0 && theirs.cluster_id != 0 && ours.cluster_id != theirs.cluster_id) {
    return Name(theirs.node) + " belongs to " + Cluster(theirs.cluster_id) + ", " +
           Name(ours.node) + " to " + Cluster(ours.cluster_id) +
           ": correct --peers, or start the node that is wrong here on an empty directory";
  }
  if (ours.group_count != 0 && theirs.group_count != 0 && ours.group_count != theirs.group_count) {
    return Name(theirs.node) + " has " + Number(theirs.group_count) + " groups, " +
           Name(ours.node) + " has " + Number(ours.group_count) +
           ": start both with the same --raft-group-count";
  }
  if (IsBehind(theirs, ours)) return LevelSentence(ours, theirs);
  if (IsBehind(ours, theirs)) return LevelSentence(theirs, ours);
  return std::nullopt;
}

std::optional<std::string> LimitSentence(const Hello& ours, const Hello& theirs) {
  const uint64_t own = ours.append_bytes_max;
  const uint64_t other = theirs.append_bytes_max;
  if (own == 0 || other == 0 || own == other) return std::nullopt;
  const Hello& smaller = own < other ? ours : theirs;
  return Name(ours.node) + "'s log takes appends of up to " + Number(own) + " bytes, " +
         Name(theirs.node) + "'s of up to " + Number(other) + ": what is larger than " +
         Name(smaller.node) +
         " takes it never stores, and from there on its group goes on "
         "without it: start it with the others' --body-bytes-max and --wal-bytes-max, and room "
         "for its log";
}

std::string CleanSentence(std::string_view text) {
  std::string clean;
  for (char c : text.substr(0, kSentenceMax)) clean.push_back(c >= ' ' && c <= '~' ? c : '?');
  return clean;
}

}  // namespace ursula::peer
