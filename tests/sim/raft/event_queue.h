// tests/sim/raft/event_queue.h
//
// What is going to happen, in order of time, and among equals in order of arrival.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ursula::raft::sim {

using Time = uint64_t;
inline constexpr Time kTickTime = 10;  // Between two Tick() calls of a replica.

enum class EventKind : uint8_t {
  // Of one replica. In brackets: the argument.
  kTick,
  kDeliver,         // [slot of the network]
  kStored,          // [number of the write] The disk has finished its write.
  kApplied,         // [incarnation] The state machine has finished its apply.
  kSnapshotReport,  // [peer * 2 + installed]
  kUnreachable,     // [peer]
  kRestart,
  // Of the world.
  kPropose,
  kRead,
  kReconfigure,
  kNemesis,
  kHealLinks,
};

struct Event {
  Time at = 0;
  uint64_t order = 0;
  uint64_t argument = 0;
  uint32_t node = 0;
  EventKind kind = EventKind::kTick;
};

class EventQueue {
 public:
  void Push(Time at, EventKind kind, uint32_t node, uint64_t argument) {
    heap_.push_back({at, next_order_++, argument, node, kind});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  // REQUIRES: !empty().
  Event Pop() {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Event event = heap_.back();
    heap_.pop_back();
    return event;
  }
  bool empty() const { return heap_.empty(); }

 private:
  static bool Later(const Event& a, const Event& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }

  std::vector<Event> heap_;
  uint64_t next_order_ = 0;
};

}  // namespace ursula::raft::sim
