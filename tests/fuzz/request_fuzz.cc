// Requests mapped to engine calls. The input is a request as it stands on the wire, with bare LF as
// line ends: request line, headers, an empty line, the body. Whatever it asks, the engine is only
// called with what its contract allows, and a refusal is a well-formed response. Of a batch that is
// so of each item; its lines are JSON, and simdjson reads in an item's line what the reader did.

#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/base/check.h"
#include "server/protocol/append_batch.h"
#include "server/protocol/cors.h"
#include "server/protocol/request_mapping.h"
#include "server/protocol/response_mapping.h"
#include "server/protocol/routes.h"
#include "server/protocol/text.h"
#include "tests/fuzz/http_text.h"

namespace ursula::protocol {
namespace {

ProtocolConfig Config() {
  ProtocolConfig config;
  config.body_bytes_max = 2048;
  config.json_messages_max = 16;
  config.json_depth_max = 8;
  config.header_value_bytes_max = 64;
  config.batch_items_max = 8;
  return config;
}

std::string_view TakeLine(std::string_view* rest) {
  const std::size_t end = std::min(rest->find('\n'), rest->size());
  const std::string_view line = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return line;
}

// As a connection's parser leaves it: no control characters in target and values, names are tokens.
std::string Printable(std::string_view text, bool space) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte != 0x7f) out += c;
    if (space && (c == ' ' || c == '\t')) out += c;
  }
  return out;
}

Request Parse(std::string_view input) {
  Request request;
  const std::string_view line = TakeLine(&input);
  const std::size_t space = std::min(line.find(' '), line.size());
  request.method = MethodFromName(line.substr(0, space));
  request.target = Printable(line.substr(std::min(space + 1, line.size())), false);
  if (request.target.empty()) request.target = "/";
  for (std::string_view header = TakeLine(&input); !header.empty(); header = TakeLine(&input)) {
    const std::size_t colon = header.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = header.substr(0, colon);
    const std::string value = Printable(header.substr(colon + 1), true);
    if (IsToken(name)) request.headers.Add(name, TrimSpace(value));
  }
  request.version_minor = request.headers.Count("Host") == 0 ? 0 : 1;
  request.body = Bytes::Copy(input.substr(0, 2048));
  return request;
}

void CheckStream(const StreamId& id) {
  URSULA_CHECK(!id.name.empty() && id.name.size() + id.affinity.size() <= kStreamNameBytesMax);
  URSULA_CHECK(id.bucket == kUpstreamBucket || IsBucketName(id.bucket));
  for (const std::string* text : {&id.name, &id.affinity}) {
    URSULA_CHECK(IsUtf8(*text) && !HasControlCharacter(*text));
  }
}

void CheckMessages(const std::vector<Bytes>& messages, std::string_view content_type,
                   const Request& request, const ProtocolConfig& config) {
  std::size_t bytes = 0;
  for (const Bytes& message : messages) {
    URSULA_CHECK(!message.empty());
    bytes += message.size();
    if (IsJson(content_type)) {
      URSULA_CHECK(message.view().find_first_of("\r\n") == std::string_view::npos);
    }
  }
  URSULA_CHECK(bytes <= request.body.size());
  URSULA_CHECK(messages.size() <= config.json_messages_max);
}

void CheckResponse(const Response& response) {
  URSULA_CHECK(!ReasonPhrase(response.status).empty());
  const Framing framing = response.status == 204 ? Framing::kHead : Framing::kLength;
  std::string text(SerializeHead(response, framing, "", kAnyOrigin).view());
  for (const Bytes& part : response.body) text += part.view();
  const std::vector<fuzz::HttpResponse> read = fuzz::HttpReader(text).Read();
  URSULA_CHECK(read.size() == 1 && read[0].status == response.status && read[0].whole);
}

// Where a stream was made is where it is found.
void CheckLocation(std::string_view location, const StreamId& id) {
  URSULA_CHECK(location.find_first_of(std::string_view(" \r\n\0", 4)) == std::string_view::npos);
  const std::size_t authority = location.find("://");
  URSULA_CHECK(authority != std::string_view::npos);
  const std::size_t path = location.find('/', authority + 3);
  URSULA_CHECK(path != std::string_view::npos);
  const Route route = ParsePath(location.substr(path));
  URSULA_CHECK(route.kind == RouteKind::kStream && route.stream == id);
}

// What the engine's contract allows; and a condition that was asked is there.
void CheckCondition(const Precondition& condition, const Request& request) {
  URSULA_CHECK(condition.any_of.size() <= 64 && condition.none_of.size() <= 64);
  if (request.headers.Count("If-Match") > 0 || request.headers.Count("Stream-Incarnation") > 0) {
    URSULA_CHECK(condition.exists || !condition.any_of.empty());
  }
  for (const StateMatch& match : condition.any_of) {
    URSULA_CHECK(match.incarnation || match.tail);
  }
}

class Checker {
 public:
  Checker(const Request& request, const ProtocolConfig& config)
      : request_(request), config_(config) {}

  void operator()(const Response& response) const { CheckResponse(response); }
  void operator()(const CreateBucketAction& action) const {
    URSULA_CHECK(IsBucketName(action.bucket));
  }
  void operator()(const GetBucketAction& action) const {
    URSULA_CHECK(IsBucketName(action.bucket));
  }
  void operator()(const DeleteBucketAction& action) const {
    URSULA_CHECK(IsBucketName(action.bucket));
  }
  void operator()(const ListAction& action) const {
    URSULA_CHECK(action.request.limit >= 1 && action.request.limit <= 1000);
  }
  void operator()(const CreateAction& action) const {
    const CreateRequest& create = action.request;
    CheckStream(create.stream);
    CheckLocation(action.location, create.stream);
    CheckMessages(create.messages, create.content_type, request_, config_);
    URSULA_CHECK(!create.lifetime.ttl_seconds || !create.lifetime.expires_at_ms);
    URSULA_CHECK(create.content_type.size() <= config_.header_value_bytes_max);
    URSULA_CHECK(create.sequence.size() <= config_.header_value_bytes_max);
    CheckCondition(create.condition);
    if (create.fork) CheckStream(create.fork->source);
    URSULA_CHECK(!action.needs_source_type || create.fork);
    if (action.needs_source_type) CheckFork(action);
  }
  void operator()(const AppendAction& action) const {
    const AppendRequest& append = action.request;
    CheckStream(append.stream);
    if (action.refusal) {
      CheckResponse(*action.refusal);
      URSULA_CHECK(append.condition == Precondition{.any_of = {{.incarnation = 0}}});
    } else {
      CheckMessages(append.messages, append.content_type, request_, config_);
    }
    URSULA_CHECK(!append.messages.empty() || append.close);
    URSULA_CHECK(append.content_type.empty() != action.has_body || append.close);
    URSULA_CHECK(append.sequence.size() <= config_.header_value_bytes_max);
    CheckCondition(append.condition);
    if (!append.producer) return;
    URSULA_CHECK(!append.producer->id.empty());
    URSULA_CHECK(append.producer->epoch <= kJavaScriptIntegerMax);
    URSULA_CHECK(append.producer->sequence <= kJavaScriptIntegerMax);
  }
  void operator()(const AppendBatchAction& action) const {
    URSULA_CHECK(action.bucket == kUpstreamBucket || IsBucketName(action.bucket));
    CheckBatch(action.bucket);
  }
  void operator()(const HeadAction& action) const { CheckStream(action.request.stream); }
  void operator()(const DeleteAction& action) const {
    CheckStream(action.request.stream);
    CheckCondition(action.request.condition);
  }
  void operator()(const ReadAction& action) const {
    CheckStream(action.request.stream);
    URSULA_CHECK(action.request.from.bytes < kOffsetEnd && action.request.bytes_max > 0);
    URSULA_CHECK(action.request.wait_ms <= config_.long_poll_ms);
    CheckRefusal(action);
  }
  void operator()(const GuardedRefusal& action) const {
    CheckStream(action.stream);
    CheckResponse(action.refusal);
    URSULA_CHECK(action.refusal.status >= 400);
  }

 private:
  void CheckBatch(const std::string& bucket) const {
    BatchReader reader(&config_, bucket, request_.body);
    Request item_request;  // Whose headers stood in the line.
    item_request.body = request_.body;
    uint64_t items = 0;
    for (std::size_t at = 0;; at = reader.at()) {
      BatchItem item;
      const BatchReader::Step step = reader.Next(&item);
      if (step == BatchReader::Step::kEnd) break;
      if (step == BatchReader::Step::kMore) continue;
      std::string line;
      if (const auto* response = std::get_if<Response>(&item)) {
        CheckResponse(*response);
        AppendBatchLine(&line, items, *response);
      } else {
        const AppendAction& append = std::get<AppendAction>(item);
        Checker(item_request, config_)(append);
        URSULA_CHECK(append.request.stream.bucket == bucket);
        CheckAgainstSimdjson(append.request, request_.body.view().substr(at));
        AppendBatchLine(&line, items, MapAppendReply(append, AppendReply{}, config_));
      }
      CheckLine(line, items);
      if (step == BatchReader::Step::kBroken) break;
      URSULA_CHECK(reader.at() > at && reader.at() <= request_.body.size());
      URSULA_CHECK(reader.index() == ++items && items <= config_.batch_items_max);
    }
  }
  static void CheckLine(const std::string& line, uint64_t index) {
    URSULA_CHECK(line.find('\n') == line.size() - 1);
    simdjson::dom::parser parser;
    const simdjson::dom::element object = parser.parse(simdjson::padded_string(line));
    URSULA_CHECK(uint64_t{object["index"]} == index && uint64_t{object["status"]} >= 200);
  }
  // `rest`: of the body, from before the item.
  static void CheckAgainstSimdjson(const AppendRequest& append, std::string_view rest) {
    std::string_view line;
    while (TrimSpace(line).find_first_not_of('\r') == std::string_view::npos)
      line = TakeLine(&rest);
    simdjson::dom::parser parser;
    simdjson::dom::element object;
    // Numbers that don't fit its types are its own opinion.
    if (parser.parse(simdjson::padded_string(line)).get(object) != simdjson::SUCCESS) return;
    const StreamId& id = append.stream;
    std::string_view text;
    URSULA_CHECK(object["stream"].get(text) == simdjson::SUCCESS);
    URSULA_CHECK(text == (id.affinity.empty() ? id.name : id.affinity + "/" + id.name));
    if (object["data"].get(text) != simdjson::SUCCESS || IsJson(append.content_type)) return;
    std::string data;
    for (const Bytes& message : append.messages) data += message.view();
    URSULA_CHECK(data == text);
  }
  void CheckCondition(const Precondition& condition) const {
    protocol::CheckCondition(condition, request_);
  }
  // Whatever is asked, an empty stream is answered.
  void CheckRefusal(const ReadAction& action) const {
    ReadReply reply;
    reply.info.incarnation = 1;
    reply.up_to_date = true;
    const std::optional<Response> refusal = RefuseRead(action, reply, ReplyContext{}, config_);
    if (!refusal) return;
    CheckResponse(*refusal);
    URSULA_CHECK(refusal->status == 304 || refusal->status == 412);
  }
  void CheckFork(const CreateAction& action) const {
    for (const char* type : {"application/json", "text/plain"}) {
      CreateAction fork = action;
      HeadReply source;
      source.info.content_type = type;
      const std::optional<Response> refusal = FinishFork(&fork, source, config_);
      if (refusal) {
        CheckResponse(*refusal);
      } else {
        CheckMessages(fork.request.messages, type, request_, config_);
      }
    }
  }

  const Request& request_;
  const ProtocolConfig& config_;
};

void Run(std::string_view input) {
  const ProtocolConfig config = Config();
  const Request request = Parse(input);
  std::visit(Checker(request, config), MapRequest(request, config));
}

}  // namespace
}  // namespace ursula::protocol

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::protocol::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
