// Forks, across groups (lib/stream/command.h, "forks across groups"): the name is reserved in its
// home group, the state is made in the source's group, the placement is confirmed at home. Each
// step is idempotent; what a crash leaves half-way is found by RunChores.

#include <utility>

#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {
namespace {

using Kind = stream::LookupResult::Kind;

constexpr uint64_t kHoldMs = 10'000;  // A reservation that isn't used by then never will be.
constexpr std::size_t kChoresMax = 64;

}  // namespace

void Engine::CreateFork(CreateCall call, stream::Incarnation bucket) {
  // A repeated request meets its fork even when the source has gone since.
  Locate(call->request.stream, [this, call, bucket](Result<std::pair<GroupId, Located>> own) {
    if (!own.ok()) return call->done(own.status());
    if (own->second.kind == Kind::kFound || own->second.kind == Kind::kSoftDeleted) {
      stream::Placement there;
      there.target = own->first;
      there.confirmed = true;
      if (own->first != Home(call->request.stream)) return CreateWherePlaced(call, there);
      return ForkFrom(call, bucket, own->first, std::move(own->second));
    }
    Locate(call->request.fork->source,
           [this, call, bucket](Result<std::pair<GroupId, Located>> source) {
             if (!source.ok()) return call->done(source.status());
             if (source->second.kind == Kind::kSoftDeleted) {
               return Answer(call, Outcome::kForkSourceDeleted);
             }
             if (source->second.kind != Kind::kFound) {
               return Answer(call, Outcome::kForkSourceNotFound);
             }
             ForkFrom(call, bucket, source->first, std::move(source->second));
           });
  });
}

void Engine::ForkFrom(CreateCall call, stream::Incarnation bucket, GroupId target, Located source) {
  stream::CreateFork fork;
  fork.stream = StreamCommand(call->request, bucket);
  fork.point = *call->request.fork;
  fork.source = source.incarnation;
  GroupId home = Home(call->request.stream);
  if (target == home) return ForkAt(call, std::move(fork), target);
  stream::Reserve reserve;
  reserve.stream = fork.stream;
  reserve.point = fork.point;
  reserve.target = target;
  reserve.hold_ms = kHoldMs;
  ProposeAt(home, std::move(reserve),
            [this, call, target, fork = std::move(fork)](Result<stream::Reply> reply) mutable {
              if (!reply.ok()) return call->done(reply.status());
              if (reply->placement && reply->outcome != Outcome::kOk) {
                return CreateWherePlaced(call, *reply->placement);
              }
              if (!reply->placement) return OnCreated(call, std::move(reply));
              fork.reservation = reply->placement->reservation;
              ForkAt(call, std::move(fork), target);
            });
}

void Engine::ForkAt(CreateCall call, stream::CreateFork fork, GroupId target) {
  CallGroup<stream::Reply>(
      target,
      [call, fork](group::Replica& replica, group::ProposeDone reply) mutable {
        // What has the name already is compared first: its source may have changed since.
        auto propose = [call, &replica](stream::CreateFork ready, group::ProposeDone answer) {
          stream::LookupResult source = replica.machine().FindIncarnation(ready.source);
          std::string content_type = ready.stream.content_type;
          if (content_type.empty()) content_type = std::string(source.content_type);
          stream::Command command;
          command.body = std::move(ready);
          replica.Propose(&command, call->request.messages, FramingOf(content_type),
                          std::move(answer));
        };
        stream::Command probe;
        probe.now_ms = replica.NowMs();
        probe.body = fork;
        stream::Reply preview = replica.machine().Preview(probe, probe.now_ms);
        if (preview.outcome == Outcome::kExisted || preview.outcome == Outcome::kConflict) {
          return propose(std::move(fork), std::move(reply));
        }
        replica.ResolveForkPoint(fork.source, fork.point,
                                 [propose, fork, reply = std::move(reply)](
                                     Result<group::ResolvedFork> resolved) mutable {
                                   if (!resolved.ok()) return reply(resolved.status());
                                   if (resolved->outcome != Outcome::kOk) {
                                     stream::Reply refusal;
                                     refusal.outcome = resolved->outcome;
                                     return reply(std::move(refusal));
                                   }
                                   fork.offset = resolved->offset;
                                   fork.at_tail = resolved->at_tail;
                                   propose(std::move(fork), std::move(reply));
                                 });
      },
      [this, call, fork, target](Result<stream::Reply> reply) mutable {
        OnForked(call, std::move(fork), target, std::move(reply));
      });
}

void Engine::OnForked(CreateCall call, stream::CreateFork fork, GroupId /*target*/,
                      Result<stream::Reply> reply) {
  if (!fork.reservation) return OnCreated(call, std::move(reply));
  if (!reply.ok() && reply.status().code() == StatusCode::kOutcomeUnknown) {
    return call->done(reply.status());  // RunChores finds out.
  }
  StreamId id = call->request.stream;
  bool made = reply.ok() && (reply->outcome == Outcome::kOk || reply->outcome == Outcome::kExisted);
  stream::Command::Body step;
  if (made) {
    step = stream::Confirm{id, fork.reservation->id, reply->incarnation};
  } else {
    step = stream::Unreserve{id, fork.reservation->id};
  }
  ProposeAt(Home(id), std::move(step),
            [this, call, made, reply = std::move(reply)](Result<stream::Reply> ended) mutable {
              if (made && !ended.ok()) return call->done(ended.status());
              if (reply.ok() && reply->reservation_lapsed) return RetryCreate(call);
              OnCreated(call, std::move(reply));
            });
}

void Engine::ResolvePlacement(StreamId id, stream::Placement placement,
                              Function<void(Status)> done) {
  ProposeAt(placement.target, stream::ResolveFork{id, placement.reservation},
            [this, id, placement, done = std::move(done)](Result<stream::Reply> reply) mutable {
              if (!reply.ok()) return done(reply.status());
              stream::Command::Body step;
              if (reply->resolution == stream::ForkResolution::kExists) {
                step = stream::Confirm{id, placement.reservation.id, reply->incarnation};
              } else if (reply->resolution == stream::ForkResolution::kNever) {
                step = stream::Unreserve{id, placement.reservation.id};
              } else {
                return done(Status());  // It may still come.
              }
              ProposeAt(Home(id), std::move(step),
                        [done = std::move(done)](Result<stream::Reply> ended) mutable {
                          done(ended.status());
                        });
            });
}

void Engine::RunChores(Shard* shard) {
  for (group::Replica* replica : shard->Replicas()) ChoresOf(replica);
}

// Each chore is inside the gate, so that the groups it goes on to are there for all of its steps.
void Engine::ChoresOf(group::Replica* replica) {
  if (!gate_.Enter()) return;
  if (replica->Ready().ok()) StartChores(replica);
  CallEnded();
}

void Engine::StartChores(group::Replica* replica) {
  for (stream::PendingReservation& pending : replica->machine().PendingReservations(kChoresMax)) {
    if (pending.placement.reservation.until_ms >= replica->NowMs()) continue;
    if (!gate_.Enter()) return;
    ResolvePlacement(pending.id, pending.placement, [this](Status) { CallEnded(); });
  }
  for (stream::Release& release : replica->machine().Outbox(kChoresMax)) {
    GroupId group = replica->group();
    if (!gate_.Enter()) return;
    ProposeAt(release.reservation.home, stream::Unreserve{release.id, release.reservation.id},
              [this, group, fork = release.fork](Result<stream::Reply> reply) {
                if (!reply.ok()) return CallEnded();
                ProposeAt(group, stream::DropReleases{{fork}},
                          [this](Result<stream::Reply>) { CallEnded(); });
              });
  }
  if (replica->group() == kMetaGroup) {
    for (std::string& bucket : replica->machine().DeletingBuckets()) ResumeBucketDelete(bucket);
  }
}

}  // namespace ursula::engine
