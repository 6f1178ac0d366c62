// Deleting a bucket: begun in the meta group, fenced in every group, finished (or, where streams
// are found, undone) in the meta group. Until it is finished the bucket is there; what would be
// created in it waits. All on the meta group's loop.

#include <utility>
#include <vector>

#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {
namespace {

constexpr int kAttemptsMax = 8;
constexpr uint64_t kPauseNs = 10'000'000;   // Before the second attempt; then more.
constexpr std::size_t kPlacementsMax = 64;  // Of a group, looked at together.

// It was begun, and the chores end it, one way or the other.
Status Unknown() {
  return Status(StatusCode::kOutcomeUnknown,
                "the bucket's deletion has begun and goes on; ask for the bucket");
}

struct Round {
  std::size_t missing = 0;
  Outcome outcome = Outcome::kOk;  // The first refusal.
  Status failure;
};

}  // namespace

void Engine::OnAllGroups(stream::Command::Body body, Function<void(Result<Outcome>)> done) {
  auto round = std::make_shared<Round>();
  auto ended = std::make_shared<Function<void(Result<Outcome>)>>(std::move(done));
  round->missing = group_count_;
  for (uint32_t i = 0; i < group_count_; ++i) {
    ProposeAt(GroupId{i}, body, [round, ended](Result<stream::Reply> reply) {
      if (!reply.ok()) {
        round->failure = reply.status();
      } else if (reply->outcome != Outcome::kOk) {
        round->outcome = reply->outcome;
      }
      if (--round->missing > 0) return;
      if (!round->failure.ok()) return (*ended)(round->failure);
      (*ended)(round->outcome);
    });
  }
}

void Engine::CarryOut(group::Replica& /*replica*/, ask::DeleteBucket ask, Done<BucketReply> done) {
  auto call = Admit(kMetaGroup, std::move(ask.bucket), std::move(done));
  if (call != nullptr) DeleteBucketFlow(std::move(call));
}

// A bucket in which streams are seen stays as it is, and no group hears of that: the look is a hint
// only where it finds none, or can't be had here. What is being deleted has to end, whatever is in
// it.
void Engine::DeleteBucketFlow(NameCall call) {
  const auto info = ShardHere().replica(kMetaGroup).machine().BucketFind(call->request);
  if (!info || info->deleting) return BeginBucketDelete(std::move(call));
  FindNames(call->request, [this, call](Result<BucketNames> names) {
    if (names.ok() && names->streams) return Answer(call, Outcome::kBucketNotEmpty);
    BeginBucketDelete(call);
  });
}

void Engine::BeginBucketDelete(NameCall call) {
  // One that is under way may yet be refused: once it has ended the next one begins.
  if (auto [found, is_new] = bucket_deletes_.try_emplace(call->request); !is_new) {
    return found->second.push_back(std::move(call));
  }
  ProposeAt(kMetaGroup, stream::DeleteBucket{call->request, stream::DeleteBucket::Step::kBegin, {}},
            [this, call](Result<stream::Reply> reply) {
              if (!reply.ok()) return LeaveBucketDelete(call, reply.status());
              if (reply->outcome != Outcome::kOk) return LeaveBucketDelete(call, reply->outcome);
              FenceAll(call, {reply->incarnation, reply->attempt});
            });
}

void Engine::FenceAll(NameCall call, BucketAttempt attempt) {
  OnAllGroups(stream::FenceBucket{call->request, attempt.bucket, attempt.id},
              [this, call, attempt](Result<Outcome> outcome) {
                // Failed half-way: the bucket stays "deleting", and the chores go on.
                if (!outcome.ok()) return LeaveBucketDelete(call, Unknown());
                if (*outcome == Outcome::kOk) return EndBucketDelete(call, attempt, *outcome);
                // A newer attempt, of another leader's, ends it, one way or the other.
                if (*outcome == Outcome::kConflict) return LeaveBucketDelete(call, Unknown());
                OnFenceRefused(call, attempt);
              });
}

// Names are taken: by streams, or only held for forks that are gone, ruled out or under way. Of
// those the first two are freed, and the last are given a moment.
void Engine::OnFenceRefused(NameCall call, BucketAttempt attempt) {
  FindNames(call->request, [this, call, attempt](Result<BucketNames> names) {
    if (!names.ok()) return LeaveBucketDelete(call, Unknown());
    if (names->streams) return UndoFences(call, attempt, Outcome::kBucketNotEmpty);
    if (++call->attempts > kAttemptsMax) {
      return UndoFences(
          call, attempt,
          Status(StatusCode::kUnavailable, "a fork is being made in this bucket; try again"));
    }
    auto missing = std::make_shared<std::size_t>(names->placements.size() + 1);
    auto resolved = [this, call, attempt, missing](const Status&) {
      if (--*missing > 0) return;
      RunLater(kPauseNs * static_cast<uint64_t>(call->attempts - 1),
               [this, call, attempt] { FenceAll(call, attempt); });
    };
    for (const stream::PendingReservation& one : names->placements) {
      ResolvePlacement(one.id, one.placement, resolved);
    }
    resolved(Status());
  });
}

void Engine::FindNames(const std::string& bucket, Function<void(Result<BucketNames>)> done) {
  struct Search {
    std::size_t missing = 0;
    BucketNames names;
    Status failure;
    Function<void(Result<BucketNames>)> done;
  };
  auto search = std::make_shared<Search>();
  search->missing = group_count_;
  search->done = std::move(done);
  for (uint32_t i = 0; i < group_count_; ++i) {
    CallGroup(GroupId{i}, ask::Names{bucket}, [search](Result<BucketNames> part) {
      if (part.ok()) {
        search->names.streams = search->names.streams || part->streams;
        for (auto& one : part->placements) search->names.placements.push_back(std::move(one));
      } else {
        search->failure = part.status();
      }
      if (--search->missing > 0) return;
      // Streams that one group has are there, whatever another can't say.
      if (!search->failure.ok() && !search->names.streams) return search->done(search->failure);
      search->done(std::move(search->names));
    });
  }
}

void Engine::CarryOut(group::Replica& replica, ask::Names ask,
                      Function<void(Result<BucketNames>)> done) {
  replica.AfterBarrier(
      [&replica, bucket = std::move(ask.bucket), done = std::move(done)](Status status) mutable {
        if (!status.ok()) return done(std::move(status));
        done(BucketNames{replica.machine().HasStreams(bucket, replica.NowMs()),
                         replica.machine().PlacementsIn(bucket, kPlacementsMax)});
      });
}

void Engine::UndoFences(NameCall call, BucketAttempt attempt, Result<Outcome> refusal) {
  OnAllGroups(stream::UnfenceBucket{call->request, attempt.bucket, attempt.id},
              [this, call, attempt, refusal](Result<Outcome> undone) {
                if (!undone.ok()) return LeaveBucketDelete(call, Unknown());
                EndBucketDelete(call, attempt, refusal);
              });
}

void Engine::EndBucketDelete(NameCall call, BucketAttempt attempt, Result<Outcome> end) {
  using Step = stream::DeleteBucket::Step;
  const bool finish = end.ok() && *end == Outcome::kOk;
  ProposeAt(kMetaGroup,
            stream::DeleteBucket{call->request, finish ? Step::kFinish : Step::kAbort, attempt.id},
            [this, call, end](Result<stream::Reply> reply) {
              // A newer attempt, of another leader's, has taken this one's place.
              const bool ended = reply.ok() && reply->outcome == Outcome::kOk;
              if (!ended) return LeaveBucketDelete(call, Unknown());
              // Other cores learn of it by the fences.
              shards_[Raw(runtime_.Current()->core())]->ForgetBucket(call->request);
              if (reply->settled_through == stream::kNoIncarnation) {
                return LeaveBucketDelete(call, end);
              }
              NextBucketDelete(call->request);
              // Lost, it is made up for by the next deletion's.
              OnAllGroups(stream::SettleFences{reply->settled_through},
                          [call, end](Result<Outcome>) { AnswerWith(call, end); });
            });
}

void Engine::LeaveBucketDelete(NameCall call, Result<Outcome> end) {
  NextBucketDelete(call->request);
  AnswerWith(call, end);
}

void Engine::NextBucketDelete(const std::string& bucket) {
  auto ended = bucket_deletes_.extract(bucket);
  for (NameCall& waiting : ended.mapped()) DeleteBucketFlow(std::move(waiting));
}

void Engine::ResumeBucketDelete(const std::string& bucket) {
  if (bucket_deletes_.contains(bucket)) return;
  auto call = Admit(kMetaGroup, std::string(bucket), Done<BucketReply>([](Result<BucketReply>) {}));
  if (call != nullptr) DeleteBucketFlow(std::move(call));
}

}  // namespace ursula::engine
