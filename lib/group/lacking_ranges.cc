#include "lib/group/lacking_ranges.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace ursula::group {

void LackingRanges::Clear() {
  ranges_.clear();
  bytes_ = 0;
}

LackingRanges::Ranges::const_iterator LackingRanges::Find(stream::Incarnation owner,
                                                          uint64_t offset) const {
  auto next = ranges_.upper_bound({owner, offset});
  if (next != ranges_.begin()) {
    auto before = std::prev(next);
    if (before->first.first == owner && offset < before->second.to) return before;
  }
  return next;
}

void LackingRanges::Insert(stream::Incarnation owner, uint64_t from, End end) {
  if (from >= end.to) return;
  bytes_ += end.to - from;
  auto next = ranges_.find({owner, end.to});
  if (next != ranges_.end() && next->second.why == end.why) {
    end.to = next->second.to;
    ranges_.erase(next);
  }
  auto at = ranges_.lower_bound({owner, from});
  if (at != ranges_.begin()) {
    auto before = std::prev(at);
    const bool touches = before->first.first == owner && before->second.to == from;
    if (touches && before->second.why == end.why) {
      before->second.to = end.to;
      return;
    }
  }
  ranges_.insert({{owner, from}, end});
}

void LackingRanges::Add(const stream::ReadRange& range, Why why) {
  uint64_t from = range.from;
  while (from < range.to) {
    const auto known = Find(range.owner, from);
    const bool none = known == ranges_.end() || known->first.first != range.owner;
    const uint64_t begin = none ? range.to : std::min(range.to, known->first.second);
    const uint64_t on = none ? range.to : std::max(begin, known->second.to);
    Insert(range.owner, from, {begin, why});
    from = on;
  }
}

void LackingRanges::Remove(const stream::ReadRange& range) {
  uint64_t from = range.from;
  while (from < range.to) {
    const auto at = Find(range.owner, from);
    if (at == ranges_.end() || at->first.first != range.owner) return;
    const uint64_t begin = at->first.second;
    const End end = at->second;
    if (begin >= range.to) return;
    ranges_.erase(at);
    bytes_ -= end.to - begin;
    Insert(range.owner, begin, {std::max(begin, std::min(from, end.to)), end.why});
    Insert(range.owner, range.to, end);
    from = end.to;
  }
}

void LackingRanges::RemoveAll(stream::Incarnation owner) { Remove({owner, 0, UINT64_MAX}); }

std::optional<LackingRanges::Range> LackingRanges::At(stream::Incarnation owner,
                                                      uint64_t offset) const {
  const auto at = Find(owner, offset);
  const bool holds = at != ranges_.end() && at->first.first == owner && at->first.second <= offset;
  if (!holds) return std::nullopt;
  return Range{{owner, offset, at->second.to}, at->second.why};
}

LackingRanges::Range LackingRanges::From(stream::Incarnation owner, uint64_t offset) const {
  if (std::optional<Range> here = At(owner, offset)) return *here;
  auto at = Find(owner, offset);
  if (at == ranges_.end()) at = ranges_.begin();
  return {{at->first.first, at->first.second, at->second.to}, at->second.why};
}

}  // namespace ursula::group
