#include "tests/support/fake_engine.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ursula::testing {
namespace {

bool Is(const StateMatch& match, const StreamInfo& info) {
  return (!match.incarnation || *match.incarnation == info.incarnation) &&
         (!match.tail || *match.tail == info.tail) &&
         (!match.closed || *match.closed == info.closed);
}

// `info`: null if there is no such stream.
bool Holds(const Precondition& condition, const StreamInfo* info) {
  auto is = [info](const StateMatch& match) { return info != nullptr && Is(match, *info); };
  if (condition.exists && info == nullptr) return false;
  if (condition.absent && info != nullptr) return false;
  const std::vector<StateMatch>& any_of = condition.any_of;
  if (!any_of.empty() && std::none_of(any_of.begin(), any_of.end(), is)) return false;
  return std::none_of(condition.none_of.begin(), condition.none_of.end(), is);
}

bool IsThere(const KeptPage& page, uint64_t from, const StreamInfo& info) {
  const Offset end = page.up_to_date ? page.next : info.tail;
  return page.incarnation == info.incarnation && page.start.bytes == from && page.next <= end &&
         end == info.tail && page.next > page.start;
}

bool Holds(const AppendRequest& request, const StreamInfo& info) {
  StateMatch expected = {request.expected_incarnation, request.expected_tail, {}};
  return Is(expected, info) && Holds(request.condition, &info);
}

}  // namespace

template <class Reply>
void FakeEngine::Later(Done<Reply> done, Result<Reply> reply) {
  loop_->Defer(
      [done = std::move(done), reply = std::move(reply)]() mutable { done(std::move(reply)); });
}

bool FakeEngine::HasBucket(const std::string& bucket) const {
  return bucket == kUpstreamBucket || buckets_.contains(bucket);
}

FakeEngine::Stream* FakeEngine::Find(const StreamId& id) {
  auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

template <class Request>
FakeEngine::Stream* FakeEngine::FindFor(const Request& request) {
  auto found = old_.find(request.stream);
  return IsOfOld(request) && found != old_.end() ? &found->second : Find(request.stream);
}

void FakeEngine::CreateBucket(std::string bucket, Done<BucketReply> done) {
  bool created = buckets_.emplace(std::move(bucket), true).second;
  Later<BucketReply>(std::move(done), BucketReply{created ? Outcome::kOk : Outcome::kExisted});
}

void FakeEngine::GetBucket(std::string bucket, Done<BucketReply> done) {
  Later<BucketReply>(std::move(done),
                     BucketReply{HasBucket(bucket) ? Outcome::kOk : Outcome::kBucketNotFound});
}

void FakeEngine::DeleteBucket(std::string bucket, Done<BucketReply> done) {
  bool deleted = buckets_.erase(bucket) > 0;
  Later<BucketReply>(std::move(done),
                     BucketReply{deleted ? Outcome::kOk : Outcome::kBucketNotFound});
}

void FakeEngine::List(ListRequest request, Done<ListReply> done) {
  ListReply reply;
  if (!HasBucket(request.bucket)) reply.outcome = Outcome::kBucketNotFound;
  for (const auto& [id, stream] : streams_) {
    if (id.bucket != request.bucket) continue;
    reply.streams.push_back(
        {id.name, stream.info.content_type, stream.info.tail, stream.info.closed});
  }
  Later<ListReply>(std::move(done), std::move(reply));
}

void FakeEngine::Create(CreateRequest request, Done<CreateReply> done) {
  CreateReply reply;
  Stream* found = Find(request.stream);
  if (!HasBucket(request.stream.bucket)) {
    reply.outcome = Outcome::kBucketNotFound;
  } else if (!Holds(request.condition, found == nullptr ? nullptr : &found->info)) {
    reply.outcome = Outcome::kPreconditionFailed;
    if (found != nullptr) reply.info = found->info;
  } else if (found != nullptr) {
    reply.outcome = Outcome::kExisted;
    reply.info = found->info;
  } else {
    Stream& stream = streams_[request.stream];
    stream.info.content_type =
        request.content_type.empty() ? "application/octet-stream" : request.content_type;
    stream.info.incarnation = ++incarnation_;
    stream.info.closed = request.closed;
    for (const Bytes& message : request.messages) stream.data += message.view();
    stream.info.tail = {stream.data.size()};
    stream.ends.push_back(stream.data.size());
    reply.info = stream.info;
  }
  Later<CreateReply>(std::move(done), std::move(reply));
}

void FakeEngine::Head(HeadRequest request, Done<HeadReply> done) {
  if (!holding_) return DoHead(request, std::move(done));
  held_.push_back([this, request = std::move(request), done = std::move(done)]() mutable {
    DoHead(request, std::move(done));
  });
}

void FakeEngine::DoHead(const HeadRequest& request, Done<HeadReply> done) {
  HeadReply reply;
  Stream* found = FindFor(request);
  if (IsOfOld(request)) reply.staleness_ms = staleness_ms;
  if (found == nullptr) reply.outcome = Outcome::kNotFound;
  if (found != nullptr) reply.info = found->info;
  Later<HeadReply>(std::move(done), std::move(reply));
}

void FakeEngine::Delete(DeleteRequest request, Done<DeleteReply> done) {
  DeleteReply reply;
  Stream* found = Find(request.stream);
  if (found != nullptr) reply.info = found->info;
  if (found == nullptr) {
    reply.outcome = Outcome::kNotFound;
  } else if (!Holds(request.condition, &found->info)) {
    reply.outcome = Outcome::kPreconditionFailed;
  } else {
    streams_.erase(request.stream);
  }
  Later<DeleteReply>(std::move(done), std::move(reply));
  Wake(request.stream);
}

void FakeEngine::StepClock(Done<ClockReply> done) {
  Later<ClockReply>(std::move(done), ClockReply{});
}

void FakeEngine::TransferLeader(GroupId, NodeId to, Done<TransferReply> done) {
  Later<TransferReply>(std::move(done), TransferReply{TransferOutcome::kBegun, to});
}

void FakeEngine::ChangeMember(MemberChange change, Done<MemberReply> done) {
  member_change = change;
  Later<MemberReply>(std::move(done), member_reply);
}

void FakeEngine::InspectRecovery(Done<RecoveryStatus> done) {
  Later<RecoveryStatus>(std::move(done), recovery_status);
}

void FakeEngine::RecoverCluster(RecoveryPlan plan, Done<RecoveryReply> done) {
  recovery_plan = std::move(plan);
  Later<RecoveryReply>(std::move(done), recovery_reply);
}

void FakeEngine::Append(AppendRequest request, Done<AppendReply> done) {
  if (!holding_) return DoAppend(std::move(request), std::move(done));
  held_.push_back([this, request = std::move(request), done = std::move(done)]() mutable {
    DoAppend(std::move(request), std::move(done));
  });
}

// Held and released as one.
void FakeEngine::AppendBatch(std::vector<AppendRequest> items, Done<AppendBatchReply> done) {
  ++batches;
  auto append = [this, items = std::move(items), done = std::move(done)]() mutable {
    auto reply = std::make_shared<AppendBatchReply>();
    auto left = std::make_shared<std::size_t>(items.size());
    auto shared = std::make_shared<Done<AppendBatchReply>>(std::move(done));
    reply->items.resize(items.size(), Status(StatusCode::kInternal, ""));
    for (std::size_t i = 0; i < items.size(); ++i) {
      DoAppend(std::move(items[i]), [reply, left, shared, i](Result<AppendReply> one) {
        reply->items[i] = std::move(one);
        if (--*left == 0) (*shared)(std::move(*reply));
      });
    }
  };
  if (!holding_) return append();
  held_.push_back(std::move(append));
}

void FakeEngine::Release() {
  holding_ = false;
  std::vector<Function<void()>> held = std::move(held_);
  held_.clear();
  for (Function<void()>& call : held) call();
}

void FakeEngine::DoAppend(AppendRequest request, Done<AppendReply> done) {
  const auto end = append_ends.find(++appends);
  if (end != append_ends.end()) return Later<AppendReply>(std::move(done), end->second);
  AppendReply reply;
  Stream* stream = Find(request.stream);
  if (stream == nullptr) {
    reply.outcome = Outcome::kNotFound;
  } else if (stream->info.closed) {
    reply.outcome = Outcome::kClosed;
  } else if (!Holds(request, stream->info)) {
    reply.outcome = Outcome::kPreconditionFailed;
  } else {
    reply.start = stream->info.tail;
    for (const Bytes& message : request.messages) stream->data += message.view();
    stream->info.tail = {stream->data.size()};
    stream->ends.push_back(stream->data.size());
    stream->info.closed = request.close;
  }
  if (stream != nullptr) {
    reply.tail = stream->info.tail;
    reply.closed = stream->info.closed;
    reply.incarnation = stream->info.incarnation;
  }
  Later<AppendReply>(std::move(done), std::move(reply));
  Wake(request.stream);
}

ReadReply FakeEngine::ReplyOf(const ReadRequest& request, const Stream& stream) const {
  ReadReply reply;
  uint64_t tail = stream.info.tail.bytes;
  uint64_t from = request.from_tail ? tail : std::min(request.from.bytes, tail);
  if (request.from_append_start) {
    from = *std::prev(std::upper_bound(stream.ends.begin(), stream.ends.end(), from));
  }
  uint64_t size = std::min(request.bytes_max, tail - from);
  const bool there = request.kept && IsThere(*request.kept, from, stream.info);
  if (there) size = request.kept->next.bytes - from;
  if (size > 0 && !there)
    reply.parts.push_back(Bytes::Copy(std::string_view(stream.data).substr(from, size)));
  reply.start = {from};
  reply.next = {from + size};
  reply.kept = there;
  reply.cut = !std::binary_search(stream.ends.begin(), stream.ends.end(), from + size);
  reply.up_to_date = reply.next == stream.info.tail;
  reply.info = stream.info;
  if (IsOfOld(request)) reply.staleness_ms = staleness_ms;
  return reply;
}

bool FakeEngine::IsWanted(const ReadRequest& request, const Stream& stream) {
  return !request.incarnation || *request.incarnation == stream.info.incarnation;
}

Ticket FakeEngine::Read(ReadRequest request, Done<ReadReply> done) {
  ++reads;
  Stream* stream = FindFor(request);
  if (stream == nullptr || !IsWanted(request, *stream)) {
    ReadReply reply;
    reply.outcome = Outcome::kNotFound;
    Later<ReadReply>(std::move(done), std::move(reply));
    return ++last_ticket_;
  }
  ReadReply now = ReplyOf(request, *stream);
  if (now.kept) ++kept;
  if (now.next > now.start || request.wait_ms == 0 || stream->info.closed) {
    Later<ReadReply>(std::move(done), std::move(now));
    return ++last_ticket_;
  }
  auto waiter = std::make_unique<Waiter>();
  waiter->engine = this;
  waiter->ticket = ++last_ticket_;
  waiter->request = std::move(request);
  waiter->request.from = now.start;
  waiter->request.from_tail = false;
  waiter->request.incarnation = stream->info.incarnation;
  waiter->done = std::move(done);
  waiter->timer.Then<&Waiter::OnTimer>(waiter.get());
  loop_->StartTimer(&waiter->timer,
                    loop_->now_ns() + waiter->request.wait_ms * uint64_t{1'000'000});
  Ticket ticket = waiter->ticket;
  waiters_[ticket] = std::move(waiter);
  return ticket;
}

void FakeEngine::Wake(const StreamId& id) {
  std::vector<Ticket> tickets;
  for (const auto& [ticket, waiter] : waiters_) {
    if (waiter->request.stream == id) tickets.push_back(ticket);
  }
  for (Ticket ticket : tickets) Finish(ticket);
}

void FakeEngine::Finish(Ticket ticket) {
  auto found = waiters_.find(ticket);
  if (found == waiters_.end()) return;
  std::unique_ptr<Waiter> waiter = std::move(found->second);
  waiters_.erase(found);
  ReadReply reply;
  Stream* stream = Find(waiter->request.stream);
  if (stream == nullptr || !IsWanted(waiter->request, *stream)) {
    reply.outcome = Outcome::kNotFound;
  } else {
    reply = ReplyOf(waiter->request, *stream);
  }
  Later<ReadReply>(std::move(waiter->done), std::move(reply));
  loop_->Defer([waiter = std::move(waiter)] {});  // Its timer may be what calls.
}

void FakeEngine::Cancel(Ticket ticket) {
  auto found = waiters_.find(ticket);
  if (found == waiters_.end()) return;
  ++cancelled;
  Later<ReadReply>(std::move(found->second->done), Status(StatusCode::kCancelled, "cancelled"));
  waiters_.erase(found);
}

Ticket FakeEngine::Follow(FollowRequest, Follower*) { return 0; }
void FakeEngine::Grant(Ticket, uint64_t) {}

void FakeEngine::Stop(Done<Stopped> done) {
  while (!waiters_.empty()) Cancel(waiters_.begin()->first);
  Later<Stopped>(std::move(done), Stopped{});
}

}  // namespace ursula::testing
