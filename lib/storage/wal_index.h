// lib/storage/wal_index.h
//
// Where in a log the entries of a group are, coarsely: its segments are rows of chunks, each of
// whole batches, and of each chunk the lowest index of each group in it is known. So memory goes by
// chunks and groups, not by entries. Pure bookkeeping.
//
// Invariant: the newest entry of an index is in the newest chunk that has that index, or a lower
// one, of its group: what was appended of a lower index later would have replaced it.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "lib/base/ids.h"
#include "lib/storage/wal_format.h"

namespace ursula::storage {

// Batches of one segment, from `begin` on and before `end`; UINT32_MAX: all there are.
struct WalChunk {
  uint32_t segment = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
  friend bool operator==(const WalChunk&, const WalChunk&) = default;
};

class WalIndex {
 public:
  // The next batch begins a chunk if the one before has as much.
  static constexpr uint32_t kChunkBytes = 1 << 20;

  // ---- what the log does ----
  void OnBatch(WalPosition at);  // The next records are in the batch there.
  void OnEntry(GroupId group, Index index);
  void OnReset(GroupId group);       // All there is of it is void.
  void PopSegment(uint32_t number);  // It is gone, and those before it.

  // The first entry of the group from which on all of its entries are to be found. UINT64_MAX:
  // none.
  Index First(GroupId group) const;
  // Where the newest of that index is, if it was appended at all. Nothing: it has gone.
  std::optional<WalChunk> Find(GroupId group, Index index) const;

 private:
  struct Chunk {
    WalPosition begin = {};
    absl::flat_hash_map<GroupId, Index> lowest = {};
  };

  std::deque<Chunk> chunks_;
};

}  // namespace ursula::storage
