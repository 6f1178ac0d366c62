#include "tests/sim/engine/orders.h"

#include <string_view>

#include "lib/base/sometimes.h"

namespace ursula::engine::sim {
namespace {

const StreamId* OwnName(const Operation& operation) {
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

const StreamId* Source(const Operation& operation) {
  const auto* create = std::get_if<CreateRequest>(&operation.request);
  return create != nullptr && create->fork ? &create->fork->source : nullptr;
}

bool SameName(const Operation& a, const Operation& b) {
  const StreamId* first = OwnName(a);
  const StreamId* second = OwnName(b);
  return first != nullptr && second != nullptr && *first == *second;
}

bool IsSourceOf(const Operation& operation, const Operation& fork) {
  const StreamId* name = OwnName(operation);
  const StreamId* source = Source(fork);
  return name != nullptr && source != nullptr && *name == *source;
}

bool InBucketOf(const Operation& operation, const Operation& bucket) {
  const auto* request = std::get_if<BucketRequest>(&bucket.request);
  const auto* create = std::get_if<CreateRequest>(&operation.request);
  return request != nullptr && create != nullptr && create->stream.bucket == request->bucket;
}

}  // namespace

bool OrderMatters(const Operation& first, const Operation& second) {
  return SameName(first, second) || IsSourceOf(first, second) || IsSourceOf(second, first) ||
         InBucketOf(first, second) || InBucketOf(second, first);
}

#define URSULA_ORDER(a, b)                                \
  if (one == (a) && other == (b)) {                       \
    URSULA_SOMETIMES("engine: " a " before " b " of it"); \
    return;                                               \
  }
#define URSULA_BOTH_ORDERS(a, b) URSULA_ORDER(a, b) URSULA_ORDER(b, a)

// Of the same name.
static void MarkSame(std::string_view one, std::string_view other) {
  URSULA_ORDER("create", "create")
  URSULA_ORDER("fork", "fork")
  URSULA_ORDER("append", "append")
  URSULA_ORDER("delete", "delete")
  URSULA_BOTH_ORDERS("create", "fork")
  URSULA_BOTH_ORDERS("create", "append")
  URSULA_BOTH_ORDERS("create", "delete")
  URSULA_BOTH_ORDERS("create", "read")
  URSULA_BOTH_ORDERS("create", "head")
  URSULA_BOTH_ORDERS("fork", "append")
  URSULA_BOTH_ORDERS("fork", "delete")
  URSULA_BOTH_ORDERS("fork", "read")
  URSULA_BOTH_ORDERS("fork", "head")
  URSULA_BOTH_ORDERS("append", "delete")
  URSULA_BOTH_ORDERS("append", "read")
  URSULA_BOTH_ORDERS("append", "head")
  URSULA_BOTH_ORDERS("delete", "read")
  URSULA_BOTH_ORDERS("delete", "head")
}

#undef URSULA_ORDER
#define URSULA_ORDER(a, b)                                               \
  if (one == (a) && other == (b)) {                                      \
    URSULA_SOMETIMES("engine: " a " before " b ", source's and fork's"); \
    return;                                                              \
  }

static void MarkSource(std::string_view one, std::string_view other) {
  URSULA_BOTH_ORDERS("create", "fork")
  URSULA_BOTH_ORDERS("append", "fork")
  URSULA_BOTH_ORDERS("delete", "fork")
  URSULA_ORDER("fork", "fork")
}

#undef URSULA_ORDER
#define URSULA_ORDER(a, b)                                                 \
  if (one == (a) && other == (b)) {                                        \
    URSULA_SOMETIMES("engine: " a " before " b ", stream's and bucket's"); \
    return;                                                                \
  }

static void MarkBucket(std::string_view one, std::string_view other) {
  URSULA_BOTH_ORDERS("create", "create bucket")
  URSULA_BOTH_ORDERS("create", "delete bucket")
  URSULA_BOTH_ORDERS("fork", "create bucket")
  URSULA_BOTH_ORDERS("fork", "delete bucket")
}

void MarkOrder(const Operation& first, const Operation& second) {
  const std::string_view one = KindOf(first);
  const std::string_view other = KindOf(second);
  if (SameName(first, second)) return MarkSame(one, other);
  if (InBucketOf(first, second) || InBucketOf(second, first)) return MarkBucket(one, other);
  MarkSource(one, other);
}

}  // namespace ursula::engine::sim
