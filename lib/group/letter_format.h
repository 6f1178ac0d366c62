// lib/group/letter_format.h
//
// What replicas of a group write to each other: docs/formats/peer_frames.md. The first byte says
// what it is.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/base/byte_parts.h"
#include "lib/base/ids.h"
#include "lib/raft/message_format.h"
#include "ursula/status.h"

namespace ursula::group {

// A part of a snapshot on its way to a replica that is too far behind. After the last one comes the
// Raft message that it belongs to, whose snapshot's data are the shipment's number.
struct SnapshotPart {
  uint64_t shipment = 0;  // Random.
  uint64_t number = 0;    // 0, 1, 2 ...
  Bytes records = {};     // storage::SnapshotRecord, one after the other.
};

// All parts below `next` are here. `refused`: nothing more is wanted.
struct SnapshotAck {
  uint64_t shipment = 0;
  uint64_t next = 0;
  bool refused = false;
};

// Asks for payload of a stream's own: [from, to), or a beginning of it.
struct PayloadAsk {
  uint64_t ask = 0;
  uint64_t incarnation = 0;
  uint64_t from = 0;
  uint64_t to = 0;
};

// The answer. No bytes: it isn't there, but from `next` on there is more (UINT64_MAX: nowhere).
struct PayloadAnswer {
  uint64_t ask = 0;
  uint64_t next = 0;
  std::vector<uint64_t> message_ends = {};  // Ascending, above the ask's `from`.
  Bytes bytes = {};
  uint32_t sum = 0;  // PayloadSum, made where the bytes were read and their block's checksum held.
  // The sum is of the message ends, too. Written from kSummedEndsLevel on.
  bool sums_ends = false;
};

// The feature level of a group from which its answers' sums are of their message ends.
inline constexpr uint64_t kSummedEndsLevel = 2;

// Of bytes of a stream from an offset on: holds for nothing else, be it the same bytes. Of `ends`,
// where they are given, too.
uint32_t PayloadSum(uint64_t incarnation, uint64_t from, std::string_view bytes);
uint32_t PayloadSum(uint64_t incarnation, uint64_t from, std::span<const uint64_t> ends,
                    std::string_view bytes);
uint32_t SumOf(const PayloadAnswer& answer, uint64_t incarnation, uint64_t from);  // As it says.

// What a follower has seen of streams whose time its leader keeps, by incarnation.
struct TimeNews {
  std::vector<uint64_t> read = {};  // Have been read, or have live readers: to be renewed.
  std::vector<uint64_t> due = {};   // Were met past their deadline.
};

// A learner's word to its leader, again and again: with what it has applied up to here it lacks no
// payload. It holds for what it applies of the leader's log afterwards, too.
struct Wholeness {
  uint64_t applied = 0;
};

// That it lacks some after all, or again: what was whole may rot.
struct Lacking {
  uint64_t bytes = 0;
};

using Letter = std::variant<raft::Message, SnapshotPart, SnapshotAck, PayloadAsk, PayloadAnswer,
                            TimeNews, Wholeness, Lacking>;

// By replica, not by node: one that took a lost one's place isn't written to in its stead.
struct AddressedLetter {
  ReplicaId from = {};  // A Raft message has the same two.
  ReplicaId to = {};
  Letter letter = {};
};

void EncodeLetter(const AddressedLetter& letter, ByteParts* out);

// kInvalidArgument. Bytes in it are slices of `letter`.
Result<AddressedLetter> DecodeLetter(const Bytes& letter);

// The data of a Raft message's snapshot.
std::string EncodeShipment(uint64_t shipment);
uint64_t DecodeShipment(std::string_view data);  // 0: it is none.

}  // namespace ursula::group
