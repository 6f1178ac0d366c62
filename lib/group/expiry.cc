// The part of Replica by which time reaches streams: expiry and renewal are commands, stamped here.

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "lib/group/replica.h"

namespace ursula::group {
namespace {

constexpr std::size_t kExpireBatchMax = 256;
constexpr std::size_t kTouchBatchMax = 1024;

}  // namespace

bool Replica::HasWaiters(stream::Incarnation incarnation) const {
  auto found = waiters_.find(incarnation);
  return found != waiters_.end() && !found->second.empty();
}

// It has live readers, for whose sake it doesn't expire.
bool Replica::IsHeld(stream::Incarnation incarnation) const {
  return HasWaiters(incarnation) && machine_->FindIncarnation(incarnation).sliding;
}

void Replica::WatchClock() {
  if (!keeps_time()) return;
  const int64_t ahead_ms = clock_.AheadMs();
  const bool ahead = ahead_ms > StampClock::kAheadMaxMs;
  if (ahead && !clock_ahead_logged_) {
    services_.Log(2, "the time of group " + std::to_string(Raw(group_)) + " is " +
                         std::to_string(ahead_ms / 1000) +
                         " s ahead of this node's clock: deadlines come late; when the clock is "
                         "right, step the groups' time to it (docs/OPERATING.md, Clocks)");
  }
  clock_ahead_logged_ = ahead;
}

void Replica::StepClock(Function<void(Result<int64_t>)> done) {
  const int64_t delta_ms = -clock_.AheadMs();
  Propose(stream::StepClock{delta_ms},
          [this, delta_ms, done = std::move(done)](Result<stream::Reply> reply) mutable {
            --clock_steps_;
            renewed_until_ms_ = INT64_MIN;  // Deadlines have moved.
            if (reply.ok()) return done(delta_ms);
            clock_.Observe(machine_->now_ms());  // It isn't applied after all, or not yet.
            done(reply.status());
          });
  // What is stamped from here on comes after it in the log.
  ++clock_steps_;
  renewed_until_ms_ = INT64_MIN;
  clock_.Step(delta_ms);
}

void Replica::SweepExpired() {
  if (state_ != State::kRunning || expire_pending_ || !leads()) return;
  std::optional<int64_t> deadline = machine_->NextDeadline();
  // A stream with live readers doesn't expire: those are renewed before their time.
  int64_t now_ms = NowMs();
  int64_t ahead_ms = static_cast<int64_t>(5 * kTickMs);
  if (!deadline || *deadline > now_ms + ahead_ms) return;
  stream::Expire expire;
  for (stream::Incarnation incarnation :
       machine_->CollectExpired(now_ms + ahead_ms, kExpireBatchMax)) {
    stream::LookupResult found = machine_->FindIncarnation(incarnation);
    if (found.sliding && HasWaiters(incarnation)) {
      TouchOnRead(incarnation, found);
    } else if (found.deadline_ms && *found.deadline_ms <= now_ms) {
      expire.incarnations.push_back(incarnation);
    }
  }
  if (expire.incarnations.empty()) return;
  expire_pending_ = true;
  Propose(std::move(expire), [this](Result<stream::Reply>) { expire_pending_ = false; });
}

// A name is past its deadline: afterwards it is expired, or renewed for the sake of live readers,
// of which the one that asks may be one.
void Replica::Settle(stream::Incarnation incarnation, bool held, Function<void(Status)> done) {
  if (follows()) return SettleAtLeader(incarnation, held, std::move(done));
  stream::LookupResult found = machine_->FindIncarnation(incarnation);
  auto finish = [done = std::move(done)](Result<stream::Reply> reply) mutable {
    done(reply.status());
  };
  if (found.sliding && (held || HasWaiters(incarnation))) {
    return Propose(stream::Touch{{incarnation}}, std::move(finish));
  }
  Propose(stream::Expire{{incarnation}}, std::move(finish));
}

void Replica::AfterExpiry(BarrierDone done) {
  AfterBarrier([this, done = std::move(done)](Status status) mutable {
    if (!status.ok()) return done(std::move(status));
    stream::Expire expire;
    for (stream::Incarnation incarnation : machine_->CollectExpired(NowMs(), kExpireBatchMax)) {
      if (!IsHeld(incarnation)) expire.incarnations.push_back(incarnation);
    }
    // Where nothing is applied any more, nothing contradicts what time alone says.
    if (expire.incarnations.empty() || !Ready().ok()) return done(Status());
    if (follows()) {
      due_.insert(expire.incarnations.begin(), expire.incarnations.end());
      const stream::Incarnation last = expire.incarnations.back();
      return Settle(last, false, [this, done = std::move(done)](Status settled) mutable {
        if (!settled.ok()) return done(std::move(settled));
        AfterExpiry(std::move(done));
      });
    }
    Propose(std::move(expire), [this, done = std::move(done)](Result<stream::Reply> reply) mutable {
      if (!reply.ok()) return done(reply.status());
      AfterExpiry(std::move(done));
    });
  });
}

// Who waits now has waited since before the deadline. A stream whose deadline was passed by when
// this looked last gets no new readers, so it is looked at once.
bool Replica::RenewHeld() {
  const int64_t now_ms = NowMs();
  std::optional<int64_t> deadline = machine_->NextDeadline();
  if (!deadline || *deadline > now_ms || state_ != State::kRunning || !leads()) {
    return renewals_ > 0;
  }
  stream::Touch touch;
  auto renew = [&] {
    if (touch.incarnations.empty()) return;
    ++renewals_;
    Propose(std::exchange(touch, {}), [this](Result<stream::Reply>) {
      --renewals_;
      Schedule();  // Whoever waited for this goes on, whatever came of it.
    });
  };
  const int64_t after_ms = std::exchange(renewed_until_ms_, now_ms);
  for (stream::Incarnation incarnation : machine_->CollectExpired(now_ms, SIZE_MAX, after_ms)) {
    if (!IsHeld(incarnation)) continue;
    touch.incarnations.push_back(incarnation);
    if (touch.incarnations.size() == kTouchBatchMax) renew();
  }
  renew();
  return renewals_ > 0;
}

// Renewals are coalesced: one is made only when it moves the deadline by a window's length, and all
// of a turn go into one entry. A read that comes sooner is made up for once it would, unless the
// stream was renewed since, by whomever.
void Replica::TouchOnRead(stream::Incarnation incarnation, const stream::LookupResult& found) {
  TouchFor(incarnation, found, follows() ? LeaderNowMs() : NowMs());
}

void Replica::TouchFor(stream::Incarnation incarnation, const stream::LookupResult& found,
                       int64_t read_ms) {
  if (!found.sliding || !found.deadline_ms) return;
  std::optional<uint64_t> ttl_seconds = machine_->Info(incarnation).lifetime.ttl_seconds;
  if (!ttl_seconds) return;
  constexpr uint64_t kTtlMax = uint64_t{1} << 50;
  int64_t ttl_ms = static_cast<int64_t>(std::min(*ttl_seconds, kTtlMax) * 1000);
  int64_t window_ms = std::min<int64_t>(1000, ttl_ms / 8);
  const int64_t renewed_ms = *found.deadline_ms - ttl_ms;
  if (renewed_ms >= read_ms) return;
  const int64_t due_ms = renewed_ms + window_ms;
  if ((follows() ? LeaderNowMs() : NowMs()) < due_ms) {
    int64_t& newest_ms = touches_due_.try_emplace({due_ms, incarnation}, read_ms).first->second;
    newest_ms = std::max(newest_ms, read_ms);
    return;
  }
  touched_.insert(incarnation);
  Schedule();
}

void Replica::TouchLate() {
  const int64_t now_ms = follows() ? LeaderNowMs() : NowMs();
  while (!touches_due_.empty() && touches_due_.begin()->first.first <= now_ms) {
    const stream::Incarnation incarnation = touches_due_.begin()->first.second;
    const int64_t read_ms = touches_due_.begin()->second;
    touches_due_.erase(touches_due_.begin());
    const stream::LookupResult found = machine_->FindIncarnation(incarnation);
    // Past its deadline by now, it has expired all the same.
    const bool live = found.deadline_ms && *found.deadline_ms > now_ms;
    if (live && (follows() || leads())) TouchFor(incarnation, found, read_ms);
  }
}

void Replica::ProposeTouches() {
  if (follows()) return SendTimeNews();
  if (touched_.empty()) return;
  stream::Touch touch;
  touch.incarnations.assign(touched_.begin(), touched_.end());
  touched_.clear();
  // Lost, a renewal is made up for by the next read.
  Propose(std::move(touch), [](Result<stream::Reply>) {});
}

}  // namespace ursula::group
