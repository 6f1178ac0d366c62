// server/protocol/sse.h
//
// Server-sent events of a live read. A frame is one data event (if there is data) and the control
// event that follows it, in one buffer to be written at once:
//
//   event: data
//   data:<line>                 text: one per line; JSON: one array; other: base64
//   id:<offset>
//
//   event: control
//   data:{"streamNextOffset":"…","streamCursor":"…","upToDate":true,"streamIncarnation":"…"}
//   id:<offset>
//
// Invariant: the offset that an event names is where the data written so far ends, so a reader that
// resumes there loses and repeats nothing.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/protocol/offset.h"
#include "ursula/bytes.h"
#include "ursula/engine.h"

namespace ursula::protocol {

enum class SseForm : uint8_t { kText, kJson, kBase64, kJsonWithOffsets };

// `state_offsets`: the reader wants them, of JSON (state_offsets.h).
SseForm SseFormOf(std::string_view content_type, bool state_offsets = false);

// A comment, which clients ignore: keeps proxies from closing an idle connection.
inline constexpr std::string_view kSseHeartbeat = ":\n\n";

struct SseControl {
  Position next = {};
  std::optional<uint64_t> cursor = {};  // Left out when closed.
  bool up_to_date = false;
  bool closed = false;  // Everything was delivered and nothing will follow.
  uint64_t incarnation = 0;
};

// Told first, before any data: where the connection begins, so that one that is cut off resumes
// there, and how soon to come again.
std::string EncodeSsePriming(Position start);

// The control event alone: first answer at an idle tail, keep-alive, end of a connection.
std::string EncodeSseControl(const SseControl& control);

struct SseFrame {
  std::string bytes = {};      // Never empty: a control event at least.
  std::size_t data_bytes = 0;  // Of the data event, with which they begin.
  Position next = {};          // The control event's offset.
  bool closed = false;         // The stream's end was told: write `bytes`, then end the connection.
};

// One subscriber's position. Feed it contiguous replies in order.
//
// Text is a byte log, so a reply may end inside a code point, or between CR and LF: those bytes,
// three at most, wait for the next reply, and until then the offset stays before them
// (upToDate still says that nothing more can be sent now). At the end of a closed stream they are
// sent as they are.
class SseEncoder {
 public:
  explicit SseEncoder(SseForm form) : form_(form) {}

  // `reply` is contiguous with what came before. A reply without data yields a control event alone.
  SseFrame Encode(const ReadReply& reply, uint64_t cursor);

  // What was held back from the last reply. Two encoders with equal form and `held` give the same
  // frame for the same reply and cursor: it can be encoded once and shared.
  std::string_view held() const { return held_; }

 private:
  SseForm form_;
  std::string held_;
};

}  // namespace ursula::protocol
