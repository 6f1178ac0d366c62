// server/ctl/members.h
//
// Which nodes the cluster has, of what several nodes say of it. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/ctl/node_view.h"
#include "server/ctl/survey.h"

namespace ursula::ctl {

struct Members {
  std::vector<MemberSeen> all = {};  // By node. Empty: nobody says, or there is no cluster.
  // Group 0's leader says so. Else whoever has applied most of that group, and what follows isn't
  // known.
  bool by_leader = false;
  uint64_t groups_settled = 0;
  std::string wait_for = {};

  const MemberSeen* Find(uint64_t node) const;  // Null: it is none of them.
  // It is known to be no member, or one that may only join: that it is away is no harm.
  bool IsOutside(uint64_t node) const;
  // Voters, once all that was asked for has come about.
  std::size_t CountToBe() const;
};

// `leader`: of group 0, by node; 0: it has none.
Members MembersOf(const Survey& survey, const std::string& cluster_id, uint64_t leader);

// Nodes that could be added, by number: no members, named by one as its peer, there, and waiting to
// be taken in. Not who is only named: that may be one that was just removed.
std::vector<uint64_t> NodesToAdd(const Survey& survey, const std::string& cluster_id,
                                 const Members& members);

}  // namespace ursula::ctl
