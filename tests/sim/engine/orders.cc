#include "tests/sim/engine/orders.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/sometimes.h"

namespace ursula::engine::sim {
namespace {

const StreamId* Source(const Operation& operation) {
  const auto* create = std::get_if<CreateRequest>(&operation.request);
  return create != nullptr && create->fork ? &create->fork->source : nullptr;
}

bool SameName(const Operation& a, const Operation& b) {
  const StreamId* first = StreamOf(a);
  const StreamId* second = StreamOf(b);
  return first != nullptr && second != nullptr && *first == *second;
}

bool IsSourceOf(const Operation& operation, const Operation& fork) {
  const StreamId* name = StreamOf(operation);
  const StreamId* source = Source(fork);
  return name != nullptr && source != nullptr && *name == *source;
}

bool InBucketOf(const Operation& operation, const Operation& bucket) {
  const auto* request = std::get_if<BucketRequest>(&bucket.request);
  const StreamId* name = StreamOf(operation);
  return request != nullptr && name != nullptr && name->bucket == request->bucket;
}

// What makes two operations a race.
enum class Meeting : uint8_t { kName, kSource, kBucket, kBuckets, kNone };

const std::string* BucketName(const Operation& operation) {
  const auto* request = std::get_if<BucketRequest>(&operation.request);
  return request == nullptr ? nullptr : &request->bucket;
}

Meeting MeetingOf(const Operation& a, const Operation& b) {
  if (SameName(a, b)) return Meeting::kName;
  if (InBucketOf(a, b) || InBucketOf(b, a)) return Meeting::kBucket;
  if (IsSourceOf(a, b) || IsSourceOf(b, a)) return Meeting::kSource;
  const std::string* one = BucketName(a);
  const std::string* other = BucketName(b);
  if (one != nullptr && other != nullptr && *one == *other) return Meeting::kBuckets;
  return Meeting::kNone;
}

struct Order {
  Meeting meeting = Meeting::kNone;
  std::string_view first = {};
  std::string_view second = {};
  void (*mark)() = nullptr;
  bool seen = false;
};

#define URSULA_ORDER(meeting, a, b, of)                                            \
  {                                                                                \
    Meeting::meeting, a, b, [] { URSULA_SOMETIMES("engine: " a " before " b of); } \
  }
#define URSULA_RACE(meeting, a, b, of) \
  URSULA_ORDER(meeting, a, b, of), URSULA_ORDER(meeting, b, a, of)
#define URSULA_OF_NAME(a, b) URSULA_RACE(kName, a, b, " of it")
#define URSULA_OF_SOURCE(a, b) URSULA_RACE(kSource, a, b, ", source's and fork's")
#define URSULA_OF_BUCKET(a, b) URSULA_RACE(kBucket, a, b, ", stream's and bucket's")
#define URSULA_OF_BUCKETS(a, b) URSULA_RACE(kBuckets, a, b, " of a bucket")

// All races. Of two of one kind there is one order only.
Order orders[] = {
    URSULA_ORDER(kName, "create", "create", " of it"),
    URSULA_ORDER(kName, "fork", "fork", " of it"),
    URSULA_ORDER(kName, "append", "append", " of it"),
    URSULA_ORDER(kName, "delete", "delete", " of it"),
    URSULA_OF_NAME("create", "fork"),
    URSULA_OF_NAME("create", "append"),
    URSULA_OF_NAME("create", "delete"),
    URSULA_OF_NAME("create", "read"),
    URSULA_OF_NAME("create", "head"),
    URSULA_OF_NAME("fork", "append"),
    URSULA_OF_NAME("fork", "delete"),
    URSULA_OF_NAME("fork", "read"),
    URSULA_OF_NAME("fork", "head"),
    URSULA_OF_NAME("append", "delete"),
    URSULA_OF_NAME("append", "read"),
    URSULA_OF_NAME("append", "head"),
    URSULA_OF_NAME("delete", "read"),
    URSULA_OF_NAME("delete", "head"),
    URSULA_ORDER(kSource, "fork", "fork", ", source's and fork's"),
    URSULA_OF_SOURCE("create", "fork"),
    URSULA_OF_SOURCE("append", "fork"),
    URSULA_OF_SOURCE("delete", "fork"),
    URSULA_OF_BUCKET("create", "create bucket"),
    URSULA_OF_BUCKET("create", "delete bucket"),
    URSULA_OF_BUCKET("fork", "create bucket"),
    URSULA_OF_BUCKET("fork", "delete bucket"),
    URSULA_OF_BUCKET("delete", "delete bucket"),
    URSULA_ORDER(kBuckets, "create bucket", "create bucket", " of a bucket"),
    URSULA_OF_BUCKETS("create bucket", "delete bucket"),
    URSULA_OF_BUCKETS("create bucket", "get bucket"),
    URSULA_OF_BUCKETS("delete bucket", "get bucket"),
    URSULA_OF_BUCKETS("create bucket", "list bucket"),
    URSULA_OF_BUCKETS("delete bucket", "list bucket"),
};

Order* Find(const Operation& first, const Operation& second) {
  const Meeting meeting = MeetingOf(first, second);
  if (meeting == Meeting::kNone) return nullptr;
  const std::string_view one = KindOf(first);
  const std::string_view other = KindOf(second);
  for (Order& order : orders) {
    if (order.meeting == meeting && order.first == one && order.second == other) return &order;
  }
  return nullptr;
}

}  // namespace

bool IsOrderWanted(const Operation& first, const Operation& second) {
  const Order* order = Find(first, second);
  return order != nullptr && !order->seen;
}

void MarkOrder(const Operation& first, const Operation& second) {
  Order* order = Find(first, second);
  order->mark();
  order->seen = true;
}

}  // namespace ursula::engine::sim
