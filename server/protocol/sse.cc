#include "server/protocol/sse.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/base/strings.h"
#include "lib/base/utf8.h"
#include "server/protocol/entity_tag.h"
#include "server/protocol/negotiation.h"
#include "server/protocol/state_offsets.h"

namespace ursula::protocol {
namespace {

using Pieces = std::vector<std::string_view>;

constexpr std::size_t kHeldBytesMax = 3;  // A code point of four bytes lacks at least one.

std::size_t TotalBytes(const Pieces& pieces) {
  std::size_t bytes = 0;
  for (std::string_view piece : pieces) bytes += piece.size();
  return bytes;
}

// The last `count` bytes, or all if there are fewer.
std::string LastBytes(const Pieces& pieces, std::size_t count) {
  std::string tail;
  for (auto piece = pieces.rbegin(); piece != pieces.rend() && tail.size() < count; ++piece) {
    std::size_t take = std::min(count - tail.size(), piece->size());
    tail.insert(0, piece->substr(piece->size() - take));
  }
  return tail;
}

void DropLastBytes(Pieces* pieces, std::size_t count) {
  while (count > 0) {
    std::string_view& last = pieces->back();
    std::size_t drop = std::min(count, last.size());
    last.remove_suffix(drop);
    count -= drop;
    if (last.empty()) pieces->pop_back();
  }
}

std::size_t BytesToHold(const Pieces& pieces, bool closed) {
  if (closed) return 0;
  std::string tail = LastBytes(pieces, kHeldBytesMax);
  if (tail.ends_with('\r')) return 1;  // What follows may be its LF: one line end.
  return IncompleteUtf8Bytes(tail);
}

// Lines of a data field. A client takes one space after the colon away, so a line that begins with
// one gets another.
class LineWriter {
 public:
  explicit LineWriter(std::string* out) : out_(out) { *out_ += "data:"; }

  void Add(std::string_view text) {
    while (!text.empty()) {
      if (std::exchange(after_cr_, false) && text.front() == '\n') {
        text.remove_prefix(1);
        continue;
      }
      std::size_t end = text.find_first_of("\r\n");
      AddToLine(text.substr(0, end));
      if (end == std::string_view::npos) return;
      *out_ += "\ndata:";
      at_start_ = true;
      after_cr_ = text[end] == '\r';
      text.remove_prefix(end + 1);
    }
  }

 private:
  void AddToLine(std::string_view text) {
    if (text.empty()) return;
    if (at_start_ && text.front() == ' ') out_->push_back(' ');
    at_start_ = false;
    out_->append(text);
  }

  std::string* out_;
  bool at_start_ = true;
  bool after_cr_ = false;
};

// Stored "a,\nb,\n" to "data:[a,b]": LF stands nowhere but at the end of a message.
void AppendJsonArray(const Pieces& pieces, std::string* out) {
  *out += "data:[";
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      std::size_t end = piece.find('\n');
      out->append(piece.substr(0, end));
      if (end == std::string_view::npos) break;
      piece.remove_prefix(end + 1);
    }
  }
  if (out->back() == ',') out->pop_back();
  out->push_back(']');
}

void AppendBase64(const Pieces& pieces, std::string* out) {
  std::string whole;
  std::string_view data = pieces.front();
  if (pieces.size() > 1) {
    whole.reserve(TotalBytes(pieces));
    for (std::string_view piece : pieces) whole += piece;
    data = whole;
  }
  absl::StrAppend(out, "data:", absl::Base64Escape(A(data)));
}

void AppendDataEvent(SseForm form, const Pieces& pieces, std::string* out) {
  *out += "event: data\n";
  switch (form) {
    case SseForm::kText: {
      LineWriter lines(out);
      for (std::string_view piece : pieces) lines.Add(piece);
      break;
    }
    case SseForm::kJson:
    case SseForm::kJsonWithOffsets:
      AppendJsonArray(pieces, out);
      break;
    case SseForm::kBase64:
      AppendBase64(pieces, out);
      break;
  }
  out->push_back('\n');
}

void AppendId(Position position, std::string* out) {
  absl::StrAppend(out, "id:", A(OffsetText(position).view()), "\n");
}

}  // namespace

SseForm SseFormOf(std::string_view content_type, bool state_offsets) {
  if (IsJson(content_type)) return state_offsets ? SseForm::kJsonWithOffsets : SseForm::kJson;
  return IsText(content_type) ? SseForm::kText : SseForm::kBase64;
}

std::string EncodeSsePriming(Position start) {
  constexpr int kRetryMs = 1000;
  std::string event = absl::StrCat("retry:", kRetryMs, "\n");
  AppendId(start, &event);
  event.push_back('\n');
  return event;
}

std::string EncodeSseControl(const SseControl& control) {
  std::string event = absl::StrCat("event: control\ndata:{\"streamNextOffset\":\"",
                                   A(OffsetText(control.next).view()), "\"");
  if (control.cursor && !control.closed) {
    absl::StrAppend(&event, ",\"streamCursor\":\"", *control.cursor, "\"");
  }
  if (control.up_to_date) event += ",\"upToDate\":true";
  if (control.closed) event += ",\"streamClosed\":true";
  if (control.incarnation != 0) {
    absl::StrAppend(&event, ",\"streamIncarnation\":\"",
                    A(IncarnationText(control.incarnation).view()), "\"");
  }
  event += "}\n";
  AppendId(control.next, &event);
  event.push_back('\n');
  return event;
}

SseFrame SseEncoder::Encode(const ReadReply& reply, uint64_t cursor) {
  SseFrame frame;
  frame.closed = reply.info.closed && reply.up_to_date;
  Pieces pieces;
  const bool offsets = form_ == SseForm::kJsonWithOffsets;
  std::vector<Bytes> with_offsets;
  if (offsets) with_offsets = WithStateOffsets(reply.parts, reply.start);
  if (!held_.empty()) pieces.push_back(held_);
  for (const Bytes& part : offsets ? with_offsets : reply.parts) {
    if (!part.empty()) pieces.push_back(part.view());
  }
  std::string to_hold;
  if (form_ == SseForm::kText) {
    to_hold = LastBytes(pieces, BytesToHold(pieces, frame.closed));
    DropLastBytes(&pieces, to_hold.size());
  }
  URSULA_CHECK(reply.next.bytes >= to_hold.size());
  frame.next = {{reply.next.bytes - to_hold.size()}, reply.cut || !to_hold.empty()};
  if (!pieces.empty()) {
    std::size_t data_bytes = TotalBytes(pieces);
    frame.bytes.reserve(data_bytes + data_bytes / 2 + 256);
    AppendDataEvent(form_, pieces, &frame.bytes);
    AppendId(frame.next, &frame.bytes);
    frame.bytes.push_back('\n');
    frame.data_bytes = frame.bytes.size();
  }
  held_ = std::move(to_hold);  // `pieces` may have viewed the old one until here.
  SseControl control;
  control.next = frame.next;
  control.cursor = cursor;
  control.up_to_date = reply.up_to_date;
  control.closed = frame.closed;
  control.incarnation = reply.info.incarnation;
  frame.bytes += EncodeSseControl(control);
  return frame;
}

}  // namespace ursula::protocol
