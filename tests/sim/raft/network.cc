#include "tests/sim/raft/network.h"

#include <utility>

#include "lib/base/check.h"
#include "tests/sim/raft/world.h"

namespace ursula::raft::sim {

void Network::Send(uint32_t from, const Message& message) {
  world_.TraceMessage(message);
  const Profile& profile = world_.profile();
  const uint32_t to = static_cast<uint32_t>(Raw(message.to));
  URSULA_CHECK(from != to);
  const bool cut = ((cut_[from] >> to) & 1) != 0;
  if (cut || (!calm_ && world_.random().Below(1000) < profile.lost_permille)) {
    Lose(from, message);
    return;
  }
  Launch(message, true);
  if (!calm_ && world_.random().Below(1000) < profile.duplicated_permille) Launch(message, false);
}

void Network::Launch(const Message& message, bool reports) {
  const Profile& profile = world_.profile();
  uint32_t slot = static_cast<uint32_t>(in_flight_.size());
  if (free_slots_.empty()) {
    in_flight_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  in_flight_[slot].message = message;
  in_flight_[slot].reports = reports && message.kind == MessageKind::kSnapshot;
  const bool late = !calm_ && world_.random().Below(1000) < profile.late_permille;
  const Time delay =
      calm_ ? 1 : 1 + world_.random().Below(late ? profile.late_max : profile.delay_max);
  world_.Schedule(delay, EventKind::kDeliver, static_cast<uint32_t>(Raw(message.to)), slot);
}

void Network::Lose(uint32_t from, const Message& message) {
  if (message.kind == MessageKind::kSnapshot) {
    world_.Schedule(kTickTime, EventKind::kSnapshotReport, from, Raw(message.to) * 2);
  } else if (world_.random().OneIn(8)) {
    world_.Schedule(kTickTime, EventKind::kUnreachable, from, Raw(message.to));
  }
}

Message Network::Take(uint64_t slot, bool* reports) {
  *reports = in_flight_[slot].reports;
  free_slots_.push_back(static_cast<uint32_t>(slot));
  return std::move(in_flight_[slot].message);
}

void Network::HealLinks() {
  for (uint32_t& receivers : cut_) receivers = 0;
}

}  // namespace ursula::raft::sim
