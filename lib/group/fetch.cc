#include "lib/group/fetch.h"

#include <algorithm>
#include <utility>

#include "lib/base/sometimes.h"
#include "lib/io/errors.h"

namespace ursula::group {

void Fetch::Begin(std::vector<stream::ReadRange> lacking) {
  lacking_.assign(lacking.begin(), lacking.end());
  ++begun_;
  lost_bytes_ = 0;
  Forward();
  if (state_ == State::kAsking) state_ = State::kIdle;
  if (state_ == State::kIdle) Next();
}

bool Fetch::Lacks(stream::Incarnation incarnation, uint64_t offset) const {
  return std::any_of(lacking_.begin(), lacking_.end(), [&](const stream::ReadRange& range) {
    return range.owner == incarnation && range.from <= offset && offset < range.to;
  });
}

uint64_t Fetch::lacking_bytes() const {
  uint64_t bytes = 0;
  for (const stream::ReadRange& range : lacking_) bytes += range.to - range.from;
  return bytes;
}

// REQUIRES: kIdle.
void Fetch::Next() {
  while (!stopped_ && !lacking_.empty()) {
    stream::ReadRange& range = lacking_.front();
    std::optional<stream::ReadRange> own = host_.OwnRangeNow(range.owner);
    if (own && range.from < range.to) return Ask();
    lacking_.pop_front();  // Deleted meanwhile, or all here.
    Forward();
  }
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
  const stream::ReadRange& range = lacking_.front();
  if (!host_.WriteLetter(asked_, PayloadAsk{++last_ask_, Raw(range.owner), range.from, range.to})) {
    return;
  }
  state_ = State::kAsking;
  until_ns_ = now_ns + kAnswerNs;
}

void Fetch::Lost() {
  stream::ReadRange lost = lacking_.front();
  const uint64_t next = next_ > lost.from ? next_ : lost.from + kLostBytesMax;
  lost.to = std::min(lost.to, next);
  lacking_.front().from = lost.to;  // Next drops it where nothing is left.
  lost_bytes_ += lost.to - lost.from;
  Forward();
  host_.OnPayloadLost(lost);
  Next();
}

void Fetch::OnAnswer(ReplicaId from, const PayloadAnswer& answer) {
  if (state_ != State::kAsking || from != asked_ || answer.ask != last_ask_) return;
  state_ = State::kIdle;
  if (stopped_ || lacking_.empty()) return;
  const stream::ReadRange range = lacking_.front();
  if (!host_.OwnRangeNow(range.owner)) return Next();
  const uint64_t size = std::min<uint64_t>(answer.bytes.size(), range.to - range.from);
  if (size == 0) {
    URSULA_SOMETIMES("group: a peer lacks payload too");
    ++source_;
    refused_.push_back(from);
    next_ = std::min(next_, answer.next);
    return Next();
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

void Fetch::OnWritten(uint64_t begun, uint64_t size, Status status) {
  state_ = State::kIdle;
  if (stopped_) return;
  if (!status.ok()) {
    URSULA_SOMETIMES("group: fetched payload could not be written");
    until_ns_ = services_.loop->now_ns() + kRetryNs;
    return;
  }
  refused_.clear();
  if (begun == begun_ && !lacking_.empty()) lacking_.front().from += size;
  Next();
}

void Fetch::Tick() {
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
      lacking_.pop_front();
      Forward();
    }
  }
  Next();
}

void Fetch::Stop() { stopped_ = true; }

}  // namespace ursula::group
