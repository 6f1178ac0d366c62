// One raft core, driven as its contract says, whose peers say anything at all. The input: what it
// is configured as, then steps, a byte each that says what happens, and its details. No message
// makes it crash, a malformed one changes nothing, and what it promises of its own log holds
// whatever the others say.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/raft/core.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/raft_storage.h"

namespace ursula::raft {
namespace {

using fuzz::Input;

constexpr ReplicaId kSelf{1};
constexpr unsigned kNodes = 5;

ReplicaId AnyNode(Input* input) { return ReplicaId{input->Below(kNodes + 1)}; }

std::vector<ReplicaId> Nodes(uint8_t bits) {
  std::vector<ReplicaId> nodes;
  for (unsigned i = 0; i < kNodes; ++i) {
    if ((bits >> i & 1) != 0) nodes.push_back(ReplicaId{i + 1});
  }
  return nodes;
}

// Any at all; most of them fit no Membership.
ConfState AnyConf(Input* input) {
  ConfState conf;
  conf.voters = Nodes(input->Byte());
  const uint8_t flags = input->Byte();
  if ((flags & 1) != 0) conf.learners = Nodes(input->Byte());
  if ((flags & 2) != 0) conf.voters_outgoing = Nodes(input->Byte());
  if ((flags & 4) != 0) conf.learners_next = Nodes(input->Byte());
  conf.auto_leave = (flags & 8) != 0;
  return conf;
}

ConfChange AnyChange(Input* input) {
  ConfChange change;
  const unsigned count = input->Below(4);
  for (unsigned i = 0; i < count; ++i) {
    change.steps.push_back({static_cast<ConfChangeOp>(input->Below(4)), AnyNode(input)});
  }
  change.transition = static_cast<Transition>(input->Below(3));
  change.simple_form = count == 1 && !change.enters_joint() && input->Flag();
  return change;
}

Config AnyConfig(Input* input) {
  Config config;
  config.self = kSelf;
  config.election_ticks = 3;
  const uint8_t flags = input->Byte();
  config.pre_vote = (flags & 1) == 0;
  config.check_quorum = (flags & 2) == 0;
  config.lease_reads = config.check_quorum && (flags & 4) != 0;
  config.forward_proposals = (flags & 8) != 0;
  config.step_down_on_removal = (flags & 16) == 0;
  config.validate_conf_changes = (flags & 32) == 0;
  if ((flags & 64) != 0) {
    config.message_bytes_max = 40;
    config.applying_bytes_max = 60;
    config.uncommitted_bytes_max = 30;
    config.inflight_messages_max = 2;
    config.inflight_bytes_max = 80;
    config.pending_reads_max = 2;
  }
  return config;
}

class Replica final : public Driver {
 public:
  explicit Replica(Input* input)
      : input_(*input), config_(AnyConfig(input)), storage_(AnyConf(input)) {
    conf_ = storage_.snapshot().conf;
    Start();
  }

  bool started() const { return core_ != nullptr; }
  void Step();

  uint32_t Jitter(uint32_t bound) override { return input_.Byte() % bound; }

 private:
  void Start();
  void Crash();
  void Take();
  void FinishAppend();
  void FinishApply();
  void Apply(const Entry& entry);
  void Deliver(Message message);
  void Invoke(unsigned what);
  Message AnyMessage();
  Message AnswerTo(const Message& message);
  std::vector<Entry> AnyEntries(Index after, Term term);
  void CheckSteady();

  Input& input_;
  const Config config_;
  FuzzStorage storage_;
  ConfState conf_;  // As applied.
  std::unique_ptr<Core> core_;
  std::deque<StorageAppend> appends_;
  std::deque<StorageApply> applies_;
  std::deque<Message> sent_;  // To peers, the newest few.
  Index commit_seen_{};
  Term term_seen_{};
};

void Replica::Start() {
  storage_.applied = storage_.snapshot().index;
  conf_ = storage_.snapshot().conf;
  Result<std::unique_ptr<Core>> core =
      Core::Create(config_, {storage_.hard(), conf_, {}}, &storage_, this);
  if (!core.ok()) {
    // Only a configuration of the input may be refused; what this replica stored itself may not.
    URSULA_CHECK(storage_.hard().empty() && storage_.last() == Index{});
    return;
  }
  core_ = std::move(*core);
  commit_seen_ = core_->commit();
  term_seen_ = core_->term();
}

void Replica::Crash() {
  appends_.clear();
  applies_.clear();
  core_.reset();
  Start();
  URSULA_CHECK(started());
}

void Replica::Take() {
  if (!core_->HasReady()) return;
  Ready ready;
  core_->TakeReady(&ready);
  for (Message& message : ready.messages) {
    URSULA_CHECK(message.to != kSelf && message.kind != MessageKind::kVoteReply);
    sent_.push_back(std::move(message));
  }
  if (ready.append && !ready.append->snapshot.empty()) {
    // What is being applied stands before it.
    for (StorageApply& apply : applies_) apply.entries.clear();
  }
  if (ready.append) appends_.push_back(std::move(*ready.append));
  if (ready.apply) applies_.push_back(std::move(*ready.apply));
}

void Replica::FinishAppend() {
  if (appends_.empty()) return;
  const StorageAppend append = std::move(appends_.front());
  appends_.pop_front();
  storage_.Write(append);
  if (!append.snapshot.empty()) {
    storage_.applied = append.snapshot.meta.index;
    conf_ = append.snapshot.meta.conf;
  }
  for (const Message& response : append.responses) {
    if (response.to == kSelf) {
      URSULA_CHECK(core_->Step(response) != StepResult::kMalformed);
      continue;
    }
    if (response.kind == MessageKind::kVoteReply && !response.reject) {
      URSULA_CHECK(storage_.hard().term > response.term || storage_.hard().vote == response.to);
    }
    sent_.push_back(response);
  }
}

void Replica::FinishApply() {
  if (applies_.empty()) return;
  const StorageApply apply = std::move(applies_.front());
  applies_.pop_front();
  for (const Entry& entry : apply.entries) Apply(entry);
  URSULA_CHECK(core_->Step(apply.response) == StepResult::kOk);
}

void Replica::Apply(const Entry& entry) {
  URSULA_CHECK(entry.index == storage_.applied + 1);
  URSULA_CHECK(entry.index <= storage_.last() && storage_.At(entry.index) == entry);
  storage_.applied = entry.index;
  if (entry.kind == EntryKind::kNormal) return;
  const Result<ConfChange> change = DecodeConfChange(entry.kind, entry.payload.view());
  URSULA_CHECK(change.ok());
  const Result<ConfState> conf = core_->ApplyConfChange(*change);
  if (!conf.ok()) return;
  conf_ = *conf;
  URSULA_CHECK(core_->Configuration() == conf_);
}

std::vector<Entry> Replica::AnyEntries(Index after, Term term) {
  std::vector<Entry> entries(input_.Below(4));
  for (Entry& entry : entries) {
    after = after + 1;
    const uint8_t flags = input_.Byte();
    entry.index = (flags & 0x70) == 0x70 ? Index{input_.Near(Raw(after))} : after;
    entry.term = (flags & 8) != 0 ? Term{input_.Near(Raw(term))} : term;
    entry.kind = static_cast<EntryKind>(flags & 3);
    entry.payload = entry.kind == EntryKind::kNormal || (flags & 4) != 0
                        ? Bytes::Copy(input_.Text(8))
                        : EncodeConfChange(AnyChange(&input_));
  }
  return entries;
}

Message Replica::AnyMessage() {
  Message message;
  message.kind = static_cast<MessageKind>(input_.Below(24));
  const uint8_t flags = input_.Byte();
  message.from = AnyNode(&input_);
  message.to = (flags & 0xf0) == 0xf0 ? AnyNode(&input_) : kSelf;
  message.term = Term{(flags & 1) != 0 ? input_.Near(Raw(core_->term())) : Raw(core_->term())};
  message.index = Index{input_.Near(Raw((flags & 2) != 0 ? core_->commit() : core_->last_index()))};
  const std::optional<Term> there = core_->TermAt(message.index);
  message.log_term = there && (flags & 4) == 0 ? *there : Term{input_.Near(Raw(core_->term()))};
  message.commit = Index{input_.Near(Raw(core_->commit()))};
  message.reject = (flags & 8) != 0;
  if (message.reject) message.reject_hint = Index{input_.Near(Raw(message.index))};
  if (OfElection(message.kind)) {
    const std::optional<Term> of_commit = core_->TermAt(message.commit);
    const bool true_one = of_commit && (flags & 32) == 0;
    message.commit_term = true_one ? *of_commit : Term{input_.Near(Raw(core_->term()))};
  }
  switch (message.kind) {
    case MessageKind::kPropose:
      message.term = Term{};
      [[fallthrough]];
    case MessageKind::kAppend:
      message.entries = AnyEntries(message.index, message.term);
      break;
    case MessageKind::kVote:
    case MessageKind::kPreVote:
      message.transfer = (flags & 16) != 0;
      break;
    case MessageKind::kReadIndex:
      message.term = Term{};
      [[fallthrough]];
    case MessageKind::kHeartbeat:
    case MessageKind::kHeartbeatReply:
    case MessageKind::kReadIndexReply:
      message.context = Bytes::Copy(input_.Text(3));
      message.read_round = message.context.size();
      break;
    case MessageKind::kSnapshot:
      message.snapshot.meta = {message.index, message.log_term, AnyConf(&input_)};
      break;
    default:
      break;
  }
  return message;
}

// What a peer with an equal log would say, or a little beside it.
Message Replica::AnswerTo(const Message& message) {
  Message answer;
  answer.from = message.to;
  answer.to = kSelf;
  answer.term = message.term;
  answer.context = message.context;
  answer.read_round = message.read_round;
  const uint8_t flags = input_.Byte();
  answer.reject = (flags & 7) == 7;
  switch (message.kind) {
    case MessageKind::kVote:
      answer.kind = MessageKind::kVoteReply;
      break;
    case MessageKind::kPreVote:
      answer.kind = MessageKind::kPreVoteReply;
      break;
    case MessageKind::kHeartbeat:
      answer.kind = MessageKind::kHeartbeatReply;
      break;
    case MessageKind::kSnapshot:
      answer.kind = MessageKind::kAppendReply;
      answer.index = message.snapshot.meta.index;
      break;
    default:
      answer.kind = MessageKind::kAppendReply;
      answer.index = message.index + (answer.reject ? 0 : message.entries.size());
      break;
  }
  if ((flags & 0x38) == 0x38) answer.index = Index{input_.Near(Raw(answer.index))};
  if (answer.reject) answer.reject_hint = Index{input_.Near(Raw(answer.index))};
  if (answer.reject) answer.log_term = Term{input_.Near(Raw(answer.term))};
  return answer;
}

void Replica::Deliver(Message message) {
  // What `from` says is true: nobody speaks in this replica's name, or its storage's.
  if (message.from == kSelf) return;
  const Term term = core_->term();
  const Index commit = core_->commit();
  const Index last = core_->last_index();
  const ReplicaId vote = core_->vote();
  const Role role = core_->role();
  const bool had_ready = core_->HasReady();
  if (core_->Step(std::move(message)) != StepResult::kMalformed) return;
  URSULA_CHECK(core_->term() == term && core_->commit() == commit && core_->last_index() == last);
  URSULA_CHECK(core_->vote() == vote && core_->role() == role && core_->HasReady() == had_ready);
}

void Replica::Invoke(unsigned what) {
  switch (what) {
    case 0: {
      const std::vector<Bytes> commands(input_.Below(4) + 1, Bytes::Static("command"));
      const Index last = core_->last_index();
      const Proposal proposal = core_->Propose(commands);
      if (proposal.outcome != ProposalOutcome::kAppended) break;
      URSULA_CHECK(core_->is_leader() && proposal.first == last + 1);
      URSULA_CHECK(core_->last_index() == last + commands.size());
      break;
    }
    case 1:
      (void)core_->ProposeConfChange(AnyChange(&input_));
      break;
    case 2:
      (void)core_->ReadIndex(Bytes::Copy(input_.Text(3)));
      break;
    case 3:
      core_->TransferLeadership(AnyNode(&input_));
      break;
    case 4:
      core_->ForgetLeader();
      break;
    case 5:
      core_->ReportUnreachable(AnyNode(&input_));
      break;
    case 6:
      core_->ReportSnapshot(AnyNode(&input_), input_.Flag());
      break;
    default:
      storage_.at_hand = !storage_.at_hand;
      break;
  }
}

void Replica::CheckSteady() {
  URSULA_CHECK(core_->term() >= term_seen_ && core_->commit() >= commit_seen_);
  term_seen_ = core_->term();
  commit_seen_ = core_->commit();
  URSULA_CHECK(core_->first_index() <= core_->applied() + 1 || !appends_.empty() ||
               core_->HasReady());
  URSULA_CHECK(core_->applied() <= core_->commit() && core_->commit() <= core_->last_index());
  URSULA_CHECK(core_->is_leader() == (core_->leader() == kSelf));
  while (sent_.size() > 16) sent_.pop_front();
}

void Replica::Step() {
  const unsigned what = input_.Below(32);
  switch (what) {
    case 0:
    case 1:
      core_->Tick();
      break;
    case 2:
      core_->Campaign();
      break;
    case 3:
      Crash();
      break;
    case 4:
      storage_.Compact(storage_.applied, conf_);
      break;
    case 5:
    case 6:
    case 7:
    case 8:
      FinishAppend();
      break;
    case 9:
    case 10:
      FinishApply();
      break;
    case 11:
    case 12:
    case 13:
    case 14:
      if (!sent_.empty()) Deliver(AnswerTo(sent_[input_.Byte() % sent_.size()]));
      break;
    case 15:
    case 16:
    case 17:
    case 18:
      // A good while in which nothing is odd.
      for (int i = 0; i < 3; ++i) {
        Take();
        FinishAppend();
        FinishApply();
      }
      break;
    case 19:
    case 20:
    case 21:
    case 22:
    case 23:
    case 24:
    case 25:
    case 26:
      Invoke(what - 19);
      break;
    default:
      Deliver(AnyMessage());
      break;
  }
  if (!input_.Flag()) Take();
  CheckSteady();
}

void Run(Input input) {
  Replica replica(&input);
  while (replica.started() && !input.empty()) replica.Step();
}

}  // namespace
}  // namespace ursula::raft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::raft::Run(ursula::fuzz::Input(data, size));
  return 0;
}
