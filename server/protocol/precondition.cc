#include "server/protocol/precondition.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "server/protocol/entity_tag.h"
#include "server/protocol/errors.h"
#include "server/protocol/offset.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::string_view kIncarnationParameter = "incarnation";
constexpr StateMatch kNoStream = {.incarnation = 0};

// RFC 9110, 8.8.3: what may stand between the quotes.
bool IsTagCharacter(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

void SkipSpace(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(" \t"), text->size()));
}

std::optional<Offset> OffsetIn(std::string_view text) {
  std::optional<Position> position = ParseOffset(text);
  if (!position) return std::nullopt;
  return position->offset;
}

std::optional<ListedTag> TakeQuoted(std::string_view* text, bool offsets) {
  ListedTag listed;
  listed.weak = text->starts_with("W/");
  if (listed.weak) text->remove_prefix(2);
  if (!text->starts_with('"')) return std::nullopt;
  std::size_t close = text->find('"', 1);
  if (close == std::string_view::npos) return std::nullopt;
  std::string_view inside = text->substr(1, close - 1);
  if (!std::all_of(inside.begin(), inside.end(), IsTagCharacter)) return std::nullopt;
  listed.tag = text->substr(0, close + 1);
  if (offsets) listed.offset = OffsetIn(inside);
  text->remove_prefix(close + 1);
  return listed;
}

std::optional<ListedTag> TakeOffset(std::string_view* text) {
  std::size_t size = std::min(text->find_first_of(" \t,"), text->size());
  ListedTag listed;
  listed.offset = OffsetIn(text->substr(0, size));
  if (!listed.offset) return std::nullopt;
  text->remove_prefix(size);
  return listed;
}

// #entity-tag (RFC 9110, 5.6.1): empty members are skipped. False: malformed, or too many.
bool ParseTags(std::string_view text, bool offsets, std::vector<ListedTag>* tags) {
  for (;;) {
    SkipSpace(&text);
    if (text.empty()) return true;
    if (text.front() != ',') {
      if (tags->size() == TagList::kTagsMax) return false;
      bool bare = offsets && text.front() >= '0' && text.front() <= '9';
      std::optional<ListedTag> listed = bare ? TakeOffset(&text) : TakeQuoted(&text, offsets);
      if (!listed) return false;
      tags->push_back(std::move(*listed));
      SkipSpace(&text);
      if (text.empty()) return true;
      if (text.front() != ',') return false;
    }
    text.remove_prefix(1);
  }
}

Refusal TakeTags(const Request& request, std::string_view name, bool offsets,
                 std::optional<TagList>* list) {
  if (request.headers.Count(name) == 0) return std::nullopt;
  std::string value = request.headers.Joined(name);
  TagList& parsed = list->emplace();
  parsed.any = TrimSpace(value) == "*";
  if (parsed.any || ParseTags(value, offsets, &parsed.tags)) return std::nullopt;
  return ErrorResponse(
      400, "INVALID_PRECONDITION",
      absl::StrCat(A(name), " is * or a list of at most ", TagList::kTagsMax,
                   " entity tags, \"…\" or W/\"…\"", offsets ? ", and offsets of the stream" : ""));
}

Refusal TakeIncarnation(const Request& request, std::optional<uint64_t>* incarnation) {
  std::optional<std::string_view> value;
  if (Refusal refusal = TakeHeader(request, "Stream-Incarnation", &value)) return refusal;
  if (!value) return std::nullopt;
  *incarnation = ParseIncarnation(*value);
  if (*incarnation) return std::nullopt;
  return ErrorResponse(400, "INVALID_PRECONDITION", "Stream-Incarnation is 16 hexadecimal digits");
}

// As the header, of which it may only say the same.
Refusal TakeIncarnation(const Query& query, std::optional<uint64_t>* incarnation) {
  std::string value;
  const Query::Presence presence = query.Find(kIncarnationParameter, &value);
  if (presence == Query::Presence::kAbsent) return std::nullopt;
  std::optional<uint64_t> named;
  if (presence == Query::Presence::kOnce) named = ParseIncarnation(value);
  if (!named) {
    return ErrorResponse(400, "INVALID_PRECONDITION",
                         "incarnation is 16 hexadecimal digits and may stand only once");
  }
  if (incarnation->value_or(*named) != *named) {
    return ErrorResponse(400, "INVALID_PRECONDITION",
                         "Stream-Incarnation and incarnation name different streams");
  }
  *incarnation = named;
  return std::nullopt;
}

enum class Kind : uint8_t { kNone, kTaken, kIgnored, kUnknown };

// Names arrive in any case. Of the names that a request may carry few begin like these.
Kind KindOf(std::string_view name) {
  if (name.size() < 2) return Kind::kNone;
  char first = static_cast<char>(name.front() | 0x20);
  if (first != 'i' && first != 's') return Kind::kNone;
  std::string lower = AsciiLower(name);
  if (first == 's') {
    if (lower == "stream-incarnation") return Kind::kTaken;
    bool match = lower.starts_with("stream-") && lower.ends_with("-match");
    return match ? Kind::kUnknown : Kind::kNone;
  }
  if (lower != "if" && !lower.starts_with("if-")) return Kind::kNone;
  if (lower == "if-match" || lower == "if-none-match") return Kind::kTaken;
  bool ignored =
      lower == "if-modified-since" || lower == "if-unmodified-since" || lower == "if-range";
  return ignored ? Kind::kIgnored : Kind::kUnknown;
}

Response NotSupported(std::string_view name) {
  return ErrorResponse(400, "NOT_SUPPORTED",
                       absl::StrCat("this server can't carry out the precondition ", A(name)));
}

bool Matches(const StateMatch& match, const StreamState& state) {
  return (!match.incarnation || *match.incarnation == state.incarnation) &&
         (!match.tail || *match.tail == state.tail) &&
         (!match.closed || *match.closed == state.closed);
}

bool EqualsInAnyCoding(std::string_view listed, std::string_view tag) {
  for (ContentCoding coding :
       {ContentCoding::kIdentity, ContentCoding::kGzip, ContentCoding::kZstd}) {
    if (listed == CodedEntityTag(tag, coding)) return true;
  }
  return false;
}

std::optional<StateMatch> StateOf(const ListedTag& listed) {
  if (listed.offset) return StateMatch{.tail = listed.offset};
  return StateNamedBy(listed.tag);
}

// If-Match compares strongly: a weak tag matches nothing.
std::vector<StateMatch> StronglyNamed(const TagList& list) {
  std::vector<StateMatch> states;
  for (const ListedTag& listed : list.tags) {
    std::optional<StateMatch> state = listed.weak ? std::nullopt : StateOf(listed);
    if (state) states.push_back(*state);
  }
  return states;
}

}  // namespace

Refusal TakeConditions(const Request& request, const Query& query, bool offsets,
                       Conditions* conditions) {
  bool taken = false;
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    std::string_view name = request.headers.at(i).name;
    Kind kind = KindOf(name);
    if (kind == Kind::kUnknown) return NotSupported(name);
    taken = taken || kind == Kind::kTaken;
  }
  if (!taken) return TakeIncarnation(query, &conditions->incarnation);
  if (Refusal refusal = TakeTags(request, "If-Match", offsets, &conditions->match)) return refusal;
  if (Refusal refusal = TakeTags(request, "If-None-Match", false, &conditions->none_match)) {
    return refusal;
  }
  if (Refusal refusal = TakeIncarnation(request, &conditions->incarnation)) return refusal;
  return TakeIncarnation(query, &conditions->incarnation);
}

Refusal RefuseConditions(const Request& request) {
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    std::string_view name = request.headers.at(i).name;
    Kind kind = KindOf(name);
    if (kind == Kind::kUnknown || kind == Kind::kTaken) return NotSupported(name);
  }
  std::string value;
  const bool named =
      Query(request.query()).Find(kIncarnationParameter, &value) != Query::Presence::kAbsent;
  if (named) return NotSupported(kIncarnationParameter);
  return std::nullopt;
}

Precondition PreconditionOf(const Conditions& conditions) {
  Precondition condition;
  bool listed = conditions.match && !conditions.match->any;
  condition.exists = conditions.match && conditions.match->any;
  if (listed) condition.any_of = StronglyNamed(*conditions.match);
  if (conditions.incarnation) {
    if (!listed) condition.any_of.emplace_back();
    std::erase_if(condition.any_of, [&](const StateMatch& match) {
      return match.incarnation && *match.incarnation != *conditions.incarnation;
    });
    for (StateMatch& match : condition.any_of) match.incarnation = conditions.incarnation;
  }
  if (condition.any_of.empty() && listed) condition.any_of.push_back(kNoStream);
  if (!conditions.none_match) return condition;
  condition.absent = conditions.none_match->any;
  for (const ListedTag& tag : conditions.none_match->tags) {
    std::optional<StateMatch> state = StateOf(tag);
    if (state) condition.none_of.push_back(*state);
  }
  return condition;
}

bool Permits(const Conditions& conditions, const StreamState& state, std::string_view tag) {
  if (conditions.incarnation && *conditions.incarnation != state.incarnation) return false;
  if (!conditions.match || conditions.match->any) return true;
  for (const ListedTag& listed : conditions.match->tags) {
    if (listed.weak) continue;
    if (!tag.empty() && EqualsInAnyCoding(listed.tag, tag)) return true;
    std::optional<StateMatch> match = StateOf(listed);
    if (match && Matches(*match, state)) return true;
  }
  return false;
}

bool KnowsMore(const Conditions& conditions, const StreamState& state) {
  if (!conditions.none_match) return false;
  for (const ListedTag& listed : conditions.none_match->tags) {
    const std::optional<StreamState> known = KnownBy(listed.tag);
    if (!known) continue;
    const bool more = known->tail > state.tail || (known->closed && !state.closed);
    if (more || known->incarnation != state.incarnation) return true;
  }
  return false;
}

std::optional<std::string> MatchedTag(const Conditions& conditions, std::string_view own) {
  if (!conditions.none_match) return std::nullopt;
  if (conditions.none_match->any) return std::string(own);
  for (const ListedTag& listed : conditions.none_match->tags) {
    if (!own.empty() && EqualsInAnyCoding(listed.tag, own)) return listed.tag;
  }
  return std::nullopt;
}

std::optional<std::string> MatchedState(const Conditions& conditions, const StreamState& state) {
  if (!conditions.none_match) return std::nullopt;
  if (conditions.none_match->any) return StateTag(state);
  for (const ListedTag& listed : conditions.none_match->tags) {
    std::optional<StateMatch> match = StateNamedBy(listed.tag);
    if (match && Matches(*match, state)) return listed.tag;
  }
  return std::nullopt;
}

}  // namespace ursula::protocol
