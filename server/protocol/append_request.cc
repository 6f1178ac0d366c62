// POST on a stream: append, close, or both at once.

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/json_scanner.h"
#include "server/protocol/errors.h"
#include "server/protocol/precondition.h"
#include "server/protocol/request_parts.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

// A body that can't be stored is judged by the stream all the same: its own refusals come first,
// and a duplicate is one whatever it brings. In the body's place goes a message under a condition
// that no stream meets, so that it is never stored.
void ReplaceBody(AppendAction* action, Response refusal) {
  action->request.messages = {Bytes::Static("0")};
  action->request.condition = {.any_of = {{.incarnation = 0}}};
  action->refusal = std::make_unique<Response>(std::move(refusal));
}

}  // namespace

// What needs no stream is refused first, as upstream orders it: producer syntax, an empty body, a
// missing type. A body that is not JSON comes after the stream's own refusals.
Action MapAppend(const Request& request, const ProtocolConfig& config, StreamId stream) {
  AppendAction action;
  AppendRequest& append = action.request;
  if (Refusal refusal = TakeProducer(request, config, &append.producer)) {
    return std::move(*refusal);
  }
  if (Refusal refusal = TakeClose(request, &append.close)) return std::move(*refusal);
  action.has_body = !request.body.empty();
  if (!action.has_body && !append.close) {
    return ErrorResponse(400, "EMPTY_APPEND", "an append needs a body or Stream-Closed: true");
  }
  if (action.has_body) {
    if (Refusal refusal = TakeContentType(request, config, &append.content_type)) {
      return std::move(*refusal);
    }
    if (append.content_type.empty()) {
      return ErrorResponse(400, "CONTENT_TYPE_REQUIRED", "an append needs a Content-Type");
    }
  }
  if (Refusal refusal = CheckContentCoding(request)) return std::move(*refusal);
  if (Refusal refusal = TakeSequence(request, config, &append.sequence)) {
    return std::move(*refusal);
  }
  Conditions conditions;
  if (Refusal refusal = TakeConditions(request, Query(request.query()), true, &conditions))
    return std::move(*refusal);
  append.condition = PreconditionOf(conditions);
  if (Refusal refusal = SplitBody(request.body, append.content_type, config, &append.messages)) {
    ReplaceBody(&action, std::move(*refusal));
  } else if (action.has_body && append.messages.empty()) {
    ReplaceBody(&action,
                ErrorResponse(400, "EMPTY_JSON_ARRAY", "an append needs at least one message"));
  }
  append.json_checked = JsonSplitter::Checked();
  if (append.producer) action.producer_sequence = append.producer->sequence;
  append.stream = std::move(stream);
  return action;
}

}  // namespace ursula::protocol
