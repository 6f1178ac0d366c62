// tests/golden/raft/commands.h
//
// The commands of scripts about whole clusters.

#pragma once

#include <string>

#include "tests/golden/raft/cluster.h"
#include "tests/golden/raft/script.h"

namespace ursula::raft::golden {

class ClusterScript {
 public:
  // What the step prints; "ok" if nothing.
  std::string Run(const ScriptStep& step);

 private:
  void Dispatch(const ScriptStep& step);
  bool RunOnNode(const ScriptStep& step, Node* node);
  bool RunOnQueues(const ScriptStep& step);
  void Configure(const ScriptStep& step);
  void AddNodes(const ScriptStep& step);
  void Propose(const ScriptStep& step, Node* node);
  void ProposeConfChange(const ScriptStep& step, Node* node);
  void DeliverMessages(const ScriptStep& step);
  void Stabilize(const ScriptStep& step);
  void SendSnapshot(Node* from, uint64_t to);
  void PrintLog(Node* node);
  void PrintState();
  void Fail(const std::string& message) { error_ = message; }
  std::vector<Node*> Nodes(const ScriptStep& step);

  Cluster cluster_;
  std::string error_;
  uint64_t message_bytes_max_ = kUnlimited;
  bool snapshots_enter_history_ = false;
};

}  // namespace ursula::raft::golden
