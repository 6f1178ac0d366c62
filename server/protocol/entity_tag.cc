#include "server/protocol/entity_tag.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace ursula::protocol {
namespace {

constexpr std::string_view kStateMark = "s-";
constexpr std::size_t kIncarnationDigits = 16;

constexpr std::string_view kPageEnd = ".p";
constexpr std::string_view kTailEnd = ".t";
constexpr std::string_view kClosedEnd = ".c";

std::string_view EndMark(RangeEnd end) {
  switch (end) {
    case RangeEnd::kPage:
      return kPageEnd;
    case RangeEnd::kTail:
      return kTailEnd;
    case RangeEnd::kClosed:
      return kClosedEnd;
  }
  return kPageEnd;
}

// Takes a number as absl::Hex writes it off the front of `*text`: lower case, no leading zeros.
std::optional<uint64_t> TakeHex(std::string_view* text) {
  std::size_t size = std::min(text->find_first_not_of("0123456789abcdef"), text->size());
  std::optional<uint64_t> number = ParseHex(text->substr(0, size));
  if (!number || (size > 1 && text->front() == '0')) return std::nullopt;
  text->remove_prefix(size);
  return number;
}

bool TakePrefix(std::string_view* text, std::string_view prefix) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

std::optional<RangeEnd> TakeEnd(std::string_view* text) {
  for (RangeEnd end : {RangeEnd::kPage, RangeEnd::kTail, RangeEnd::kClosed}) {
    if (TakePrefix(text, EndMark(end))) return end;
  }
  return std::nullopt;
}

// As CodedEntityTag puts it behind a tag.
bool IsCodingSuffix(std::string_view text) {
  if (text.empty()) return true;
  if (!TakePrefix(&text, "-")) return false;
  return text == ContentCodingName(ContentCoding::kGzip) ||
         text == ContentCodingName(ContentCoding::kZstd);
}

// What a tag of either kind tells.
struct TagParts {
  uint64_t incarnation = 0;
  uint64_t end = 0;
  RangeEnd ends_at = RangeEnd::kPage;
};

std::optional<TagParts> ParseStateTag(std::string_view text) {
  if (text.size() <= kIncarnationDigits) return std::nullopt;
  std::optional<uint64_t> incarnation = ParseHex(text.substr(0, kIncarnationDigits));
  text.remove_prefix(kIncarnationDigits);
  if (!incarnation || !TakePrefix(&text, "-")) return std::nullopt;
  std::optional<uint64_t> tail = TakeHex(&text);
  std::optional<RangeEnd> end = TakeEnd(&text);
  if (!tail || !end || *end == RangeEnd::kPage || !text.empty()) return std::nullopt;
  return TagParts{*incarnation, *tail, *end};
}

std::optional<TagParts> ParseReadTag(std::string_view text) {
  std::optional<uint64_t> incarnation = TakeHex(&text);
  if (!incarnation || !TakePrefix(&text, "-")) return std::nullopt;
  std::optional<uint64_t> start = TakeHex(&text);
  if (!start || !TakePrefix(&text, "-")) return std::nullopt;
  std::optional<uint64_t> end = TakeHex(&text);
  std::optional<RangeEnd> ends_at = TakeEnd(&text);
  if (!end || !ends_at) return std::nullopt;
  TakePrefix(&text, "l");
  TakePrefix(&text, "o");
  if (!IsCodingSuffix(text)) return std::nullopt;
  return TagParts{*incarnation, *end, *ends_at};
}

std::optional<TagParts> ParseTag(std::string_view tag) {
  if (tag.size() < 2 || !tag.starts_with('"') || !tag.ends_with('"')) return std::nullopt;
  std::string_view text = tag.substr(1, tag.size() - 2);
  return TakePrefix(&text, kStateMark) ? ParseStateTag(text) : ParseReadTag(text);
}

}  // namespace

std::string EntityTag(const EntityRange& range) {
  std::string tag =
      absl::StrCat("\"", absl::Hex(range.incarnation), "-", absl::Hex(range.start.bytes), "-",
                   absl::Hex(range.end.bytes), A(EndMark(range.ends_at)));
  if (range.ndjson) tag.push_back('l');
  if (range.state_offsets) tag.push_back('o');
  tag.push_back('"');
  return tag;
}

ShortText StateTagText(const StreamState& state) {
  ShortText text;
  text.Append("\"");
  text.Append(kStateMark);
  text.AppendHex(state.incarnation, kIncarnationDigits);
  text.Append("-");
  text.AppendHex(state.tail.bytes, 1);
  text.Append(EndMark(state.closed ? RangeEnd::kClosed : RangeEnd::kTail));
  text.Append("\"");
  return text;
}

std::string StateTag(const StreamState& state) { return std::string(StateTagText(state).view()); }

std::string CodedEntityTag(std::string_view tag, ContentCoding coding) {
  std::string coded(tag);
  if (coding == ContentCoding::kIdentity || !coded.ends_with('"')) return coded;
  coded.pop_back();
  absl::StrAppend(&coded, "-", A(ContentCodingName(coding)), "\"");
  return coded;
}

std::optional<StateMatch> StateNamedBy(std::string_view tag) {
  std::optional<TagParts> parts = ParseTag(tag);
  if (!parts || parts->ends_at == RangeEnd::kPage) return std::nullopt;
  return StateMatch{.incarnation = parts->incarnation,
                    .tail = Offset{parts->end},
                    .closed = parts->ends_at == RangeEnd::kClosed};
}

std::optional<StreamState> KnownBy(std::string_view tag) {
  std::optional<TagParts> parts = ParseTag(tag);
  if (!parts) return std::nullopt;
  return StreamState{parts->incarnation, {parts->end}, parts->ends_at == RangeEnd::kClosed};
}

ShortText IncarnationText(uint64_t incarnation) {
  ShortText text;
  text.AppendHex(incarnation, kIncarnationDigits);
  return text;
}

std::string FormatIncarnation(uint64_t incarnation) {
  return std::string(IncarnationText(incarnation).view());
}

std::optional<uint64_t> ParseIncarnation(std::string_view text) {
  if (text.size() != kIncarnationDigits) return std::nullopt;
  return ParseHex(AsciiLower(text));
}

}  // namespace ursula::protocol
