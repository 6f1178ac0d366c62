// tests/golden/raft/cluster.h
//
// Scripted nodes: each a core over its NodeLog with queues of appends and applies, and one bag of
// messages between them. Everything that happens is written down in `output`.

#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/raft/core.h"
#include "tests/golden/raft/node_log.h"

namespace ursula::raft::golden {

class Output {
 public:
  void Line(const std::string& text);  // May hold several lines.
  void SetQuiet(bool quiet) { quiet_ = quiet; }
  bool quiet() const { return quiet_; }
  void Indent(bool indent) { indent_ = indent; }
  std::string Take() { return std::exchange(text_, {}); }

 private:
  bool quiet_ = false;
  bool indent_ = false;
  std::string text_;
};

class Node final : private Driver {
 public:
  Node(const Config& config, Output* output) : config_(config), output_(output) {}

  // A new core over what the storage holds. False: it can't be.
  bool Start();

  StepResult Step(Message message);
  void TakeReady();  // Prints it. Synchronous: persists, applies and answers it too.
  void ProcessAppend();
  void ProcessApply();

  ReplicaId id() const { return config_.self; }
  Core& core() { return *core_; }
  NodeLog& log() { return log_; }
  bool HasAppends() const { return !appends_.empty(); }
  bool HasApplies() const { return !applies_.empty(); }
  // What it has sent since the last call.
  std::vector<Message> TakeOutbox() { return std::exchange(outbox_, {}); }

 private:
  uint32_t Jitter(uint32_t) override { return 0; }
  void OnNotice(Notice notice) override;
  void Persist(const StorageAppend& append);
  void Apply(const std::vector<Entry>& entries);
  void Record(const Entry& entry, const std::optional<ConfState>& conf);
  void FinishSynchronously(Ready* ready);

  Config config_;
  Output* const output_;
  NodeLog log_;
  std::unique_ptr<Core> core_;
  HardState handed_;
  std::deque<StorageAppend> appends_;
  std::deque<StorageApply> applies_;
  std::vector<Message> outbox_;
  ConfState delivered_conf_;  // Of the newest snapshot that was delivered.
};

struct Recipient {
  ReplicaId id = kNoReplica;
  bool drop = false;
};

class Cluster {
 public:
  // `first_snapshot`: what the nodes' storages hold from the start; empty for none.
  // `snapshots_enter_history`: NodeLog's.
  bool AddNode(Config config, const Snapshot& first_snapshot, bool snapshots_enter_history);
  Node* Find(uint64_t id);
  std::vector<Node*> All();

  void ProcessReady(Node* node);
  void ProcessAppend(Node* node);
  void ProcessApply(Node* node);
  // How many there were. `kind`: of this kind only.
  std::size_t Deliver(const std::vector<Recipient>& recipients, std::optional<MessageKind> kind);
  void Stabilize(const std::vector<Node*>& nodes);
  void Restart(Node* node);
  void Put(Message message) { messages_.push_back(std::move(message)); }

  Output& output() { return output_; }
  std::size_t size() const { return nodes_.size(); }

 private:
  bool HasMessages(ReplicaId to) const;
  void Collect(Node* node);

  Output output_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Message> messages_;
};

}  // namespace ursula::raft::golden
