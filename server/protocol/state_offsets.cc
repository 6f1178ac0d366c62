#include "server/protocol/state_offsets.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "server/protocol/offset.h"

namespace ursula::protocol {
namespace {

constexpr std::string_view kHeadersKey = "\"headers\"";

// Takes JSON apart that was found to be whole when it was stored. Of anything else it says no, and
// looks at nothing past its end.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool Take(char c) {
    SkipSpace();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // `raw`: as it is written between the quotes.
  bool TakeString(std::string_view* raw) {
    SkipSpace();
    const std::size_t size = StringSize();
    if (size == 0) return false;
    *raw = rest_.substr(1, size - 2);
    rest_.remove_prefix(size);
    return true;
  }

  bool TakeValue(std::string_view* value) {
    SkipSpace();
    const std::string_view begin = rest_;
    std::size_t depth = 0;
    do {
      const std::size_t size = PieceSize(&depth);
      if (size == 0) return false;
      rest_.remove_prefix(size);
    } while (depth > 0);
    *value = begin.substr(0, begin.size() - rest_.size());
    return true;
  }

 private:
  void SkipSpace() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }

  // Of the string that begins here, with its quotes. 0: there is none.
  std::size_t StringSize() const {
    if (rest_.empty() || rest_.front() != '"') return 0;
    std::size_t at = rest_.find_first_of("\"\\", 1);
    while (at != std::string_view::npos && rest_[at] == '\\') {
      at = rest_.find_first_of("\"\\", at + 2);  // Not what the backslash stands before.
    }
    return at == std::string_view::npos ? 0 : at + 1;
  }

  // Of a string, of a bracket, or of what stands up to the next of either; outside of brackets a
  // number or a word. 0: there is nothing.
  std::size_t PieceSize(std::size_t* depth) const {
    if (rest_.empty()) return 0;
    switch (rest_.front()) {
      case '"':
        return StringSize();
      case '{':
      case '[':
        ++*depth;
        return 1;
      case '}':
      case ']':
        if (*depth == 0) return 0;
        --*depth;
        return 1;
      default:
        return std::min(rest_.find_first_of(*depth > 0 ? "\"{}[]" : "\"{}[], \t"), rest_.size());
    }
  }

  std::string_view rest_;
};

// `visit(key, value)` of each member of an object. False: `text` doesn't begin with one.
template <class Visit>
bool VisitMembers(std::string_view text, Visit visit) {
  Scanner scanner(text);
  if (!scanner.Take('{')) return false;
  if (scanner.Take('}')) return true;
  do {
    std::string_view key, value;
    if (!scanner.TakeString(&key) || !scanner.Take(':') || !scanner.TakeValue(&value)) return false;
    visit(key, value);
  } while (scanner.Take(','));
  return scanner.Take('}');
}

// Of what stands twice the last counts, as for JSON.parse.
struct Event {
  std::string_view headers = {};  // The object, with its braces. Empty: this is no event.
  std::string_view offset = {};   // The value that stands there; may be empty.
};

Event EventIn(std::string_view message) {
  Event event;
  if (message.find(kHeadersKey) == std::string_view::npos) return {};
  const bool object = VisitMembers(message, [&](std::string_view key, std::string_view value) {
    if (key == "headers") event.headers = value;
  });
  bool operation = false;
  bool control = false;
  const bool headers =
      VisitMembers(event.headers, [&](std::string_view key, std::string_view value) {
        if (key == "operation") operation = value.starts_with('"');
        if (key == "control") control = value.starts_with('"');
        if (key == "offset") event.offset = value;
      });
  if (!object || !headers || (!operation && !control)) return {};
  return event;
}

void AppendWithOffset(std::string_view message, uint64_t end, std::string* out) {
  const Event event = EventIn(message);
  if (event.headers.empty()) {
    out->append(message);
    return;
  }
  const bool there = !event.offset.empty();
  const std::string_view before = there ? event.offset : event.headers;
  const auto began = static_cast<std::size_t>(before.data() - message.data());
  const std::size_t at = there ? began : began + before.size() - 1;  // Else before the brace.
  out->append(message.substr(0, at));
  if (!there) out->append(",\"offset\":");
  out->push_back('"');
  out->append(OffsetText({Offset{end}}).view());
  out->push_back('"');
  out->append(message.substr(at + event.offset.size()));
}

}  // namespace

std::vector<Bytes> WithStateOffsets(const std::vector<Bytes>& parts, Offset start) {
  std::size_t bytes = 0;
  for (const Bytes& part : parts) bytes += part.size();
  std::string out;
  out.reserve(bytes + bytes / 2);
  std::string split;  // The beginning of a message that goes on in the next part.
  uint64_t end = start.bytes;
  for (const Bytes& part : parts) {
    for (std::string_view rest = part.view(); !rest.empty();) {
      const std::size_t size = rest.find('\n');
      if (size == std::string_view::npos) {
        split.append(rest);
        break;
      }
      std::string_view message = rest.substr(0, size + 1);
      rest.remove_prefix(size + 1);
      if (!split.empty()) message = split.append(message);
      end += message.size();
      AppendWithOffset(message, end, &out);
      split.clear();
    }
  }
  out.append(split);
  std::vector<Bytes> whole;
  if (!out.empty()) whole.push_back(Bytes::Take(std::move(out)));
  return whole;
}

}  // namespace ursula::protocol
