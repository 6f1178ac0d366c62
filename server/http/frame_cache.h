// server/http/frame_cache.h
//
// Subscribers that wait at the same place of a stream share one encoded SSE frame: those of one
// core through its FrameCache, those of all cores through the server's SharedFrames, which a core
// asks once a frame.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/io/guarded.h"
#include "server/http/chunk.h"
#include "server/protocol/sse.h"
#include "ursula/function.h"
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

  std::size_t Hash() const;
};

struct Frame {
  Chunk chunk = {};
  protocol::Position next = {};
  bool closed = false;
  std::size_t data_bytes = 0;  // Of the data event, with which it begins.
};

// Direct-mapped: a new frame takes the slot of an older one.
class FrameCache {
 public:
  // Memory stays below this, the newest frame aside.
  static constexpr std::size_t kBytesMax = 4 << 20;

  FrameCache() : slots_(kSlots) {}

  // Null: none. Valid until the next Insert.
  const Frame* Find(const FrameKey& key) const;
  void Insert(const FrameKey& key, const Frame& frame);

  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kSlots = 256;

  struct Slot {
    FrameKey key = {};
    Frame frame = {};  // Empty chunk: no frame.
  };

  void Clear();

  std::vector<Slot> slots_;
  std::size_t bytes_ = 0;
};

// Any thread, and none waits for another: a frame that another core is encoding, or that is looked
// for while another core looks, is encoded here as well (docs/decisions/0021).
class SharedFrames {
 public:
  struct Encoded {
    Frame frame = {};
    bool reusable = false;  // It depends on nothing but its key.
  };

  // `encode` runs at most once, inside the call and under no lock; `*found`: it did not.
  Frame FindOrEncode(const FrameKey& key, Function<Encoded()> encode, bool* found);

 private:
  static constexpr std::size_t kShards = 8;
  std::array<io::Guarded<FrameCache>, kShards> shards_;
};

}  // namespace ursula::http
