// lib/stream/hot_ring.h
//
// HotRing keeps the newest payload of one group's streams in memory. It is a cache of this replica:
// not replicated, not hashed; what it holds is decided by local memory. It also knows which payload
// the local disk doesn't have yet (unflushed), and never drops that.
//
// Invariant: the chunks of a stream are contiguous, one chunk is one append, and the flushed ones
// are a prefix.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "lib/base/intrusive_list.h"
#include "lib/stream/command.h"
#include "ursula/bytes.h"

namespace ursula::stream {

// Payload of one stream that the local disk lacks, contiguous from `start`.
struct UnflushedRun {
  Incarnation incarnation = kNoIncarnation;
  uint64_t start = 0;
  std::vector<Bytes> parts = {};  // One each append; the first may be a part of one.
};

class HotRing {
 public:
  // What a chunk, and a stream with chunks, count besides payload.
  static constexpr uint64_t kChunkOverheadBytes = 96;
  static constexpr uint64_t kStreamOverheadBytes = 192;

  struct ReadResult {
    std::vector<Bytes> parts = {};           // Contiguous from `from`; shared memory.
    uint64_t reach = 0;                      // Where they end; `from` if that isn't in the ring.
    std::vector<uint64_t> append_ends = {};  // The end of each append in parts, ascending; the last
  };                                         // may lie past `reach`.

  HotRing() = default;
  HotRing(const HotRing&) = delete;
  HotRing& operator=(const HotRing&) = delete;
  ~HotRing();

  // One append. Where `start` isn't the end of what the ring has of this stream, all of that is
  // dropped first. REQUIRES: not empty; after unflushed payload, `start` is its end.
  void Add(Incarnation incarnation, uint64_t start, Bytes payload);

  // At most `bytes_max` bytes of [from, to), cut anywhere. Counts as a use of the stream.
  ReadResult Read(Incarnation incarnation, uint64_t from, uint64_t to, uint64_t bytes_max);

  // The start of the cached range, and its end; both 0 when nothing of the stream is cached.
  uint64_t CachedFrom(Incarnation incarnation) const;
  uint64_t CachedTo(Incarnation incarnation) const;

  // The end of the append that starts at `start`; 0 if the ring doesn't have one that does.
  uint64_t AppendEnd(Incarnation incarnation, uint64_t start) const;

  // Unflushed payload of about `bytes_max` (at least one append, if there is any), the streams that
  // have waited longest first. Marks nothing: the same again until MarkFlushed.
  std::vector<UnflushedRun> CollectUnflushed(uint64_t bytes_max) const;

  // The disk has the stream's payload before `upto`.
  void MarkFlushed(Incarnation incarnation, uint64_t upto);

  // Drops flushed chunks, least recently used streams first, oldest chunks first, until bytes() is
  // at most `bytes_target` or nothing flushed is left.
  void Evict(uint64_t bytes_target);

  // Drops all. REQUIRES: nothing is unflushed.
  void Clear() { Evict(0); }

  // Drops the stream, flushed or not.
  void Drop(Incarnation incarnation);

  uint64_t bytes() const { return bytes_; }
  uint64_t UnflushedBytes() const { return unflushed_bytes_; }  // Payload alone.
  bool empty() const { return streams_.empty(); }

 private:
  struct Chunk {
    uint64_t start = 0;
    Bytes payload = {};
    uint64_t end() const { return start + payload.size(); }
  };
  using Chunks = absl::InlinedVector<Chunk, 1>;  // Most streams have few appends in memory.
  struct Entry : ListHook<Entry> {
    Incarnation incarnation = kNoIncarnation;
    uint64_t dirty_turn = 0;  // Its key in dirty_; 0: has no unflushed payload.
    uint64_t flushed = 0;     // Payload before this is on the local disk.
    uint64_t tail = 0;        // Where the last chunk ends: to look there is a miss of the cache.
    Chunks chunks = {};
    std::size_t head = 0;  // Those before it were dropped.

    bool empty() const { return head == chunks.size(); }
    const Chunk& front() const { return chunks[head]; }
    uint64_t end() const { return empty() ? flushed : tail; }
    bool has_flushed_chunk() const { return !empty() && front().end() <= flushed; }
    // The first chunk that ends after `position`.
    Chunks::const_iterator After(uint64_t position) const;
  };

  struct IncarnationOf {
    using is_transparent = void;
    Incarnation operator()(Incarnation incarnation) const { return incarnation; }
    Incarnation operator()(const std::unique_ptr<Entry>& entry) const { return entry->incarnation; }
  };
  struct Hash : private IncarnationOf {
    using IncarnationOf::is_transparent;
    std::size_t operator()(const auto& x) const {
      return absl::Hash<Incarnation>()(IncarnationOf::operator()(x));
    }
  };
  struct Equal : private IncarnationOf {
    using IncarnationOf::is_transparent;
    bool operator()(const auto& x, const auto& y) const {
      return IncarnationOf::operator()(x) == IncarnationOf::operator()(y);
    }
  };

  Entry* Find(Incarnation incarnation) const;
  void PopFront(Entry* entry);
  void SetEvictable(Entry* entry);
  void SetClean(Entry* entry);
  void Erase(Entry* entry);  // REQUIRES: no chunks, clean.

  absl::flat_hash_set<std::unique_ptr<Entry>, Hash, Equal> streams_;
  IntrusiveList<Entry> evictable_;  // Those with a flushed chunk; least recently used first.
  absl::btree_map<uint64_t, Entry*> dirty_;  // In the order in which they became unflushed.
  uint64_t next_turn_ = 1;
  uint64_t bytes_ = 0;
  uint64_t unflushed_bytes_ = 0;
};

}  // namespace ursula::stream
