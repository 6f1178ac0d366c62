// Forks, across groups (lib/stream/command.h, "forks across groups"): the name is reserved in its
// home group, the state is made in the source's group, the placement is confirmed at home. Each
// step is idempotent; what a crash leaves half-way is found by the chores.
//
// What the flow learns before it proposes (where the source is, which life of it, where the point
// lies) is checked again where the fork is applied: a command that was resolved against something
// else makes nothing, and the flow begins anew. A refusal is given by the source's group while the
// name is held: so there is a moment at which both were as the answer says.

#include <memory>
#include <string>
#include <utility>

#include "lib/engine/arguments.h"
#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {
namespace {

using Kind = stream::LookupResult::Kind;

// On the core of the source's group. Where the point can't be resolved, for the source is gone or
// the point is no good, the command goes on unresolved: applied, it creates nothing and says what
// there is.
class ForkProposal {
 public:
  ForkProposal(ask::Fork ask, Shard* shard, group::Replica* replica, group::ProposeDone done)
      : fork_(std::move(ask.fork)),
        messages_(std::move(ask.messages)),
        json_checked_(ask.json_checked),
        shard_(shard),
        replica_(replica),
        done_(std::move(done)) {}

  static void Run(std::shared_ptr<ForkProposal> self) {
    // Who has the name is compared with first: its source may have changed since.
    ask::Compare compare{self->fork_.stream, self->fork_.point};
    compare.stream.bucket = {};
    CompareAt(self->replica_, std::move(compare), [self](Result<stream::Reply> there) {
      const bool settled = !there.ok() || there->incarnation != stream::kNoIncarnation ||
                           there->placement.has_value();
      if (settled) return self->done_(std::move(there));
      Resolve(self);
    });
  }

 private:
  static void Resolve(const std::shared_ptr<ForkProposal>& self) {
    if (self->fork_.source == stream::kNoIncarnation) return Pass(self);
    self->replica_->ResolveForkPoint(self->fork_.source, self->fork_.point,
                                     [self](Result<group::ResolvedFork> resolved) {
                                       if (!resolved.ok()) return self->done_(resolved.status());
                                       self->OnResolved(*resolved);
                                       Pass(self);
                                     });
  }

  // A name of another group is held there.
  static void Pass(const std::shared_ptr<ForkProposal>& self) {
    const stream::CreateStream& create = self->fork_.stream;
    const bool held = !self->fork_.reservation && FenceWaits::Holds(*self->replica_, create);
    if (!held) return self->Propose();
    self->shard_->AwaitFence(FenceWaits::Held(*self->replica_, create), [self](bool passed) {
      if (!passed) return self->done_(StillFenced());
      self->Propose();
    });
  }

  void OnResolved(const group::ResolvedFork& resolved) {
    invalid_ = resolved.outcome == Outcome::kForkOffsetInvalid;
    if (resolved.outcome == Outcome::kOk) {
      fork_.offset = resolved.offset;
      fork_.at_tail = resolved.at_tail;
    } else {
      fork_.source = stream::kNoIncarnation;
    }
  }

  void Propose() {
    stream::LookupResult source = replica_->machine().FindIncarnation(fork_.source);
    const std::string& given = fork_.stream.content_type;
    fork_.stream.framing = FramingOf(given.empty() ? source.content_type : std::string_view(given));
    if (fork_.stream.framing == stream::Framing::kJson && given.empty() && !json_checked_) {
      if (Status valid = CheckJson(messages_); !valid.ok()) return done_(std::move(valid));
    }
    stream::Command command;
    command.body = std::move(fork_);
    replica_->Propose(
        &command, messages_,
        [done = std::move(done_), invalid = invalid_](Result<stream::Reply> reply) mutable {
          // The source was there, and it hasn't such a point.
          if (reply.ok() && reply->unresolved && invalid) {
            reply->unresolved = false;
            reply->outcome = Outcome::kForkOffsetInvalid;
          }
          done(std::move(reply));
        });
  }

  stream::CreateFork fork_;
  const std::vector<Bytes> messages_;
  const bool json_checked_;
  Shard* const shard_;
  group::Replica* const replica_;
  group::ProposeDone done_;
  bool invalid_ = false;
};

}  // namespace

void Engine::CreateFork(CreateCall call, stream::BucketStamp bucket) {
  Locate(ask::Locate{call->request.fork->source},
         [this, call, bucket](Result<std::pair<GroupId, Located>> source) {
           if (!source.ok()) return call->done(source.status());
           ForkFrom(call, bucket, source->first, std::move(source->second));
         });
}

void Engine::ForkFrom(CreateCall call, stream::BucketStamp bucket, GroupId target, Located source) {
  const std::optional<uint64_t>& wanted = call->request.source_incarnation;
  const bool right =
      source.kind == Kind::kFound && (!wanted.has_value() || *wanted == source.info.incarnation);
  stream::CreateFork fork;
  fork.stream = StreamCommand(call->request, bucket);
  fork.point = *call->request.fork;
  fork.source = right ? source.incarnation : stream::kNoIncarnation;
  GroupId home = Home(call->request.stream);
  if (target == home) return ForkAt(call, std::move(fork), target);
  stream::Reserve reserve;
  reserve.stream = fork.stream;
  reserve.point = fork.point;
  reserve.target = target;
  ProposeAt(home, std::move(reserve),
            [this, call, target, fork = std::move(fork)](Result<stream::Reply> reply) mutable {
              if (!reply.ok()) return call->done(reply.status());
              if (!reply->placement || reply->outcome != Outcome::kOk) {
                return OnCreated(call, std::move(reply));
              }
              fork.reservation = reply->placement->reservation;
              ForkAt(call, std::move(fork), target);
            });
}

void Engine::ForkAt(CreateCall call, stream::CreateFork fork, GroupId target) {
  ask::Fork ask{fork, call->request.messages, static_cast<bool>(call->request.json_checked)};
  CallGroup(target, std::move(ask),
            [this, call, fork = std::move(fork)](Result<stream::Reply> reply) mutable {
              OnForked(call, std::move(fork), std::move(reply));
            });
}

void Engine::CarryOut(group::Replica& replica, ask::Fork ask, group::ProposeDone done) {
  ForkProposal::Run(
      std::make_shared<ForkProposal>(std::move(ask), &ShardHere(), &replica, std::move(done)));
}

void Engine::OnForked(CreateCall call, stream::CreateFork fork, Result<stream::Reply> reply) {
  if (!fork.reservation) return EndFork(call, std::move(reply));
  if (!reply.ok() && reply.status().code() == StatusCode::kOutcomeUnknown) {
    return call->done(reply.status());  // The chores find out.
  }
  StreamId id = call->request.stream;
  bool made = reply.ok() && (reply->outcome == Outcome::kOk || reply->outcome == Outcome::kExisted);
  if (!made) {
    return Unreserve(id, *fork.reservation,
                     [this, call, reply = std::move(reply)](Result<stream::Incarnation>) mutable {
                       EndFork(call, std::move(reply));
                     });
  }
  ProposeAt(Home(id), stream::Confirm{id, fork.reservation->id, reply->incarnation},
            [this, call, reply = std::move(reply)](Result<stream::Reply> confirmed) mutable {
              if (!confirmed.ok()) {  // The fork is there, and its name will lead to it.
                return call->done(Status(StatusCode::kOutcomeUnknown,
                                         "the fork was made, but its name isn't confirmed yet"));
              }
              EndFork(call, std::move(reply));
            });
}

// The name is not held any more, or leads to the fork.
void Engine::EndFork(CreateCall call, Result<stream::Reply> reply) {
  if (reply.ok() && reply->reservation_lapsed) return RetryCreate(call);
  if (reply.ok() && reply->unresolved) {
    // Another life of the source than the one that was asked for, or than the one met before.
    if (call->request.source_incarnation) return Answer(call, Outcome::kForkSourceNotFound);
    return RetryCreate(call);
  }
  OnCreated(call, std::move(reply));
}

}  // namespace ursula::engine
