#include "lib/group/fetch.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/io/errors.h"

namespace ursula::group {

void Fetch::Begin(std::vector<stream::ReadRange> lacking, Why why) {
  lacking_.Clear();
  for (const stream::ReadRange& range : lacking) lacking_.Add(range, why);
  ++begun_;
  lost_bytes_ = 0;
  hurry_.clear();
  Turn();
  EndAsk();
  if (state_ == State::kIdle) Next();
  TellWaiters();
}

// Nothing is asked for any more, nor to be.
void Fetch::EndAsk() {
  StopWaiting();
  if (state_ != State::kWriting) state_ = State::kIdle;
}

void Fetch::Add(const stream::ReadRange& lost) {
  lacking_.Add(lost, Why::kLost);  // What is asked for already isn't asked for twice.
  if (state_ == State::kIdle && services_.loop->now_ns() >= until_ns_) Next();
}

// What reads wait for, in their order; else on from the last.
bool Fetch::Choose() {
  while (!hurry_.empty()) {
    const Place wanted = hurry_.front();
    hurry_.pop_front();
    current_ = lacking_.At(wanted.first, wanted.second);
    if (!current_) continue;
    hurried_ = true;
    current_->range.to = std::min(current_->range.to, wanted.second + kAskBytesMax);
    return true;
  }
  if (lacking_.empty()) return false;
  current_ = lacking_.From(cursor_.first, cursor_.second);
  return true;
}

// REQUIRES: kIdle.
void Fetch::Next() {
  if (current_ && !hurries() && !hurry_.empty()) LeaveOff();
  while (!stopped_ && (current_ || Choose())) {
    const stream::Incarnation owner = current_->range.owner;
    if (host_.OwnRangeNow(owner)) return Ask();
    lacking_.RemoveAll(owner);  // Deleted meanwhile.
    Turn();
  }
}

void Fetch::Turn() {
  current_.reset();
  hurried_ = false;
  hurried_to_ = 0;
  source_ = 0;
  refused_.clear();
  next_ = UINT64_MAX;
}

// For what is more urgent; it goes on there afterwards.
void Fetch::LeaveOff() {
  cursor_ = {current_->range.owner, current_->range.from};
  Turn();
}

// Nobody has this now and somebody may later: others need not wait for it. What a read waits for
// has its turn again behind them.
void Fetch::PassOver() {
  const stream::ReadRange& range = current_->range;
  const Place end = {range.owner, hurried_ ? range.to : hurried_to_};
  auto first = waiters_.lower_bound({range.owner, range.from});
  if (hurries() && first != waiters_.end() && first->first < end) Hurry(first->first);
  cursor_ = {range.owner, range.to};
  Turn();
}

// False: it is there already, or is one too many.
bool Fetch::Hurry(const Place& place) {
  if (hurry_.size() >= kWaitersMax) return false;
  if (std::ranges::find(hurry_, place) != hurry_.end()) return false;
  hurry_.push_back(place);
  return true;
}

// Up to there nothing lacks any more, or nobody has it.
void Fetch::Advance(uint64_t to) {
  stream::ReadRange& range = current_->range;
  lacking_.Remove({range.owner, range.from, to});
  range.from = to;
  cursor_ = {range.owner, to};
  if (range.from >= range.to) Turn();
}

void Fetch::Ask() {
  const uint64_t now_ns = services_.loop->now_ns();
  const std::vector<ReplicaId> sources = host_.Sources();
  until_ns_ = now_ns + kRetryNs;
  const bool nobody = std::all_of(sources.begin(), sources.end(), [this](ReplicaId source) {
    return std::find(refused_.begin(), refused_.end(), source) != refused_.end();
  });
  if (nobody) return Lost();
  const stream::ReadRange& range = current_->range;
  if (!hurries() && !services_.MayTake(this)) {
    state_ = State::kWaiting;
    return;
  }
  asked_ = sources[source_ % sources.size()];
  if (!host_.WriteLetter(asked_, PayloadAsk{++last_ask_, Raw(range.owner), range.from, range.to})) {
    return;
  }
  state_ = State::kAsking;
  until_ns_ = now_ns + kAnswerNs;
  taken_ = services_.Take(std::min(range.to - range.from, kAskBytesMax));
}

void Fetch::OnPace() {
  URSULA_CHECK(state_ == State::kWaiting);
  state_ = State::kIdle;
  Next();
}

void Fetch::Lost() {
  stream::ReadRange lost = current_->range;
  const uint64_t next = next_ > lost.from ? next_ : lost.from + kLostBytesMax;
  lost.to = std::min(lost.to, next);
  lost_bytes_ += lost.to - lost.from;
  source_ = 0;
  refused_.clear();
  next_ = UINT64_MAX;
  Advance(lost.to);
  host_.OnPayloadLost(lost);
  Next();
  TellWaiters(lost);
}

void Fetch::OnAnswer(ReplicaId from, const PayloadAnswer& answer) {
  if (state_ != State::kAsking || from != asked_ || answer.ask != last_ask_) return;
  if (stopped_ || !current_) return;
  const stream::ReadRange range = current_->range;
  if (!answer.bytes.empty() && answer.sum != SumOf(answer, Raw(range.owner), range.from)) {
    services_.Log(2, group_, "a peer's payload fails its checksum");
    return;  // As if nothing had come: another one is asked.
  }
  state_ = State::kIdle;
  services_.Correct(taken_, answer.bytes.size());
  if (!host_.OwnRangeNow(range.owner)) return Next();
  const uint64_t size = std::min<uint64_t>(answer.bytes.size(), range.to - range.from);
  if (size == 0) {
    URSULA_SOMETIMES("group: a peer lacks payload too");
    ++source_;
    refused_.push_back(from);
    next_ = std::min(next_, answer.next);
    return Next();
  }
  Write(answer, size);
}

void Fetch::Write(const PayloadAnswer& answer, uint64_t size) {
  const stream::ReadRange& range = current_->range;
  storage::PayloadRun run;
  run.key = {group_, Raw(range.owner)};
  run.start = range.from;
  uint64_t at = 0;
  for (uint64_t end : answer.message_ends) {
    if (end <= range.from + at || end > range.from + size) continue;
    run.messages.push_back(answer.bytes.Slice(at, end - range.from - at));
    at = end - range.from;
  }
  run.cut = at < size;
  if (run.cut) run.messages.push_back(answer.bytes.Slice(at, size - at));
  state_ = State::kWriting;
  std::vector<storage::PayloadRun> runs;
  runs.push_back(std::move(run));
  services_.payload->Write(std::move(runs), [this, begun = begun_, size](Status status) {
    OnWritten(begun, size, std::move(status));
  });
}

// The range is the one that was asked for still: nothing takes its place while it is written.
void Fetch::OnWritten(uint64_t begun, uint64_t size, Status status) {
  state_ = State::kIdle;
  if (stopped_) return;
  if (!status.ok()) {
    URSULA_SOMETIMES("group: fetched payload could not be written");
    until_ns_ = services_.loop->now_ns() + kRetryNs;
    return;
  }
  if (begun != begun_) return Next();
  refused_.clear();
  const bool was_lost = current_->why == Why::kLost;
  stream::ReadRange here = current_->range;
  here.to = here.from + size;
  Advance(here.to);
  if (was_lost) host_.OnPayloadRepaired(here);
  Next();
  TellWaiters(here);
}

void Fetch::Tick() {
  TellWaiters();
  if (stopped_ || state_ == State::kWriting || state_ == State::kWaiting) return;
  if (services_.loop->now_ns() < until_ns_) return;
  if (state_ == State::kAsking) {
    URSULA_SOMETIMES("group: a peer didn't answer for payload");
    ++source_;
    state_ = State::kIdle;
    services_.Correct(taken_, 0);
    const std::size_t sources = host_.Sources().size();
    if (sources > 0 && source_ % sources == 0) PassOver();
  }
  Next();
}

// ---- reads that wait ---------------------------------------------------------------------------

// From the offset on, before all that nobody waits for, and behind those that others do.
void Fetch::Await(stream::Incarnation incarnation, uint64_t offset, uint64_t until_ns,
                  Function<void(Status)> done) {
  const bool refused = stopped_ || waiters_.size() >= kWaitersMax;
  waiters_.emplace(Place{incarnation, offset}, Waiter{refused ? 0 : until_ns, std::move(done)});
  if (refused) return services_.loop->Defer([this] { TellWaiters(); });
  if (current_) {
    const stream::ReadRange& now = current_->range;
    const bool soon = now.owner == incarnation && now.from <= offset && offset < now.to &&
                      offset - now.from < kAskBytesMax;
    if (soon) {
      hurried_to_ = std::max(hurried_to_, offset + 1);
      if (state_ != State::kWaiting) return;
      EndAsk();
      return Next();
    }
  }
  if (!Hurry({incarnation, offset})) return;
  if (state_ == State::kWriting || (current_ && hurries())) return;  // Others wait for that.
  URSULA_SOMETIMES("group: a read's payload is fetched before other");
  if (current_) LeaveOff();
  EndAsk();
  Next();
}

// Of those that wait in this range.
void Fetch::TellWaiters(const stream::ReadRange& range) {
  std::vector<std::pair<Place, Waiter>> told;
  auto begin = waiters_.lower_bound({range.owner, range.from});
  auto end = waiters_.lower_bound({range.owner, range.to});
  for (auto at = begin; at != end; ++at) told.emplace_back(at->first, std::move(at->second));
  waiters_.erase(begin, end);
  Tell(std::move(told));
}

void Fetch::TellWaiters() {
  if (waiters_.empty()) return;
  const uint64_t now_ns = services_.loop->now_ns();
  std::vector<std::pair<Place, Waiter>> told;
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    const bool waits = Lacks(at->first.first, at->first.second) && !stopped_;
    if (waits && now_ns < at->second.until_ns) {
      ++at;
    } else {
      told.emplace_back(at->first, std::move(at->second));
      at = waiters_.erase(at);
    }
  }
  Tell(std::move(told));
}

// They may wait again, inside.
void Fetch::Tell(std::vector<std::pair<Place, Waiter>> waiters) {
  for (auto& [place, waiter] : waiters) {
    const bool lacks = Lacks(place.first, place.second);
    waiter.done(lacks ? Status(StatusCode::kUnavailable,
                               "this replica is still fetching these bytes; try again")
                      : Status());
  }
}

void Fetch::Stop() {
  stopped_ = true;
  EndAsk();
  TellWaiters();
}

}  // namespace ursula::group
