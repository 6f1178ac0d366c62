#include "lib/storage/payload_index.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/base/check.h"

namespace ursula::storage {

const PayloadIndex::Extents* PayloadIndex::FindKey(PayloadKey key) const {
  auto group = groups_.find(key.group);
  if (group == groups_.end()) return nullptr;
  auto found = group->second.find(key.incarnation);
  return found == group->second.end() ? nullptr : &found->second;
}

PayloadIndex::Extents::const_iterator PayloadIndex::After(const Extents& extents, uint64_t from) {
  // Most often it is what was added last.
  if (extents.empty() || extents.back().end() <= from) return extents.end();
  return std::upper_bound(extents.begin(), extents.end(), from,
                          [](uint64_t at, const Extent& extent) { return at < extent.end(); });
}

void PayloadIndex::Add(PayloadKey key, const Extent& extent) {
  URSULA_CHECK(extent.length > 0);
  auto [found, is_new] = groups_[key.group].try_emplace(key.incarnation);
  Extents& extents = found->second;
  if (is_new) ++keys_;
  const std::size_t first =
      static_cast<std::size_t>(After(extents, extent.start) - extents.begin());
  std::size_t last = first;
  std::array<Extent, 3> with = {};
  std::size_t count = 0;
  std::vector<std::pair<uint32_t, uint64_t>> freed;  // Told once the index is whole again.
  for (; last < extents.size() && extents[last].start < extent.end(); ++last) {
    const Extent& old = extents[last];
    const uint64_t from = std::max(old.start, extent.start);
    freed.emplace_back(old.file, std::min(old.end(), extent.end()) - from);
    if (old.start < extent.start) {
      with[count] = old;
      with[count++].length = static_cast<uint32_t>(extent.start - old.start);
    }
  }
  with[count++] = extent;
  if (last > first && extents[last - 1].end() > extent.end()) {
    with[count] = extents[last - 1];
    with[count].start = extent.end();
    with[count].length = static_cast<uint32_t>(extents[last - 1].end() - extent.end());
    ++count;
  }
  Replace(&extents, first, last, with.data(), count);
  for (const auto& [file, bytes] : freed) freed_(file, bytes);
}

// Vectors grow by a quarter: there are many, and most of them long-lived.
void PayloadIndex::Replace(Extents* extents, std::size_t first, std::size_t last,
                           const Extent* with, std::size_t count) {
  capacity_ -= extents->capacity();
  const std::size_t size = extents->size() - (last - first) + count;
  if (size > extents->capacity()) extents->reserve(size + size / 4);
  const std::size_t kept = std::min(count, last - first);
  const auto at = extents->begin() + static_cast<std::ptrdiff_t>(first);
  std::copy(with, with + kept, at);
  if (kept < count) {
    extents->insert(at + static_cast<std::ptrdiff_t>(kept), with + kept, with + count);
  } else {
    extents->erase(at + static_cast<std::ptrdiff_t>(kept),
                   extents->begin() + static_cast<std::ptrdiff_t>(last));
    if (extents->capacity() > 2 * size + 8) extents->shrink_to_fit();
  }
  capacity_ += extents->capacity();
  extents_ += count;
  extents_ -= last - first;
}

std::vector<PayloadIndex::Extent> PayloadIndex::Cover(PayloadKey key, uint64_t from,
                                                      uint64_t bytes_max,
                                                      uint32_t count_max) const {
  std::vector<Extent> cover;
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return cover;
  const uint64_t wanted_end = from + std::min(bytes_max, UINT64_MAX - from);
  uint64_t reached = from;
  for (auto at = After(*extents, from); at != extents->end() && at->start <= reached &&
                                        reached < wanted_end && cover.size() < count_max;
       ++at) {
    cover.push_back(*at);
    reached = at->end();
  }
  return cover;
}

std::vector<PayloadIndex::Extent> PayloadIndex::MarkDamaged(PayloadKey key, uint32_t file,
                                                            uint32_t offset, uint64_t around) {
  std::vector<Extent> marked;
  const Extents* found = FindKey(key);
  if (found == nullptr) return marked;
  Extents& extents = groups_[key.group][key.incarnation];
  const uint64_t least = around - std::min<uint64_t>(around, kPayloadBlockBytesMax);
  for (auto at = extents.begin() + (After(*found, least) - found->begin());
       at != extents.end() && at->start < around + kPayloadBlockBytesMax; ++at) {
    if (at->file != file || at->offset != offset || at->damaged != 0) continue;
    at->damaged = 1;
    marked.push_back(*at);
  }
  return marked;
}

uint64_t PayloadIndex::Find(PayloadKey key, uint64_t from) const {
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return from;
  uint64_t reached = from;
  for (auto at = After(*extents, from);
       at != extents->end() && at->start <= reached && at->damaged == 0; ++at) {
    reached = at->end();
  }
  return reached;
}

uint64_t PayloadIndex::FindNext(PayloadKey key, uint64_t from) const {
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return UINT64_MAX;
  auto next = After(*extents, from);
  while (next != extents->end() && next->damaged != 0) ++next;
  return next == extents->end() ? UINT64_MAX : std::max(next->start, from);
}

void PayloadIndex::ForEachKey(GroupId group,
                              const std::function<void(uint64_t, uint64_t)>& visit) const {
  auto found = groups_.find(group);
  if (found == groups_.end()) return;
  std::vector<uint64_t> incarnations;
  for (const auto& [incarnation, extents] : found->second) incarnations.push_back(incarnation);
  std::sort(incarnations.begin(), incarnations.end());
  for (uint64_t one : incarnations) visit(one, found->second.at(one).back().end());
}

PayloadIndex::Extent PayloadIndex::FirstIn(PayloadKey key, uint64_t from, uint64_t to,
                                           uint32_t file, uint32_t offset) const {
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return {};
  for (auto at = After(*extents, from); at != extents->end() && at->start < to; ++at) {
    if (at->start < from || at->file != file || at->offset != offset) continue;
    return at->damaged == 0 ? *at : Extent();
  }
  return {};
}

std::vector<PayloadIndex::Extent> PayloadIndex::RunAround(PayloadKey key, uint64_t start,
                                                          uint32_t length_max,
                                                          uint32_t count_max) const {
  const Extents& extents = *FindKey(key);
  const auto middle = After(extents, start);
  URSULA_CHECK(middle != extents.end() && middle->start == start);
  auto first = middle;
  auto last = std::next(middle);
  if (middle->length <= length_max) {
    while (first != extents.begin() && std::prev(first)->end() == first->start &&
           std::prev(first)->length <= length_max && std::prev(first)->damaged == 0 &&
           last - first < count_max) {
      --first;
    }
    while (last != extents.end() && last->start == std::prev(last)->end() &&
           last->length <= length_max && last->damaged == 0 && last - first < count_max) {
      ++last;
    }
  }
  return {first, last};
}

std::vector<PayloadExtent> PayloadIndex::InFile(uint32_t file) const {
  std::vector<PayloadExtent> found;
  for (const auto& [group, keys] : groups_) {
    for (const auto& [incarnation, extents] : keys) {
      for (const Extent& extent : extents) {
        if (extent.file != file) continue;
        found.push_back({{group, incarnation}, extent.start, extent.length, extent.offset, 0});
      }
    }
  }
  std::sort(found.begin(), found.end(), [](const PayloadExtent& a, const PayloadExtent& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.start < b.start;
  });
  return found;
}

uint32_t PayloadIndex::RunBefore(PayloadKey key, uint64_t end, uint32_t length_max,
                                 uint32_t count_max) const {
  const Extents* extents = FindKey(key);
  uint32_t count = 0;
  if (extents == nullptr) return count;
  auto at = After(*extents, end);
  while (count < count_max && at != extents->begin()) {
    --at;
    if (at->end() != end || at->length > length_max) break;
    end = at->start;
    ++count;
  }
  return count;
}

void PayloadIndex::FreeAll(const Extents& extents) {
  extents_ -= extents.size();
  for (const Extent& extent : extents) freed_(extent.file, extent.length);
}

void PayloadIndex::Free(PayloadKey key) {
  auto group = groups_.find(key.group);
  if (group == groups_.end()) return;
  auto found = group->second.find(key.incarnation);
  if (found == group->second.end()) return;
  Extents extents = std::move(found->second);
  capacity_ -= extents.capacity();
  group->second.erase(found);
  --keys_;
  FreeAll(extents);
}

void PayloadIndex::FreeBefore(PayloadKey key, uint64_t offset) {
  const Extents* found = FindKey(key);
  if (found == nullptr) return;
  Extents& extents = groups_[key.group][key.incarnation];
  auto first_kept = After(extents, offset);
  if (first_kept == extents.end()) return Free(key);
  const std::size_t count = static_cast<std::size_t>(first_kept - extents.begin());
  Extents freed(extents.cbegin(), first_kept);
  Replace(&extents, 0, count, nullptr, 0);
  extents_ += count;  // FreeAll counts them.
  FreeAll(freed);
}

void PayloadIndex::Keep(GroupId group, const std::function<bool(uint64_t)>& wanted) {
  auto found = groups_.find(group);
  if (found == groups_.end()) return;
  std::vector<uint64_t> unwanted;
  for (const auto& [incarnation, extents] : found->second) {
    if (!wanted(incarnation)) unwanted.push_back(incarnation);
  }
  std::sort(unwanted.begin(), unwanted.end());  // In a simulation the hash map's order would tell.
  for (uint64_t incarnation : unwanted) Free({group, incarnation});
}

uint64_t PayloadIndex::bytes() const {
  uint64_t bytes = capacity_ * sizeof(Extent);
  for (const auto& [group, keys] : groups_) {
    bytes += keys.capacity() * (sizeof(Group::value_type) + 1);  // A control byte each.
  }
  return bytes;
}

}  // namespace ursula::storage
