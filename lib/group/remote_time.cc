// The part of Replica by which a follower's readers reach the leader's time: renewals of a sliding
// lifetime, for reads and for those who wait, and streams that were met past their deadline.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/coding.h"
#include "lib/base/sometimes.h"
#include "lib/group/replica.h"

namespace ursula::group {
namespace {

constexpr std::size_t kNewsMax = 1024;         // Streams in a letter, of each kind.
constexpr uint64_t kSettleNs = 2'000'000'000;  // Then whoever waits for the leader is told so.
constexpr int64_t kRenewAheadMs = 1000;        // Before a deadline, for readers who wait.
constexpr uint64_t kNsPerMs = 1'000'000;

}  // namespace

// What a name is past its deadline is its leader's to say, in the log. `held`: by the one that
// asks.
void Replica::SettleAtLeader(stream::Incarnation incarnation, bool held,
                             Function<void(Status)> done) {
  if (state_ != State::kRunning) {  // Nobody would end it any more.
    services_.loop->Defer([done = std::move(done)]() mutable {
      done(Status(StatusCode::kUnavailable, "the engine is stopping"));
    });
    return;
  }
  URSULA_SOMETIMES("group: a follower met a stream past its deadline");
  const stream::LookupResult found = machine_->FindIncarnation(incarnation);
  settling_.push_back(
      {incarnation, found.deadline_ms, services_.loop->now_ns() + kSettleNs, std::move(done)});
  if (held || HasWaiters(incarnation)) {
    touched_.insert(incarnation);
  } else {
    due_.insert(incarnation);
  }
  Schedule();
}

// Ends those whose stream has gone or got another deadline, who lead by now, or waited too long.
void Replica::CheckSettling() {
  if (settling_.empty()) return;
  std::vector<std::pair<Function<void(Status)>, Status>> ended;
  std::erase_if(settling_, [&](Settling& one) {
    const stream::LookupResult found = machine_->FindIncarnation(one.incarnation);
    const bool stands = found.kind == stream::LookupResult::Kind::kFound ||
                        found.kind == stream::LookupResult::Kind::kExpired;
    Status status;
    if (follows() && stands && found.deadline_ms == one.deadline_ms) {
      if (services_.loop->now_ns() < one.until_ns) return false;
      status = Status(StatusCode::kUnavailable,
                      "this stream is past its deadline, and its leader hasn't said so; try again");
    }
    ended.emplace_back(std::move(one.done), std::move(status));
    return true;
  });
  for (auto& [done, status] : ended) done(std::move(status));
}

void Replica::EndSettling(const Status& status) {
  for (Settling& one : std::exchange(settling_, {})) one.done(status);
}

// About: what was applied last, and what has passed since that was seen.
int64_t Replica::LeaderNowMs() {
  const uint64_t now_ns = services_.loop->now_ns();
  if (machine_->now_ms() != time_seen_ms_) {
    time_seen_ms_ = machine_->now_ms();
    time_seen_ns_ = now_ns;
  }
  return time_seen_ms_ + static_cast<int64_t>((now_ns - time_seen_ns_) / kNsPerMs);
}

// Who waits here keeps a stream from expiring as one who waits at its leader does.
void Replica::RenewAtLeader() {
  CheckSettling();
  if (!follows()) return;
  const int64_t now_ms = LeaderNowMs();
  const std::optional<int64_t> next = machine_->NextDeadline();
  if (!next || *next > now_ms + kRenewAheadMs) return;
  for (stream::Incarnation incarnation :
       machine_->CollectExpired(now_ms + kRenewAheadMs, kNewsMax)) {
    if (!IsHeld(incarnation)) continue;
    URSULA_SOMETIMES("group: a follower's reader kept a stream");
    touched_.insert(incarnation);
  }
}

// Reads are judged by the time of the leader that confirmed them.
void Replica::PutLeadersTime(raft::Message* reply) {
  std::string context(reply->context.view());
  PutFixed<int64_t>(&context, NowMs());
  reply->context = Bytes::Take(std::move(context));
}

void Replica::TakeLeadersTime(raft::Message* reply) {
  const std::size_t size = reply->context.size();
  if (size < sizeof(int64_t)) return;
  const std::size_t kept = size - sizeof(int64_t);
  const int64_t time_ms = LoadFixed<int64_t>(reply->context.data() + kept);
  reply->context = reply->context.Slice(0, kept);
  // Of a leader that has fallen it decides nothing: its clock may have been why.
  if (reply->term != core_->term() || reply->from != core_->leader()) return;
  leaders_ms_ = std::max(leaders_ms_, time_ms);
}

void Replica::SendTimeNews() {
  if (touched_.empty() && due_.empty()) return;
  TimeNews news;
  auto take = [](absl::btree_set<stream::Incarnation>* from, std::vector<uint64_t>* to) {
    for (stream::Incarnation incarnation : *from) {
      if (to->size() < kNewsMax) to->push_back(Raw(incarnation));
    }
    from->clear();  // Lost, they are made up for by the next read, or tick.
  };
  take(&touched_, &news.read);
  take(&due_, &news.due);
  if (core_->leader() != raft::kNoReplica) WriteLetter(core_->leader(), std::move(news));
}

void Replica::OnTimeNews(const TimeNews& news) {
  if (state_ != State::kRunning || !leads()) return;
  for (uint64_t raw : news.read) {
    const stream::Incarnation incarnation{raw};
    TouchOnRead(incarnation, machine_->FindIncarnation(incarnation));
  }
  for (uint64_t raw : news.due) {
    const stream::Incarnation incarnation{raw};
    const stream::LookupResult found = machine_->FindIncarnation(incarnation);
    if (!found.deadline_ms || *found.deadline_ms > NowMs()) continue;
    Settle(incarnation, false, [](Status) {});
  }
}

}  // namespace ursula::group
