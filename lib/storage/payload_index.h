// lib/storage/payload_index.h
//
// Where each stored byte of a core's streams is. Invariant: extents of one key don't overlap.

#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/storage/payload_format.h"

namespace ursula::storage {

class PayloadIndex {
 public:
  // A stretch of a stream, all of a block's or a part of it.
  struct Extent {
    uint64_t start = 0;
    uint32_t length = 0;
    uint32_t file = 0;         // The store's number for it.
    uint32_t offset = 0;       // Of the block.
    uint32_t bytes : 31 = 0;   // Of the block: header, message ends and payload.
    uint32_t damaged : 1 = 0;  // It was met and didn't hold: as good as not there.
    uint64_t end() const { return start + length; }
  };
  // So many bytes of a file are no longer indexed.
  using Freed = std::function<void(uint32_t file, uint64_t bytes)>;

  explicit PayloadIndex(Freed freed) : freed_(std::move(freed)) {}

  // What is there of the same range gives way to it.
  void Add(PayloadKey key, const Extent& extent);
  // The extents of the key that are in the block at `offset` of `file` are damaged, until the same
  // range is added again. Those that weren't known to be.
  // `around`: an offset of the stream that the block holds.
  std::vector<Extent> MarkDamaged(PayloadKey key, uint32_t file, uint32_t offset, uint64_t around);
  // Extents that cover [from, ...) without a gap, at most `count_max`, until `bytes_max` are there;
  // damaged ones too, for whoever reads them finds that out, or finds them whole after all.
  std::vector<Extent> Cover(PayloadKey key, uint64_t from, uint64_t bytes_max,
                            uint32_t count_max) const;
  // Both pass over what is damaged.
  uint64_t Find(PayloadKey key, uint64_t from) const;
  uint64_t FindNext(PayloadKey key, uint64_t from) const;
  // Each key of the group, in order, with the end of its last extent.
  void ForEachKey(GroupId group, const std::function<void(uint64_t, uint64_t)>& visit) const;

  // For compaction, and without what is damaged. The first extent that begins in [from, to), in the
  // block at `offset` of `file`; of length 0: there is none.
  Extent FirstIn(PayloadKey key, uint64_t from, uint64_t to, uint32_t file, uint32_t offset) const;
  // The extents around the one that begins at `start` that adjoin each other, none longer than
  // `length_max`, at most `count_max`. One at least. REQUIRES: there is one that begins there.
  std::vector<Extent> RunAround(PayloadKey key, uint64_t start, uint32_t length_max,
                                uint32_t count_max) const;
  // All that is in the file, by offset; for when the file itself doesn't say any more. Looks at all
  // there is.
  std::vector<PayloadExtent> InFile(uint32_t file) const;
  // How many extents of at most `length_max` adjoin each other and end at `end`, up to `count_max`.
  uint32_t RunBefore(PayloadKey key, uint64_t end, uint32_t length_max, uint32_t count_max) const;

  void Free(PayloadKey key);
  void FreeBefore(PayloadKey key, uint64_t offset);
  void Keep(GroupId group, const std::function<bool(uint64_t)>& wanted);

  uint64_t extents() const { return extents_; }
  uint64_t keys() const { return keys_; }
  uint64_t bytes() const;  // Of memory.

 private:
  using Extents = std::vector<Extent>;
  using Group = absl::flat_hash_map<uint64_t, Extents>;

  const Extents* FindKey(PayloadKey key) const;
  // The first extent that ends after `from`.
  static Extents::const_iterator After(const Extents& extents, uint64_t from);
  void Replace(Extents* extents, std::size_t first, std::size_t last, const Extent* with,
               std::size_t count);
  void FreeAll(const Extents& extents);

  Freed freed_;
  absl::flat_hash_map<GroupId, Group> groups_;
  uint64_t extents_ = 0;
  uint64_t keys_ = 0;
  uint64_t capacity_ = 0;  // Of all vectors, in extents.
};

}  // namespace ursula::storage
