#include "tests/golden/raft/describe.h"

#include <algorithm>
#include <cstdlib>

namespace ursula::raft::golden {
namespace {

template <class Id>
std::string Number(Id id) {
  return std::to_string(Raw(id));
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string DescribeTarget(ReplicaId node) {
  if (node == kAppendTarget) return "AppendThread";
  if (node == kApplyTarget) return "ApplyThread";
  return Number(node);
}

const char* KindName(MessageKind kind) {
  switch (kind) {
    case MessageKind::kPropose:
      return "MsgProp";
    case MessageKind::kAppend:
      return "MsgApp";
    case MessageKind::kAppendReply:
      return "MsgAppResp";
    case MessageKind::kVote:
      return "MsgVote";
    case MessageKind::kVoteReply:
      return "MsgVoteResp";
    case MessageKind::kPreVote:
      return "MsgPreVote";
    case MessageKind::kPreVoteReply:
      return "MsgPreVoteResp";
    case MessageKind::kHeartbeat:
      return "MsgHeartbeat";
    case MessageKind::kHeartbeatReply:
      return "MsgHeartbeatResp";
    case MessageKind::kSnapshot:
      return "MsgSnap";
    case MessageKind::kReadIndex:
      return "MsgReadIndex";
    case MessageKind::kReadIndexReply:
      return "MsgReadIndexResp";
    case MessageKind::kTransferLeader:
      return "MsgTransferLeader";
    case MessageKind::kTimeoutNow:
      return "MsgTimeoutNow";
    case MessageKind::kAppended:
      return "MsgStorageAppendResp";
    case MessageKind::kApplied:
      return "MsgStorageApplyResp";
  }
  return "?";
}

std::string DescribeNodes(const std::vector<ReplicaId>& nodes) {
  std::string out = "[";
  for (ReplicaId node : nodes) out += (out.size() > 1 ? " " : "") + Number(node);
  return out + "]";
}

std::string DescribeSnapshot(const Snapshot& snapshot) {
  const ConfState& conf = snapshot.meta.conf;
  return "Index:" + Number(snapshot.meta.index) + " Term:" + Number(snapshot.meta.term) +
         " ConfState:Voters:" + DescribeNodes(conf.voters) +
         " VotersOutgoing:" + DescribeNodes(conf.voters_outgoing) +
         " Learners:" + DescribeNodes(conf.learners) +
         " LearnersNext:" + DescribeNodes(conf.learners_next) +
         " AutoLeave:" + (conf.auto_leave ? "true" : "false");
}

std::string EntryList(const std::vector<Entry>& entries, const std::string& indent) {
  if (entries.empty()) return {};
  if (entries.size() == 1) return " Entries:[" + DescribeEntry(entries[0]) + "]";
  std::string out = " Entries:[";
  for (const Entry& entry : entries) out += "\n" + indent + "  " + DescribeEntry(entry);
  return out + "\n" + indent + "]";
}

// Reads' contexts travelled as entries there.
std::vector<Entry> EntriesShown(const Message& message) {
  if (message.kind != MessageKind::kReadIndex && message.kind != MessageKind::kReadIndexReply) {
    return message.entries;
  }
  Entry entry;
  entry.payload = message.context;
  return {entry};
}

std::string Position(Term term, Index index) {
  return " Log:" + Number(term) + "/" + Number(index);
}

std::string DescribeHardState(const HardState& hard) {
  std::string out = "Term:" + Number(hard.term);
  if (hard.vote != kNoReplica) out += " Vote:" + Number(hard.vote);
  return out + " Commit:" + Number(hard.commit);
}

std::string DescribeReads(const std::vector<ReadState>& reads) {
  std::string out = "ReadStates [";
  for (const ReadState& read : reads) {
    if (out.back() != '[') out += " ";
    out += "{" + Number(read.index) + " [";
    for (char c : read.context.view()) {
      if (out.back() != '[') out += " ";
      out += std::to_string(static_cast<unsigned char>(c));
    }
    out += "]}";
  }
  return out + "]\n";
}

}  // namespace

std::string DescribeRole(Role role) {
  switch (role) {
    case Role::kFollower:
      return "StateFollower";
    case Role::kPreCandidate:
      return "StatePreCandidate";
    case Role::kCandidate:
      return "StateCandidate";
    case Role::kLeader:
      return "StateLeader";
  }
  return "?";
}

std::string DescribeEntry(const Entry& entry) {
  std::string out = Number(entry.term) + "/" + Number(entry.index);
  if (entry.kind == EntryKind::kNormal) return out + " EntryNormal " + Quoted(entry.payload.view());
  out += entry.kind == EntryKind::kConfChange ? " EntryConfChange" : " EntryConfChangeV2";
  Result<ConfChange> change = DecodeConfChange(entry.kind, entry.payload.view());
  if (!change.ok()) return out + " undecodable";
  if (!change->steps.empty()) out += " " + DescribeConfChangeSteps(change->steps);
  return out;
}

std::string DescribeEntries(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) out += DescribeEntry(entry) + "\n";
  return out;
}

std::string DescribeMessage(const Message& message, const std::string& indent) {
  const bool applied = message.kind == MessageKind::kApplied;
  std::string out = indent + DescribeTarget(message.from) + "->" + DescribeTarget(message.to) +
                    " " + KindName(message.kind) + " Term:" + Number(message.term) +
                    Position(message.log_term, applied ? Index{} : message.index);
  if (message.reject) out += " Rejected (Hint: " + Number(message.reject_hint) + ")";
  if (message.commit != Index{}) out += " Commit:" + Number(message.commit);
  out += EntryList(EntriesShown(message), indent);
  if (!message.snapshot.empty()) {
    out += "\n" + indent + "  Snapshot: " + DescribeSnapshot(message.snapshot);
  }
  return out;
}

std::string DescribeAppend(ReplicaId node, const StorageAppend& append, bool with_responses) {
  const HardState hard = append.hard_state.value_or(HardState());
  std::string out =
      Number(node) + "->AppendThread MsgStorageAppend Term:" + Number(hard.term) + Position({}, {});
  if (hard.commit != Index{}) out += " Commit:" + Number(hard.commit);
  if (hard.vote != kNoReplica) out += " Vote:" + Number(hard.vote);
  out += EntryList(append.entries, {});
  if (!append.snapshot.empty()) out += "\n  Snapshot: " + DescribeSnapshot(append.snapshot);
  if (with_responses && !append.responses.empty()) {
    out += " Responses:[";
    for (const Message& response : append.responses) out += "\n" + DescribeMessage(response, "  ");
    out += "\n]";
  }
  return out;
}

std::string DescribeApply(ReplicaId node, const StorageApply& apply, bool with_response) {
  std::string out = Number(node) + "->ApplyThread MsgStorageApply Term:0" + Position({}, {}) +
                    EntryList(apply.entries, {});
  if (with_response) out += " Responses:[\n" + DescribeMessage(apply.response, "  ") + "\n]";
  return out;
}

std::string DescribeConfState(const ConfState& conf) {
  return "{" + DescribeNodes(conf.voters) + " " + DescribeNodes(conf.learners) + " " +
         DescribeNodes(conf.voters_outgoing) + " " + DescribeNodes(conf.learners_next) + " " +
         (conf.auto_leave ? "true}" : "false}");
}

std::string DescribePeer(const PeerStatus& peer) {
  static constexpr const char* kStates[] = {"StateProbe", "StateReplicate", "StateSnapshot"};
  std::string out = Number(peer.id) + ": " + kStates[static_cast<int>(peer.state)] +
                    " match=" + Number(peer.match) + " next=" + Number(peer.next);
  if (peer.learner) out += " learner";
  if (peer.paused) out += " paused";
  if (peer.pending_snapshot != Index{}) out += " pendingSnap=" + Number(peer.pending_snapshot);
  if (!peer.recently_active) out += " inactive";
  if (peer.inflight_messages > 0) {
    out += " inflight=" + std::to_string(peer.inflight_messages);
    if (peer.inflight_full) out += "[full]";
  }
  return out;
}

std::string DescribeReady(ReplicaId node, const Ready& ready, bool asynchronous,
                          const HardState& before) {
  std::string out;
  bool must_sync = false;
  if (ready.soft_state) {
    out += "Lead:" + Number(ready.soft_state->leader) +
           " State:" + DescribeRole(ready.soft_state->role) + "\n";
  }
  std::string messages;
  for (const Message& message : ready.messages) messages += DescribeMessage(message) + "\n";
  if (ready.append && ready.append->hard_state) {
    const HardState& hard = *ready.append->hard_state;
    out += "HardState " + DescribeHardState(hard) + "\n";
    must_sync = hard.term != before.term || hard.vote != before.vote;
  }
  if (!ready.reads.empty()) out += DescribeReads(ready.reads);
  if (ready.append) {
    const StorageAppend& append = *ready.append;
    if (!append.entries.empty()) {
      out += "Entries:\n" + DescribeEntries(append.entries);
      must_sync = true;
    }
    if (!append.snapshot.empty()) out += "Snapshot " + DescribeSnapshot(append.snapshot) + "\n";
    if (asynchronous) messages += DescribeAppend(node, append, true) + "\n";
    for (const Message& response : append.responses) {
      if (!asynchronous && response.to != node) messages += DescribeMessage(response) + "\n";
    }
  }
  if (ready.apply) {
    out += "CommittedEntries:\n" + DescribeEntries(ready.apply->entries);
    if (asynchronous) messages += DescribeApply(node, *ready.apply, true) + "\n";
  }
  if (!messages.empty()) out += "Messages:\n" + messages;
  if (out.empty()) return "<empty Ready>\n";
  return std::string("Ready MustSync=") + (must_sync ? "true" : "false") + ":\n" + out;
}

bool ParseConfChangeSteps(std::string_view text, std::vector<ConfChangeStep>* steps) {
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.empty()) return true;
    const std::string word(text.substr(0, text.find(' ')));
    text.remove_prefix(word.size());
    static constexpr std::string_view kLetters = "vrul";  // In order of ConfChangeOp.
    const std::size_t op = kLetters.find(word[0]);
    if (op == std::string_view::npos) return false;
    steps->push_back(
        {static_cast<ConfChangeOp>(op), ReplicaId{std::strtoull(word.c_str() + 1, nullptr, 10)}});
  }
}

std::string DescribeConfChangeSteps(const std::vector<ConfChangeStep>& steps) {
  std::string out;
  for (const ConfChangeStep& step : steps) {
    if (!out.empty()) out += " ";
    out += "vrul"[static_cast<std::size_t>(step.op)] + Number(step.node);
  }
  return out;
}

}  // namespace ursula::raft::golden
