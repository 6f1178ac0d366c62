// lib/group/payload_serve.h
//
// Answers a replica that lacks payload (fetch.h): whole appends, where the range isn't shorter.

#pragma once

#include "lib/group/letter_format.h"
#include "lib/group/read_task.h"

namespace ursula::group {

class PayloadServe final : public ReadTask {
 public:
  PayloadServe(Replica* replica, uint64_t id, ReplicaId asker, const PayloadAsk& ask)
      : ReadTask(replica, id), asker_(asker), ask_(ask) {}

  void Start() override;
  void Cancel(Status status) override;

 private:
  void OnGathered(Status status) override;
  bool AwaitsPayload() const override { return false; }  // Two would wait for each other.
  void Answer(uint64_t bytes);
  void Refuse();
  void End();

  const ReplicaId asker_;
  const PayloadAsk ask_;
  uint64_t own_to_ = 0;  // Of the stream.
  uint64_t size_ = 0;    // That may be answered.
  uint64_t wanted_ = 0;
  bool cancelled_ = false;
};

}  // namespace ursula::group
