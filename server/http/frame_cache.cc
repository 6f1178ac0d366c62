#include "server/http/frame_cache.h"

#include <functional>
#include <string_view>

namespace ursula::http {

std::size_t FrameCache::SlotOf(const FrameKey& key) {
  std::size_t hash = std::hash<std::string_view>{}(key.stream.name);
  hash = hash * 31 + std::hash<std::string_view>{}(key.stream.bucket);
  hash = hash * 31 + std::hash<uint64_t>{}(key.start.bytes);
  return hash * 31 % kSlots;
}

const SharedFrame* FrameCache::Find(const FrameKey& key) const {
  const Slot& slot = slots_[SlotOf(key)];
  if (slot.frame.bytes.empty() || slot.key != key) return nullptr;
  return &slot.frame;
}

void FrameCache::Insert(const FrameKey& key, const SharedFrame& frame) {
  if (frame.bytes.empty()) return;
  if (bytes_ + frame.bytes.size() > kBytesMax) Clear();
  Slot& slot = slots_[SlotOf(key)];
  bytes_ += frame.bytes.size();
  bytes_ -= slot.frame.bytes.size();
  slot.key = key;
  slot.frame = frame;
}

void FrameCache::Clear() {
  for (Slot& slot : slots_) slot.frame = {};
  bytes_ = 0;
}

}  // namespace ursula::http
