// Reads, lookups, deletes and listings.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/engine/arguments.h"
#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {

namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

template <class Request>
bool IsLocal(const Request& request) {
  return request.consistency == Consistency::kLocal;
}

// What it was at the most, by now.
uint64_t StalenessMs(const io::Loop& loop, uint64_t fresh_ns) {
  if (fresh_ns == group::kFreshNow) return 0;
  const uint64_t now_ns = loop.fresh_ns();
  return (now_ns - std::min(now_ns, fresh_ns) + kNsPerMs - 1) / kNsPerMs;
}

// Older than it may be, or it denies what may only be unknown here: then it isn't told. What was
// found out since the call is of now, and behind barriers too, but for one that has waited since.
template <class Request, class Reply>
bool IsToAskAgain(const ReadWork<Request>& work, const Reply& reply, bool denies, bool waited) {
  if (!IsLocal(work.request) || work.fresh_ns == group::kFreshNow) return false;
  if ((work.again || work.fresh_ns > work.asked_ns) && !waited) return false;
  return denies || reply.staleness_ms > work.bound_ms;
}

template <class Request>
void AskAgain(ReadWork<Request>* work) {
  work->again = true;
  work->fresh_ns = group::kFreshNow;
  work->request.staleness_ms_max = 0;
}

}  // namespace

void Engine::ReadAt(GroupId group, ReadCall call, Ticket ticket) {
  ask::Read ask{std::shared_ptr<const ReadRequest>(call, &call->request.request), ticket};
  CallGroup(group, std::move(ask), [this, call, ticket](Result<group::GroupReadReply> result) {
    if (!result.ok()) return call->done(result.status());
    call->request.fresh_ns = std::min(call->request.fresh_ns, result->fresh_ns);
    if (result->placement) {
      bool there = result->placement->confirmed && call->attempts++ == 0;
      if (there) return ReadAt(result->placement->target, call, ticket);
      result->reply.outcome = Outcome::kNotFound;
    }
    OnRead(call, ticket, std::move(*result));
  });
}

void Engine::OnRead(ReadCall call, Ticket ticket, group::GroupReadReply result) {
  ReadWork<ReadRequest>& work = call->request;
  ReadRequest& request = work.request;
  ReadReply& reply = result.reply;
  reply.staleness_ms = StalenessMs(*runtime_.Current(), work.fresh_ns);
  const bool refused = reply.outcome != Outcome::kOk;
  const bool past_tail = !request.from_tail && request.from > reply.info.tail;
  if (!IsToAskAgain(work, reply, refused || past_tail, result.waited)) {
    return AnswerOfStream(call, request.stream.bucket, std::move(reply));
  }
  URSULA_SOMETIMES("forward: a local read was asked for again");
  AskAgain(&work);
  call->attempts = 0;
  if (result.waited) request.wait_ms = 0;  // Its time is over, or something has come.
  if (result.waited && !refused) {         // It goes on where it waited.
    request.from = reply.start;
    request.from_tail = request.from_append_start = false;
    request.incarnation = reply.info.incarnation;
  }
  ReadAt(Home(request.stream), call, ticket);
}

void Engine::HeadFlow(HeadCall call) {
  const HeadRequest& request = call->request.request;
  ask::Locate ask{request.stream};
  if (IsLocal(request)) ask.bound = group::Staleness::OfMs(request.staleness_ms_max);
  Locate(std::move(ask), [this, call](Result<std::pair<GroupId, Located>> located) {
    if (!located.ok()) return call->done(located.status());
    HeadReply reply;
    using Kind = stream::LookupResult::Kind;
    Kind kind = located->second.kind;
    reply.outcome = kind == Kind::kFound         ? Outcome::kOk
                    : kind == Kind::kSoftDeleted ? Outcome::kSoftDeleted
                                                 : Outcome::kNotFound;
    reply.info = std::move(located->second.info);
    ReadWork<HeadRequest>& work = call->request;
    work.fresh_ns = located->second.fresh_ns;
    reply.staleness_ms = StalenessMs(*runtime_.Current(), work.fresh_ns);
    if (!IsToAskAgain(work, reply, reply.outcome != Outcome::kOk, false)) {
      return AnswerOfStream(call, work.request.stream.bucket, std::move(reply));
    }
    AskAgain(&work);
    HeadFlow(call);
  });
}

void Engine::CarryOut(group::Replica& replica, ask::Read ask, group::GroupReadDone done) {
  replica.Read(*ask.request, ask.ticket, std::move(done));
}

void Engine::CarryOut(group::Replica& replica, ask::Compare ask, group::ProposeDone done) {
  CompareAt(&replica, std::move(ask), std::move(done));
}

void Engine::CarryOut(group::Replica& replica, ask::Locate ask,
                      Function<void(Result<Located>)> done) {
  const bool local = ask.bound.has_value();
  replica.Lookup(
      std::move(ask.id), ask.bound,
      [&replica, local, done = std::move(done)](Result<stream::LookupResult> found) mutable {
        if (!found.ok()) return done(found.status());
        Located located;
        if (local) located.fresh_ns = replica.FreshNs().value_or(0);
        located.kind = found->kind;
        located.incarnation = found->incarnation;
        located.content_type = std::string(found->content_type);
        located.placement = found->placement;
        if (found->kind == stream::LookupResult::Kind::kFound) {
          located.info = replica.Info(found->incarnation);
        } else if (found->kind == stream::LookupResult::Kind::kSoftDeleted) {
          located.info.incarnation = replica.machine().PublicIncarnation(found->incarnation);
        }
        done(std::move(located));
      });
}

void Engine::Locate(ask::Locate ask, Function<void(Result<std::pair<GroupId, Located>>)> done) {
  GroupId home = Home(ask.id);
  auto at_home = [this, home, ask, done = std::move(done)](Result<Located> located) mutable {
    if (!located.ok()) return done(located.status());
    using Kind = stream::LookupResult::Kind;
    if (located->kind != Kind::kElsewhere) return done(std::pair(home, std::move(*located)));
    if (!located->placement->confirmed) {
      Located none;  // Nobody was told that it exists.
      none.fresh_ns = located->fresh_ns;
      return done(std::pair(home, std::move(none)));
    }
    GroupId target = located->placement->target;
    CallGroup(target, std::move(ask),
              [target, fresh_ns = located->fresh_ns,
               done = std::move(done)](Result<Located> there) mutable {
                if (!there.ok()) return done(there.status());
                there->fresh_ns = std::min(there->fresh_ns, fresh_ns);
                done(std::pair(target, std::move(*there)));
              });
  };
  CallGroup(home, std::move(ask), std::move(at_home));
}

void Engine::DeleteAt(GroupId group, CallPtr<DeleteRequest, DeleteReply> call) {
  CallGroup(group, ask::Delete{call->request.stream, call->request.condition},
            [this, call](Result<stream::Reply> reply) {
              if (!reply.ok()) return call->done(reply.status());
              DeleteReply answer;
              answer.outcome = reply->outcome;
              answer.info = std::move(reply->info);
              if (reply->placement) {
                bool there = reply->placement->confirmed && call->attempts++ == 0;
                if (there) return DeleteAt(reply->placement->target, call);
                answer = {.outcome = Outcome::kNotFound};
              }
              AnswerOfStream(call, call->request.stream.bucket, std::move(answer));
            });
}

void Engine::CarryOut(group::Replica& replica, ask::Delete ask, group::ProposeDone done) {
  replica.Propose(stream::Delete{std::move(ask.stream), std::move(ask.condition)},
                  [this, &replica, done = std::move(done)](Result<stream::Reply> result) mutable {
                    done(std::move(result));
                    ChoresOf(&replica);  // Tells the fork's home that its name is free.
                  });
}

namespace {

constexpr uint32_t kGroupsAtOnce = 16;  // So many pages are in memory at a time.

// Keeps the first `limit` names.
void MergeInto(ListReply* merged, ListReply part, uint32_t limit) {
  std::vector<ListReply::Stream>& streams = merged->streams;
  const auto middle = static_cast<std::ptrdiff_t>(streams.size());
  merged->more = merged->more || part.more;
  std::ranges::move(part.streams, std::back_inserter(streams));
  std::inplace_merge(streams.begin(), streams.begin() + middle, streams.end(),
                     [](const auto& a, const auto& b) { return a.path < b.path; });
  if (streams.size() <= limit) return;
  streams.resize(limit);
  merged->more = true;
}

}  // namespace

// A page of each group, a few at a time.
struct Engine::Listing {
  ListCall call;
  ListReply merged = {};
  Status failure = {};
  uint32_t asked = 0;  // Groups, in order.
  uint32_t missing = 0;
};

void Engine::ListNextGroup(const std::shared_ptr<Listing>& listing) {
  ++listing->missing;
  ask::Page ask{std::shared_ptr<const ListRequest>(listing->call, &listing->call->request)};
  CallGroup(GroupId{listing->asked++}, std::move(ask), [this, listing](Result<ListReply> part) {
    --listing->missing;
    if (part.ok()) {
      MergeInto(&listing->merged, std::move(*part), listing->call->request.limit);
    } else {
      listing->failure = part.status();
    }
    if (listing->failure.ok() && listing->asked < group_count_) ListNextGroup(listing);
    if (listing->missing > 0) return;
    if (!listing->failure.ok()) return listing->call->done(listing->failure);
    listing->call->done(std::move(listing->merged));
  });
}

void Engine::CarryOut(group::Replica& replica, ask::Page ask, Done<ListReply> done) {
  replica.AfterExpiry(
      [&replica, request = std::move(ask.request), done = std::move(done)](Status status) mutable {
        if (!status.ok()) return done(std::move(status));
        done(replica.machine().List(*request, replica.NowMs()));
      });
}

void Engine::ListFlow(ListCall call) {
  // What a core knows of a bucket may be old; and one that is being deleted is there.
  AskForBucket(call->request.bucket, [this, call](Result<FoundBucket> bucket) {
    if (!bucket.ok()) return call->done(bucket.status());
    if (!bucket->info) return Answer(call, Outcome::kBucketNotFound);
    auto listing = std::make_shared<Listing>(call);
    while (listing->asked < std::min(group_count_, kGroupsAtOnce)) ListNextGroup(listing);
  });
}

}  // namespace ursula::engine
