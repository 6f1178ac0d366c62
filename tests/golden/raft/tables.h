// tests/golden/raft/tables.h
//
// The commands of scripts about majorities and about changes of the configuration.

#pragma once

#include <cstdint>
#include <string>

#include "lib/raft/membership.h"
#include "tests/golden/raft/script.h"

namespace ursula::raft::golden {

// `committed` and `vote`.
std::string RunQuorumStep(const ScriptStep& step);

// `simple`, `enter-joint` and `leave-joint`, each on the outcome of the one before.
class MembershipScript {
 public:
  std::string Run(const ScriptStep& step);

 private:
  Membership membership_;
  uint64_t steps_done_ = 0;  // A member's `next` tells the step it joined in.
};

}  // namespace ursula::raft::golden
