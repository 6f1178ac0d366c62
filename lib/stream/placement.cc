#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/stream/machine.h"

// Forks whose name belongs to one group (home) and whose state to another (the source's). The home
// group keeps a placement for the name; the source's group keeps a release for each such fork that
// is gone until the home group has dropped the placement.

namespace ursula::stream {

Reply Machine::Decide(const Reserve& command, int64_t now) const {
  Reply reply;
  if (!DecideName(command.stream, &command.point, now, &reply)) return reply;
  if (command.target == group_) reply.outcome = Outcome::kConflict;  // Needs no placement.
  return reply;
}

void Machine::Commit(Index index, const Reserve& command, ApplyResult* result) {
  NameKey key(command.stream.id);
  Placement placement;
  placement.target = command.target;
  uint64_t room = static_cast<uint64_t>(kNever - now_ms_);
  placement.reservation = Reservation{
      group_, Incarnation{Raw(index)},
      command.hold_ms >= room ? kNever : now_ms_ + static_cast<int64_t>(command.hold_ms)};
  placements_.insert_or_assign(std::string(key.view()), placement);
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
  placements_.erase(placements_.find(key.view()));
  MarkRecord(kPlacementRecord, key.view());
}

Reply Machine::Decide(const ResolveFork& command, int64_t now) const {
  Reply reply;
  NameKey key(command.id);
  const StreamState* stream = FindName(key.view(), now).stream;
  if (stream != nullptr && stream->foreign() && *stream->fork->reservation == command.reservation) {
    reply.incarnation = stream->incarnation;
    reply.resolution = ForkResolution::kExists;
  } else if (now > command.reservation.until_ms || Released(key.view(), command.reservation)) {
    reply.resolution = ForkResolution::kNever;
  } else {
    reply.resolution = ForkResolution::kPending;
  }
  return reply;
}

void Machine::Commit(Index, const ResolveFork&, ApplyResult*) {}

Reply Machine::Decide(const DropReleases&, int64_t) const { return {}; }

void Machine::Commit(Index, const DropReleases& command, ApplyResult*) {
  for (Incarnation fork : command.forks) {
    auto found = outbox_.find(fork);
    if (found == outbox_.end()) continue;
    found->second.applied = true;
    MarkRecord(kReleaseRecord, IncarnationKey(fork));
  }
  SweepReleases();
}

// The fork of this reservation was here, and is gone.
bool Machine::Released(std::string_view key, const Reservation& reservation) const {
  for (const auto& [fork, release] : outbox_) {
    if (release.key == key && release.reservation == reservation) return true;
  }
  return false;
}

// A release stays, applied or not, until its reservation has run out: then no late CreateFork can
// come under it.
void Machine::SweepReleases() {
  for (auto at = outbox_.begin(); at != outbox_.end();) {
    if (at->second.applied && at->second.reservation.until_ms < now_ms_) {
      MarkRecord(kReleaseRecord, IncarnationKey(at->first));
      at = outbox_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace ursula::stream
