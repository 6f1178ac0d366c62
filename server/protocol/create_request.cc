// PUT on a stream: create, or fork.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/json_scanner.h"
#include "server/protocol/errors.h"
#include "server/protocol/offset.h"
#include "server/protocol/precondition.h"
#include "server/protocol/request_parts.h"
#include "server/protocol/routes.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

Response BadFork(std::string_view message) { return ErrorResponse(400, "INVALID_FORK", message); }

// "/v1/stream/a" or "/bucket/a"; with the public path prefix too, as it stands in a Location.
std::optional<StreamId> ParseForkSource(std::string_view path, const PublicBase& base,
                                        std::span<const std::string> roots) {
  if (!base.prefix.empty() && path.starts_with(base.prefix + "/")) {
    Route inside = ParsePath(path.substr(base.prefix.size()), roots);
    if (inside.kind == RouteKind::kStream) return inside.stream;
  }
  Route route = ParsePath(path, roots);
  if (route.kind != RouteKind::kStream) return std::nullopt;
  return route.stream;
}

Refusal TakeFork(const Request& request, const PublicBase& base, std::span<const std::string> roots,
                 std::optional<ForkPoint>* fork) {
  std::optional<std::string_view> from, offset, sub_offset;
  if (Refusal refusal = TakeHeader(request, "Stream-Forked-From", &from)) return refusal;
  if (Refusal refusal = TakeHeader(request, "Stream-Fork-Offset", &offset)) return refusal;
  if (Refusal refusal = TakeHeader(request, "Stream-Fork-Sub-Offset", &sub_offset)) return refusal;
  if (!from) {
    if (!offset && !sub_offset) return std::nullopt;
    return BadFork("a fork position needs Stream-Forked-From");
  }
  std::optional<StreamId> source = ParseForkSource(*from, base, roots);
  if (!source) return BadFork("Stream-Forked-From is not the path of a stream");
  ForkPoint point;
  point.source = std::move(*source);
  if (offset) {
    std::optional<Position> position = ParseOffset(*offset);
    if (!position) return BadFork("Stream-Fork-Offset is not an offset of a stream");
    point.offset = position->offset;
  }
  if (sub_offset) {
    std::optional<uint64_t> number = ParseCanonicalNumber(*sub_offset, kOffsetEnd - 1);
    if (!number) return BadFork("Stream-Fork-Sub-Offset is a number, in plain digits");
    if (*number > 0 && !offset) return BadFork("a sub-offset past the tail");
    point.sub_offset = *number;
  }
  *fork = std::move(point);
  return std::nullopt;
}

}  // namespace

Action MapCreate(const Request& request, const ProtocolConfig& config, StreamId stream) {
  const PublicBase base = PublicBaseOf(request, config);
  CreateAction action;
  CreateRequest& create = action.request;
  if (Refusal refusal = CheckWhole(request)) return std::move(*refusal);
  if (Refusal refusal = CheckContentCoding(request)) return std::move(*refusal);
  if (Refusal refusal = TakeLifetime(request, &create.lifetime)) return std::move(*refusal);
  if (Refusal refusal = TakeFork(request, base, config.stream_roots, &create.fork))
    return std::move(*refusal);
  if (Refusal refusal = TakeSequence(request, config, &create.sequence)) {
    return std::move(*refusal);
  }
  Conditions conditions;
  if (Refusal refusal = TakeConditions(request, Query(request.query()), false, &conditions))
    return std::move(*refusal);
  create.condition = PreconditionOf(conditions);
  std::string type;
  if (Refusal refusal = TakeContentType(request, config, &type)) return std::move(*refusal);
  if (IsContentType(type)) create.content_type = std::move(type);
  if (Refusal refusal = TakeClose(request, &create.closed)) return std::move(*refusal);
  action.needs_source_type =
      create.fork.has_value() && create.content_type.empty() && !request.body.empty();
  if (action.needs_source_type) {
    action.body = request.body;
  } else {
    Refusal refusal = SplitBody(request.body, create.content_type, config, &create.messages);
    if (refusal) return std::move(*refusal);
    create.json_checked = JsonSplitter::Checked();
  }
  create.stream = std::move(stream);
  action.location = base.origin + base.prefix;
  action.location += request.path();
  return action;
}

std::optional<Response> FinishFork(CreateAction* action, const Result<HeadReply>& source,
                                   const ProtocolConfig& config) {
  if (!source.ok()) return StatusResponse(source.status(), config);
  action->needs_source_type = false;
  if (source->outcome != Outcome::kOk) {
    // Only the fork itself, if it is there already, is of use now; else Create says what is wrong.
    action->request.source_incarnation = 0;
    return std::nullopt;
  }
  // The body is split as this life of the source has it: Create refuses another one.
  action->request.source_incarnation = source->info.incarnation;
  action->request.json_checked = JsonSplitter::Checked();
  return SplitBody(action->body, source->info.content_type, config, &action->request.messages);
}

}  // namespace ursula::protocol
