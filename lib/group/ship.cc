#include "lib/group/ship.h"

#include <string>
#include <utility>

#include "lib/base/sometimes.h"

namespace ursula::group {

void Shipments::Begin(raft::Message message, uint64_t now_ns) {
  const NodeId to = message.to;
  Shipment& shipment = shipments_[to];
  shipment = Shipment();
  shipment.id = host_.DrawShipment();
  shipment.message = std::move(message);
  shipment.silent_since_ns = now_ns;
  host_.WantBase();
}

bool Shipments::wants_base() const {
  for (const auto& [to, shipment] : shipments_) {
    if (shipment.base == nullptr) return true;
  }
  return false;
}

void Shipments::OnBase(std::shared_ptr<const BaseSnapshot> base, uint64_t now_ns) {
  std::vector<NodeId> lost;
  for (auto& [to, shipment] : shipments_) {
    if (shipment.base != nullptr) continue;
    shipment.base = base;
    shipment.next = base->records.begin();
    shipment.silent_since_ns = now_ns;
    shipment.message.snapshot.meta = base->meta;
    shipment.message.snapshot.data = Bytes::Take(EncodeShipment(shipment.id));
    if (!SendMore(to, &shipment)) lost.push_back(to);
  }
  for (NodeId to : lost) OnLost(to);
}

// False: a letter was dropped.
bool Shipments::SendMore(NodeId to, Shipment* shipment) {
  while (shipment->next != shipment->base->records.end() &&
         shipment->sent - shipment->acknowledged < kPartsMax) {
    if (!host_.WriteLetter(to, NextPart(shipment))) return false;
  }
  const bool all = shipment->next == shipment->base->records.end();
  if (!all || shipment->acknowledged < shipment->sent || shipment->told) return true;
  shipment->told = true;
  return host_.WriteLetter(to, shipment->message);
}

SnapshotPart Shipments::NextPart(Shipment* shipment) const {
  SnapshotPart part;
  part.shipment = shipment->id;
  part.number = shipment->sent++;
  std::string records;
  while (shipment->next != shipment->base->records.end() && records.size() < part_bytes_) {
    storage::AppendSnapshotRecord(&records, *shipment->next++);
  }
  part.records = Bytes::Take(std::move(records));
  return part;
}

void Shipments::OnAck(NodeId from, const SnapshotAck& ack, uint64_t now_ns) {
  auto found = shipments_.find(from);
  if (found == shipments_.end() || found->second.id != ack.shipment) return;
  Shipment& shipment = found->second;
  if (ack.refused) {
    URSULA_SOMETIMES("group: a shipment was refused");
    return OnLost(from);
  }
  if (shipment.base == nullptr || ack.next <= shipment.acknowledged || ack.next > shipment.sent) {
    return;
  }
  shipment.acknowledged = ack.next;
  shipment.silent_since_ns = now_ns;
  if (!SendMore(from, &shipment)) OnLost(from);
}

void Shipments::OnLost(NodeId to) {
  if (shipments_.erase(to) > 0) host_.OnShipmentLost(to);
}

void Shipments::Tick(uint64_t now_ns, Function<bool(NodeId)> arrived) {
  std::vector<NodeId> ended;
  for (auto& [to, shipment] : shipments_) {
    if (arrived(to) || now_ns - shipment.silent_since_ns >= kSilenceNs) ended.push_back(to);
  }
  for (NodeId to : ended) {
    if (arrived(to)) {
      shipments_.erase(to);
    } else {
      URSULA_SOMETIMES("group: a shipment met its deadline");
      OnLost(to);
    }
  }
  if (wants_base()) host_.WantBase();  // A full disk may have refused the last one.
}

}  // namespace ursula::group
