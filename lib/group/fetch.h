// lib/group/fetch.h
//
// A replica's payload that is on no disk of its own: after a peer's snapshot was installed, where
// an opening found some lost, or where a block was met that doesn't hold. It is asked for, range by
// range, of the leader first and then of each other replica, checked, and written to the payload
// store, at the core's pace. What a read waits for comes first, and at once.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "lib/group/lacking_ranges.h"
#include "lib/group/letter_format.h"
#include "lib/group/services.h"
#include "lib/stream/machine.h"
#include "ursula/function.h"

namespace ursula::group {

class FetchHost {
 public:
  virtual ~FetchHost() = default;
  virtual bool WriteLetter(ReplicaId to, Letter letter) = 0;
  // Whom to ask, in this order; not this replica itself.
  virtual std::vector<ReplicaId> Sources() = 0;
  // What the stream owns by now; none: it is gone.
  virtual std::optional<stream::ReadRange> OwnRangeNow(stream::Incarnation incarnation) = 0;
  // No peer has this.
  virtual void OnPayloadLost(const stream::ReadRange& range) = 0;
  // It is on this replica's disk again, after it was lost there.
  virtual void OnPayloadRepaired(const stream::ReadRange& range) = 0;
};

class Fetch final : private Pace::Waiter {
 public:
  static constexpr uint64_t kAskBytesMax = 1 << 20;
  static constexpr uint64_t kAnswerNs = 2'000'000'000;  // Then another one is asked.
  static constexpr uint64_t kRetryNs = 1'000'000'000;   // After nobody could be asked.
  // Of a range that nobody has, at once: behind it there may be more.
  static constexpr uint64_t kLostBytesMax = 64 << 10;
  static constexpr uint64_t kAwaitNs = 5'000'000'000;  // Of one read, all it waits for together.
  static constexpr std::size_t kWaitersMax = 4096;

  using Why = LackingRanges::Why;

  Fetch(const Services& services, GroupId group, FetchHost* host)
      : services_(services), group_(group), host_(*host) {}

  // In place of what lacked before.
  void Begin(std::vector<stream::ReadRange> lacking, Why why);
  // Besides: it was here.
  void Add(const stream::ReadRange& lost);
  void OnAnswer(ReplicaId from, const PayloadAnswer& answer);
  void Tick();
  void Stop();

  // A read there may be answered elsewhere, or later.
  bool Lacks(stream::Incarnation incarnation, uint64_t offset) const {
    return lacking_.At(incarnation, offset).has_value();
  }
  // REQUIRES: Lacks. `done(ok)`, not inside the call: it doesn't any more, be the bytes here or
  // lost. kUnavailable: neither until `until_ns`, or too many wait.
  void Await(stream::Incarnation incarnation, uint64_t offset, uint64_t until_ns,
             Function<void(Status)> done);
  bool whole() const { return lacking_.empty() && lost_bytes_ == 0; }
  uint64_t lacking_bytes() const { return lacking_.bytes(); }
  bool busy() const { return state_ == State::kWriting; }

 private:
  enum class State : uint8_t { kIdle, kWaiting, kAsking, kWriting };
  // A read waits there; which stream, and where in it.
  using Place = std::pair<stream::Incarnation, uint64_t>;
  struct Waiter {
    uint64_t until_ns = 0;
    Function<void(Status)> done = {};
  };

  void OnPace() override;
  void Next();
  bool Choose();
  void Ask();
  void EndAsk();
  void Turn();  // To another range.
  void LeaveOff();
  void PassOver();
  // Whether a read waits for what comes next. REQUIRES: current_.
  bool hurries() const { return hurried_ || current_->range.from < hurried_to_; }
  bool Hurry(const Place& place);
  void Advance(uint64_t to);
  void Write(const PayloadAnswer& answer, uint64_t size);
  void OnWritten(uint64_t begun, uint64_t size, Status status);
  void Lost();
  void TellWaiters(const stream::ReadRange& range);
  void TellWaiters();
  void Tell(std::vector<std::pair<Place, Waiter>> waiters);

  const Services services_;
  const GroupId group_;
  FetchHost& host_;
  State state_ = State::kIdle;
  bool stopped_ = false;
  LackingRanges lacking_;
  std::optional<LackingRanges::Range> current_;  // Asked for, or to be; what of it lacks still.
  bool hurried_ = false;                         // A read waits for it,
  uint64_t hurried_to_ = 0;                      // or for what of it is below there.
  std::deque<Place> hurry_;  // Others that reads wait for; here by now, perhaps.
  Place cursor_ = {};        // Where it goes on when nobody waits.
  uint64_t last_ask_ = 0;
  uint64_t begun_ = 0;                   // How often Begin was called.
  std::size_t source_ = 0;               // Of Sources, for this range.
  std::vector<ReplicaId> refused_ = {};  // Who doesn't have it,
  uint64_t next_ = UINT64_MAX;           // and where the first of them goes on.
  uint64_t lost_bytes_ = 0;
  ReplicaId asked_{};
  Pace::Taken taken_ = {};  // Of the pace, for what was asked for.
  uint64_t until_ns_ = 0;   // Of the ask, or of the pause after one that failed.
  absl::btree_multimap<Place, Waiter> waiters_;
};

}  // namespace ursula::group
