// server/peer/handshake_format.h
//
// What the two ends of a stream say to each other before the first frame, and what they make of it
// (docs/formats/peer_frames.md, "Handshake"). Pure: bytes in, a verdict out.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ursula/env.h"
#include "ursula/types.h"

namespace ursula::peer {

// The versions that this build speaks; two ends speak the highest that both know. Version 1 had no
// range, and its beats and answers of payload were written in more than one way.
inline constexpr uint32_t kProtocolVersion = 2;
inline constexpr uint32_t kProtocolVersionMin = 2;
inline constexpr std::size_t kNonceBytes = 16;
inline constexpr std::size_t kMacBytes = 32;
inline constexpr std::size_t kHandshakeBytesMax = 4096;  // Of any of its messages.
inline constexpr uint16_t kSenderCoresMax = 1024;

using Nonce = std::array<char, kNonceBytes>;

struct Hello {
  uint32_t version = kProtocolVersion;         // The highest,
  uint32_t version_min = kProtocolVersionMin;  // and the lowest that it speaks.
  bool has_secret = false;
  NodeId node = {};                // Whose words these are.
  NodeId receiver = {};            // Whom it takes the other end for.
  uint64_t incarnation = 0;        // Of its process, drawn at random.
  uint64_t session = 0;            // The dialler's count of its connections to this node.
  uint64_t cluster_id = 0;         // 0: none yet.
  uint32_t group_count = 0;        // 0: not known yet.
  uint32_t feature_level_max = 0;  // The highest that this node can; 0: it doesn't say.
  uint32_t feature_level = 0;      // Its cluster's, as far as it knows; 0: not known.
  CoreId core = {};                // The dialler's, whose frames the stream carries.
  Channel channel = Channel::kControl;
  int64_t wall_ms = 0;
  Nonce nonce = {};
  // What an older release doesn't say, and skips.
  std::string http_address = {};  // Where clients reach the node, HOST:PORT; empty: it doesn't say.
  uint64_t append_bytes_max = 0;  // What its log takes of one append; 0: not known yet.
};
inline constexpr std::size_t kHttpAddressBytesMax = 261;  // A name, a colon and a port.

struct HelloReply {
  Hello hello = {};
  std::string_view hello_bytes = {};  // As they came: the proofs are over them.
  std::string_view mac = {};
};

// Who speaks; the two ends' proofs differ, so that none can be played back.
enum class Role : uint8_t { kDialler, kAcceptor };

std::string EncodeHello(const Hello& hello);
std::string EncodeHelloReply(std::string_view hello, std::string_view mac);

// None: no hello of ours. Where no version is common it has the versions, and of version 1 whose it
// is and whom that dialled.
std::optional<Hello> DecodeHello(std::string_view bytes);
std::optional<HelloReply> DecodeHelloReply(std::string_view bytes);

// What the two speak; none: nothing that both know.
std::optional<uint32_t> CommonVersion(const Hello& ours, const Hello& theirs);

// HMAC-SHA256 over who speaks and both hellos, keyed by the secret. Without a secret the key is
// empty: the dialler proves only that it is there now.
std::string Proof(std::string_view secret, Role role, std::string_view dialler_hello,
                  std::string_view acceptor_hello);
// In a time that doesn't depend on where they differ.
bool SameProof(std::string_view a, std::string_view b);

Nonce DrawNonce();

// One sentence that says why `theirs` isn't accepted and what to do; none if it is. `peers` are the
// nodes that this one knows; `ours` is what this end says on the stream.
std::optional<std::string> Refusal(const Hello& ours, const Hello& theirs,
                                   const std::map<NodeId, std::string>& peers);

// One sentence on limits that are to be the same and aren't, with both numbers; none where they
// are, or one isn't known. It is no reason to refuse anybody.
std::optional<std::string> LimitSentence(const Hello& ours, const Hello& theirs);

// A peer's text as it may stand in a log: one line of at most 300 printable characters.
std::string CleanSentence(std::string_view text);

}  // namespace ursula::peer
