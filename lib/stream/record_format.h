// lib/stream/record_format.h
//
// The records of a metadata snapshot (docs/formats/stream_records.md): one key and value for each
// thing a machine keeps. Equal states give equal records.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/stream/command.h"
#include "lib/stream/reply.h"
#include "lib/stream/stream_state.h"
#include "ursula/status.h"

namespace ursula::stream {

inline constexpr uint8_t kRecordFormatVersion = 2;

// The first byte of a key.
inline constexpr char kHeaderRecord = 'h';     // Nothing follows.
inline constexpr char kBucketRecord = 'b';     // Name.
inline constexpr char kFenceRecord = 'f';      // Bucket name.
inline constexpr char kNodeRecord = 'n';       // NodeKey. Of the meta group.
inline constexpr char kReleaseRecord = 'o';    // IncarnationKey of the fork.
inline constexpr char kPlacementRecord = 'p';  // NameKey.
inline constexpr char kStreamRecord = 's';     // IncarnationKey.
inline constexpr char kSightingRecord = 'v';   // SightingKey.
inline constexpr char kSettledRecord = 'w';    // SettledKey.

// Eight bytes, big-endian: the order of keys is the order of incarnations.
std::string IncarnationKey(Incarnation incarnation);
bool ParseIncarnationKey(std::string_view key, Incarnation* incarnation);  // Not of 0.
bool ParseNumber(std::string_view key, Incarnation* number);               // Of any.

// Groups in four bytes, big-endian; of a reservation its home group and its number.
std::string SettledKey(GroupId home);
std::string SightingKey(GroupId home, Incarnation reservation);
bool ParseGroup(std::string_view* key, GroupId* group);  // Takes it off the front.

std::string NodeKey(uint64_t node);  // Eight bytes, big-endian.
bool ParseNodeKey(std::string_view key, uint64_t* node);

std::string EncodeStream(const StreamState& stream);
std::string EncodePlacement(const Placement& placement);

struct DecodedStream {
  std::unique_ptr<StreamState> state = {};  // Without its content type, which the table interns.
  std::string_view content_type = {};       // A slice of the value.
};
// kDataLoss if malformed.
Result<DecodedStream> DecodeStream(Incarnation incarnation, std::string_view value);
Result<Placement> DecodePlacement(GroupId home, std::string_view value);

}  // namespace ursula::stream
