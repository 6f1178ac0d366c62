// tests/golden/raft/describe.h
//
// Our types in the words in which the recordings are written.

#pragma once

#include <string>
#include <string_view>

#include "lib/raft/core.h"

namespace ursula::raft::golden {

std::string DescribeRole(Role role);
std::string DescribeEntry(const Entry& entry);
std::string DescribeEntries(const std::vector<Entry>& entries);  // A line each.
std::string DescribeMessage(const Message& message, const std::string& indent = {});
std::string DescribeAppend(ReplicaId node, const StorageAppend& append, bool with_responses);
std::string DescribeApply(ReplicaId node, const StorageApply& apply, bool with_response);
std::string DescribeConfState(const ConfState& conf);  // As warnings have it.
std::string DescribePeer(const PeerStatus& peer);

// `asynchronous`: appends and applies stand among the messages; else what leaves for peers does.
// `before`: the hard state handed out before.
std::string DescribeReady(ReplicaId node, const Ready& ready, bool asynchronous,
                          const HardState& before);

// "v1 l2 r3 u4", the form in which changes stand in scripts. False: it isn't that.
bool ParseConfChangeSteps(std::string_view text, std::vector<ConfChangeStep>* steps);
std::string DescribeConfChangeSteps(const std::vector<ConfChangeStep>& steps);

}  // namespace ursula::raft::golden
