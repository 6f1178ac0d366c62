#include "tests/golden/raft/cluster.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "tests/golden/raft/describe.h"

namespace ursula::raft::golden {
namespace {

bool IsLocal(const Message& message) {
  return message.from == message.to || message.from == kAppendTarget ||
         message.from == kApplyTarget;
}

}  // namespace

void Output::Line(const std::string& text) {
  if (quiet_) return;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (indent_) text_ += "  ";
    text_.append(text, at, end - at);
    text_ += "\n";
    at = end + 1;
  }
}

bool Node::Start() {
  appends_.clear();
  applies_.clear();
  outbox_.clear();
  Result<std::unique_ptr<Core>> core =
      Core::Create(config_, {log_.hard(), log_.conf(), log_.first() - 1}, &log_, this);
  if (!core.ok()) {
    output_->Line(core.status().message());
    return false;
  }
  core_ = std::move(*core);
  handed_ = {core_->term(), core_->vote(), core_->commit()};
  return true;
}

void Node::OnNotice(Notice notice) {
  const std::string self = std::to_string(Raw(id()));
  switch (notice) {
    case Notice::kNotPromotable:
      output_->Line("WARN " + self + " is unpromotable and can not campaign");
      break;
    case Notice::kCampaignAwaitsConfChange:
      output_->Line("WARN " + self + " cannot campaign at term " +
                    std::to_string(Raw(core_->term())) +
                    " since there are still pending configuration changes to apply");
      break;
    case Notice::kSteppedDownWithoutQuorum:
      output_->Line("WARN " + self + " stepped down to follower since quorum is not active");
      break;
    case Notice::kForgetLeaderRefused:
      output_->Line("ERROR ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
      break;
    case Notice::kMalformedMessage:
      output_->Line("malformed message");
      break;
    case Notice::kSnapshotForOthers:
      output_->Line("WARN " + self + " attempted to restore snapshot but it is not in the " +
                    "ConfState " + DescribeConfState(delivered_conf_) + "; should never happen");
      break;
    case Notice::kConfChangeRefused:
      break;
  }
}

StepResult Node::Step(Message message) {
  if (message.kind == MessageKind::kSnapshot) delivered_conf_ = message.snapshot.meta.conf;
  return core_->Step(std::move(message));
}

void Node::TakeReady() {
  Ready ready;
  core_->TakeReady(&ready);
  // There, the answer to an apply carries what was applied.
  if (ready.apply) ready.apply->response.entries = ready.apply->entries;
  output_->Line(DescribeReady(id(), ready, !config_.synchronous_storage, handed_));
  if (ready.append && ready.append->hard_state) handed_ = *ready.append->hard_state;
  for (Message& message : ready.messages) outbox_.push_back(std::move(message));
  if (config_.synchronous_storage) {
    FinishSynchronously(&ready);
    return;
  }
  if (ready.append) appends_.push_back(std::move(*ready.append));
  if (ready.apply) applies_.push_back(std::move(*ready.apply));
}

void Node::FinishSynchronously(Ready* ready) {
  std::vector<Message> own;
  if (ready->append) {
    Persist(*ready->append);
    for (Message& response : ready->append->responses) {
      (response.to == id() ? own : outbox_).push_back(std::move(response));
    }
  }
  if (ready->apply) {
    Apply(ready->apply->entries);
    own.push_back(std::move(ready->apply->response));
  }
  for (Message& message : own) (void)core_->Step(std::move(message));
}

void Node::ProcessAppend() {
  URSULA_CHECK(HasAppends());
  StorageAppend append = std::move(appends_.front());
  appends_.pop_front();
  output_->Line("Processing:");
  output_->Line(DescribeAppend(id(), append, false));
  Persist(append);
  output_->Line("Responses:");
  for (Message& response : append.responses) {
    output_->Line(DescribeMessage(response));
    outbox_.push_back(std::move(response));
  }
}

void Node::ProcessApply() {
  URSULA_CHECK(HasApplies());
  StorageApply apply = std::move(applies_.front());
  applies_.pop_front();
  output_->Line("Processing:");
  output_->Line(DescribeApply(id(), apply, false));
  Apply(apply.entries);
  output_->Line("Responses:");
  output_->Line(DescribeMessage(apply.response));
  outbox_.push_back(std::move(apply.response));
}

void Node::Persist(const StorageAppend& append) {
  if (append.hard_state) log_.SetHardState(*append.hard_state);
  if (!append.snapshot.empty() && !log_.ApplySnapshot(append.snapshot)) {
    output_->Line("snapshot out of date");
  }
  log_.Append(append.entries);
}

void Node::Apply(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    std::optional<ConfState> conf;
    if (entry.kind != EntryKind::kNormal) {
      Result<ConfChange> change = DecodeConfChange(entry.kind, entry.payload.view());
      URSULA_CHECK(change.ok());
      Result<ConfState> applied = core_->ApplyConfChange(*change);
      if (applied.ok()) {
        conf = std::move(*applied);
      } else {
        output_->Line(applied.status().message());
      }
    }
    Record(entry, conf);
  }
}

// The scripted state machine keeps a snapshot of every state; a conf change's is of the
// configuration after it, and any other's of that of the state before.
void Node::Record(const Entry& entry, const std::optional<ConfState>& conf) {
  Snapshot next = log_.history().back();
  next.meta.index = entry.index;
  next.meta.term = entry.term;
  if (conf) next.meta.conf = *conf;
  log_.history().push_back(std::move(next));
}

bool Cluster::AddNode(Config config, const Snapshot& first_snapshot, bool snapshots_enter_history) {
  config.self = ReplicaId{nodes_.size() + 1};
  auto node = std::make_unique<Node>(config, &output_);
  if (!first_snapshot.empty()) {
    node->log().ApplySnapshot(first_snapshot);
    node->log().history() = {first_snapshot};
  }
  node->log().set_snapshots_enter_history(snapshots_enter_history);
  if (!node->Start()) return false;
  nodes_.push_back(std::move(node));
  return true;
}

Node* Cluster::Find(uint64_t id) {
  return id >= 1 && id <= nodes_.size() ? nodes_[id - 1].get() : nullptr;
}

std::vector<Node*> Cluster::All() {
  std::vector<Node*> all;
  for (const std::unique_ptr<Node>& node : nodes_) all.push_back(node.get());
  return all;
}

void Cluster::Collect(Node* node) {
  for (Message& message : node->TakeOutbox()) messages_.push_back(std::move(message));
}

void Cluster::ProcessReady(Node* node) {
  node->TakeReady();
  Collect(node);
}

void Cluster::ProcessAppend(Node* node) {
  node->ProcessAppend();
  Collect(node);
}

void Cluster::ProcessApply(Node* node) {
  node->ProcessApply();
  Collect(node);
}

bool Cluster::HasMessages(ReplicaId to) const {
  for (const Message& message : messages_) {
    if (message.to == to) return true;
  }
  return false;
}

std::size_t Cluster::Deliver(const std::vector<Recipient>& recipients,
                             std::optional<MessageKind> kind) {
  std::size_t count = 0;
  for (const Recipient& recipient : recipients) {
    std::vector<Message> taken;
    std::vector<Message> rest;
    for (Message& message : messages_) {
      const bool mine = message.to == recipient.id && !(recipient.drop && IsLocal(message)) &&
                        (!kind || message.kind == *kind);
      (mine ? taken : rest).push_back(std::move(message));
    }
    messages_ = std::move(rest);
    count += taken.size();
    for (Message& message : taken) {
      output_.Line((recipient.drop ? "dropped: " : "") + DescribeMessage(message));
      if (recipient.drop) continue;
      switch (Find(Raw(recipient.id))->Step(std::move(message))) {
        case StepResult::kOk:
        case StepResult::kMalformed:
          break;
        case StepResult::kProposalDropped:
          output_.Line("raft proposal dropped");
          break;
        case StepResult::kUnknownPeer:
          output_.Line("raft: cannot step as peer not found");
          break;
      }
    }
  }
  return count;
}

void Cluster::Stabilize(const std::vector<Node*>& nodes) {
  for (bool more = true; more;) {
    more = false;
    auto heading = [this, &more](Node* node, const char* what) {
      output_.Line("> " + std::to_string(Raw(node->id())) + " " + what);
      output_.Indent(true);
      more = true;
    };
    for (Node* node : nodes) {
      if (!node->core().HasReady()) continue;
      heading(node, "handling Ready");
      ProcessReady(node);
      output_.Indent(false);
    }
    for (Node* node : nodes) {
      if (!HasMessages(node->id())) continue;
      heading(node, "receiving messages");
      Deliver({{node->id(), false}}, std::nullopt);
      output_.Indent(false);
    }
    for (Node* node : nodes) {
      if (!node->HasAppends()) continue;
      heading(node, "processing append thread");
      while (node->HasAppends()) ProcessAppend(node);
      output_.Indent(false);
    }
    for (Node* node : nodes) {
      if (!node->HasApplies()) continue;
      heading(node, "processing apply thread");
      while (node->HasApplies()) ProcessApply(node);
      output_.Indent(false);
    }
  }
}

void Cluster::Restart(Node* node) {
  std::erase_if(messages_, [node](const Message& message) {
    return message.to == node->id() && IsLocal(message);
  });
  if (!node->Start()) return;
  const HardState& hard = node->log().hard();
  output_.Line("restarted Term:" + std::to_string(Raw(hard.term)) + " Vote:" +
               std::to_string(Raw(hard.vote)) + " Commit:" + std::to_string(Raw(hard.commit)) +
               " first:" + std::to_string(Raw(node->log().first())) +
               " last:" + std::to_string(Raw(node->log().last())));
}

}  // namespace ursula::raft::golden
