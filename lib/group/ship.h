// lib/group/ship.h
//
// A leader's side of bringing a replica up that is too far behind: a snapshot made for it, sent in
// parts, and then the Raft message that it belongs to. The other side is install.h. Payload isn't
// in it; who lacks some asks for it (fetch.h).
//
// Invariant: of a shipment at most kPartsMax parts are under way, and nothing is sent of a snapshot
// that isn't durable here.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "lib/group/letter_format.h"
#include "lib/raft/message.h"
#include "lib/storage/snapshot_format.h"
#include "ursula/function.h"

namespace ursula::group {

// A snapshot's state as one.
struct BaseSnapshot {
  raft::SnapshotMeta meta = {};
  storage::SnapshotRecords records = {};
};

class ShipHost {
 public:
  virtual ~ShipHost() = default;
  // False: it was dropped.
  virtual bool WriteLetter(ReplicaId to, Letter letter) = 0;
  // Whether a part may go to it now. False: SendMore tells when it may.
  virtual bool MayShip(ReplicaId to) = 0;
  // A base is wanted; OnBase tells of it.
  virtual void WantBase() = 0;
  // This peer's shipment has ended before it was told of the snapshot: Raft is to try again.
  virtual void OnShipmentLost(ReplicaId to) = 0;
  virtual uint64_t DrawShipment() = 0;  // Random, not 0.
};

class Shipments {
 public:
  static constexpr uint64_t kPartsMax = 4;
  // Without an acknowledgement for so long it is given up; so is one whose snapshot was told of and
  // that Raft hasn't heard of since kInstallNs. One that was refused ends after kSilenceNs, too, so
  // that no peer makes this replica write base after base.
  static constexpr uint64_t kSilenceNs = 10'000'000'000;
  static constexpr uint64_t kInstallNs = 30'000'000'000;
  // A part goes so long after the one before it though it may not yet: the peer gives up what
  // doesn't go on (install.h).
  static constexpr uint64_t kHeldNs = 5'000'000'000;

  Shipments(ShipHost* host, uint64_t part_bytes) : host_(*host), part_bytes_(part_bytes) {}

  // Raft wants `message`, a kSnapshot, to be sent.
  void Begin(raft::Message message, uint64_t now_ns);
  // Nothing, unless it was wanted.
  void OnBase(std::shared_ptr<const BaseSnapshot> base, uint64_t now_ns);
  void OnAck(ReplicaId from, const SnapshotAck& ack, uint64_t now_ns);
  void SendMore(ReplicaId to, uint64_t now_ns);
  // The connection to its node has broken.
  void OnLost(NodeId peer);
  // `arrived`: Raft sends it entries again; by its base's index, 0: there is none yet.
  void Tick(uint64_t now_ns, Function<bool(ReplicaId, Index)> arrived);
  // Leads no more, or stops.
  void Clear() { shipments_.clear(); }

  bool wants_base() const;
  std::size_t size() const { return shipments_.size(); }

 private:
  struct Shipment {
    uint64_t id = 0;
    raft::Message message = {};
    std::shared_ptr<const BaseSnapshot> base = {};  // Null: it is being made.
    storage::SnapshotRecords::const_iterator next = {};
    uint64_t sent = 0;
    uint64_t acknowledged = 0;
    bool told = false;
    bool refused = false;
    uint64_t silent_since_ns = 0;
    uint64_t part_ns = 0;  // When the last part went, or the first could have.
  };

  void Lose(ReplicaId to);
  void SendParts(ReplicaId to, Shipment* shipment, uint64_t now_ns);
  bool SendPart(ReplicaId to, Shipment* shipment);

  ShipHost& host_;
  const uint64_t part_bytes_;
  std::map<ReplicaId, Shipment> shipments_;
};

}  // namespace ursula::group
