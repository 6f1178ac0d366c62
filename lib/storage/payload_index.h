// lib/storage/payload_index.h
//
// Where each stored byte of a core's streams is. Invariant: of one key no extent lies within
// another, so that extents sorted by start are sorted by end as well.

#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/storage/payload_format.h"

namespace ursula::storage {

class PayloadIndex {
 public:
  struct Extent {
    uint64_t start = 0;
    uint32_t length = 0;
    uint32_t file = 0;  // The store's number for it.
    uint32_t offset = 0;
    uint32_t header_bytes = 0;
    uint64_t end() const { return start + length; }
  };
  using Freed = std::function<void(const Extent& extent)>;

  // `freed` is told of each extent that leaves; may be the added one, if all of it is there.
  explicit PayloadIndex(Freed freed) : freed_(std::move(freed)) {}

  // Of two extents of the same range the added one stays.
  void Add(PayloadKey key, const Extent& extent);
  // Extents that cover [from, ...) without a gap, at most `count_max`, until `bytes_max` are there.
  std::vector<Extent> Cover(PayloadKey key, uint64_t from, uint64_t bytes_max,
                            uint32_t count_max) const;
  uint64_t Find(PayloadKey key, uint64_t from) const;
  uint64_t FindNext(PayloadKey key, uint64_t from) const;
  // Each key of the group, in order, with the end of its last extent.
  void ForEachKey(GroupId group, const std::function<void(uint64_t, uint64_t)>& visit) const;
  bool Has(PayloadKey key, uint64_t start, uint32_t file, uint32_t offset) const;

  void Free(PayloadKey key);
  void FreeBefore(PayloadKey key, uint64_t offset);
  void Keep(GroupId group, const std::function<bool(uint64_t)>& wanted);

  uint64_t extents() const { return extents_; }
  uint64_t keys() const { return keys_; }

 private:
  using Extents = std::vector<Extent>;
  using Group = absl::flat_hash_map<uint64_t, Extents>;

  const Extents* FindKey(PayloadKey key) const;
  // The last extent that starts at or before `from`, if it holds `from`; else end.
  static Extents::const_iterator At(const Extents& extents, uint64_t from);
  void FreeAll(const Extents& extents);

  Freed freed_;
  absl::flat_hash_map<GroupId, Group> groups_;
  uint64_t extents_ = 0;
  uint64_t keys_ = 0;
};

}  // namespace ursula::storage
