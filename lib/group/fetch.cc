#include "lib/group/fetch.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "lib/base/sometimes.h"
#include "lib/io/errors.h"

namespace ursula::group {
namespace {

bool Holds(const stream::ReadRange& range, stream::Incarnation incarnation, uint64_t offset) {
  return range.owner == incarnation && range.from <= offset && offset < range.to;
}

}  // namespace

void Fetch::Begin(std::vector<stream::ReadRange> lacking, Why why) {
  lacking_.clear();
  for (const stream::ReadRange& range : lacking) lacking_.push_back({range, why});
  ++begun_;
  lost_bytes_ = 0;
  hurried_ = 0;
  Forward();
  if (state_ == State::kAsking) state_ = State::kIdle;
  if (state_ == State::kIdle) Next();
  TellWaiters();
}

void Fetch::Add(const stream::ReadRange& lost) {
  // What is asked for already isn't asked for twice.
  std::vector<stream::ReadRange> known;
  for (const Range& one : lacking_) {
    if (one.range.owner == lost.owner && one.range.from < lost.to && lost.from < one.range.to) {
      known.push_back(one.range);
    }
  }
  std::sort(known.begin(), known.end(),
            [](const auto& a, const auto& b) { return a.from < b.from; });
  uint64_t from = lost.from;
  for (const stream::ReadRange& one : known) {
    if (from < one.from) lacking_.push_back({{lost.owner, from, one.from}, Why::kLost});
    from = std::max(from, one.to);
  }
  if (from < lost.to) lacking_.push_back({{lost.owner, from, lost.to}, Why::kLost});
  if (state_ == State::kIdle && services_.loop->now_ns() >= until_ns_) Next();
}

bool Fetch::Lacks(stream::Incarnation incarnation, uint64_t offset) const {
  return std::any_of(lacking_.begin(), lacking_.end(),
                     [&](const Range& one) { return Holds(one.range, incarnation, offset); });
}

uint64_t Fetch::lacking_bytes() const {
  uint64_t bytes = 0;
  for (const Range& one : lacking_) bytes += one.range.to - one.range.from;
  return bytes;
}

// REQUIRES: kIdle.
void Fetch::Next() {
  while (!stopped_ && !lacking_.empty()) {
    stream::ReadRange& range = lacking_.front().range;
    std::optional<stream::ReadRange> own = host_.OwnRangeNow(range.owner);
    if (own && range.from < range.to) return Ask();
    DropFront();  // Deleted meanwhile, or all here.
    Forward();
  }
}

void Fetch::DropFront() {
  lacking_.pop_front();
  if (hurried_ > 0) --hurried_;
}

void Fetch::Forward() {
  source_ = 0;
  refused_.clear();
  next_ = UINT64_MAX;
}

void Fetch::Ask() {
  const uint64_t now_ns = services_.loop->now_ns();
  const std::vector<ReplicaId> sources = host_.Sources();
  until_ns_ = now_ns + kRetryNs;
  const bool nobody = std::all_of(sources.begin(), sources.end(), [this](ReplicaId source) {
    return std::find(refused_.begin(), refused_.end(), source) != refused_.end();
  });
  if (nobody) return Lost();
  asked_ = sources[source_ % sources.size()];
  const stream::ReadRange& range = lacking_.front().range;
  if (!host_.WriteLetter(asked_, PayloadAsk{++last_ask_, Raw(range.owner), range.from, range.to})) {
    return;
  }
  state_ = State::kAsking;
  until_ns_ = now_ns + kAnswerNs;
}

void Fetch::Lost() {
  stream::ReadRange lost = lacking_.front().range;
  const uint64_t next = next_ > lost.from ? next_ : lost.from + kLostBytesMax;
  lost.to = std::min(lost.to, next);
  lacking_.front().range.from = lost.to;  // Next drops it where nothing is left.
  lost_bytes_ += lost.to - lost.from;
  Forward();
  host_.OnPayloadLost(lost);
  Next();
}

void Fetch::OnAnswer(ReplicaId from, const PayloadAnswer& answer) {
  if (state_ != State::kAsking || from != asked_ || answer.ask != last_ask_) return;
  if (lacking_.empty()) state_ = State::kIdle;
  if (stopped_ || lacking_.empty()) return;
  const stream::ReadRange range = lacking_.front().range;
  if (!answer.bytes.empty() &&
      answer.sum != PayloadSum(Raw(range.owner), range.from, answer.bytes.view())) {
    services_.Log(2,
                  "group " + std::to_string(Raw(group_)) + ": a peer's payload fails its checksum");
    return;  // As if nothing had come: another one is asked.
  }
  state_ = State::kIdle;
  if (!host_.OwnRangeNow(range.owner)) return Next();
  const uint64_t size = std::min<uint64_t>(answer.bytes.size(), range.to - range.from);
  if (size == 0) {
    URSULA_SOMETIMES("group: a peer lacks payload too");
    ++source_;
    refused_.push_back(from);
    next_ = std::min(next_, answer.next);
    Next();
    return TellWaiters();
  }
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

// The first range is the one that was asked for still: Hurry puts others behind it.
void Fetch::OnWritten(uint64_t begun, uint64_t size, Status status) {
  state_ = State::kIdle;
  if (stopped_) return;
  if (!status.ok()) {
    URSULA_SOMETIMES("group: fetched payload could not be written");
    until_ns_ = services_.loop->now_ns() + kRetryNs;
    return;
  }
  refused_.clear();
  if (begun == begun_ && !lacking_.empty()) {
    Range& front = lacking_.front();
    const uint64_t from = std::exchange(front.range.from, front.range.from + size);
    if (front.why == Why::kLost) {
      host_.OnPayloadRepaired({front.range.owner, from, front.range.from});
    }
  }
  Next();
  TellWaiters();
}

void Fetch::Tick() {
  TellWaiters();
  if (stopped_ || lacking_.empty() || state_ == State::kWriting) return;
  if (services_.loop->now_ns() < until_ns_) return;
  if (state_ == State::kAsking) {
    URSULA_SOMETIMES("group: a peer didn't answer for payload");
    ++source_;
    state_ = State::kIdle;
    // Nobody has this now and somebody may later: others need not wait for it.
    const std::size_t sources = host_.Sources().size();
    if (sources > 0 && source_ % sources == 0) {
      lacking_.push_back(lacking_.front());
      DropFront();
      Forward();
    }
  }
  Next();
}

// ---- reads that wait
// -----------------------------------------------------------------------------

void Fetch::Await(stream::Incarnation incarnation, uint64_t offset, uint64_t until_ns,
                  Function<void(Status)> done) {
  if (stopped_ || waiters_.size() >= kWaitersMax) until_ns = 0;
  waiters_.push_back({incarnation, offset, until_ns, std::move(done)});
  if (until_ns == 0) {
    services_.loop->Defer([this] { TellWaiters(); });
    return;
  }
  Hurry(incarnation, offset);
}

// From the offset on, before all that nobody waits for, and behind those that others do.
void Fetch::Hurry(stream::Incarnation incarnation, uint64_t offset) {
  const auto found = std::find_if(lacking_.begin(), lacking_.end(), [&](const Range& one) {
    return Holds(one.range, incarnation, offset);
  });
  const std::size_t place = static_cast<std::size_t>(found - lacking_.begin());
  const bool first = place == 0 && offset - found->range.from < kAskBytesMax;
  if (found == lacking_.end() || place < hurried_ || first) return;
  Range wanted = *found;
  wanted.range.from = offset;
  Range rest = wanted;
  wanted.range.to = rest.range.from = std::min(wanted.range.to, offset + kAskBytesMax);
  found->range.to = offset;  // Next drops it where nothing is left.
  if (rest.range.from < rest.range.to) lacking_.insert(std::next(found), rest);
  // What is under way is the first one's.
  const std::size_t at = hurried_ == 0 && state_ == State::kWriting ? 1 : hurried_;
  lacking_.insert(lacking_.begin() + static_cast<std::ptrdiff_t>(at), wanted);
  if (at == hurried_) ++hurried_;
  if (at > 0) return;
  URSULA_SOMETIMES("group: a read's payload is fetched before other");
  Forward();
  state_ = State::kIdle;
  Next();
}

void Fetch::TellWaiters() {
  if (waiters_.empty() || telling_) return;
  telling_ = true;
  const uint64_t now_ns = services_.loop->now_ns();
  for (Waiter& one : std::exchange(waiters_, {})) {
    const bool lacks = Lacks(one.incarnation, one.offset);
    if (lacks && !stopped_ && now_ns < one.until_ns) {
      waiters_.push_back(std::move(one));
    } else if (lacks) {
      one.done(Status(StatusCode::kUnavailable,
                      "this replica is still fetching these bytes; try again"));
    } else {
      one.done(Status());
    }
  }
  telling_ = false;
}

void Fetch::Stop() {
  stopped_ = true;
  TellWaiters();
}

}  // namespace ursula::group
