#include <algorithm>

#include "lib/stream/machine.h"

// The group's logged configuration, and its clock.

namespace ursula::stream {

Reply Machine::Decide(const SetLimits&, int64_t) const { return {}; }
void Machine::Commit(Index, const SetLimits& command, ApplyResult*) { limits_ = command.limits; }

Reply Machine::Decide(const SetFeatureLevel&, int64_t) const { return {}; }
void Machine::Commit(Index, const SetFeatureLevel& command, ApplyResult*) {
  feature_level_ = std::max(feature_level_, command.level);
}

Reply Machine::Decide(const SetHistory&, int64_t) const { return {}; }
void Machine::Commit(Index, const SetHistory& command, ApplyResult* result) {
  BecomeHistory(command.history, result);
}

void Machine::BecomeHistory(uint64_t history, ApplyResult* result) {
  history_ = history;
  // Who waits on a stream waits on one of the other history.
  for (const auto& [incarnation, stream] : streams_.streams()) {
    if (stream->life != Life::kDetached) result->changed.push_back(incarnation);
  }
}

namespace {

// Of times that are moved: those that can be stamped.
int64_t Moved(int64_t time_ms, int64_t delta_ms) {
  constexpr int64_t kLatest = kNever - 1;
  if (delta_ms > 0) return time_ms > kLatest - delta_ms ? kLatest : time_ms + delta_ms;
  return time_ms < -delta_ms ? 0 : time_ms + delta_ms;
}

}  // namespace

Reply Machine::Decide(const StepClock&, int64_t) const { return {}; }

void Machine::Commit(Index, const StepClock& command, ApplyResult*) {
  const int64_t delta = std::max(command.delta_ms, -kNever);
  now_ms_ = Moved(now_ms_, delta);
  for (const auto& [incarnation, stream] : streams_.streams()) {
    const bool sliding = stream->lifetime != nullptr && stream->lifetime->ttl_seconds;
    if (sliding && stream->deadline_ms != kNever) {
      streams_.SetDeadline(stream.get(), Moved(stream->deadline_ms, delta));
    }
    if (stream->producers == nullptr) continue;
    stream->producers->seen_from_ms = std::numeric_limits<int64_t>::min();
    for (auto& [id, state] : stream->producers->by_id) state.seen_ms = Moved(state.seen_ms, delta);
    streams_.MarkChanged(stream.get());
  }
  for (auto& [reservation, key] : pending_) {
    Placement& placement = placements_.find(key)->second;
    placement.made_ms = Moved(placement.made_ms, delta);
    MarkRecord(kPlacementRecord, key);
  }
  for (auto& [key, sighting] : sightings_) {
    sighting.first_ms = Moved(sighting.first_ms, delta);
    MarkRecord(kSightingRecord, SightingKey(key.first, key.second));
  }
}

}  // namespace ursula::stream
