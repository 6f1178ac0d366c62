#include "server/protocol/json_body.h"

#include <string>
#include <string_view>
#include <utility>

#include "lib/base/json_scanner.h"
#include "lib/base/utf8.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

Bytes WithoutLineEnds(std::string_view source) {
  std::string copy(source);
  for (char& c : copy) {
    if (c == '\r' || c == '\n') c = ' ';  // Only between tokens: in strings they are escaped.
  }
  return Bytes::Take(std::move(copy));
}

class Splitter {
 public:
  Splitter(const Bytes& body, const JsonLimits& limits)
      : body_(body), limits_(limits), scanner_(body.view(), limits.depth_max) {}

  JsonSplit Split() {
    scanner_.SkipSpace();
    JsonVerdict verdict = scanner_.Take('[') ? TakeElements() : TakeMessage();
    scanner_.SkipSpace();
    if (verdict == JsonVerdict::kValid && !scanner_.AtEnd()) verdict = JsonVerdict::kInvalid;
    result_.verdict = verdict;
    result_.error_at = scanner_.at();
    if (verdict != JsonVerdict::kValid) result_.messages.clear();
    return std::move(result_);
  }

 private:
  JsonVerdict TakeElements() {
    scanner_.SkipSpace();
    if (scanner_.Take(']')) return JsonVerdict::kValid;
    for (;;) {
      JsonVerdict verdict = TakeMessage();
      if (verdict != JsonVerdict::kValid) return verdict;
      scanner_.SkipSpace();
      if (scanner_.Take(']')) return JsonVerdict::kValid;
      if (!scanner_.Take(',')) return JsonVerdict::kInvalid;
      scanner_.SkipSpace();
    }
  }

  JsonVerdict TakeMessage() {
    if (result_.messages.size() >= limits_.messages_max) return JsonVerdict::kTooManyMessages;
    std::size_t start = scanner_.at();
    if (!scanner_.SkipValue()) {
      return scanner_.too_deep() ? JsonVerdict::kTooDeep : JsonVerdict::kInvalid;
    }
    Bytes source = body_.Slice(start, scanner_.at() - start);
    result_.messages.push_back(scanner_.saw_line_end() ? WithoutLineEnds(source.view())
                                                       : std::move(source));
    return JsonVerdict::kValid;
  }

  const Bytes& body_;
  const JsonLimits& limits_;
  JsonScanner scanner_;
  JsonSplit result_;
};

}  // namespace

JsonSplit SplitJson(const Bytes& body, const JsonLimits& limits) {
  JsonSplit split;
  if (!IsUtf8(body.view())) {
    split.verdict = JsonVerdict::kNotUtf8;
    split.error_at = Utf8Bytes(body.view());
    return split;
  }
  const std::size_t mark = body.view().starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  const Bytes text = body.Slice(mark);
  split = Splitter(text, limits).Split();
  split.error_at += mark;
  return split;
}

}  // namespace ursula::protocol
