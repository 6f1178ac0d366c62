// server/http/frame_cache.h
//
// FrameCache lets the subscribers of a core that wait at the same place of a stream share one
// encoded SSE frame. Direct-mapped: a new frame takes the slot of an older one.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "server/protocol/sse.h"
#include "ursula/bytes.h"
#include "ursula/types.h"

namespace ursula::http {

// All that an encoded frame depends on, when no bytes are held back from an earlier one.
struct FrameKey {
  StreamId stream = {};
  uint64_t incarnation = 0;
  protocol::SseForm form = protocol::SseForm::kText;
  Offset start = {};
  Offset next = {};
  uint64_t cursor = 0;
  bool up_to_date = false;
  bool closed = false;
  friend bool operator==(const FrameKey&, const FrameKey&) = default;
};

struct SharedFrame {
  Bytes bytes = {};
  Offset next = {};
  bool closed = false;
};

class FrameCache {
 public:
  // Memory stays below this, the newest frame aside.
  static constexpr std::size_t kBytesMax = 16 << 20;

  // Null: none. Valid until the next Insert.
  const SharedFrame* Find(const FrameKey& key) const;
  void Insert(const FrameKey& key, const SharedFrame& frame);

  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kSlots = 512;

  struct Slot {
    FrameKey key = {};
    SharedFrame frame = {};  // Empty bytes: no frame.
  };

  static std::size_t SlotOf(const FrameKey& key);
  void Clear();

  std::array<Slot, kSlots> slots_;
  std::size_t bytes_ = 0;
};

}  // namespace ursula::http
