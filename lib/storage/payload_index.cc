#include "lib/storage/payload_index.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::storage {

const PayloadIndex::Extents* PayloadIndex::FindKey(PayloadKey key) const {
  auto group = groups_.find(key.group);
  if (group == groups_.end()) return nullptr;
  auto found = group->second.find(key.incarnation);
  return found == group->second.end() ? nullptr : &found->second;
}

PayloadIndex::Extents::const_iterator PayloadIndex::At(const Extents& extents, uint64_t from) {
  auto after =
      std::upper_bound(extents.begin(), extents.end(), from,
                       [](uint64_t at, const Extent& extent) { return at < extent.start; });
  if (after == extents.begin()) return extents.end();
  auto found = std::prev(after);
  return from < found->end() ? found : extents.end();
}

void PayloadIndex::Add(PayloadKey key, const Extent& extent) {
  URSULA_CHECK(extent.length > 0);
  auto [found, is_new] = groups_[key.group].try_emplace(key.incarnation);
  Extents& extents = found->second;
  if (is_new) ++keys_;
  auto at = std::lower_bound(extents.begin(), extents.end(), extent.start,
                             [](const Extent& e, uint64_t start) { return e.start < start; });
  // Within one that is there and not equal to it?
  auto holds = [&extent](const Extent& other) {
    return other.start <= extent.start && other.end() >= extent.end() &&
           other.length > extent.length;
  };
  if ((at != extents.begin() && holds(*std::prev(at))) || (at != extents.end() && holds(*at))) {
    freed_(extent);
    return;
  }
  auto last = at;
  while (last != extents.end() && last->end() <= extent.end()) ++last;
  Extents replaced(at, last);
  at = extents.erase(at, last);
  extents.insert(at, extent);
  ++extents_;
  FreeAll(replaced);
}

std::vector<PayloadIndex::Extent> PayloadIndex::Cover(PayloadKey key, uint64_t from,
                                                      uint64_t bytes_max,
                                                      uint32_t count_max) const {
  std::vector<Extent> cover;
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return cover;
  const uint64_t wanted_end = from + std::min(bytes_max, UINT64_MAX - from);
  uint64_t reached = from;
  while (reached < wanted_end && cover.size() < count_max) {
    auto at = At(*extents, reached);
    if (at == extents->end()) break;
    cover.push_back(*at);
    reached = at->end();
  }
  return cover;
}

uint64_t PayloadIndex::Find(PayloadKey key, uint64_t from) const {
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return from;
  auto at = At(*extents, from);
  uint64_t reached = from;
  while (at != extents->end() && at->start <= reached) {
    reached = at->end();
    ++at;
  }
  return reached;
}

uint64_t PayloadIndex::FindNext(PayloadKey key, uint64_t from) const {
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return UINT64_MAX;
  if (At(*extents, from) != extents->end()) return from;
  auto next = std::lower_bound(extents->begin(), extents->end(), from,
                               [](const Extent& e, uint64_t start) { return e.start < start; });
  return next == extents->end() ? UINT64_MAX : next->start;
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

bool PayloadIndex::Has(PayloadKey key, uint64_t start, uint32_t file, uint32_t offset) const {
  const Extents* extents = FindKey(key);
  if (extents == nullptr) return false;
  auto at = std::lower_bound(extents->begin(), extents->end(), start,
                             [](const Extent& e, uint64_t from) { return e.start < from; });
  return at != extents->end() && at->start == start && at->file == file && at->offset == offset;
}

void PayloadIndex::FreeAll(const Extents& extents) {
  extents_ -= extents.size();
  for (const Extent& extent : extents) freed_(extent);
}

void PayloadIndex::Free(PayloadKey key) {
  auto group = groups_.find(key.group);
  if (group == groups_.end()) return;
  auto found = group->second.find(key.incarnation);
  if (found == group->second.end()) return;
  Extents extents = std::move(found->second);
  group->second.erase(found);
  --keys_;
  FreeAll(extents);
}

void PayloadIndex::FreeBefore(PayloadKey key, uint64_t offset) {
  const Extents* found = FindKey(key);
  if (found == nullptr) return;
  Extents& extents = groups_[key.group][key.incarnation];
  auto first_kept = std::find_if(extents.begin(), extents.end(),
                                 [offset](const Extent& e) { return e.end() > offset; });
  if (first_kept == extents.end()) return Free(key);
  Extents freed(extents.begin(), first_kept);
  extents.erase(extents.begin(), first_kept);
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

}  // namespace ursula::storage
