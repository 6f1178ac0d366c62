// lib/group/lacking_ranges.h
//
// Which ranges of payload a replica lacks: a million streams' after a snapshot, or a hundred
// thousand blocks' of a file that is gone. Every question is answered in logarithmic time.
//
// Invariant: ranges don't overlap and aren't empty; neighbours that lack for the same reason are
// one; bytes() is their sum.

#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "lib/stream/machine.h"

namespace ursula::group {

class LackingRanges {
 public:
  enum class Why : uint8_t {
    kNew,  // It never was here.
    kLost,
  };
  struct Range {
    stream::ReadRange range = {};
    Why why = Why::kNew;
  };

  bool empty() const { return ranges_.empty(); }
  uint64_t bytes() const { return bytes_; }
  void Clear();
  // What of it isn't there yet.
  void Add(const stream::ReadRange& range, Why why);
  void Remove(const stream::ReadRange& range);
  void RemoveAll(stream::Incarnation owner);
  // What lacks from there on; none: there nothing does.
  std::optional<Range> At(stream::Incarnation owner, uint64_t offset) const;
  // The same, or the next that lacks anything; after the last comes the first. REQUIRES: !empty().
  Range From(stream::Incarnation owner, uint64_t offset) const;

 private:
  using Key = std::pair<stream::Incarnation, uint64_t>;  // Where it begins.
  struct End {
    uint64_t to = 0;
    Why why = Why::kNew;
  };
  using Ranges = absl::btree_map<Key, End>;

  // The range that holds this offset, or the first behind it.
  Ranges::const_iterator Find(stream::Incarnation owner, uint64_t offset) const;
  void Insert(stream::Incarnation owner, uint64_t from, End end);

  Ranges ranges_;
  uint64_t bytes_ = 0;
};

}  // namespace ursula::group
