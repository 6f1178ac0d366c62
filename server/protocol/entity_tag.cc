#include "server/protocol/entity_tag.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

char EndMark(RangeEnd end) {
  switch (end) {
    case RangeEnd::kPage:
      return 'p';
    case RangeEnd::kTail:
      return 't';
    case RangeEnd::kClosed:
      return 'c';
  }
  return 'p';
}

}  // namespace

std::string EntityTag(const EntityRange& range) {
  std::string tag = absl::StrCat("\"", absl::Hex(range.incarnation), "-",
                                 absl::Hex(range.start.bytes), "-", absl::Hex(range.end.bytes));
  tag.push_back(EndMark(range.ends_at));
  if (range.ndjson) tag.push_back('l');
  tag.push_back('"');
  return tag;
}

std::string CodedEntityTag(std::string_view tag, ContentCoding coding) {
  std::string coded(tag);
  if (coding == ContentCoding::kIdentity || !coded.ends_with('"')) return coded;
  coded.pop_back();
  absl::StrAppend(&coded, "-", A(ContentCodingName(coding)), "\"");
  return coded;
}

std::string MatchEntityTag(std::string_view if_none_match, std::string_view tag) {
  if (TrimSpace(if_none_match) == "*") return std::string(tag);
  for (;;) {
    std::size_t open = if_none_match.find('"');
    if (open == std::string_view::npos) return {};
    std::size_t close = if_none_match.find('"', open + 1);
    if (close == std::string_view::npos) return {};
    std::string_view member = if_none_match.substr(open, close - open + 1);
    for (ContentCoding coding :
         {ContentCoding::kIdentity, ContentCoding::kGzip, ContentCoding::kZstd}) {
      if (member == CodedEntityTag(tag, coding)) return std::string(member);
    }
    if_none_match.remove_prefix(close + 1);
  }
}

}  // namespace ursula::protocol
