// tests/sim/engine/operation.h
//
// One call of the engine: what was asked, what was answered, and between which moments.

#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "ursula/engine.h"

namespace ursula::engine::sim {

struct Interval {
  int64_t from = 0;
  int64_t until = 0;
};
// By group, whose times may differ.
using Moments = std::vector<int64_t>;
using Intervals = std::vector<Interval>;

struct HeadRequest {
  StreamId stream = {};
  bool local = false;
  uint64_t staleness_ms_max = 0;  // Of a local one.
};
struct BucketRequest {
  // List: whether it finds the bucket; of what is in it streams may come and go meanwhile.
  enum class Kind : uint8_t { kCreate, kGet, kDelete, kList };
  Kind kind = Kind::kCreate;
  std::string bucket = {};
};

using Request = std::variant<CreateRequest, AppendRequest, DeleteRequest, ReadRequest, HeadRequest,
                             BucketRequest>;
using Answer =
    std::variant<std::monostate, Result<CreateReply>, Result<AppendReply>, Result<DeleteReply>,
                 Result<ReadReply>, Result<HeadReply>, Result<BucketReply>>;

struct Operation {
  static constexpr uint64_t kNever = UINT64_MAX;

  uint64_t number = 0;
  // Not 0: of AppendBatch, called for all that have the same, in their order.
  uint64_t batch = 0;
  Request request = {};
  Answer answer = {};  // None: the engine crashed first.
  // Order of events, for what came before what.
  uint64_t invoked = 0;
  uint64_t answered = kNever;
  uint64_t asked_ns = 0;
  uint64_t answered_ns = 0;
  uint64_t lag_ns = 0;  // The answer may have been made so long before.
  // A group's time when it took effect there lies in between.
  Intervals times = {};

  std::size_t node = 0;  // Of which it was asked.
  uint64_t process = 0;  // Of that node.
  bool lost = false;     // That process has ended without an answer.

  // The engine crashed before what it left for later (a renewal) was on disk.
  bool cut_short = false;

  bool was_answered() const { return answered != kNever; }
};

// The value that it was answered with; null where there is none, or a Status.
template <class Reply>
const Reply* ReplyOf(const Operation& operation) {
  const auto* result = std::get_if<Result<Reply>>(&operation.answer);
  return result != nullptr && result->ok() ? &result->value() : nullptr;
}
// The stream that it is about, or null.
const StreamId* StreamOf(const Operation& operation);
// Ok where there is no answer.
Status StatusOf(const Operation& operation);

// Nothing says whether it took effect.
bool IsUnknown(const Operation& operation);
bool IsReadOnly(const Operation& operation);
// Both are of one AppendBatch and of one stream.
bool InOneLane(const Operation& one, const Operation& other);
// What kind of operation, for counting which met which: "fork", "append" ...
const char* KindOf(const Operation& operation);
// Those whose life or death may change its answer.
std::vector<StreamId> NamesOf(const Operation& operation);

std::string ToText(const StreamId& id);
std::string ToText(const Operation& operation);  // One line.
std::string ToText(Outcome outcome);

// Of everything that it was and gave, but for incarnations.
uint64_t HashOf(const Operation& operation);

}  // namespace ursula::engine::sim
