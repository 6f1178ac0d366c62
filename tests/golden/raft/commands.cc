#include "tests/golden/raft/commands.h"

#include <cstdlib>
#include <utility>

#include "lib/base/check.h"
#include "tests/golden/raft/describe.h"

namespace ursula::raft::golden {
namespace {

uint64_t Number(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

std::vector<ReplicaId> Nodes(const Argument& argument) {
  std::vector<ReplicaId> nodes;
  for (const std::string& value : argument.values) nodes.push_back(ReplicaId{Number(value)});
  return nodes;
}

std::optional<MessageKind> KindOf(const std::string& name) {
  for (MessageKind kind :
       {MessageKind::kPropose, MessageKind::kAppend, MessageKind::kAppendReply, MessageKind::kVote,
        MessageKind::kVoteReply, MessageKind::kPreVote, MessageKind::kPreVoteReply,
        MessageKind::kHeartbeat, MessageKind::kHeartbeatReply, MessageKind::kSnapshot,
        MessageKind::kReadIndex, MessageKind::kReadIndexReply, MessageKind::kTransferLeader,
        MessageKind::kTimeoutNow, MessageKind::kAppended, MessageKind::kApplied}) {
    Message message;
    message.kind = kind;
    if (DescribeMessage(message).find(" " + name + " ") != std::string::npos) return kind;
  }
  return std::nullopt;
}

Config ReferenceConfig(uint64_t message_bytes_max) {
  Config config;
  config.election_ticks = 3;
  config.heartbeat_ticks = 1;
  config.pre_vote = false;
  config.check_quorum = false;
  config.forward_proposals = true;
  config.unsafe_as_reference = true;
  config.votes_tell_commit = false;
  config.step_down_on_removal = false;
  config.synchronous_storage = true;
  config.message_bytes_max = message_bytes_max;
  config.applying_bytes_max = message_bytes_max;
  config.inflight_messages_max = INT32_MAX;
  return config;
}

}  // namespace

std::string ClusterScript::Run(const ScriptStep& step) {
  error_.clear();
  Dispatch(step);
  std::string out = cluster_.output().Take();
  if (!error_.empty()) out += error_ + "\n";
  return out.empty() ? "ok\n" : out;
}

std::vector<Node*> ClusterScript::Nodes(const ScriptStep& step) {
  std::vector<Node*> nodes;
  for (uint64_t id : step.Numbers()) {
    if (Node* node = cluster_.Find(id)) nodes.push_back(node);
  }
  return nodes;
}

void ClusterScript::Dispatch(const ScriptStep& step) {
  if (step.command == "log-level") {
    cluster_.output().SetQuiet(step.arguments.at(0).key == "none");
  } else if (step.command == "config") {
    Configure(step);
  } else if (step.command == "add-nodes") {
    AddNodes(step);
  } else if (step.command == "deliver-msgs") {
    DeliverMessages(step);
  } else if (step.command == "stabilize") {
    Stabilize(step);
  } else if (step.command == "raft-state") {
    PrintState();
  } else if (step.command == "transfer-leadership") {
    Node* from = cluster_.Find(Number(step.Find("from")->values[0]));
    from->core().TransferLeadership(ReplicaId{Number(step.Find("to")->values[0])});
  } else if (!RunOnQueues(step)) {
    const std::vector<Node*> nodes = Nodes(step);
    if (nodes.empty() || !RunOnNode(step, nodes[0])) Fail("unknown command");
  }
}

bool ClusterScript::RunOnQueues(const ScriptStep& step) {
  void (Cluster::*process)(Node*) = nullptr;
  const char* heading = nullptr;
  if (step.command == "process-ready") {
    process = &Cluster::ProcessReady;
    heading = "handling Ready";
  } else if (step.command == "process-append-thread") {
    process = &Cluster::ProcessAppend;
    heading = "processing append thread";
  } else if (step.command == "process-apply-thread") {
    process = &Cluster::ProcessApply;
    heading = "processing apply thread";
  } else {
    return false;
  }
  const std::vector<Node*> nodes = Nodes(step);
  for (Node* node : nodes) {
    if (nodes.size() > 1) {
      cluster_.output().Line("> " + std::to_string(Raw(node->id())) + " " + heading);
      cluster_.output().Indent(true);
    }
    if ((process == &Cluster::ProcessAppend && !node->HasAppends()) ||
        (process == &Cluster::ProcessApply && !node->HasApplies())) {
      cluster_.output().Line("no work");
    } else {
      (cluster_.*process)(node);
    }
    cluster_.output().Indent(false);
  }
  return true;
}

bool ClusterScript::RunOnNode(const ScriptStep& step, Node* node) {
  Core& core = node->core();
  if (step.command == "campaign") {
    core.Campaign();
  } else if (step.command == "propose") {
    Propose(step, node);
  } else if (step.command == "propose-conf-change") {
    ProposeConfChange(step, node);
  } else if (step.command == "read-index") {
    (void)core.ReadIndex(Bytes::Copy(step.arguments.at(1).key));
  } else if (step.command == "tick-election") {
    for (uint32_t i = 0; i < core.config().election_ticks; ++i) core.Tick();
  } else if (step.command == "tick-heartbeat") {
    for (uint32_t i = 0; i < core.config().heartbeat_ticks; ++i) core.Tick();
  } else if (step.command == "set-randomized-election-timeout") {
    core.SetElectionTimeout(static_cast<uint32_t>(Number(step.Find("timeout")->values[0])));
  } else if (step.command == "forget-leader") {
    core.ForgetLeader();
  } else if (step.command == "report-unreachable") {
    core.ReportUnreachable(ReplicaId{step.Numbers().at(1)});
  } else if (step.command == "report-snapshot") {
    core.ReportSnapshot(ReplicaId{step.Numbers().at(1)}, step.arguments.at(2).key == "ok");
  } else if (step.command == "send-snapshot") {
    SendSnapshot(node, step.Numbers().at(1));
  } else if (step.command == "compact") {
    node->log().CompactTo(Index{step.Numbers().at(1)});
    PrintLog(node);
  } else if (step.command == "restart") {
    cluster_.Restart(node);
  } else if (step.command == "raft-log") {
    PrintLog(node);
  } else if (step.command == "status") {
    for (const PeerStatus& peer : core.Peers()) cluster_.output().Line(DescribePeer(peer));
  } else {
    return false;
  }
  return true;
}

void ClusterScript::Configure(const ScriptStep& step) {
  if (const Argument* bytes = step.Find("max-size-per-msg")) {
    message_bytes_max_ = Number(bytes->values[0]);
  } else if (const Argument* enter = step.Find("snapshots-enter-history")) {
    snapshots_enter_history_ = enter->flag();
  } else {
    Fail("unknown setting");
  }
}

void ClusterScript::AddNodes(const ScriptStep& step) {
  Config config = ReferenceConfig(message_bytes_max_);
  Snapshot first;
  uint64_t count = step.Numbers().at(0);
  for (const Argument& argument : step.arguments) {
    if (argument.values.empty()) continue;
    const std::string& key = argument.key;
    if (key == "voters") {
      first.meta.conf.voters = golden::Nodes(argument);
    } else if (key == "learners") {
      first.meta.conf.learners = golden::Nodes(argument);
    } else if (key == "index") {
      first.meta.index = Index{Number(argument.values[0])};
      first.meta.term = Term{1};
    } else if (key == "inflight") {
      config.inflight_messages_max = static_cast<uint32_t>(Number(argument.values[0]));
    } else if (key == "max-committed-size-per-ready") {
      config.applying_bytes_max = Number(argument.values[0]);
    } else if (key == "async-storage-writes") {
      config.synchronous_storage = !argument.flag();
    } else if (key == "prevote") {
      config.pre_vote = argument.flag();
    } else if (key == "checkquorum") {
      config.check_quorum = argument.flag();
    } else if (key == "read-only") {
      config.lease_reads = argument.values[0] == "lease-based";
    } else if (key == "step-down-on-removal") {
      config.step_down_on_removal = argument.flag();
    } else if (key == "disable-conf-change-validation") {
      config.validate_conf_changes = !argument.flag();
    } else {
      Fail("unknown option " + key);
    }
  }
  while (count-- > 0) {
    if (!cluster_.AddNode(config, first, snapshots_enter_history_)) Fail("can't add a node");
  }
}

void ClusterScript::Propose(const ScriptStep& step, Node* node) {
  const Bytes command = Bytes::Copy(step.arguments.at(1).key);
  const Proposal proposal = node->core().Propose(std::span<const Bytes>(&command, 1));
  if (proposal.outcome == ProposalOutcome::kDropped) Fail("raft proposal dropped");
}

void ClusterScript::ProposeConfChange(const ScriptStep& step, Node* node) {
  ConfChange change;
  for (const std::string& line : step.input) {
    if (!ParseConfChangeSteps(line, &change.steps)) return Fail("not a change: " + line);
  }
  if (const Argument* form = step.Find("v1")) change.simple_form = form->flag();
  if (const Argument* transition = step.Find("transition")) {
    if (transition->values[0] == "implicit") change.transition = Transition::kImplicit;
    if (transition->values[0] == "explicit") change.transition = Transition::kExplicit;
  }
  const Proposal proposal = node->core().ProposeConfChange(change);
  if (proposal.outcome == ProposalOutcome::kDropped) Fail("raft proposal dropped");
}

void ClusterScript::DeliverMessages(const ScriptStep& step) {
  std::vector<Recipient> recipients;
  std::optional<MessageKind> kind;
  for (const Argument& argument : step.arguments) {
    if (argument.values.empty()) recipients.push_back({ReplicaId{Number(argument.key)}, false});
    if (argument.key == "type") kind = KindOf(argument.values[0]);
    if (argument.key == "drop") {
      for (ReplicaId node : golden::Nodes(argument)) recipients.push_back({node, true});
    }
  }
  if (cluster_.Deliver(recipients, kind) == 0) cluster_.output().Line("no messages");
}

void ClusterScript::Stabilize(const ScriptStep& step) {
  const bool quiet = cluster_.output().quiet();
  if (const Argument* level = step.Find("log-level")) {
    cluster_.output().SetQuiet(level->values[0] == "none");
  }
  const std::vector<Node*> nodes = Nodes(step);
  cluster_.Stabilize(nodes.empty() ? cluster_.All() : nodes);
  cluster_.output().SetQuiet(quiet);
}

void ClusterScript::SendSnapshot(Node* from, uint64_t to) {
  Message message;
  message.kind = MessageKind::kSnapshot;
  message.term = from->core().term();
  message.from = from->id();
  message.to = ReplicaId{to};
  message.snapshot = *from->log().NewestSnapshot();
  cluster_.output().Line(DescribeMessage(message));
  cluster_.Put(std::move(message));
}

void ClusterScript::PrintLog(Node* node) {
  const NodeLog& log = node->log();
  if (log.last() < log.first()) {
    cluster_.output().Line("log is empty: first index=" + std::to_string(Raw(log.first())) +
                           ", last index=" + std::to_string(Raw(log.last())));
    return;
  }
  cluster_.output().Line(DescribeEntries(log.All()));
}

void ClusterScript::PrintState() {
  for (Node* node : cluster_.All()) {
    const Core& core = node->core();
    cluster_.output().Line(std::to_string(Raw(node->id())) + ": " + DescribeRole(core.role()) +
                           (core.IsVoter(node->id()) ? " (Voter)" : " (Non-Voter)") +
                           " Term:" + std::to_string(Raw(core.term())) +
                           " Lead:" + std::to_string(Raw(core.leader())));
  }
}

}  // namespace ursula::raft::golden
