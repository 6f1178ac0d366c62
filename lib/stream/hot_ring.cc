#include "lib/stream/hot_ring.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::stream {

HotRing::~HotRing() {
  while (evictable_.PopFront() != nullptr) {
  }
}

HotRing::Chunks::const_iterator HotRing::Entry::After(uint64_t position) const {
  return std::upper_bound(chunks.begin() + static_cast<std::ptrdiff_t>(head), chunks.end(),
                          position,
                          [](uint64_t at, const Chunk& chunk) { return at < chunk.end(); });
}

HotRing::Entry* HotRing::Find(Incarnation incarnation) const {
  auto found = streams_.find(incarnation);
  return found == streams_.end() ? nullptr : found->get();
}

void HotRing::Add(Incarnation incarnation, uint64_t start, Bytes payload) {
  URSULA_CHECK(!payload.empty());
  Entry* entry = Find(incarnation);
  if (entry != nullptr && entry->end() != start) {
    URSULA_CHECK(entry->dirty_turn == 0);
    Drop(incarnation);
    entry = nullptr;
  }
  if (entry == nullptr) {
    auto owned = std::make_unique<Entry>();
    entry = owned.get();
    entry->incarnation = incarnation;
    entry->flushed = start;
    streams_.insert(std::move(owned));
    bytes_ += kStreamOverheadBytes;
  }
  bytes_ += payload.size() + kChunkOverheadBytes;
  unflushed_bytes_ += payload.size();
  entry->tail = start + payload.size();
  entry->chunks.push_back({start, std::move(payload)});
  if (entry->dirty_turn == 0) {
    entry->dirty_turn = next_turn_++;
    dirty_.emplace_hint(dirty_.end(), entry->dirty_turn, entry);
  }
  SetEvictable(entry);
}

// Also counts as a use.
void HotRing::SetEvictable(Entry* entry) {
  if (entry->linked()) entry->Unlink();
  if (entry->has_flushed_chunk()) evictable_.PushBack(entry);
}

void HotRing::SetClean(Entry* entry) {
  if (entry->dirty_turn == 0) return;
  dirty_.erase(entry->dirty_turn);
  entry->dirty_turn = 0;
}

HotRing::ReadResult HotRing::Read(Incarnation incarnation, uint64_t from, uint64_t to,
                                  uint64_t bytes_max) {
  ReadResult result;
  result.reach = from;
  Entry* entry = Find(incarnation);
  if (entry == nullptr || from < entry->front().start) return result;
  SetEvictable(entry);
  uint64_t end = from + std::min(bytes_max, to > from ? to - from : 0);
  for (auto chunk = entry->After(from); chunk != entry->chunks.end() && result.reach < end;
       ++chunk) {
    uint64_t stop = std::min(end, chunk->end());
    result.parts.push_back(
        chunk->payload.Slice(static_cast<std::size_t>(result.reach - chunk->start),
                             static_cast<std::size_t>(stop - result.reach)));
    result.append_ends.push_back(chunk->end());
    result.reach = stop;
  }
  return result;
}

uint64_t HotRing::CachedFrom(Incarnation incarnation) const {
  const Entry* entry = Find(incarnation);
  return entry == nullptr ? 0 : entry->front().start;
}

uint64_t HotRing::CachedTo(Incarnation incarnation) const {
  const Entry* entry = Find(incarnation);
  return entry == nullptr ? 0 : entry->end();
}

uint64_t HotRing::AppendEnd(Incarnation incarnation, uint64_t start) const {
  const Entry* entry = Find(incarnation);
  if (entry == nullptr) return 0;
  auto chunk = entry->After(start);
  return chunk != entry->chunks.end() && chunk->start == start ? chunk->end() : 0;
}

std::vector<UnflushedRun> HotRing::CollectUnflushed(uint64_t bytes_max) const {
  std::vector<UnflushedRun> runs;
  uint64_t collected = 0;
  for (const auto& [turn, entry] : dirty_) {
    if (collected >= bytes_max && !runs.empty()) break;
    UnflushedRun& run = runs.emplace_back();
    run.incarnation = entry->incarnation;
    run.start = entry->flushed;
    for (auto chunk = entry->After(entry->flushed); chunk != entry->chunks.end(); ++chunk) {
      uint64_t skip = entry->flushed > chunk->start ? entry->flushed - chunk->start : 0;
      run.parts.push_back(chunk->payload.Slice(static_cast<std::size_t>(skip)));
      collected += run.parts.back().size();
      if (collected >= bytes_max) break;
    }
  }
  return runs;
}

void HotRing::MarkFlushed(Incarnation incarnation, uint64_t upto) {
  Entry* entry = Find(incarnation);
  if (entry == nullptr) return;
  upto = std::min(upto, entry->end());
  if (upto <= entry->flushed) return;
  unflushed_bytes_ -= upto - entry->flushed;
  entry->flushed = upto;
  SetClean(entry);
  if (upto < entry->end()) {  // What came since then queues behind the others.
    entry->dirty_turn = next_turn_++;
    dirty_.emplace(entry->dirty_turn, entry);
  }
  if (!entry->linked()) SetEvictable(entry);
}

void HotRing::PopFront(Entry* entry) {
  Chunk& chunk = entry->chunks[entry->head++];
  bytes_ -= chunk.payload.size() + kChunkOverheadBytes;
  chunk.payload = Bytes();
  constexpr std::size_t kCompactMin = 16;
  if (entry->head >= kCompactMin && entry->head * 2 >= entry->chunks.size()) {
    entry->chunks.erase(entry->chunks.begin(),
                        entry->chunks.begin() + static_cast<std::ptrdiff_t>(entry->head));
    entry->head = 0;
  }
}

void HotRing::Evict(uint64_t bytes_target) {
  while (bytes_ > bytes_target) {
    Entry* entry = evictable_.front();
    if (entry == nullptr) return;
    PopFront(entry);
    if (!entry->has_flushed_chunk()) entry->Unlink();
    if (entry->empty()) Erase(entry);
  }
}

void HotRing::Drop(Incarnation incarnation) {
  Entry* entry = Find(incarnation);
  if (entry == nullptr) return;
  unflushed_bytes_ -= entry->end() - entry->flushed;
  SetClean(entry);
  if (entry->linked()) entry->Unlink();
  while (!entry->empty()) PopFront(entry);
  Erase(entry);
}

void HotRing::Erase(Entry* entry) {
  URSULA_CHECK(entry->empty());
  URSULA_CHECK(entry->dirty_turn == 0);
  bytes_ -= kStreamOverheadBytes;
  streams_.erase(streams_.find(entry->incarnation));
}

}  // namespace ursula::stream
