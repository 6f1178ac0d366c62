#include "lib/storage/wal_index.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::storage {

void WalIndex::OnBatch(WalPosition at) {
  const bool goes_on = !chunks_.empty() && chunks_.back().begin.segment == at.segment &&
                       at.offset - chunks_.back().begin.offset < kChunkBytes;
  if (!goes_on) chunks_.push_back({.begin = at});
}

void WalIndex::OnEntry(GroupId group, Index index) {
  URSULA_CHECK(!chunks_.empty());
  const auto [lowest, first] = chunks_.back().lowest.try_emplace(group, index);
  if (!first) lowest->second = std::min(lowest->second, index);
}

void WalIndex::OnReset(GroupId group) {
  for (Chunk& chunk : chunks_) chunk.lowest.erase(group);
}

void WalIndex::PopSegment(uint32_t number) {
  while (!chunks_.empty() && chunks_.front().begin.segment <= number) chunks_.pop_front();
}

Index WalIndex::First(GroupId group) const {
  Index first{UINT64_MAX};
  for (const Chunk& chunk : chunks_) {
    auto found = chunk.lowest.find(group);
    if (found != chunk.lowest.end()) first = std::min(first, found->second);
  }
  return first;
}

std::optional<WalChunk> WalIndex::Find(GroupId group, Index index) const {
  WalPosition next{UINT32_MAX, UINT32_MAX};
  for (auto chunk = chunks_.rbegin(); chunk != chunks_.rend(); next = (chunk++)->begin) {
    auto found = chunk->lowest.find(group);
    if (found == chunk->lowest.end() || found->second > index) continue;
    const auto [segment, begin] = chunk->begin;
    return WalChunk{segment, begin, next.segment == segment ? next.offset : UINT32_MAX};
  }
  return std::nullopt;
}

}  // namespace ursula::storage
