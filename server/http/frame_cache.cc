#include "server/http/frame_cache.h"

#include <functional>
#include <string_view>
#include <utility>

namespace ursula::http {

std::size_t FrameKey::Hash() const {
  std::size_t hash = std::hash<std::string_view>{}(stream.name);
  hash = hash * 31 + std::hash<std::string_view>{}(stream.bucket);
  return hash * 31 + std::hash<uint64_t>{}(start.bytes);
}

const Frame* FrameCache::Find(const FrameKey& key) const {
  const Slot& slot = slots_[key.Hash() % kSlots];
  if (slot.frame.chunk.empty() || slot.key != key) return nullptr;
  return &slot.frame;
}

void FrameCache::Insert(const FrameKey& key, const Frame& frame) {
  if (frame.chunk.empty()) return;
  if (bytes_ + frame.chunk.size() > kBytesMax) Clear();
  Slot& slot = slots_[key.Hash() % kSlots];
  bytes_ += frame.chunk.size();
  bytes_ -= slot.frame.chunk.size();
  slot.key = key;
  slot.frame = frame;
}

void FrameCache::Clear() {
  for (Slot& slot : slots_) slot.frame = {};
  bytes_ = 0;
}

Frame SharedFrames::FindOrEncode(const FrameKey& key, Function<Encoded()> encode, bool* found) {
  // Not the bits that choose a slot.
  io::Guarded<FrameCache>& shard = shards_[key.Hash() / 4096 % kShards];
  Frame frame;
  *found = false;
  shard.TryWith([&](FrameCache& cache) {
    const Frame* there = cache.Find(key);
    *found = there != nullptr;
    if (there != nullptr) frame = *there;
  });
  if (*found) return frame;
  Encoded encoded = encode();
  if (encoded.reusable) {
    shard.TryWith([&](FrameCache& cache) { cache.Insert(key, encoded.frame); });
  }
  return std::move(encoded.frame);
}

}  // namespace ursula::http
