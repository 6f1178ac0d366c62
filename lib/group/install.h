// lib/group/install.h
//
// A replica that is too far behind takes over a peer's state. One state machine, so that a crash
// between any two of its steps is met by what is durable then:
//
//   kReceiving   parts come and are loaded into a machine aside; nothing here has changed;
//   kReceived    all are here; Raft's message decides whether they are wanted;
//   kDraining    Raft has taken it: the checkpoint under way ends and payload in memory is written
//                out, for the log that holds it will be gone;
//   kWriting     the state becomes the group's snapshot file: a crash from here on begins with it,
//                and leaves out what the log has of another history (recovery.h, reset_missing);
//   kResetting   a record in the log says that all before it is void; when it is durable the state
//                is swapped, and only then is Raft told.
//
// Invariant: nothing that the peer's state is acknowledged for leaves before kResetting has ended.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "lib/group/letter_format.h"
#include "lib/group/services.h"
#include "lib/group/ship.h"
#include "lib/raft/message.h"
#include "lib/stream/machine.h"

namespace ursula::group {

class InstallHost {
 public:
  virtual ~InstallHost() = default;
  virtual bool WriteLetter(ReplicaId to, Letter letter) = 0;
  virtual uint64_t HistoryOfGroup() = 0;
  // `done`: nothing of it is under way, all payload in memory is in the store, and no new
  // checkpoint begins.
  virtual void DrainCheckpoint(Function<void()> done) = 0;
  // The snapshot is durable as the group's: the log says so next.
  virtual void OnInstallWritten(const raft::SnapshotMeta& meta) = 0;
  virtual void OnInstallFailed(Status status) = 0;
};

class Install {
 public:
  static constexpr uint64_t kSilenceNs = 2 * Shipments::kSilenceNs;

  enum class State : uint8_t { kIdle, kReceiving, kReceived, kDraining, kWriting, kResetting };

  Install(const Services& services, GroupId group, InstallHost* host)
      : services_(services), group_(group), host_(*host) {}

  void OnPart(ReplicaId from, SnapshotPart part);
  // A kSnapshot has come. False: what it belongs to isn't here; it is to be dropped.
  bool Expects(const raft::Message& message) const;
  bool OnMessage(const raft::Message& message);
  // Raft has looked at the message, and either Begin was called or the parts aren't wanted.
  void AfterMessage();

  // Raft has taken the snapshot.
  void Begin(const raft::SnapshotMeta& meta);
  // The log's record is durable: the state to go on from.
  std::unique_ptr<stream::Machine> TakeMachine();
  // Tries again what a full disk refused, and gives up what no part has come of for long.
  void Tick();
  // Begins no further step.
  void Stop();

  // From Begin to TakeMachine: Raft's writes wait.
  bool running() const { return state_ >= State::kDraining; }
  State state() const { return state_; }
  bool busy() const { return writing_; }  // An operation of a store is under way.

 private:
  void Drop();
  Status Load(std::string_view records);
  void Write();
  void OnWritten(Status status);

  const Services services_;
  const GroupId group_;
  InstallHost& host_;
  State state_ = State::kIdle;
  bool stopped_ = false;
  bool writing_ = false;
  bool retry_ = false;
  ReplicaId from_{};
  uint64_t shipment_ = 0;
  uint64_t next_part_ = 0;
  uint64_t heard_ns_ = 0;  // Of the last part.
  raft::SnapshotMeta meta_;
  storage::SnapshotRecords records_;
  std::unique_ptr<stream::Machine> machine_;
};

}  // namespace ursula::group
