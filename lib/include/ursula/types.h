// ursula/types.h
//
// Names, identifiers and positions. Distinct things have distinct types; conversions are spelled
// out.

#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace ursula {

enum class NodeId : uint64_t {};   // A process of the cluster, stable across restarts.
enum class GroupId : uint32_t {};  // A Raft group, in [0, EngineOptions::group_count).
enum class CoreId : uint16_t {};   // A core of the runtime, in [0, Runtime::core_count()).

// The highest feature level that this build knows: which replicated formats and commands there are
// (docs/formats/README.md, "Feature levels"). A cluster is at the highest that all its nodes know.
inline constexpr uint32_t kFeatureLevelMax = 2;

// A position in a stream: bytes of the stored form before it (docs/PROTOCOL.md, "Offsets").
struct Offset {
  uint64_t bytes = 0;
  friend auto operator<=>(const Offset&, const Offset&) = default;
};

// Positions stay below this, so that 16 decimal digits hold any of them.
inline constexpr uint64_t kOffsetEnd = 10'000'000'000'000'000;

// The bucket of every stream under /v1/stream/. It always exists and can't be deleted; its name is
// none that a client can give a bucket of its own.
inline constexpr const char* kUpstreamBucket = "v1";

// A stream's name. Bucket: kUpstreamBucket or ^[a-z0-9_-]{4,64}$. Name: 1 to 1024 bytes, no NUL.
// `affinity`, where not empty, decides the group in the name's place: streams of one bucket and
// affinity share a group.
struct StreamId {
  std::string bucket = {};
  std::string affinity = {};
  std::string name = {};
  friend auto operator<=>(const StreamId&, const StreamId&) = default;
};

// A producer's claim on one append (idempotent producers, PROTOCOL.md 5.2.1 upstream). Epoch and
// sequence are at most 2^53-1.
struct Producer {
  std::string id = {};
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  friend bool operator==(const Producer&, const Producer&) = default;
};

// Where a page of an earlier ReadReply lies, which the caller still has. What is there in one life
// of a stream never changes.
struct KeptPage {
  uint64_t incarnation = 0;
  Offset start = {};  // If it is asked for from_append_start, of a reply to such a request.
  Offset next = {};
  bool cut = false;
  bool up_to_date = false;  // It ended at the tail: good for as long as that is the tail.
};

// How long a stream lives. At most one of the two is set.
struct Lifetime {
  std::optional<uint64_t> ttl_seconds = {};   // Sliding: counted from the last read or write.
  std::optional<int64_t> expires_at_ms = {};  // Fixed: Unix time in milliseconds.
  std::string expires_at_text = {};           // As the creator wrote it; echoed by Head.
  friend bool operator==(const Lifetime&, const Lifetime&) = default;
};

}  // namespace ursula
