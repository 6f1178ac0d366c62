#include "server/protocol/append_batch.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/json_scanner.h"
#include "lib/base/strings.h"
#include "server/protocol/errors.h"
#include "server/protocol/request_parts.h"
#include "server/protocol/routes.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::size_t kFieldBytesMax = 8192;  // Of what would be one header's value.
constexpr std::size_t kNameBytesTold = 64;    // Of a field that there isn't.

// ---- the fields of an item ---------------------------------------------------------------------

enum class Kind : uint8_t { kText, kNumber, kFlag };

// What would be a header if the append came alone.
struct HeaderField {
  std::string_view name;
  std::string_view header;
  Kind kind;
};

constexpr HeaderField kHeaderFields[] = {
    {"content_type", "Content-Type", Kind::kText},
    {"producer_id", "Producer-Id", Kind::kText},
    {"producer_epoch", "Producer-Epoch", Kind::kNumber},
    {"producer_seq", "Producer-Seq", Kind::kNumber},
    {"seq", "Stream-Seq", Kind::kText},
    {"close", "Stream-Closed", Kind::kFlag},
    {"if_match", "If-Match", Kind::kText},
    {"if_none_match", "If-None-Match", Kind::kText},
    {"incarnation", "Stream-Incarnation", Kind::kText},
};

bool IsString(const Bytes& value) { return value.view().front() == '"'; }

// Four hexadecimal digits, which a scanner has seen.
uint32_t UnitOf(std::string_view digits) {
  uint32_t unit = 0;
  for (char c : digits) {
    const uint32_t digit =
        c <= '9' ? static_cast<uint32_t>(c - '0') : static_cast<uint32_t>((c | 0x20) - 'a') + 10;
    unit = unit * 16 + digit;
  }
  return unit;
}

void AppendUtf8(std::string* out, uint32_t point) {
  auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xc0 | point >> 6);
  } else {
    if (point < 0x10000) {
      put(0xe0 | point >> 12);
    } else {
      put(0xf0 | point >> 18);
      put(0x80 | (point >> 12 & 0x3f));
    }
    put(0x80 | (point >> 6 & 0x3f));
  }
  put(0x80 | (point & 0x3f));
}

// What stands behind "\u" in `text` at `*at`, which is moved on. False: half a surrogate pair.
bool TakeUnit(std::string_view text, std::size_t* at, std::string* out) {
  uint32_t point = UnitOf(text.substr(*at, 4));
  *at += 4;
  if (point >= 0xdc00 && point < 0xe000) return false;
  if (point >= 0xd800 && point < 0xdc00) {
    if (text.substr(*at, 2) != "\\u") return false;
    const uint32_t low = UnitOf(text.substr(*at + 2, 4));
    if (low < 0xdc00 || low >= 0xe000) return false;
    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    *at += 6;
  }
  AppendUtf8(out, point);
  return true;
}

// What a JSON string stands for: a slice of it, where nothing is escaped. Empty: it stands for no
// text. REQUIRES: a scanner has been over it.
std::optional<Bytes> TextOf(const Bytes& value) {
  constexpr std::string_view kEscapes = "\"\\/bfnrt";
  constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  const Bytes inside = value.Slice(1, value.size() - 2);
  const std::string_view text = inside.view();
  std::size_t at = text.find('\\');
  if (at == std::string_view::npos) return inside;
  std::string out;
  out.reserve(text.size());  // It gets no longer.
  out.append(text.substr(0, at));
  while (at < text.size()) {
    if (text[at] != '\\') {
      const std::string_view run = text.substr(at, text.find('\\', at) - at);
      out.append(run);
      at += run.size();
      continue;
    }
    const char escape = text[++at];
    ++at;
    if (escape != 'u') {
      out.push_back(kMeant[kEscapes.find(escape)]);
    } else if (!TakeUnit(text, &at, &out)) {
      return std::nullopt;
    }
  }
  return Bytes::Take(std::move(out));
}

// What stands in the alphabet of RFC 4648, 4, and whole: a decoder takes more.
bool IsBase64(std::string_view text) {
  if (text.size() % 4 != 0) return false;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  });
}

bool HasControlBesidesTab(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

Response BadItem(std::string_view why) { return ErrorResponse(400, "INVALID_ITEM", why); }

}  // namespace

struct BatchReader::Fields {
  enum class Content : uint8_t { kNone, kData, kJson, kBase64, kBytes };

  uint32_t seen = 0;  // By place in kHeaderFields.
  std::optional<Bytes> stream = {};
  Content content = Content::kNone;
  Bytes body = {};
  std::optional<uint64_t> raw_bytes = {};
  bool counted = false;     // It has said how many.
  std::string broken = {};  // Why nobody knows where the item ends; empty: there it is.
  std::string wrong = {};   // What an item can't say; empty: nothing.

  void Wrong(std::string why) {
    if (wrong.empty()) wrong = std::move(why);
  }
  void Break(std::string why) {
    if (broken.empty()) broken = std::move(why);
  }
  // Whether the field is the item's only content so far.
  bool Begin(Content kind) {
    if (content != Content::kNone) Wrong("an item has one of data, json, data_base64 and bytes");
    return std::exchange(content, kind) == Content::kNone;
  }
};

// ---- reading -----------------------------------------------------------------------------------

BatchReader::Step BatchReader::Broken(std::string_view why, BatchItem* item) const {
  *item = ErrorResponse(400, "MALFORMED_BATCH",
                        absl::StrCat(A(why), "; the item ends before byte ", at_,
                                     " of the body, and nothing from it on was carried out"));
  return Step::kBroken;
}

// The next line that holds anything, from there on and without its end.
BatchReader::Step BatchReader::TakeLine(Bytes* line) {
  const std::string_view text = body_.view();
  const std::size_t stop = std::min(text.size() - at_, kEmptyBytesMax) + at_;
  auto holds = [](char c) { return c != ' ' && c != '\t' && c != '\r' && c != '\n'; };
  while (at_ < stop && !holds(text[at_])) ++at_;
  if (at_ == stop) return at_ == text.size() ? Step::kEnd : Step::kMore;
  const std::size_t end = std::min(text.find('\n', at_), text.size());
  *line = body_.Slice(at_, end - at_);
  at_ = std::min(end + 1, text.size());
  return Step::kItem;
}

BatchReader::Step BatchReader::Next(BatchItem* item) {
  Bytes line;
  if (const Step step = TakeLine(&line); step != Step::kItem) return step;
  if (count_ >= config_->batch_items_max) {
    *item = ErrorResponse(413, "TOO_MANY_ITEMS",
                          absl::StrCat("a batch has at most ", config_->batch_items_max,
                                       " items; those from here on were not carried out"));
    return Step::kBroken;
  }
  Fields fields;
  request_.headers.Clear();
  if (!IsUtf8(line.view())) return Broken("an item's line isn't UTF-8", item);
  if (!ReadFields(line, &fields)) {
    return Broken("an item's line is one JSON object that nests no deeper than a body may", item);
  }
  if (!fields.broken.empty()) return Broken(fields.broken, item);
  if (fields.raw_bytes) {
    const uint64_t bytes = *fields.raw_bytes;
    const std::size_t left = body_.size() - at_;
    if (bytes > left) return Broken("fewer bytes follow an item's line than it says", item);
    fields.body = body_.Slice(at_, bytes);
    at_ += bytes;
    if (at_ < body_.size() && body_.view()[at_] != '\n') {
      return Broken("no line feed follows the bytes of an item", item);
    }
    at_ = std::min(at_ + 1, body_.size());
  }
  *item = Map(&fields);
  ++count_;
  return Step::kItem;
}

// Into `fields` and the headers. False: this is no JSON object.
bool BatchReader::ReadFields(const Bytes& line, Fields* fields) {
  JsonScanner scanner(line.view(), config_->json_depth_max);
  scanner.SkipSpace();
  if (!scanner.Take('{')) return false;
  scanner.SkipSpace();
  bool done = scanner.Take('}');
  if (done) scanner.SkipSpace();
  while (!done) {
    const std::size_t name_at = scanner.at();
    if (!scanner.SkipValue() || line.view()[name_at] != '"') return false;
    const std::string_view name = line.view().substr(name_at + 1, scanner.at() - name_at - 2);
    scanner.SkipSpace();
    if (!scanner.Take(':')) return false;
    scanner.SkipSpace();
    const std::size_t value_at = scanner.at();
    if (!scanner.SkipValue()) return false;
    TakeField(name, line.Slice(value_at, scanner.at() - value_at), fields);
    scanner.SkipSpace();
    done = scanner.Take('}');
    if (!done && !scanner.Take(',')) return false;
    scanner.SkipSpace();
  }
  return scanner.AtEnd();
}

void BatchReader::TakeField(std::string_view name, const Bytes& value, Fields* fields) {
  using Content = Fields::Content;
  if (name == "bytes") {
    fields->Begin(Content::kBytes);
    fields->raw_bytes = ParseCanonicalNumber(value.view(), kJavaScriptIntegerMax);
    if (std::exchange(fields->counted, true) || !fields->raw_bytes) {
      fields->Break("an item says bytes once, as a plain number");
    }
    return;
  }
  if (name == "json") {
    if (fields->Begin(Content::kJson)) fields->body = value;
    return;
  }
  if (name == "stream" || name == "data" || name == "data_base64") {
    return TakeText(name, value, fields);
  }
  TakeHeaderField(name, value, fields);
}

void BatchReader::TakeText(std::string_view name, const Bytes& value, Fields* fields) {
  using Content = Fields::Content;
  std::optional<Bytes> text;
  if (IsString(value)) text = TextOf(value);
  if (!text) {
    // Its content is none that could follow another's.
    if (name != "stream") fields->Begin(Content::kData);
    return fields->Wrong(absl::StrCat(A(name), " is a string of whole characters"));
  }
  if (name == "stream") {
    if (fields->stream) fields->Wrong("stream stands twice in an item");
    fields->stream = std::move(text);
    return;
  }
  if (!fields->Begin(name == "data" ? Content::kData : Content::kBase64)) return;
  if (name == "data") {
    fields->body = *std::move(text);
    return;
  }
  std::string decoded;
  if (!IsBase64(text->view()) || !absl::Base64Unescape(A(text->view()), &decoded)) {
    return fields->Wrong("data_base64 is not base64 (RFC 4648, 4)");
  }
  fields->body = Bytes::Take(std::move(decoded));
}

void BatchReader::TakeHeaderField(std::string_view name, const Bytes& value, Fields* fields) {
  const auto* field = std::ranges::find(kHeaderFields, name, &HeaderField::name);
  if (field == std::end(kHeaderFields)) {
    // It may have been meant to be "bytes": what follows would be taken for items.
    const bool tell = name.size() <= kNameBytesTold;
    return fields->Break(tell ? absl::StrCat("no item has a field ", A(name))
                              : "an item has a field that none has");
  }
  const uint32_t bit = uint32_t{1} << (field - std::begin(kHeaderFields));
  if ((fields->seen & bit) != 0) {
    return fields->Wrong(absl::StrCat(A(name), " stands twice in an item"));
  }
  fields->seen |= bit;
  std::optional<Bytes> text = value;
  bool fits = true;
  switch (field->kind) {
    case Kind::kText:
      fits = IsString(value);
      if (fits) text = TextOf(value);
      break;
    case Kind::kNumber:  // Which ones is judged as a header's are.
      fits = value.view().find_first_not_of("0123456789") == std::string_view::npos;
      break;
    case Kind::kFlag:
      fits = value.view() == "true" || value.view() == "false";
      break;
  }
  if (!fits || !text || text->size() > kFieldBytesMax || HasControlBesidesTab(text->view())) {
    constexpr std::string_view kWhat[] = {"a string that a header could hold", "a plain number",
                                          "true or false"};
    return fields->Wrong(
        absl::StrCat(A(name), " is ", A(kWhat[static_cast<std::size_t>(field->kind)])));
  }
  request_.headers.Add(field->header, TrimSpace(text->view()));
}

BatchItem BatchReader::Map(Fields* fields) {
  if (!fields->wrong.empty()) return BadItem(fields->wrong);
  if (!fields->stream) return BadItem("an item names its stream");
  Route route = ParseStreamName(bucket_, fields->stream->view());
  if (route.kind != RouteKind::kStream) {
    return ErrorResponse(route.kind == RouteKind::kReserved ? 404 : 400, route.code, route.message);
  }
  if (fields->content == Fields::Content::kJson && request_.headers.Count("Content-Type") == 0) {
    request_.headers.Add("Content-Type", "application/json");
  }
  request_.body = std::move(fields->body);
  Action action = MapAppend(request_, *config_, std::move(route.stream));
  request_.body = {};
  if (auto* append = std::get_if<AppendAction>(&action)) return std::move(*append);
  return std::get<Response>(std::move(action));
}

// ---- answering ---------------------------------------------------------------------------------

namespace {

// What is a header of the answer to an append alone.
constexpr HeaderField kAnswerFields[] = {
    {"next_offset", "Stream-Next-Offset", Kind::kText},
    {"closed", "Stream-Closed", Kind::kFlag},
    {"etag", "ETag", Kind::kText},
    {"incarnation", "Stream-Incarnation", Kind::kText},
    {"producer_epoch", "Producer-Epoch", Kind::kNumber},
    {"producer_seq", "Producer-Seq", Kind::kNumber},
    {"producer_expected_seq", "Producer-Expected-Seq", Kind::kNumber},
    {"producer_received_seq", "Producer-Received-Seq", Kind::kNumber},
    {"retry_after", "Retry-After", Kind::kNumber},
};

void AppendAnswer(std::string* out, const Response& response) {
  absl::StrAppend(out, ",\"status\":", response.status, ",\"outcome\":\"",
                  A(response.headers.Find("Stream-Outcome").value_or("refused")), "\"");
  for (std::size_t i = 0; i < response.headers.size(); ++i) {
    const Header header = response.headers.at(i);
    const auto* field = std::ranges::find(kAnswerFields, header.name, &HeaderField::header);
    if (field == std::end(kAnswerFields)) continue;
    absl::StrAppend(out, ",\"", A(field->name), "\":");
    if (field->kind == Kind::kText) {
      AppendJsonString(out, header.value);
    } else {
      out->append(header.value);
    }
  }
  // {"error":{…}} without its braces.
  for (const Bytes& part : response.body) {
    out->push_back(',');
    out->append(part.view().substr(1, part.size() - 2));
  }
  out->append("}\n");
}

}  // namespace

void AppendBatchLine(std::string* out, uint64_t index, const Response& response) {
  absl::StrAppend(out, "{\"index\":", index);
  AppendAnswer(out, response);
}

void AppendBatchRest(std::string* out, uint64_t index, const Response& response) {
  absl::StrAppend(out, "{\"index\":", index, ",\"rest\":true");
  AppendAnswer(out, response);
}

Response BatchHead() {
  Response head;
  head.headers = {{"Content-Type", "application/x-ndjson"}, {"Cache-Control", "no-store"}};
  return head;
}

Response EmptyBatchResponse() {
  return ErrorResponse(400, "EMPTY_BATCH", "a batch needs at least one item: a line of JSON");
}

Response LateBatchResponse(const ProtocolConfig& config) {
  Response late = ErrorResponse(503, "BATCH_TIMEOUT",
                                "the batch's time is over; nothing from this item on was applied, "
                                "send it again, and take answers as they come");
  late.headers.Add("Retry-After", absl::StrCat(config.retry_after_seconds));
  late.headers.Set("Stream-Outcome", "not-proposed");
  return late;
}

Response StoppedBatchResponse(const ProtocolConfig& config) {
  Response stopped =
      StatusResponse(Status(StatusCode::kFailedPrecondition, "the server is stopping"), config);
  stopped.headers.Set("Stream-Outcome", "not-proposed");
  return stopped;
}

}  // namespace ursula::protocol
