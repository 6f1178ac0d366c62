// Reads, lookups, deletes and listings.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "lib/engine/engine.h"

namespace ursula::engine {

void Engine::ReadAt(GroupId group, ReadCall call, Ticket ticket) {
  CallGroup<group::GroupReadReply>(
      group,
      [call, ticket](group::Replica& replica, group::GroupReadDone reply) {
        replica.Read(call->request, ticket, std::move(reply));
      },
      [this, call, ticket](Result<group::GroupReadReply> result) {
        if (!result.ok()) return call->done(result.status());
        if (result->placement) {
          bool there = result->placement->confirmed && call->attempts++ == 0;
          if (there) return ReadAt(result->placement->target, call, ticket);
          result->reply.outcome = Outcome::kNotFound;
        }
        AnswerOfStream(call, call->request.stream.bucket, std::move(result->reply));
      });
}

void Engine::LocateAt(GroupId group, StreamId id, Function<void(Result<Located>)> done) {
  CallGroup<Located>(
      group,
      [id = std::move(id)](group::Replica& replica, Function<void(Result<Located>)> reply) mutable {
        replica.Lookup(std::move(id), [&replica, reply = std::move(reply)](
                                          Result<stream::LookupResult> found) mutable {
          if (!found.ok()) return reply(found.status());
          Located located;
          located.kind = found->kind;
          located.incarnation = found->incarnation;
          located.content_type = std::string(found->content_type);
          located.placement = found->placement;
          if (found->kind == stream::LookupResult::Kind::kFound) {
            located.info = replica.Info(found->incarnation);
          }
          reply(std::move(located));
        });
      },
      std::move(done));
}

void Engine::Locate(StreamId id, Function<void(Result<std::pair<GroupId, Located>>)> done) {
  GroupId home = Home(id);
  LocateAt(home, id, [this, home, id, done = std::move(done)](Result<Located> located) mutable {
    if (!located.ok()) return done(located.status());
    using Kind = stream::LookupResult::Kind;
    if (located->kind != Kind::kElsewhere) return done(std::pair(home, std::move(*located)));
    if (!located->placement->confirmed) {
      Located none;  // Nobody was told that it exists.
      return done(std::pair(home, std::move(none)));
    }
    GroupId target = located->placement->target;
    LocateAt(target, std::move(id),
             [target, done = std::move(done)](Result<Located> there) mutable {
               if (!there.ok()) return done(there.status());
               done(std::pair(target, std::move(*there)));
             });
  });
}

void Engine::DeleteAt(GroupId group, CallPtr<DeleteRequest, DeleteReply> call) {
  CallGroup<stream::Reply>(
      group,
      [this, call](group::Replica& replica, group::ProposeDone reply) mutable {
        replica.Propose(
            stream::Delete{call->request.stream, call->request.condition},
            [this, &replica, reply = std::move(reply)](Result<stream::Reply> result) mutable {
              reply(std::move(result));
              ChoresOf(&replica);  // Tells the fork's home that its name is free.
            });
      },
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
  CallGroup<ListReply>(
      GroupId{listing->asked++},
      [call = listing->call](group::Replica& replica, Done<ListReply> reply) {
        replica.AfterExpiry([call, &replica, reply = std::move(reply)](Status status) mutable {
          if (!status.ok()) return reply(std::move(status));
          reply(replica.machine().List(call->request, replica.NowMs()));
        });
      },
      [this, listing](Result<ListReply> part) {
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

void Engine::ListFlow(ListCall call) {
  // What a core knows of a bucket may be old; and one that is being deleted is there.
  group::Replica& meta = ShardOf(kMetaGroup).replica(kMetaGroup);
  meta.AfterBarrier([this, call, &meta](Status status) {
    if (!status.ok()) return call->done(std::move(status));
    if (!meta.machine().BucketFind(call->request.bucket)) {
      return Answer(call, Outcome::kBucketNotFound);
    }
    auto listing = std::make_shared<Listing>(call);
    while (listing->asked < std::min(group_count_, kGroupsAtOnce)) ListNextGroup(listing);
  });
}

}  // namespace ursula::engine
