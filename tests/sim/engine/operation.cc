#include "tests/sim/engine/operation.h"

#include <type_traits>

#include "tests/sim/seeds/hash.h"

namespace ursula::engine::sim {
namespace {

using ursula::sim::HashBytes;

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

std::string Number(uint64_t value) { return std::to_string(value); }

std::string Text(const Lifetime& lifetime) {
  std::string text;
  if (lifetime.ttl_seconds) text += " ttl=" + Number(*lifetime.ttl_seconds);
  if (lifetime.expires_at_ms) text += " expires=" + std::to_string(*lifetime.expires_at_ms);
  return text;
}

std::string Text(const StateMatch& match) {
  std::string text = "{";
  if (match.incarnation) text += "i" + Number(*match.incarnation);
  if (match.tail) text += " t" + Number(match.tail->bytes);
  if (match.closed) text += *match.closed ? " closed" : " open";
  return text + "}";
}

std::string Text(const Precondition& condition) {
  std::string text;
  if (condition.exists) text += " if-match=*";
  if (condition.absent) text += " if-none-match=*";
  for (const StateMatch& match : condition.any_of) text += " if-match=" + Text(match);
  for (const StateMatch& match : condition.none_of) text += " if-none-match=" + Text(match);
  return text;
}

std::string Sizes(const std::vector<Bytes>& messages) {
  std::string text;
  for (const Bytes& message : messages) {
    text += (text.empty() ? " bytes=" : "+") + Number(message.size());
  }
  return text;
}

std::string Text(const ForkPoint& point) {
  std::string text = " from " + ToText(point.source);
  if (point.offset) text += "@" + Number(point.offset->bytes);
  if (point.sub_offset > 0) text += "+" + Number(point.sub_offset);
  return text;
}

std::string Local(bool local, uint64_t staleness_ms_max) {
  return local ? " local, of " + Number(staleness_ms_max) + " ms" : "";
}

std::string Asked(const Request& request) {
  return std::visit(
      Overloaded{
          [](const CreateRequest& r) {
            std::string text = (r.fork ? "fork " : "create ") + ToText(r.stream);
            if (r.fork) text += Text(*r.fork);
            if (!r.content_type.empty()) text += " type=" + r.content_type;
            text += Text(r.lifetime) + (r.closed ? " closed" : "") + Sizes(r.messages);
            if (!r.sequence.empty()) text += " seq=" + r.sequence;
            return text + Text(r.condition);
          },
          [](const AppendRequest& r) {
            std::string text = "append " + ToText(r.stream) + Sizes(r.messages);
            if (!r.content_type.empty()) text += " type=" + r.content_type;
            if (r.close) text += " close";
            if (r.producer) {
              text += " producer=" + r.producer->id + ":" + Number(r.producer->epoch) + ":" +
                      Number(r.producer->sequence);
            }
            if (!r.sequence.empty()) text += " seq=" + r.sequence;
            if (r.expected_tail) text += " tail=" + Number(r.expected_tail->bytes);
            if (r.expected_incarnation) text += " life=" + Number(*r.expected_incarnation);
            return text + Text(r.condition);
          },
          [](const DeleteRequest& r) { return "delete " + ToText(r.stream) + Text(r.condition); },
          [](const ReadRequest& r) {
            std::string text = "read " + ToText(r.stream);
            text += r.from_tail ? " from tail" : " from " + Number(r.from.bytes);
            text += " max=" + Number(r.bytes_max) + (r.boundaries ? " ends" : "");
            if (r.wait_ms > 0) text += " wait=" + Number(r.wait_ms);
            if (r.from_append_start) text += " or its append's start";
            if (r.incarnation) text += " life=" + Number(*r.incarnation);
            return text + Local(r.consistency == Consistency::kLocal, r.staleness_ms_max);
          },
          [](const HeadRequest& r) {
            return "head " + ToText(r.stream) + Local(r.local, r.staleness_ms_max);
          },
          [](const BucketRequest& r) {
            using Kind = BucketRequest::Kind;
            const char* what = r.kind == Kind::kCreate ? "create"
                               : r.kind == Kind::kGet  ? "get"
                               : r.kind == Kind::kList ? "list"
                                                       : "delete";
            return what + std::string(" bucket ") + r.bucket;
          }},
      request);
}

std::string Text(const StreamInfo& info) {
  if (info.incarnation == 0) return "";
  return " tail=" + Number(info.tail.bytes) + (info.closed ? " closed" : "") +
         " type=" + info.content_type + Text(info.lifetime) + " life=" + Number(info.incarnation);
}

std::string Details(const CreateReply& reply) { return Text(reply.info); }
std::string Aged(uint64_t staleness_ms) {
  return staleness_ms == 0 ? "" : " " + Number(staleness_ms) + " ms old";
}
std::string Details(const HeadReply& reply) { return Text(reply.info) + Aged(reply.staleness_ms); }
std::string Details(const DeleteReply& reply) { return Text(reply.info); }
std::string Details(const BucketReply&) { return ""; }
std::string Details(const AppendReply& reply) {
  return " start=" + Number(reply.start.bytes) + " tail=" + Number(reply.tail.bytes) +
         (reply.closed ? " closed" : "") + " producer=" + Number(reply.producer_epoch) + ":" +
         Number(reply.producer_sequence) + "/" + Number(reply.producer_expected_sequence) +
         " life=" + Number(reply.incarnation);
}
std::string Details(const ReadReply& reply) {
  std::string text = " [" + Number(reply.start.bytes) + "," + Number(reply.next.bytes) + ")";
  if (reply.up_to_date) text += " up to date";
  for (Offset end : reply.message_ends) text += " |" + Number(end.bytes);
  return text + Text(reply.info) + Aged(reply.staleness_ms);
}

uint64_t HashOf(std::string text) {
  // What follows " life=" differs between two runs of a seed, as the directory's own number does.
  for (std::size_t at = text.find(" life="); at != std::string::npos; at = text.find(" life=")) {
    std::size_t end = text.find(' ', at + 1);
    text.erase(at, end == std::string::npos ? end : end - at);
  }
  for (std::size_t at = text.find("{i"); at != std::string::npos; at = text.find("{i")) {
    std::size_t end = text.find_first_of(" }", at + 1);
    text.erase(at, end - at);
  }
  return HashBytes(text);
}

}  // namespace

std::string ToText(const StreamId& id) {
  return id.bucket + ":" + (id.affinity.empty() ? "" : id.affinity + "/") + id.name;
}

std::string ToText(Outcome outcome) {
  static constexpr const char* kNames[] = {"ok",
                                           "existed",
                                           "duplicate",
                                           "bucket not found",
                                           "not found",
                                           "soft-deleted",
                                           "closed",
                                           "conflict",
                                           "type mismatch",
                                           "producer stale",
                                           "producer gap",
                                           "epoch start",
                                           "sequence conflict",
                                           "source not found",
                                           "source deleted",
                                           "fork offset invalid",
                                           "fork type mismatch",
                                           "offset invalid",
                                           "gone",
                                           "bucket not empty",
                                           "too large",
                                           "precondition failed",
                                           "too many producers",
                                           "fork too deep"};
  const auto index = static_cast<std::size_t>(outcome);
  return index < std::size(kNames) ? kNames[index] : "outcome " + Number(index);
}

const StreamId* StreamOf(const Operation& operation) {
  return std::visit(
      [](const auto& request) -> const StreamId* {
        if constexpr (requires { request.stream; }) {
          return &request.stream;
        } else {
          return nullptr;
        }
      },
      operation.request);
}

Status StatusOf(const Operation& operation) {
  return std::visit(
      [](const auto& answer) {
        if constexpr (std::is_same_v<std::decay_t<decltype(answer)>, std::monostate>) {
          return Status();
        } else {
          return answer.status();
        }
      },
      operation.answer);
}

bool IsUnknown(const Operation& operation) {
  return !operation.was_answered() || StatusOf(operation).code() == StatusCode::kOutcomeUnknown;
}

bool IsReadOnly(const Operation& operation) {
  if (const auto* bucket = std::get_if<BucketRequest>(&operation.request)) {
    return bucket->kind == BucketRequest::Kind::kGet || bucket->kind == BucketRequest::Kind::kList;
  }
  return std::holds_alternative<ReadRequest>(operation.request) ||
         std::holds_alternative<HeadRequest>(operation.request);
}

const char* KindOf(const Operation& operation) {
  return std::visit(Overloaded{[](const CreateRequest& r) { return r.fork ? "fork" : "create"; },
                               [](const AppendRequest&) { return "append"; },
                               [](const DeleteRequest&) { return "delete"; },
                               [](const ReadRequest&) { return "read"; },
                               [](const HeadRequest&) { return "head"; },
                               [](const BucketRequest& r) {
                                 return r.kind == BucketRequest::Kind::kCreate ? "create bucket"
                                        : r.kind == BucketRequest::Kind::kGet  ? "get bucket"
                                        : r.kind == BucketRequest::Kind::kList ? "list bucket"
                                                                               : "delete bucket";
                               }},
                    operation.request);
}

std::vector<StreamId> NamesOf(const Operation& operation) {
  return std::visit(Overloaded{[](const CreateRequest& r) {
                                 std::vector<StreamId> names{r.stream};
                                 if (r.fork) names.push_back(r.fork->source);
                                 return names;
                               },
                               [](const BucketRequest&) { return std::vector<StreamId>(); },
                               [](const auto& r) { return std::vector<StreamId>{r.stream}; }},
                    operation.request);
}

bool InOneLane(const Operation& one, const Operation& other) {
  return one.batch != 0 && one.batch == other.batch &&
         std::get<AppendRequest>(one.request).stream ==
             std::get<AppendRequest>(other.request).stream;
}

std::string ToText(const Operation& operation) {
  const std::string batch = operation.batch == 0 ? "" : " of batch " + Number(operation.batch);
  std::string text = "#" + Number(operation.number) + batch + " [" + Number(operation.invoked) +
                     "," + (operation.was_answered() ? Number(operation.answered) : "") + ") " +
                     Asked(operation.request) + " -> ";
  return text +
         std::visit(
             [](const auto& answer) -> std::string {
               if constexpr (std::is_same_v<std::decay_t<decltype(answer)>, std::monostate>) {
                 return "no answer";
               } else {
                 if (!answer.ok()) return answer.status().ToString();
                 return ToText(answer->outcome) + Details(answer.value());
               }
             },
             operation.answer);
}

uint64_t HashOf(const Operation& operation) {
  uint64_t hash = HashOf(ToText(operation));
  if (const ReadReply* read = ReplyOf<ReadReply>(operation)) {
    for (const Bytes& part : read->parts) hash = ursula::sim::Mix(hash, HashBytes(part.view()));
  }
  return hash;
}

}  // namespace ursula::engine::sim
