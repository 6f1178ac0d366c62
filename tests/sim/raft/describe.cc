#include "tests/sim/raft/describe.h"

#include "tests/golden/raft/describe.h"
#include "tests/sim/raft/replica.h"

namespace ursula::raft::sim {

std::string Describe(const ConfState& conf) {
  std::string text;
  const auto list = [&text](const char* name, const std::vector<ReplicaId>& nodes) {
    if (nodes.empty()) return;
    text += name;
    for (ReplicaId node : nodes) text += " " + std::to_string(Raw(node));
  };
  list("voters", conf.voters);
  list(", outgoing", conf.voters_outgoing);
  list(", learners", conf.learners);
  list(", learners next", conf.learners_next);
  return text + (conf.auto_leave ? ", left by itself" : "");
}

std::string Describe(const Replica& replica) {
  const auto number = [](auto value) { return std::to_string(Raw(value)); };
  std::string text = "replica " + std::to_string(replica.id()) + ": ";
  if (!replica.up()) return text + "down";
  const Core& core = replica.core();
  text += golden::DescribeRole(core.role()) + " of term " + number(core.term()) + ", leader " +
          number(core.leader()) + ", log " + number(core.first_index()) + " to " +
          number(core.last_index()) + " (durable " + number(replica.disk().last()) + "), commit " +
          number(core.commit()) + ", applied " + number(core.applied()) + ", " +
          Describe(replica.conf());
  const ConfState conf = core.Configuration();
  if (!(conf == replica.conf())) text += "; its core: " + Describe(conf);
  return text;
}

}  // namespace ursula::raft::sim
