#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/stream/machine.h"

// Forks whose name belongs to one group (home) and whose state to another (the source's). The home
// group keeps a placement for the name; the source's group keeps a release for each such fork that
// is gone until the home group has dropped the placement.

namespace ursula::stream {

Reply Machine::Decide(const Reserve& command, int64_t now) const {
  Reply reply;
  const ForkAsked asked = {&command.point};
  if (!DecideName(command.stream, &asked, now, &reply)) return reply;
  if (command.target == group_) reply.outcome = Outcome::kConflict;  // Needs no placement.
  return reply;
}

void Machine::Commit(Index index, const Reserve& command, ApplyResult* result) {
  NameKey key(command.stream.id);
  Placement placement;
  placement.target = command.target;
  placement.reservation = Reservation{group_, Incarnation{Raw(index)}};
  placement.made_ms = now_ms_;
  placements_.insert_or_assign(std::string(key.view()), placement);
  pending_.emplace(placement.reservation.id, key.view());
  MarkRecord(kPlacementRecord, key.view());
  result->reply.placement = placement;
}

Reply Machine::Decide(const Confirm& command, int64_t) const {
  Reply reply;
  auto found = placements_.find(NameKey(command.id).view());
  if (found == placements_.end() || found->second.reservation.id != command.reservation) {
    reply.outcome = Outcome::kNotFound;
  }
  return reply;
}

void Machine::Commit(Index, const Confirm& command, ApplyResult* result) {
  NameKey key(command.id);
  Placement& placement = placements_.find(key.view())->second;
  placement.confirmed = true;
  placement.incarnation = command.incarnation;
  pending_.erase(command.reservation);
  MarkRecord(kPlacementRecord, key.view());
  result->reply.placement = placement;
}

Reply Machine::Decide(const Unreserve& command, int64_t) const {
  Reply reply;
  auto found = placements_.find(NameKey(command.id).view());
  if (found == placements_.end() || found->second.reservation.id != command.reservation) {
    reply.outcome = Outcome::kNotFound;
  }
  return reply;
}

void Machine::Commit(Index, const Unreserve& command, ApplyResult*) {
  NameKey key(command.id);
  auto found = placements_.find(key.view());
  pending_.erase(found->second.reservation.id);
  placements_.erase(found);
  MarkRecord(kPlacementRecord, key.view());
}

Reply Machine::Decide(const ResolveFork& command, int64_t now) const {
  Reply reply;
  const Reservation& reservation = command.reservation;
  const StreamState* stream = FindName(NameKey(command.id).view(), now).stream;
  if (stream != nullptr && stream->foreign() && *stream->fork->reservation == reservation) {
    reply.incarnation = stream->incarnation;
    reply.resolution = ForkResolution::kExists;
    return reply;
  }
  auto sighting = sightings_.find({reservation.home, reservation.id});
  const bool held = command.hold_ms == 0 ||
                    (sighting != sightings_.end() && sighting->second.first_ms <= now &&
                     static_cast<uint64_t>(now - sighting->second.first_ms) >= command.hold_ms);
  reply.resolution =
      held || IsOver(reservation) ? ForkResolution::kNever : ForkResolution::kPending;
  return reply;
}

// The first question starts the hold; after it the fork is ruled out, and stays so.
void Machine::Commit(Index, const ResolveFork& command, ApplyResult* result) {
  const Reservation& reservation = command.reservation;
  if (result->reply.resolution != ForkResolution::kExists && !IsOver(reservation)) {
    auto [sighting, added] =
        sightings_.try_emplace({reservation.home, reservation.id}, Sighting{now_ms_, false});
    sighting->second.ruled_out = result->reply.resolution == ForkResolution::kNever;
    MarkRecord(kSightingRecord, SightingKey(reservation.home, reservation.id));
  }
  Settle(reservation.home, command.settled_below);
}

Reply Machine::Decide(const DropReleases&, int64_t) const { return {}; }

void Machine::Commit(Index, const DropReleases& command, ApplyResult*) {
  for (Incarnation fork : command.forks) {
    auto found = outbox_.find(fork);
    if (found == outbox_.end()) continue;
    found->second.applied = true;
    to_hand_on_.erase(fork);
    MarkRecord(kReleaseRecord, IncarnationKey(fork));
  }
  Settle(command.home, command.settled_below);
}

// No fork can come under it any more: its fork was here and is gone, or is ruled out, or all of its
// home's reservations of that age have ended.
bool Machine::IsOver(const Reservation& reservation) const {
  const ReservationKey key{reservation.home, reservation.id};
  auto release = releases_.lower_bound({key, kNoIncarnation});
  if (release != releases_.end() && release->first == key) return true;
  auto sighting = sightings_.find(key);
  if (sighting != sightings_.end() && sighting->second.ruled_out) return true;
  auto settled = settled_.find(reservation.home);
  return settled != settled_.end() && reservation.id < settled->second;
}

// What is remembered of single reservations goes once it is known of all of their age.
void Machine::Settle(GroupId home, Incarnation settled_below) {
  auto known = settled_.find(home);
  if (known == settled_.end() ? settled_below == kNoIncarnation : settled_below < known->second) {
    settled_below = known == settled_.end() ? kNoIncarnation : known->second;
  } else {
    settled_.insert_or_assign(home, settled_below);
    MarkRecord(kSettledRecord, SettledKey(home));
  }
  const ReservationKey end{home, settled_below};
  for (auto at = sightings_.lower_bound({home, kNoIncarnation});
       at != sightings_.end() && at->first < end;) {
    MarkRecord(kSightingRecord, SightingKey(at->first.first, at->first.second));
    at = sightings_.erase(at);
  }
  for (auto at = releases_.lower_bound({{home, kNoIncarnation}, kNoIncarnation});
       at != releases_.end() && at->first < end;) {
    auto release = outbox_.find(at->second);
    if (!release->second.applied) {
      ++at;
      continue;
    }
    MarkRecord(kReleaseRecord, IncarnationKey(at->second));
    outbox_.erase(release);
    at = releases_.erase(at);
  }
}

Incarnation Machine::SettledBelow(Index applied) const {
  return pending_.empty() ? Incarnation{Raw(applied) + 1} : pending_.begin()->first;
}

std::vector<PendingReservation> Machine::PendingReservations(std::size_t count_max) const {
  std::vector<PendingReservation> pending;
  for (const auto& [reservation, key] : pending_) {
    if (pending.size() == count_max) break;
    pending.push_back({IdOfKey(key), placements_.find(key)->second});
  }
  return pending;
}

std::vector<Release> Machine::Outbox(std::size_t count_max) const {
  std::vector<Release> releases;
  auto add = [&](Incarnation fork, const ReleaseState& release) {
    releases.push_back({fork, IdOfKey(release.key), release.reservation, release.applied});
  };
  for (Incarnation fork : to_hand_on_) {
    if (releases.size() == count_max) return releases;
    add(fork, outbox_.find(fork)->second);
  }
  for (const auto& [fork, release] : outbox_) {
    if (releases.size() == count_max) break;
    if (release.applied) add(fork, release);
  }
  return releases;
}

}  // namespace ursula::stream
