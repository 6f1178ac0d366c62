#include "lib/group/recovered.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/check.h"

namespace ursula::group {

std::optional<Recovered> RecoveredOf(const storage::DataDirectory& directory) {
  const storage::DirectoryRecovery& recovery = directory.recovery();
  if (recovery.number == 0) return std::nullopt;
  Recovered recovered;
  recovered.term = recovery.term;
  recovered.conf = SurvivorsConf(directory.founding_voters());
  recovered.command.number = recovery.number;
  recovered.command.history = recovery.history_id;
  for (ReplicaId voter : directory.founding_voters()) {
    recovered.command.survivors.push_back({Raw(NodeOf(voter)), LivesBefore(voter)});
  }
  recovered.command.lost = recovery.lost;
  return recovered;
}

// A majority of one or two is all of them.
raft::ConfState SurvivorsConf(std::vector<ReplicaId> survivors) {
  URSULA_CHECK(!survivors.empty());
  std::ranges::sort(survivors);
  raft::ConfState conf;
  const std::size_t incoming = std::min<std::size_t>(2, survivors.size());
  const auto rest = survivors.begin() + static_cast<std::ptrdiff_t>(incoming);
  conf.voters.assign(survivors.begin(), rest);
  conf.voters_outgoing.assign(rest, survivors.end());
  conf.learners_next = conf.voters_outgoing;
  conf.auto_leave = !conf.voters_outgoing.empty();
  return conf;
}

}  // namespace ursula::group
