#include "lib/group/ship.h"

#include <string>
#include <utility>

#include "lib/base/sometimes.h"

namespace ursula::group {

void Shipments::Begin(raft::Message message, uint64_t now_ns) {
  const ReplicaId to = message.to;
  Shipment& shipment = shipments_[to];
  shipment = Shipment();
  shipment.id = host_.DrawShipment();
  shipment.message = std::move(message);
  shipment.silent_since_ns = now_ns;
  host_.WantBase();
}

bool Shipments::wants_base() const {
  for (const auto& [to, shipment] : shipments_) {
    if (shipment.base == nullptr && !shipment.refused) return true;
  }
  return false;
}

void Shipments::OnBase(std::shared_ptr<const BaseSnapshot> base, uint64_t now_ns) {
  for (auto& [to, shipment] : shipments_) {
    if (shipment.base != nullptr || shipment.refused) continue;
    shipment.base = base;
    shipment.next = base->records.begin();
    shipment.silent_since_ns = now_ns;
    shipment.message.snapshot.meta = base->meta;
    shipment.message.snapshot.data = Bytes::Take(EncodeShipment(shipment.id));
    shipment.part_ns = now_ns;
    SendParts(to, &shipment, now_ns);
  }
}

// What isn't taken now goes at the next tick, or answer.
void Shipments::SendParts(ReplicaId to, Shipment* shipment, uint64_t now_ns) {
  if (shipment->base == nullptr || shipment->refused) return;
  while (shipment->next != shipment->base->records.end() &&
         shipment->sent - shipment->acknowledged < kPartsMax) {
    if (now_ns - shipment->part_ns < kHeldNs && !host_.MayShip(to)) {
      // That nothing comes of it is our doing.
      if (shipment->acknowledged == shipment->sent) shipment->silent_since_ns = now_ns;
      return;
    }
    if (!SendPart(to, shipment)) return;
    shipment->part_ns = now_ns;
  }
  const bool all = shipment->next == shipment->base->records.end();
  if (!all || shipment->acknowledged < shipment->sent || shipment->told) return;
  shipment->told = host_.WriteLetter(to, shipment->message);
}

void Shipments::SendMore(ReplicaId to, uint64_t now_ns) {
  auto found = shipments_.find(to);
  if (found != shipments_.end()) SendParts(to, &found->second, now_ns);
}

bool Shipments::SendPart(ReplicaId to, Shipment* shipment) {
  SnapshotPart part;
  part.shipment = shipment->id;
  part.number = shipment->sent;
  std::string records;
  auto next = shipment->next;
  while (next != shipment->base->records.end() && records.size() < part_bytes_) {
    storage::AppendSnapshotRecord(&records, *next++);
  }
  part.records = Bytes::Take(std::move(records));
  if (!host_.WriteLetter(to, std::move(part))) {
    URSULA_SOMETIMES("group: a part of a snapshot was dropped on its way out");
    return false;
  }
  shipment->next = next;
  ++shipment->sent;
  return true;
}

void Shipments::OnAck(ReplicaId from, const SnapshotAck& ack, uint64_t now_ns) {
  auto found = shipments_.find(from);
  if (found == shipments_.end() || found->second.id != ack.shipment) return;
  Shipment& shipment = found->second;
  if (ack.refused) {
    URSULA_SOMETIMES("group: a shipment was refused");
    shipment.refused = true;
    shipment.base.reset();
    shipment.silent_since_ns = now_ns;
    return;
  }
  if (shipment.base == nullptr || ack.next <= shipment.acknowledged || ack.next > shipment.sent) {
    return;
  }
  shipment.acknowledged = ack.next;
  shipment.silent_since_ns = now_ns;
  SendParts(from, &shipment, now_ns);
}

void Shipments::OnLost(NodeId peer) {
  std::vector<ReplicaId> lost;
  for (const auto& [to, shipment] : shipments_) {
    if (NodeOf(to) == peer) lost.push_back(to);
  }
  for (ReplicaId to : lost) Lose(to);
}

void Shipments::Lose(ReplicaId to) {
  if (shipments_.erase(to) > 0) host_.OnShipmentLost(to);
}

void Shipments::Tick(uint64_t now_ns, Function<bool(ReplicaId, Index)> arrived) {
  std::vector<ReplicaId> lost;
  for (auto at = shipments_.begin(); at != shipments_.end();) {
    auto& [to, shipment] = *at;
    const Index base = shipment.base == nullptr ? Index{} : shipment.base->meta.index;
    if (arrived(to, base)) {
      at = shipments_.erase(at);
      continue;
    }
    const uint64_t silence_max_ns = shipment.told ? kInstallNs : kSilenceNs;
    if (now_ns - shipment.silent_since_ns >= silence_max_ns) lost.push_back(to);
    SendParts(to, &shipment, now_ns);
    ++at;
  }
  for (ReplicaId to : lost) {
    URSULA_SOMETIMES("group: a shipment met its deadline");
    Lose(to);
  }
  if (wants_base()) host_.WantBase();  // A full disk may have refused the last one.
}

}  // namespace ursula::group
