#include "tests/bench/raft/trio.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::raft {

BenchReplica::BenchReplica(ReplicaId self, Network* network) : network_(network) {
  Config config;
  config.self = self;
  const ConfState conf{{ReplicaId{1}, ReplicaId{2}, ReplicaId{3}}, {}, {}, {}, false};
  Result<std::unique_ptr<Core>> core = Core::Create(config, {{}, conf, {}}, &log_, this);
  URSULA_CHECK(core.ok());
  core_ = std::move(*core);
}

void BenchReplica::CompleteStorage() {
  if (ready_.append) CompleteAppend(&*ready_.append);
  if (ready_.apply) CompleteApply(*ready_.apply);
}

void BenchReplica::CompleteAppend(StorageAppend* append) {
  log_.Append(append->entries);
  for (Message& response : append->responses) {
    if (response.to == core_->self()) {
      URSULA_CHECK(core_->Step(std::move(response)) == StepResult::kOk);
    } else {
      network_->Send(&response);
    }
  }
}

void BenchReplica::CompleteApply(const StorageApply& apply) {
  for (const Entry& entry : apply.entries) applied_bytes_ += entry.payload.size();
  URSULA_CHECK(core_->Step(apply.response) == StepResult::kOk);
}

void BenchReplica::TakeReady() {
  core_->TakeReady(&ready_);
  for (Message& message : ready_.messages) network_->Send(&message);
}

Trio::Trio() {
  for (uint64_t id = 1; id <= 3; ++id) {
    replicas_.push_back(std::make_unique<BenchReplica>(ReplicaId{id}, this));
  }
  replicas_[0]->core().Campaign();
  Settle();
  URSULA_CHECK(replicas_[0]->core().CommittedInOwnTerm());
}

bool Trio::Turn(std::span<const Bytes> batch) {
  if (++turns_ % kTurnsPerTick == 0) {
    for (const auto& replica : replicas_) replica->core().Tick();
  }
  arriving_.swap(sent_);
  for (const auto& replica : replicas_) replica->CompleteStorage();
  for (Message& message : arriving_) {
    Core& to = replicas_[Raw(message.to) - 1]->core();
    URSULA_CHECK(to.Step(std::move(message)) == StepResult::kOk);
  }
  arriving_.clear();
  const bool taken =
      batch.empty() || replicas_[0]->core().Propose(batch).outcome == ProposalOutcome::kAppended;
  for (const auto& replica : replicas_) replica->TakeReady();
  return taken;
}

void Trio::Settle() {
  while (!Idle()) Turn({});
}

bool Trio::Idle() const {
  return sent_.empty() && std::all_of(replicas_.begin(), replicas_.end(),
                                      [](const auto& replica) { return replica->idle(); });
}

void Trio::Send(Message* message) {
  // The entries themselves change hands, as a frame of references would carry them. The sender gets
  // an empty vector of the receiver's in return, as if each kept its own buffers.
  std::vector<Entry> spare;
  if (!message->entries.empty()) {
    spare = replicas_[Raw(message->to) - 1]->core().SpareEntries();
  }
  sent_.push_back(std::move(*message));
  message->entries = std::move(spare);
}

}  // namespace ursula::raft
