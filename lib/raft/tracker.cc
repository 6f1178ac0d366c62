#include "lib/raft/tracker.h"

#include <algorithm>

namespace ursula::raft {
namespace {

// Counts `says(voter)` (1 yes, -1 no, 0 nothing yet) over both halves.
template <class Says>
VoteResult Count(const Membership& membership, Says says) {
  auto half = [&says](const NodeSet& voters) {
    std::size_t yes = 0;
    std::size_t no = 0;
    for (ReplicaId voter : voters) {
      const int said = says(voter);
      if (said > 0) ++yes;
      if (said < 0) ++no;
    }
    return MajorityVote(voters.size(), yes, no);
  };
  return JointVote(half(membership.incoming()), half(membership.outgoing()));
}

}  // namespace

bool Tracker::IsSingleton() const {
  return membership_.incoming().size() == 1 && !membership_.joint();
}

Index Tracker::Committed() const {
  auto half = [this](const NodeSet& voters) {
    scratch_.clear();
    for (ReplicaId voter : voters) scratch_.push_back(Find(voter)->match);
    return MajorityIndex(&scratch_);
  };
  return std::min(half(membership_.incoming()), half(membership_.outgoing()));
}

bool Tracker::QuorumActive() const {
  return Count(membership_, [this](ReplicaId voter) {
           return Find(voter)->recently_active ? 1 : -1;
         }) == VoteResult::kWon;
}

void Tracker::RecordVote(ReplicaId voter, bool granted) {
  for (const auto& [node, vote] : votes_) {
    if (node == voter) return;
  }
  votes_.emplace_back(voter, granted);
}

VoteResult Tracker::TallyVotes() const {
  return Count(membership_, [this](ReplicaId voter) {
    for (const auto& [node, granted] : votes_) {
      if (node == voter) return granted ? 1 : -1;
    }
    return 0;
  });
}

bool Tracker::IsQuorum(const std::vector<ReplicaId>& nodes) const {
  return Count(membership_, [&nodes](ReplicaId voter) {
           return std::find(nodes.begin(), nodes.end(), voter) != nodes.end() ? 1 : 0;
         }) == VoteResult::kWon;
}

}  // namespace ursula::raft
