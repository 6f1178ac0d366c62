#include "lib/group/read_task.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/group/replica.h"
#include "lib/stream/json_boundaries.h"
#include "lib/stream/media_type.h"

namespace ursula::group {
namespace {

// Looked through at once for the start of an append or a message. Most are small.
constexpr uint64_t kSeekBytesMin = 64 << 10;
constexpr uint64_t kSeekBytesMax = 1 << 20;

}  // namespace

void ReadTask::Gather(stream::Incarnation incarnation, uint64_t from, uint64_t to,
                      uint64_t bytes_min) {
  URSULA_CHECK(!gathering_);
  incarnation_ = incarnation;
  from_ = from;
  to_ = to;
  bytes_min_ = bytes_min;
  Continue();
}

void ReadTask::Continue() {
  while (gathered_.bytes < bytes_min_) {
    uint64_t at = from_ + gathered_.bytes;
    if (at >= to_) break;
    uint64_t wanted = std::min(bytes_min_ - gathered_.bytes, to_ - at);
    // Planned to the end, so that a range ends where its owner's part does, not where this read
    // does.
    std::vector<stream::ReadRange> ranges = replica_.machine_->PlanRead(incarnation_, at, to_ - at);
    if (ranges.empty()) break;  // Gone meanwhile; the task looks again.
    if (TakeHot(ranges.front(), wanted)) continue;
    return ReadStored(ranges.front(), wanted);
  }
  OnGathered(Status());
}

bool ReadTask::TakeHot(const stream::ReadRange& range, uint64_t bytes_max) {
  stream::HotRing::ReadResult hot =
      replica_.ring_.Read(range.owner, range.from, range.to, bytes_max);
  if (hot.reach <= range.from) return false;
  for (Bytes& part : hot.parts) gathered_.parts.push_back(std::move(part));
  gathered_.bytes += hot.reach - range.from;
  AddEnds(hot.append_ends, range.to);
  AddOwnersEnd(range.to);
  return true;
}

// What a stream has of its own ends a message, wherever it lies now: at a fork's start the append
// that its source goes on with is cut, and the disk knows nothing of that.
void ReadTask::AddOwnersEnd(uint64_t owned_to) {
  if (from_ + gathered_.bytes == owned_to) AddEnds({owned_to}, owned_to);
}

void ReadTask::AddEnds(const std::vector<uint64_t>& ends, uint64_t owned_to) {
  for (uint64_t end : ends) {
    // A fork may have been made inside an append: there its inherited part of it ends. And where a
    // read is cut inside an append the same end comes again with the next piece.
    uint64_t cut = std::min(end, owned_to);
    if (gathered_.append_ends.empty() || gathered_.append_ends.back() < cut) {
      gathered_.append_ends.push_back(cut);
    }
  }
}

void ReadTask::ReadStored(const stream::ReadRange& range, uint64_t bytes_max) {
  const bool awaits = AwaitsPayload();
  const storage::PayloadKey key{replica_.group_, Raw(range.owner)};
  if (awaits && replica_.fetch_.Lacks(range.owner, range.from)) {
    return AwaitFetched(range.owner, range.from);
  }
  if (!awaits && !replica_.services_.payload->Holds(key, range.from)) {
    return OnGathered(Status(StatusCode::kDataLoss, "this replica lacks these bytes itself"));
  }
  gathering_ = true;
  uint64_t size = std::min(bytes_max, range.to - range.from);
  replica_.services_.payload->Read(
      key, range.from, size,
      [this, size, awaits, owner = range.owner, at = range.from,
       owned_to = range.to](Result<storage::PayloadSlice> slice) {
        gathering_ = false;
        if (!slice.ok()) {
          // Found out by this read, perhaps.
          if (awaits && replica_.fetch_.Lacks(owner, at)) return AwaitFetched(owner, at);
          return OnGathered(slice.status());
        }
        uint64_t taken = 0;
        for (Bytes& part : slice->parts) {
          if (taken >= size) break;
          Bytes piece = part.Slice(0, static_cast<std::size_t>(size - taken));
          taken += piece.size();
          gathered_.parts.push_back(std::move(piece));
        }
        if (taken == 0) return OnGathered(Status(StatusCode::kDataLoss, "stored payload is gone"));
        gathered_.bytes += taken;
        AddEnds(slice->message_ends, owned_to);
        AddOwnersEnd(owned_to);
        Continue();
      });
}

// A peer has them, or nobody: in either case the read goes on where it was. What the peer gave is
// read from the disk, as anything else.
void ReadTask::AwaitFetched(stream::Incarnation owner, uint64_t offset) {
  if (awaits_until_ns_ == 0) {
    awaits_until_ns_ = replica_.services_.loop->now_ns() + Fetch::kAwaitNs;
  }
  gathering_ = true;
  replica_.fetch_.Await(owner, offset, awaits_until_ns_, [this](Status status) {
    gathering_ = false;
    if (!status.ok()) return OnGathered(std::move(status));
    URSULA_SOMETIMES("group: a read went on with what a peer had");
    Continue();
  });
}

// ---- StreamRead ------------------------------------------------------------------------------

StreamRead::StreamRead(Replica* replica, uint64_t id, ReadRequest request, GroupReadDone done)
    : ReadTask(replica, id), request_(std::move(request)), done_(std::move(done)) {
  timer_.Then<&StreamRead::OnTimeout>(this);
}

void StreamRead::Start() {
  if (cancelled_) return Finish(*cancelled_);
  stream::LookupResult found = replica_.machine_->Lookup(request_.stream, replica_.NowMs());
  if (found.kind == stream::LookupResult::Kind::kExpired) {
    const bool held = waited_ && found.incarnation == incarnation_;
    replica_.Settle(found.incarnation, held, [this](Status status) {
      if (!status.ok()) return Finish(std::move(status));
      Start();
    });
    return;
  }
  Look(found);
}

void StreamRead::Look(const stream::LookupResult& found) {
  using Kind = stream::LookupResult::Kind;
  if (found.kind == Kind::kElsewhere) {
    GroupReadReply reply = NewReply();
    reply.placement = found.placement;
    return Finish(std::move(reply));
  }
  if (found.kind == Kind::kSoftDeleted) {
    incarnation_ = found.incarnation;
    return FinishWith(Outcome::kSoftDeleted);
  }
  if (found.kind != Kind::kFound) return FinishWith(Outcome::kNotFound);
  uint64_t incarnation = replica_.machine_->PublicIncarnation(found.incarnation);
  if (request_.incarnation && *request_.incarnation != incarnation) {
    return FinishWith(Outcome::kNotFound);
  }
  incarnation_ = found.incarnation;
  request_.incarnation = incarnation;  // Waiting doesn't go on in another life.
  json_ = stream::IsJson(found.content_type);
  tail_ = found.tail;
  if (request_.touch) replica_.TouchOnRead(incarnation_, found);
  if (request_.from_tail) {
    request_.from_tail = false;
    request_.from.bytes = tail_;
  }
  start_ = std::min(request_.from.bytes, tail_);
  if (start_ < found.start) return FinishWith(Outcome::kGone);
  if (request_.bytes_max == 0) return request_.wait_ms > 0 ? Wait() : Reply();
  if (start_ < tail_) {
    kept_ = IsKept();
    if (kept_) return Reply();
    // No page is longer than a stream may be; from there on sums of lengths don't wrap.
    const uint64_t advised = std::min(replica_.services_.payload->ReadBytesAdvised(), kOffsetEnd);
    return GatherPage(std::max<uint64_t>(std::min(request_.bytes_max, advised), 1));
  }
  bool past_tail = request_.from.bytes > tail_;
  if (request_.wait_ms > 0 && !found.closed && !past_tail) return Wait();
  Reply();
}

// Its bytes were given out in this life of the stream, so they are what is there. A page that ended
// at the tail would be longer now, if that has moved.
bool StreamRead::IsKept() const {
  if (!request_.kept || request_.boundaries) return false;
  const KeptPage& page = *request_.kept;
  const uint64_t next = page.next.bytes;
  if (page.incarnation != *request_.incarnation || page.start.bytes != start_) return false;
  return page.up_to_date ? next == tail_ : next > start_ && next <= tail_;
}

void StreamRead::GatherPage(uint64_t bytes) {
  page_bytes_ = bytes;
  // The byte before the page tells whether a message or an append ends there.
  before_ = (json_ || request_.from_append_start) && start_ > 0 &&
            replica_.ring_.AppendEnd(incarnation_, start_) == 0;
  uint64_t from = start_ - (before_ ? 1 : 0);
  Gather(incarnation_, from, tail_, bytes + (before_ ? 1 : 0));
}

void StreamRead::OnGathered(Status status) {
  if (cancelled_) return Finish(*cancelled_);
  if (!status.ok()) return Finish(std::move(status));
  stream::LookupResult found = replica_.machine_->FindIncarnation(incarnation_);
  if (found.kind == stream::LookupResult::Kind::kNotFound) return FinishWith(Outcome::kNotFound);
  if (seeking_) return OnSought(found.start);
  if (BeginsInside()) {
    if (!request_.from_append_start) return FinishWith(Outcome::kOffsetInvalid);
    seeking_ = true;
    sought_from_ = start_;
    return SeekBack(found.start);
  }
  uint64_t held = gathered_.bytes - (before_ ? 1 : 0);
  if (held < tail_ - start_) {
    if (!json_) {
      CutAtAppendEnd();
    } else if (!CutAtMessageEnd()) {
      // One message larger than a page: it comes whole.
      page_bytes_ *= 2;
      uint64_t from = start_ - (before_ ? 1 : 0);
      return Gather(incarnation_, from, tail_, page_bytes_ + (before_ ? 1 : 0));
    }
  }
  Reply();
}

bool StreamRead::BeginsInside() const {
  if (!before_ || gathered_.bytes == 0) return false;
  if (json_) return gathered_.parts.front().data()[0] != '\n';
  const std::vector<uint64_t>& ends = gathered_.append_ends;
  return ends.empty() || ends.front() != start_;
}

// Piece by piece backwards, for memory's sake: an append may be much larger than a page.
void StreamRead::SeekBack(uint64_t stream_start) {
  gathered_ = {};
  sought_to_ = sought_from_;
  const uint64_t grown = std::clamp(4 * (start_ - sought_to_), kSeekBytesMin, kSeekBytesMax);
  sought_from_ -= std::min(grown, sought_to_ - stream_start);
  // Planned to the tail, so that no range ends where the piece does.
  Gather(incarnation_, sought_from_, tail_, sought_to_ - sought_from_);
}

void StreamRead::OnSought(uint64_t stream_start) {
  std::optional<uint64_t> begin = LastStartSought();
  if (!begin && sought_from_ > stream_start) return SeekBack(stream_start);
  seeking_ = false;
  gathered_ = {};
  start_ = begin.value_or(stream_start);
  request_.from.bytes = start_;
  GatherPage(page_bytes_);
}

std::optional<uint64_t> StreamRead::LastStartSought() const {
  if (!json_) {
    const std::vector<uint64_t>& ends = gathered_.append_ends;
    auto past = std::upper_bound(ends.begin(), ends.end(), sought_to_);
    if (past == ends.begin()) return std::nullopt;
    return *std::prev(past);
  }
  uint64_t end = sought_from_ + gathered_.bytes;
  for (auto part = gathered_.parts.rbegin(); part != gathered_.parts.rend(); ++part) {
    std::size_t at = part->view().rfind('\n');
    if (at != std::string_view::npos) return end - part->size() + at + 1;
    end -= part->size();
  }
  return std::nullopt;
}

// Only an append larger than a page is cut, so that few know offsets inside one.
void StreamRead::CutAtAppendEnd() {
  const uint64_t from = start_ - (before_ ? 1 : 0);
  const std::vector<uint64_t>& ends = gathered_.append_ends;
  auto past = std::upper_bound(ends.begin(), ends.end(), from + gathered_.bytes);
  if (past == ends.begin() || *std::prev(past) <= start_) return;
  KeepBytes(*std::prev(past) - from);
}

bool StreamRead::EndsInside(uint64_t next) const {
  if (json_ || gathered_.bytes == 0 || next == tail_) return false;
  return !std::ranges::binary_search(gathered_.append_ends, next);
}

// A page takes as many messages as fit; one that had to grow for its first message takes that one.
bool StreamRead::CutAtMessageEnd() {
  bool grown = page_bytes_ > request_.bytes_max;
  std::size_t count = gathered_.parts.size();
  for (std::size_t n = 0; n < count; ++n) {
    std::size_t i = grown ? n : count - 1 - n;
    std::string_view view = gathered_.parts[i].view();
    std::size_t skipped = before_ && i == 0 ? 1 : 0;
    view.remove_prefix(skipped);
    std::size_t end = grown ? view.find('\n') : view.rfind('\n');
    if (end == std::string_view::npos) continue;
    KeepThrough(i, skipped + end + 1);
    return true;
  }
  return false;
}

void StreamRead::KeepThrough(std::size_t part, std::size_t bytes) {
  std::vector<Bytes>& parts = gathered_.parts;
  parts[part] = parts[part].Slice(0, bytes);
  parts.resize(part + 1);
  gathered_.bytes = 0;
  for (const Bytes& one : parts) gathered_.bytes += one.size();
}

void StreamRead::KeepBytes(uint64_t bytes) {
  if (bytes == gathered_.bytes) return;
  std::size_t part = 0;
  while (bytes > gathered_.parts[part].size()) bytes -= gathered_.parts[part++].size();
  KeepThrough(part, static_cast<std::size_t>(bytes));
}

void StreamRead::Wait() {
  if (!replica_.AddWaiter(this, incarnation_)) {
    return Finish(Status(StatusCode::kResourceExhausted, "too many reads wait on this core"));
  }
  waiting_ = waited_ = true;
  io::Loop* loop = replica_.services_.loop;
  if (!timer_.running()) {
    constexpr uint64_t kWaitMsMax = uint64_t{1} << 40;  // 34 years, which a clock in ns holds.
    loop->StartTimer(&timer_, loop->now_ns() + std::min(request_.wait_ms, kWaitMsMax) * 1'000'000);
  }
}

void StreamRead::Wake() {
  URSULA_CHECK(waiting_);
  waiting_ = false;
  replica_.RemoveWaiter(this, incarnation_);
  Start();
}

void StreamRead::OnTimeout() {
  if (!waiting_) {
    request_.wait_ms = 0;  // Data is on its way; if there is none after all, the wait is over.
    return;
  }
  waiting_ = false;
  replica_.RemoveWaiter(this, incarnation_);
  request_.wait_ms = 0;
  Start();
}

bool StreamRead::IsTail() const { return request_.consistency != Consistency::kLocal; }

void StreamRead::Cancel(Status status) {
  cancelled_ = std::move(status);
  if (!waiting_) return;  // Ends when what is under way comes back.
  waiting_ = false;
  replica_.RemoveWaiter(this, incarnation_);
  Finish(*cancelled_);
}

void StreamRead::Reply() {
  using Kind = stream::LookupResult::Kind;
  Kind kind = replica_.machine_->FindIncarnation(incarnation_).kind;
  if (kind == Kind::kSoftDeleted) return FinishWith(Outcome::kSoftDeleted);
  if (kind != Kind::kFound) return FinishWith(Outcome::kNotFound);
  if (before_ && gathered_.bytes > 0) {
    gathered_.parts.front() = gathered_.parts.front().Slice(1);
    if (gathered_.parts.front().empty()) gathered_.parts.erase(gathered_.parts.begin());
    gathered_.bytes -= 1;
  }
  GroupReadReply result = NewReply();
  ReadReply& reply = result.reply;
  reply.start.bytes = start_;
  reply.kept = kept_;
  reply.next.bytes = kept_ ? request_.kept->next.bytes : start_ + gathered_.bytes;
  reply.cut = kept_ ? request_.kept->cut : EndsInside(reply.next.bytes);
  reply.info = replica_.Info(incarnation_);
  reply.up_to_date = reply.next.bytes == reply.info.tail.bytes;
  reply.parts = std::move(gathered_.parts);
  if (request_.boundaries) FillEnds(&reply);
  EngineStats& stats = replica_.services_.budget->stats;
  ++stats.reads;
  stats.read_bytes += reply.next.bytes - start_;
  Finish(std::move(result));
}

void StreamRead::FillEnds(ReadReply* reply) const {
  if (json_) {
    std::vector<uint64_t> ends;
    uint64_t at = start_;
    for (const Bytes& part : reply->parts) {
      stream::JsonMessageEnds(part.view(), at, &ends);
      at += part.size();
    }
    for (uint64_t end : ends) reply->message_ends.push_back({end});
    return;
  }
  for (uint64_t end : gathered_.append_ends) {
    // Where a message is cut memory knows its end, and the disk may not: nobody is told.
    if (end > start_ && end <= reply->next.bytes) reply->message_ends.push_back({end});
  }
}

GroupReadReply StreamRead::NewReply() const {
  GroupReadReply reply;
  const bool local = request_.consistency == Consistency::kLocal;
  if (local) reply.fresh_ns = replica_.FreshNs().value_or(0);
  reply.waited = waited_;
  return reply;
}

void StreamRead::FinishWith(Outcome outcome) {
  GroupReadReply result = NewReply();
  result.reply.outcome = outcome;
  const stream::Machine& machine = *replica_.machine_;
  if (outcome == Outcome::kSoftDeleted) {
    result.reply.info.incarnation = machine.PublicIncarnation(incarnation_);
  } else if (incarnation_ != stream::kNoIncarnation &&
             machine.FindIncarnation(incarnation_).kind == stream::LookupResult::Kind::kFound) {
    result.reply.info = replica_.Info(incarnation_);
  }
  Finish(std::move(result));
}

void StreamRead::Finish(Result<GroupReadReply> result) {
  URSULA_CHECK(!waiting_ && !gathering_);
  GroupReadDone done = std::move(done_);
  replica_.RemoveTask(id());  // Destroys this.
  done(std::move(result));
}

// ---- ForkPointRead ---------------------------------------------------------------------------

ForkPointRead::ForkPointRead(Replica* replica, uint64_t id, stream::Incarnation source,
                             ForkPoint point, Function<void(Result<ResolvedFork>)> done)
    : ReadTask(replica, id), source_(source), point_(std::move(point)), done_(std::move(done)) {}

void ForkPointRead::Start() {
  if (cancelled_) return Finish(*cancelled_);
  ResolvedFork resolved;
  stream::LookupResult found = replica_.machine_->FindIncarnation(source_);
  // An ended source that forks read from still tells where its points lie.
  if (found.kind == stream::LookupResult::Kind::kNotFound) {
    resolved.outcome = Outcome::kForkSourceNotFound;
    return Finish(resolved);
  }
  tail_ = found.tail;
  json_ = stream::IsJson(found.content_type);
  if (!point_.offset) {
    resolved.at_tail = true;
    resolved.offset.bytes = tail_;
    if (point_.sub_offset > 0) resolved.outcome = Outcome::kForkOffsetInvalid;
    return Finish(resolved);
  }
  uint64_t offset = point_.offset->bytes;
  resolved.offset.bytes = offset;
  bool inside = offset >= found.start && offset <= tail_;
  if (!inside || (offset == tail_ && point_.sub_offset > 0)) {
    resolved.outcome = Outcome::kForkOffsetInvalid;
    return Finish(resolved);
  }
  before_ = json_ && offset > 0 && offset < tail_;
  if (!before_ && point_.sub_offset == 0) return Finish(resolved);
  uint64_t needed = (before_ ? 1 : 0) + (point_.sub_offset > 0 ? 1 : 0);
  Gather(source_, offset - (before_ ? 1 : 0), tail_, needed);
}

void ForkPointRead::OnGathered(Status status) {
  if (cancelled_) return Finish(*cancelled_);
  // Freed meanwhile: there is nothing more to gather, and Start says what that means.
  using Kind = stream::LookupResult::Kind;
  if (replica_.machine_->FindIncarnation(source_).kind == Kind::kNotFound) return Start();
  if (!status.ok()) return Finish(std::move(status));
  if (before_ && (gathered_.bytes == 0 || gathered_.parts.front().data()[0] != '\n')) {
    ResolvedFork resolved;
    resolved.outcome = Outcome::kForkOffsetInvalid;
    return Finish(resolved);
  }
  if (point_.sub_offset == 0) {
    ResolvedFork resolved;
    resolved.offset = *point_.offset;
    return Finish(resolved);
  }
  ResolveSub();
}

// The anchor's append must be known to its end, and of JSON be here in whole.
void ForkPointRead::ResolveSub() {
  uint64_t anchor = point_.offset->bytes;
  uint64_t from = anchor - (before_ ? 1 : 0);
  auto end = std::upper_bound(gathered_.append_ends.begin(), gathered_.append_ends.end(), anchor);
  bool known = end != gathered_.append_ends.end();
  uint64_t append_end = known ? std::min(*end, tail_) : tail_;
  bool more = gathered_.bytes < append_end - from;
  if (more && (json_ || !known)) {
    return Gather(source_, from, tail_,
                  known ? append_end - from : std::max<uint64_t>(gathered_.bytes * 2, 65536));
  }
  ResolvedFork resolved;
  resolved.outcome = Outcome::kForkOffsetInvalid;
  if (json_) {
    std::string text;
    for (const Bytes& part : gathered_.parts) text.append(part.view());
    std::string_view unit = std::string_view(text).substr(before_ ? 1 : 0, append_end - anchor);
    std::optional<uint64_t> at = stream::NthJsonBoundary(unit, point_.sub_offset);
    if (at) {
      resolved.outcome = Outcome::kOk;
      resolved.offset.bytes = anchor + *at;
    }
  } else if (point_.sub_offset <= append_end - anchor) {
    resolved.outcome = Outcome::kOk;
    resolved.offset.bytes = anchor + point_.sub_offset;
  }
  Finish(resolved);
}

void ForkPointRead::Cancel(Status status) { cancelled_ = std::move(status); }

void ForkPointRead::Finish(Result<ResolvedFork> result) {
  auto done = std::move(done_);
  replica_.RemoveTask(id());  // Destroys this.
  done(std::move(result));
}

}  // namespace ursula::group
