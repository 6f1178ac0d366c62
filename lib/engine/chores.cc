// What the leaders of groups do without being asked: half-made forks are resolved, names of forks
// that are gone are given back, deletions of buckets go on. Each is proposed again until it is
// acknowledged, but not while an earlier try is under way.

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "lib/engine/engine.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kHoldMs = 10'000;  // What a fork under way has to come in.
constexpr std::size_t kChoresMax = 64;
constexpr uint64_t kResolveEveryNs = 1'000'000'000;
constexpr uint64_t kSettleEveryNs = 10'000'000'000;

// The flow that made it ended with an earlier opening. (If it goes on elsewhere nothing is wrong:
// it is told that its reservation has lapsed.)
bool IsOrphaned(group::Replica& home, const stream::Reservation& reservation) {
  return Raw(reservation.id) <= Raw(home.recovered());
}

}  // namespace

void Engine::Unreserve(StreamId id, stream::Reservation reservation,
                       Function<void(Result<stream::Incarnation>)> done) {
  CallGroup(reservation.home, ask::Unreserve{std::move(id), reservation.id}, std::move(done));
}

void Engine::CarryOut(group::Replica& replica, ask::Unreserve ask,
                      Function<void(Result<stream::Incarnation>)> done) {
  replica.Propose(stream::Unreserve{std::move(ask.id), ask.reservation},
                  [&replica, done = std::move(done)](Result<stream::Reply> freed) mutable {
                    if (!freed.ok()) return done(freed.status());
                    done(replica.machine().SettledBelow(replica.applied()));
                  });
}

void Engine::CarryOut(group::Replica& replica, ask::Home ask,
                      Function<void(Result<HomeOfFork>)> done) {
  done(HomeOfFork{replica.machine().SettledBelow(replica.applied()),
                  IsOrphaned(replica, ask.reservation) ? 0 : kHoldMs});
}

void Engine::ResolvePlacement(StreamId id, stream::Placement placement,
                              Function<void(Status)> done) {
  const stream::Reservation reservation = placement.reservation;
  // What is settled is asked of the home group, whose loop this need not be.
  CallGroup(
      reservation.home, ask::Home{reservation},
      [this, id, placement, done = std::move(done)](Result<HomeOfFork> home) mutable {
        if (!home.ok()) return done(home.status());
        ProposeAt(
            placement.target,
            stream::ResolveFork{id, placement.reservation, home->hold_ms, home->settled},
            [this, id, placement, done = std::move(done)](Result<stream::Reply> reply) mutable {
              if (!reply.ok()) return done(reply.status());
              OnResolved(std::move(id), placement, *reply, std::move(done));
            });
      });
}

void Engine::OnResolved(StreamId id, stream::Placement placement, const stream::Reply& reply,
                        Function<void(Status)> done) {
  const stream::Reservation reservation = placement.reservation;
  if (reply.resolution == stream::ForkResolution::kPending) return done(Status());
  if (reply.resolution == stream::ForkResolution::kExists) {
    return ProposeAt(
        reservation.home, stream::Confirm{std::move(id), reservation.id, reply.incarnation},
        [done = std::move(done)](Result<stream::Reply> ended) mutable { done(ended.status()); });
  }
  Unreserve(std::move(id), reservation,
            [this, placement, reservation,
             done = std::move(done)](Result<stream::Incarnation> freed) mutable {
              if (!freed.ok()) return done(freed.status());
              DropReleases(placement.target, reservation.home, {}, *freed,
                           [done = std::move(done)]() mutable { done(Status()); });
            });
}

void Engine::DropReleases(GroupId group, GroupId home, std::vector<stream::Incarnation> forks,
                          stream::Incarnation settled_below, Function<void()> done) {
  ProposeAt(group, stream::DropReleases{home, settled_below, std::move(forks)},
            [done = std::move(done)](Result<stream::Reply>) mutable { done(); });
}

void Engine::RunChores(Shard* shard) {
  for (group::Replica* replica : shard->Replicas()) ChoresOf(replica);
  if (!shard->Has(kMetaGroup) || !gate_.Enter()) return;
  RunLevels(&shard->replica(kMetaGroup));
  RunMembers(&shard->replica(kMetaGroup));
  CallEnded();
}

// Each chore is inside the gate, so that the groups it goes on to are there for all of its steps.
void Engine::ChoresOf(group::Replica* replica) {
  if (!gate_.Enter()) return;
  LevelChore(replica);
  if (replica->leads() && replica->Ready().ok()) StartChores(replica);
  CallEnded();
}

void Engine::StartChores(group::Replica* replica) {
  ResolvePending(replica);
  HandOnReleases(replica);
  if (replica->group() == kMetaGroup) {
    for (std::string& bucket : replica->machine().DeletingBuckets()) ResumeBucketDelete(bucket);
  }
}

// Forks whose flow ended half-way.
void Engine::ResolvePending(group::Replica* replica) {
  GroupChores& chores = chores_[Raw(replica->group())];
  const uint64_t now_ns = runtime_.Current()->now_ns();
  if (chores.resolving > 0 || now_ns < chores.resolve_at_ns) return;
  const int64_t now_ms = replica->NowMs();
  for (stream::PendingReservation& pending : replica->machine().PendingReservations(kChoresMax)) {
    const bool held = now_ms - pending.placement.made_ms < static_cast<int64_t>(kHoldMs) &&
                      !IsOrphaned(*replica, pending.placement.reservation);
    if (held) continue;
    if (!gate_.Enter()) return;
    ++chores.resolving;
    ResolvePlacement(pending.id, pending.placement, [this, &chores](Status) {
      --chores.resolving;
      CallEnded();
    });
  }
  if (chores.resolving > 0) chores.resolve_at_ns = now_ns + kResolveEveryNs;
}

// Names of forks that are gone, home by home: freed there, then forgotten here. What is freed stays
// until older reservations of that home have ended, which is asked for now and then.
void Engine::HandOnReleases(group::Replica* replica) {
  GroupChores& chores = chores_[Raw(replica->group())];
  const uint64_t now_ns = runtime_.Current()->now_ns();
  if (chores.handing_on > 0) return;
  const bool settle = now_ns >= chores.settle_at_ns;
  std::map<GroupId, std::vector<stream::Release>> homes;
  for (stream::Release& release : replica->machine().Outbox(kChoresMax)) {
    if (release.applied && !settle) continue;
    homes[release.reservation.home].push_back(std::move(release));
  }
  if (homes.empty()) return;
  if (settle) chores.settle_at_ns = now_ns + kSettleEveryNs;
  for (auto& [home, releases] : homes) {
    if (!gate_.Enter()) return;
    ++chores.handing_on;
    FreeAtHome(replica->group(), home, std::move(releases), [this, &chores] {
      --chores.handing_on;
      CallEnded();
    });
  }
}

void Engine::FreeAtHome(GroupId group, GroupId home, std::vector<stream::Release> releases,
                        Function<void()> done) {
  struct Round {
    std::size_t missing = 0;
    std::vector<stream::Incarnation> freed = {};
    stream::Incarnation settled = stream::kNoIncarnation;
    Function<void()> done;
  };
  auto round = std::make_shared<Round>();
  round->missing = releases.size();
  round->done = std::move(done);
  for (stream::Release& release : releases) {
    Unreserve(std::move(release.id), release.reservation,
              [this, group, home, round, fork = release.fork](Result<stream::Incarnation> settled) {
                if (settled.ok()) {
                  round->freed.push_back(fork);
                  round->settled = std::max(round->settled, *settled);
                }
                if (--round->missing > 0) return;
                if (round->freed.empty()) return round->done();
                DropReleases(group, home, std::move(round->freed), round->settled,
                             std::move(round->done));
              });
  }
}

}  // namespace ursula::engine
