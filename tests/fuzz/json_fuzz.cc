// JSON bodies: the splitter and simdjson agree on what is JSON, and the messages have the stored
// form that lib/stream finds its boundaries in.

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"
#include "lib/stream/json_boundaries.h"
#include "server/protocol/json_body.h"

namespace ursula::protocol {
namespace {

constexpr JsonLimits kLimits{.depth_max = 64, .messages_max = 1000};

// The escape of half a surrogate pair stands in it, perhaps without the other half.
bool HasSurrogateEscape(std::string_view body) {
  for (std::size_t at = body.find("\\u"); at != std::string_view::npos;
       at = body.find("\\u", at + 1)) {
    const std::string_view digits = body.substr(at + 2, 2);
    if (digits.size() == 2 && (digits[0] == 'd' || digits[0] == 'D') && digits[1] >= '8')
      return true;
  }
  return false;
}

// What simdjson refuses beyond the grammar of RFC 8259: numbers that don't fit its types, escapes
// of a lone surrogate.
bool IsOpinionOnly(simdjson::error_code error, std::string_view body) {
  return error == simdjson::NUMBER_ERROR || error == simdjson::NUMBER_OUT_OF_RANGE ||
         error == simdjson::DEPTH_ERROR ||
         (error == simdjson::STRING_ERROR && HasSurrogateEscape(body));
}

void CheckAgainstSimdjson(std::string_view body, JsonVerdict verdict) {
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
  simdjson::dom::parser parser;
  const simdjson::error_code error =
      parser.parse(simdjson::padded_string(body.data(), body.size())).error();
  if (error == simdjson::SUCCESS) {
    URSULA_CHECK(verdict != JsonVerdict::kInvalid && verdict != JsonVerdict::kNotUtf8);
  } else if (verdict == JsonVerdict::kValid) {
    URSULA_CHECK(IsOpinionOnly(error, body));
  }
}

void CheckStoredForm(const std::vector<Bytes>& messages) {
  std::string stored;
  std::vector<uint64_t> wanted;
  for (const Bytes& message : messages) {
    URSULA_CHECK(!message.empty());
    URSULA_CHECK(message.view().find_first_of("\r\n") == std::string_view::npos);
    stored += message.view();
    stored += stream::kJsonTerminator;
    wanted.push_back(stored.size());
  }
  std::vector<uint64_t> ends;
  stream::JsonMessageEnds(stored, 0, &ends);
  URSULA_CHECK(ends == wanted);
  URSULA_CHECK(stream::CountJsonMessages(stored) == messages.size());
  URSULA_CHECK(stream::LastJsonBoundary(stored, stored.size()) == stored.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    URSULA_CHECK(stream::NthJsonBoundary(stored, i + 1) == wanted[i]);
    URSULA_CHECK(stream::IsJsonBoundary(stored, wanted[i], true));
  }
  if (messages.empty()) return;
  // A reader puts brackets around a page: it is an array of the same messages.
  stored.resize(stored.size() - stream::kJsonTerminator.size());
  const JsonSplit page = SplitJson(Bytes::Take("[" + stored + "]"), {.depth_max = 65});
  URSULA_CHECK(page.verdict == JsonVerdict::kValid);
  URSULA_CHECK(page.messages == messages);
}

void Run(std::string_view input) {
  const Bytes body = Bytes::Copy(input);
  const JsonSplit split = SplitJson(body, kLimits);
  URSULA_CHECK(split.error_at <= body.size());
  CheckAgainstSimdjson(input, split.verdict);
  if (split.verdict != JsonVerdict::kValid) {
    URSULA_CHECK(split.messages.empty());
    return;
  }
  URSULA_CHECK(split.messages.size() <= kLimits.messages_max);
  CheckStoredForm(split.messages);
}

}  // namespace
}  // namespace ursula::protocol

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::protocol::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
