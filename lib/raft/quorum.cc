#include "lib/raft/quorum.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::raft {

bool Contains(const NodeSet& set, ReplicaId node) {
  return std::binary_search(set.begin(), set.end(), node);
}

void Insert(NodeSet* set, ReplicaId node) {
  auto at = std::lower_bound(set->begin(), set->end(), node);
  if (at == set->end() || *at != node) set->insert(at, node);
}

void Erase(NodeSet* set, ReplicaId node) {
  auto at = std::lower_bound(set->begin(), set->end(), node);
  if (at != set->end() && *at == node) set->erase(at);
}

Index MajorityIndex(std::vector<Index>* positions) {
  if (positions->empty()) return Index{UINT64_MAX};
  // Ascending, the element below which a minority stands is one that a majority has reached.
  auto at = positions->begin() + static_cast<std::ptrdiff_t>((positions->size() - 1) / 2);
  std::nth_element(positions->begin(), at, positions->end());
  return *at;
}

VoteResult MajorityVote(std::size_t voters, std::size_t yes, std::size_t no) {
  URSULA_CHECK(yes + no <= voters);
  if (voters == 0) return VoteResult::kWon;
  const std::size_t needed = voters / 2 + 1;
  if (yes >= needed) return VoteResult::kWon;
  return voters - no >= needed ? VoteResult::kPending : VoteResult::kLost;
}

VoteResult JointVote(VoteResult incoming, VoteResult outgoing) {
  if (incoming == outgoing) return incoming;
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  return VoteResult::kPending;
}

}  // namespace ursula::raft
