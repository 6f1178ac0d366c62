// server/peer/frame_records.h
//
// Frames on a stream's messages (docs/formats/peer_frames.md, "Messages of a stream"). Several
// small frames share a message; a large one is taken apart over several and put together again.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ursula/bytes.h"

namespace ursula::peer {

// What a frame costs its window beside its bytes, so that empty ones are bounded too.
inline constexpr uint64_t kFrameOverheadBytes = 64;

// Frames that wait for their stream, in order. Not thread-safe.
class FrameQueue {
 public:
  struct Message {
    std::vector<Bytes> parts = {};  // Large ones are the frames' own, shared.
    uint64_t cost = 0;              // Of the window: what these bytes were charged with.
    uint64_t frames = 0;            // Whole with this message.
  };

  void Push(std::vector<Bytes> frame, uint64_t bytes);
  bool empty() const { return frames_.empty(); }
  // The next one, of about `bytes_max` bytes at most. REQUIRES: !empty().
  Message Next(uint64_t bytes_max);

 private:
  struct Frame {
    std::vector<Bytes> parts = {};
    uint64_t bytes = 0;
    // What has left.
    uint64_t sent_bytes = 0;
    std::size_t part = 0;
    std::size_t offset = 0;  // In that part.
  };

  std::deque<Frame> frames_;
};

// Makes frames of a stream's messages. Not thread-safe.
class FrameReader {
 public:
  explicit FrameReader(uint64_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  // Appends the frames that the message, given in pieces, made whole. Each has memory of its own.
  // False: it is none of ours, and the stream is to be closed.
  bool Read(std::span<const std::string_view> pieces, std::vector<Bytes>* frames);

 private:
  class Cursor;
  bool ReadRecord(Cursor* cursor, std::vector<Bytes>* frames);

  const uint64_t frame_bytes_max_;
  // Of a frame that comes in fragments. Null: none is under way.
  std::shared_ptr<char[]> open_;
  uint64_t open_bytes_ = 0;  // That it has in all.
  uint64_t open_have_ = 0;
};

}  // namespace ursula::peer
