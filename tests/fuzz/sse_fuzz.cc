// Server-sent events: a client that reads the frames by the rules of the WHATWG gets back the
// stream's bytes (line ends become LF: a text/event-stream can't tell them apart), and the offsets
// say how far it has come. The input: the form, then replies (a flag byte and data each).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "lib/base/check.h"
#include "lib/base/strings.h"
#include "server/protocol/offset.h"
#include "server/protocol/sse.h"
#include "server/protocol/text.h"
#include "tests/fuzz/input.h"

namespace ursula::protocol {
namespace {

using fuzz::Input;

struct Event {
  std::string type;
  std::string data;
  std::string id;
};

// A client's view of one line: "field:value", one space after the colon dropped.
void TakeField(std::string_view line, Event* event) {
  const std::size_t colon = line.find(':');
  URSULA_CHECK(colon != std::string_view::npos && colon > 0);
  const std::string_view field = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event->type = value;
  } else if (field == "data") {
    event->data += value;
    event->data += '\n';
  } else {
    URSULA_CHECK(field == "id");
    event->id = value;
  }
}

std::vector<Event> Decode(std::string_view bytes) {
  URSULA_CHECK(bytes.find('\r') == std::string_view::npos);
  std::vector<Event> events;
  Event event;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    URSULA_CHECK(end != std::string_view::npos);
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (!line.empty()) {
      TakeField(line, &event);
      continue;
    }
    URSULA_CHECK(!event.data.empty());
    event.data.pop_back();
    events.push_back(std::move(event));
    event = {};
  }
  URSULA_CHECK(event.type.empty() && event.data.empty());
  return events;
}

std::string WithLineFeeds(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

// "a,\nb,\n" to "[a,b]".
std::string AsArray(std::string_view stored) {
  std::string out = "[";
  for (const char c : stored) {
    if (c != '\n') out += c;
  }
  if (out.back() == ',') out.pop_back();
  return out + "]";
}

std::string WantedData(SseForm form, std::string_view slice) {
  switch (form) {
    case SseForm::kText:
      return WithLineFeeds(slice);
    case SseForm::kJson:
    case SseForm::kJsonWithOffsets:
      return AsArray(slice);
    default:
      return absl::Base64Escape(A(slice));
  }
}

class Subscriber {
 public:
  explicit Subscriber(SseForm form) : form_(form), encoder_(form) {}

  void Take(std::string_view data, Input* input, bool up_to_date, bool closed) {
    stream_ += data;
    ReadReply reply;
    for (std::string_view rest = data; !rest.empty();) {
      const std::string_view part = rest.substr(0, input->Byte() + std::size_t{1});
      reply.parts.push_back(Bytes::Copy(part));
      rest.remove_prefix(part.size());
    }
    reply.start = Offset{stream_.size() - data.size()};
    reply.next = Offset{stream_.size()};
    reply.up_to_date = up_to_date;
    reply.info.closed = closed;
    SseEncoder twin = encoder_;
    const SseFrame frame = encoder_.Encode(reply, 7);
    URSULA_CHECK(twin.Encode(reply, 7).bytes == frame.bytes);
    CheckFrame(frame, up_to_date, closed && up_to_date);
  }

 private:
  void CheckFrame(const SseFrame& frame, bool up_to_date, bool ended) {
    const uint64_t from = told_;
    told_ = frame.next.offset.bytes;
    URSULA_CHECK(told_ >= from && told_ <= stream_.size());
    URSULA_CHECK(stream_.size() - told_ == encoder_.held().size() && encoder_.held().size() <= 3);
    URSULA_CHECK(frame.next.inside == !encoder_.held().empty());
    URSULA_CHECK(frame.closed == ended);
    if (ended) URSULA_CHECK(told_ == stream_.size());
    const std::string_view slice = std::string_view(stream_).substr(from, told_ - from);
    const std::vector<Event> events = Decode(frame.bytes);
    URSULA_CHECK(events.size() == (slice.empty() ? 1 : 2));
    if (!slice.empty()) {
      URSULA_CHECK(events[0].type == "data" && events[0].id == events.back().id);
      URSULA_CHECK(events[0].data == WantedData(form_, slice));
      // No frame ends between CR and LF, nor where an LF may come,
      const bool no_line_feed = told_ < stream_.size() && stream_[told_] != '\n';
      if (form_ == SseForm::kText && !ended && !no_line_feed) {
        URSULA_CHECK(!slice.ends_with('\r'));
      }
      // or inside a code point.
      if (form_ == SseForm::kText && IsUtf8(stream_)) URSULA_CHECK(IsUtf8(slice));
    }
    const Event& control = events.back();
    URSULA_CHECK(control.type == "control");
    URSULA_CHECK(ParseOffset(control.id) == frame.next);
    const std::string& data = control.data;
    URSULA_CHECK(data.starts_with("{\"streamNextOffset\":\"" + control.id + "\""));
    URSULA_CHECK(data.ends_with("}"));
    URSULA_CHECK((data.find("\"upToDate\":true") != std::string::npos) == up_to_date);
    URSULA_CHECK((data.find("\"streamClosed\":true") != std::string::npos) == ended);
    URSULA_CHECK((data.find("\"streamCursor\":\"7\"") != std::string::npos) != ended);
  }

  const SseForm form_;
  SseEncoder encoder_;
  std::string stream_;
  uint64_t told_ = 0;
};

// Whole messages of a stored JSON stream.
std::string Stored(std::string_view text) {
  std::string message;
  for (const char c : text) {
    if (c != '\n' && c != '\r') message += c;
  }
  return message.empty() ? "" : message + ",\n";
}

void Run(Input input) {
  const SseForm form = static_cast<SseForm>(input.Below(3));
  Subscriber subscriber(form);
  bool ended = false;
  while (!input.empty() && !ended) {
    const uint8_t flags = input.Byte();
    const std::string_view text = input.Text();
    const std::string data = form == SseForm::kJson ? Stored(text) : std::string(text);
    const bool up_to_date = (flags & 1) != 0;
    const bool closed = (flags & 2) != 0;
    ended = up_to_date && closed;
    subscriber.Take(data, &input, up_to_date, closed);
  }
}

}  // namespace
}  // namespace ursula::protocol

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::protocol::Run(ursula::fuzz::Input(data, size));
  return 0;
}
