#include "lib/group/install.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/group/recovery.h"
#include "lib/io/errors.h"

namespace ursula::group {

void Install::OnPart(ReplicaId from, SnapshotPart part) {
  if (stopped_) return;
  const bool ours = shipment_ == part.shipment && from_ == from;
  if (running() || (part.number > 0 && !ours)) {
    URSULA_SOMETIMES("group: a part of a snapshot came at the wrong time");
    host_.WriteLetter(from, SnapshotAck{part.shipment, 0, true});
    return;
  }
  if (part.number == 0 && !ours) {
    if (state_ != State::kIdle) URSULA_SOMETIMES("group: a newer shipment took a snapshot's place");
    Drop();
    state_ = State::kReceiving;
    from_ = from;
    shipment_ = part.shipment;
    machine_ = std::make_unique<stream::Machine>(group_, host_.HistoryOfGroup());
  }
  if (state_ != State::kReceiving || part.number > next_part_) return;
  heard_ns_ = services_.loop->now_ns();
  if (part.number == next_part_) {
    Status status = Load(part.records.view());
    if (!status.ok()) {
      const bool later = status.code() == StatusCode::kUnavailable;
      services_.Log(later ? 1 : 3, group_, "a peer's snapshot can't be read: " + status.message());
      host_.WriteLetter(from, SnapshotAck{part.shipment, 0, true});
      return Drop();
    }
    ++next_part_;
  }
  host_.WriteLetter(from, SnapshotAck{part.shipment, next_part_, false});
}

Status Install::Load(std::string_view records) {
  while (!records.empty()) {
    std::optional<storage::SnapshotRecord> record = storage::TakeSnapshotRecord(&records);
    if (!record) return Status(StatusCode::kDataLoss, "its records are malformed");
    // A base that was collected in steps ends what it had begun with.
    Status status = record->tombstone ? machine_->LoadRecord(record->key, std::nullopt)
                                      : machine_->LoadRecord(record->key, record->value.view());
    if (!status.ok()) return status;
    // Before anything that may be of it.
    if (!services_.Reaches(machine_->feature_level())) {
      return Status(StatusCode::kUnavailable, "this directory isn't of its feature level yet");
    }
    records_.push_back(std::move(*record));
  }
  return {};
}

bool Install::Expects(const raft::Message& message) const {
  return !stopped_ && state_ == State::kReceiving && message.from == from_ &&
         DecodeShipment(message.snapshot.data.view()) == shipment_;
}

bool Install::OnMessage(const raft::Message& message) {
  if (!Expects(message)) return false;
  Status status = machine_->FinishLoad();
  if (!status.ok()) {
    services_.Log(3, group_, "a peer's snapshot contradicts itself: " + status.message());
    Drop();
    return false;
  }
  state_ = State::kReceived;
  return true;
}

void Install::AfterMessage() {
  if (state_ != State::kReceived) return;
  URSULA_SOMETIMES("group: a snapshot wasn't wanted after all");
  Drop();
}

void Install::Begin(const raft::SnapshotMeta& meta) {
  URSULA_CHECK(state_ == State::kReceived);
  state_ = State::kDraining;
  meta_ = meta;
  host_.DrainCheckpoint([this] {
    URSULA_CHECK(state_ == State::kDraining);
    if (!stopped_) Write();
  });
}

void Install::Write() {
  state_ = State::kWriting;
  writing_ = true;
  retry_ = false;
  storage::SnapshotMeta meta;
  meta.index = meta_.index;
  meta.term = meta_.term;
  meta.header = EncodeSnapshotHeader(meta_.conf);
  services_.snapshots->Write(group_, std::move(meta), true, records_,
                             [this](Status status) { OnWritten(std::move(status)); });
}

void Install::OnWritten(Status status) {
  writing_ = false;
  if (stopped_) return;
  if (!status.ok()) {
    services_.Log(3, group_, "a peer's snapshot can't be written: " + status.ToString());
    retry_ = io::MayPass(status);
    if (!retry_) host_.OnInstallFailed(std::move(status));
    return;
  }
  state_ = State::kResetting;
  records_.clear();
  host_.OnInstallWritten(meta_);
}

std::unique_ptr<stream::Machine> Install::TakeMachine() {
  URSULA_CHECK(state_ == State::kResetting);
  std::unique_ptr<stream::Machine> machine = std::move(machine_);
  Drop();
  return machine;
}

void Install::Tick() {
  if (state_ == State::kWriting && retry_ && !stopped_) Write();
  // The log may have sufficed after all.
  if (state_ != State::kReceiving) return;
  if (services_.loop->now_ns() - heard_ns_ < kSilenceNs) return;
  URSULA_SOMETIMES("group: a shipment was never finished");
  Drop();
}

void Install::Drop() {
  state_ = State::kIdle;
  shipment_ = 0;
  from_ = ReplicaId{};
  next_part_ = 0;
  records_.clear();
  machine_.reset();
}

void Install::Stop() {
  stopped_ = true;
  if (!running()) Drop();
}

}  // namespace ursula::group
