#include "lib/stream/machine.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::stream {
namespace {

void SortUnique(Incarnations* ids) {
  std::ranges::sort(*ids);
  ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
}

}  // namespace

Machine::Machine(GroupId group, uint64_t history, uint64_t feature_level)
    : group_(group), history_(history), feature_level_(feature_level) {}

ApplyResult Machine::Apply(Index index, const Command& command) {
  now_ms_ = std::max(now_ms_, command.now_ms);
  ApplyResult result;
  ExpireNamed(command, &result);
  std::visit(
      [&](const auto& body) {
        result.reply = Decide(body, now_ms_);
        // A duplicate changes nothing but is a use of the stream.
        Outcome outcome = result.reply.outcome;
        if (outcome == Outcome::kOk || outcome == Outcome::kDuplicate) {
          Commit(index, body, &result);
        }
      },
      command.body);
  SortUnique(&result.changed);
  SortUnique(&result.freed);
  return result;
}

Reply Machine::Preview(const Command& command, int64_t now_ms) const {
  int64_t now = std::max(now_ms_, now_ms);
  return std::visit([&](const auto& body) { return Decide(body, now); }, command.body);
}

Machine::NameState Machine::FindName(std::string_view key, int64_t now) const {
  NameState name;
  const StreamState* stream = streams_.FindByKey(key);
  if (stream != nullptr && !Due(*stream, now)) name.stream = stream;
  if (placements_.empty()) return name;
  auto placement = placements_.find(key);
  if (placement != placements_.end()) name.placement = &placement->second;
  return name;
}

StreamInfo Machine::InfoOf(const StreamState& stream) const {
  StreamInfo info;
  info.content_type = *stream.content_type;
  info.start = Offset{stream.start()};
  info.tail = Offset{stream.tail};
  info.closed = stream.closed;
  if (stream.lifetime != nullptr) info.lifetime = *stream.lifetime;
  info.incarnation = PublicIncarnation(stream.incarnation);
  return info;
}

LookupResult Machine::Describe(const StreamState& stream) const {
  LookupResult result;
  switch (stream.life) {
    case Life::kLive:
      result.kind = LookupResult::Kind::kFound;
      break;
    case Life::kSoftDeleted:
      result.kind = LookupResult::Kind::kSoftDeleted;
      break;
    case Life::kDetached:
      result.kind = LookupResult::Kind::kExpired;
      break;
  }
  result.incarnation = stream.incarnation;
  result.start = stream.start();
  result.tail = stream.tail;
  result.closed = stream.closed;
  result.sliding = stream.lifetime != nullptr && stream.lifetime->ttl_seconds.has_value();
  if (stream.deadline_ms != kNever) result.deadline_ms = stream.deadline_ms;
  result.content_type = *stream.content_type;
  return result;
}

}  // namespace ursula::stream
