#include "server/peer/frame_records.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/base/byte_parts.h"
#include "lib/base/check.h"

namespace ursula::peer {
namespace {

// A record's first byte.
constexpr uint8_t kBegins = 1;
constexpr uint8_t kEnds = 2;

constexpr uint64_t kFramesPerMessageMax = 1024;

}  // namespace

void FrameQueue::Push(std::vector<Bytes> frame, uint64_t bytes) {
  frames_.push_back({.parts = std::move(frame), .bytes = bytes});
}

FrameQueue::Message FrameQueue::Next(uint64_t bytes_max) {
  URSULA_CHECK(!frames_.empty());
  ByteParts out;
  Message message;
  uint64_t room = std::max<uint64_t>(bytes_max, 1);
  while (!frames_.empty() && room > 0 && message.frames < kFramesPerMessageMax) {
    Frame& frame = frames_.front();
    // One that fits into a message of its own isn't taken apart.
    const bool whole = frame.sent_bytes == 0 && frame.bytes <= room;
    if (!whole && out.size() > 0 && frame.bytes <= bytes_max) break;
    const uint64_t count = std::min(frame.bytes - frame.sent_bytes, room);
    const bool begins = frame.sent_bytes == 0;
    const bool ends = frame.sent_bytes + count == frame.bytes;
    out.PutFixed<uint8_t>(static_cast<uint8_t>((begins ? kBegins : 0) | (ends ? kEnds : 0)));
    if (begins && !ends) out.PutVarint(frame.bytes);
    out.PutVarint(count);
    for (uint64_t left = count; left > 0;) {
      const Bytes& part = frame.parts[frame.part];
      const std::size_t taken =
          static_cast<std::size_t>(std::min<uint64_t>(left, part.size() - frame.offset));
      out.Put(part.Slice(frame.offset, taken));
      frame.offset += taken;
      left -= taken;
      if (frame.offset == part.size()) {
        ++frame.part;
        frame.offset = 0;
      }
    }
    frame.sent_bytes += count;
    room -= count;
    message.cost += count;
    if (!ends) break;
    message.cost += kFrameOverheadBytes;
    ++message.frames;
    frames_.pop_front();
  }
  message.parts = out.Take();
  return message;
}

// Reads on over the borders of pieces.
class FrameReader::Cursor {
 public:
  explicit Cursor(std::span<const std::string_view> pieces) : pieces_(pieces) {
    for (std::string_view piece : pieces_) left_ += piece.size();
  }

  uint64_t left() const { return left_; }

  bool Byte(uint8_t* out) {
    if (left_ == 0) return false;
    while (at_ == pieces_.front().size()) NextPiece();
    *out = static_cast<uint8_t>(pieces_.front()[at_++]);
    --left_;
    return true;
  }
  bool Varint(uint64_t* out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      uint8_t byte = 0;
      if (!Byte(&byte) || (shift == 63 && byte > 1)) return false;
      *out |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  // REQUIRES: count <= left().
  void Copy(char* to, uint64_t count) {
    left_ -= count;
    while (count > 0) {
      const std::string_view rest = pieces_.front().substr(at_);
      const std::size_t taken = static_cast<std::size_t>(std::min<uint64_t>(count, rest.size()));
      if (taken > 0) std::memcpy(to, rest.data(), taken);
      to += taken;
      at_ += taken;
      count -= taken;
      if (count > 0) NextPiece();
    }
  }

 private:
  void NextPiece() {
    pieces_ = pieces_.subspan(1);
    at_ = 0;
  }

  std::span<const std::string_view> pieces_;
  std::size_t at_ = 0;
  uint64_t left_ = 0;
};

bool FrameReader::Read(std::span<const std::string_view> pieces, std::vector<Bytes>* frames) {
  Cursor cursor(pieces);
  if (cursor.left() == 0) return false;
  const std::size_t before = frames->size();
  while (cursor.left() > 0) {
    if (frames->size() - before == kFramesPerMessageMax) return false;
    if (!ReadRecord(&cursor, frames)) return false;
  }
  return true;
}

bool FrameReader::ReadRecord(Cursor* cursor, std::vector<Bytes>* frames) {
  uint8_t kind = 0;
  if (!cursor->Byte(&kind) || kind > (kBegins | kEnds)) return false;
  const bool begins = (kind & kBegins) != 0;
  const bool ends = (kind & kEnds) != 0;
  if (begins != (open_ == nullptr)) return false;
  uint64_t total = 0;
  uint64_t count = 0;
  if (begins && !ends && !cursor->Varint(&total)) return false;
  if (!cursor->Varint(&count) || count > cursor->left()) return false;
  if (begins) {
    open_bytes_ = ends ? count : total;
    if (open_bytes_ > frame_bytes_max_) return false;
    open_ = std::make_shared_for_overwrite<char[]>(open_bytes_);
    open_have_ = 0;
  }
  // A fragment has bytes, so that a frame ends after a bounded number of them.
  if ((!begins || !ends) && count == 0) return false;
  if (count > open_bytes_ - open_have_) return false;
  cursor->Copy(open_.get() + open_have_, count);
  open_have_ += count;
  if (ends != (open_have_ == open_bytes_)) return false;
  if (ends) {
    const std::string_view view(open_.get(), open_bytes_);
    frames->push_back(Bytes(std::exchange(open_, nullptr), view));
  }
  return true;
}

}  // namespace ursula::peer
