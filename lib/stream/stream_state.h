// lib/stream/stream_state.h
//
// The replicated state of one stream: metadata only, in the hundreds of bytes. What few streams
// have (a sequence, a lifetime, a source, producers) hangs on pointers.

#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "absl/container/inlined_vector.h"
#include "lib/base/ids.h"
#include "lib/stream/command.h"
#include "ursula/types.h"

namespace ursula::stream {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct ProducerState {
  uint64_t epoch = 0;
  uint64_t sequence = 0;  // The highest accepted.
  int64_t seen_ms = 0;    // Time of the last accepted append.
  friend bool operator==(const ProducerState&, const ProducerState&) = default;
};

struct Producers {
  absl::btree_map<std::string, ProducerState, std::less<>> by_id = {};
  // None was seen before this: saves looking for idle ones. No part of the logical state.
  mutable int64_t seen_from_ms = std::numeric_limits<int64_t>::min();
};

struct ForkState {
  Incarnation source = kNoIncarnation;  // Of this group. Older than the fork.
  uint64_t offset = 0;                  // [0, offset) is the source's; the fork's own starts here.
  ForkPoint point = {};                 // As requested.
  bool inherits_lifetime = false;       // The request named none.
  std::optional<Reservation> reservation = {};
  uint32_t depth = 1;  // Sources above it. Derived, not stored.
};

// What few streams have.
struct StreamExtra {
  std::string last_sequence = {};  // Of Stream-Seq; empty: none.
  uint32_t fork_count = 0;         // Forks that name this one as their source, whatever their life.
  std::optional<Producer> closed_by = {};  // The producer tuple of the closing append.
  uint64_t start = 0;                      // First retained byte.
  uint64_t cold_end = 0;                   // Payload before this is in the object store.
  uint64_t retained_ms = 0;                // Retention, by age and by size; 0: none.
  uint64_t retained_bytes = 0;
  friend bool operator==(const StreamExtra&, const StreamExtra&) = default;
};

enum class Life : uint8_t {
  kLive = 1,
  kSoftDeleted = 2,  // Deleted while forks read from it; keeps its name until the last is gone.
  kDetached = 3,     // Expired while forks read from it; its name is free.
};

struct StreamState {
  Incarnation incarnation = kNoIncarnation;
  const std::string* content_type = nullptr;  // Interned by the table.
  uint64_t tail = 0;
  int64_t deadline_ms = kNever;  // Expired at or after this time. kNever unless live.
  std::unique_ptr<char[]> key_bytes = {};
  uint32_t key_size = 0;
  Life life = Life::kLive;
  bool closed = false;
  bool changed = false;  // Since the last CollectChanges. No part of the logical state.
  std::unique_ptr<Lifetime> lifetime = {};
  std::unique_ptr<ForkState> fork = {};
  std::unique_ptr<Producers> producers = {};
  std::unique_ptr<StreamExtra> extra = {};

  // NameKey of its id. Kept when detached.
  std::string_view key() const { return {key_bytes.get(), key_size}; }
  void set_key(std::string_view key) {
    key_bytes = std::make_unique_for_overwrite<char[]>(key.size());
    key_size = static_cast<uint32_t>(key.size());
    key.copy(key_bytes.get(), key.size());
  }
  StreamExtra& more() {
    if (extra == nullptr) extra = std::make_unique<StreamExtra>();
    return *extra;
  }
  uint32_t fork_count() const { return extra == nullptr ? 0 : extra->fork_count; }
  const Producer* closed_by() const {
    return extra != nullptr && extra->closed_by ? &*extra->closed_by : nullptr;
  }
  uint64_t start() const { return extra == nullptr ? 0 : extra->start; }
  std::string_view sequence() const {
    return extra == nullptr ? std::string_view() : extra->last_sequence;
  }
  void set_sequence(std::string_view sequence) {
    if (extra != nullptr || !sequence.empty()) more().last_sequence.assign(sequence);
  }
  uint64_t own_start() const { return fork == nullptr ? 0 : fork->offset; }
  bool foreign() const { return fork != nullptr && fork->reservation.has_value(); }
};

// There are millions of them: what most streams don't have goes behind a pointer.
static_assert(sizeof(StreamState) <= 80);

// How a stream is named outside its group: unlike that of any other stream of this history, and of
// those of other histories but by a chance of 2^-64. 0 for none.
uint64_t PublicIncarnation(uint64_t history, GroupId group, Incarnation incarnation);

// The deadline of a lifetime that was last renewed at `now_ms`; kNever if there is none.
int64_t DeadlineOf(const Lifetime& lifetime, int64_t now_ms);

// Names as keys whose byte order is (bucket, path), where path is "name" or "affinity/name":
// bucket, NUL, path, NUL, size of the affinity (two bytes, big-endian).
class NameKey {
 public:
  explicit NameKey(const StreamId& id);  // REQUIRES: no NUL in it; affinity below 64 KiB.
  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  absl::InlinedVector<char, 128> bytes_;
};

StreamId IdOfKey(std::string_view key);  // REQUIRES: IsKey.
std::string_view BucketOfKey(std::string_view key);
std::string_view PathOfKey(std::string_view key);
bool IsKey(std::string_view key);  // Could a NameKey have made it?

}  // namespace ursula::stream
