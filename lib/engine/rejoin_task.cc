#include "lib/engine/rejoin_task.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "lib/meta/founding_format.h"
#include "lib/storage/snapshot_format.h"
#include "lib/storage/wal_format.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kFirstLineNs = 5'000'000'000;  // Of one that waits.
constexpr uint64_t kLineNs = 30'000'000'000;

std::vector<NodeId> PeersOf(const storage::DataDirectory& directory,
                            const ClusterOptions& cluster) {
  std::vector<NodeId> peers = cluster.founders;
  for (const storage::FoundingDirectory& founder : directory.founders()) {
    peers.push_back(NodeId{founder.node_id});
  }
  std::ranges::sort(peers);
  peers.erase(std::ranges::unique(peers).begin(), peers.end());
  std::erase(peers, NodeId{directory.node_id()});
  return peers;
}

}  // namespace

Status CheckMounted(io::Disk& disk, const storage::DataDirectory& directory, bool snapshot_wanted) {
  if (directory.generation() <= 1) return {};
  Result<std::vector<std::string>> logs = disk.List(directory.wal_path());
  if (!logs.ok()) return logs.status();
  Result<std::vector<std::string>> snapshots = disk.List(directory.snapshot_path());
  if (!snapshots.ok()) return snapshots.status();
  const bool log = std::ranges::any_of(
      *logs, [](const std::string& leaf) { return storage::ParseSegmentName(leaf).has_value(); });
  const bool snapshot = std::ranges::any_of(*snapshots, [](const std::string& leaf) {
    return storage::ParseSnapshotFileName(leaf).has_value();
  });
  if (snapshot ? log : !snapshot_wanted) return {};
  return Status(
      StatusCode::kDataLoss,
      (snapshot ? directory.wal_path() : directory.snapshot_path()) +
          " is empty, and the rest of the directory says that it was not: is it mounted?");
}

RejoinTask::RejoinTask(io::Loop* loop, const storage::DataDirectory* directory,
                       const ClusterOptions& cluster, const FoundingTerms& terms, bool may_be_alone,
                       Opening* opening, storage::LogLine log)
    : loop_(*loop),
      directory_(*directory),
      transport_(*cluster.transport),
      may_be_alone_(may_be_alone),
      opening_(*opening),
      log_(std::move(log)),
      peers_(PeersOf(*directory, cluster)),
      limits_(terms.limits),
      hello_(HelloOfMember(*directory, cluster, terms)) {
  hello_.number = 0;
  timer_.Then<&RejoinTask::OnTime>(this);
}

RejoinTask::~RejoinTask() { URSULA_CHECK(state_ != State::kRunning); }

void RejoinTask::Start(Function<void(Status)> done) {
  URSULA_CHECK(state_ == State::kIdle);
  state_ = State::kRunning;
  done_ = std::move(done);
  began_ns_ = loop_.now_ns();
  next_line_ns_ = began_ns_ + kFirstLineNs;
  transport_.Attach(loop_.core(), this);
  loop_.StartTimer(&timer_, loop_.now_ns() + kAskNs);
  Ask();
}

void RejoinTask::Ask() {
  ++hello_.number;
  asked_ns_[hello_.number % asked_ns_.size()] = loop_.now_ns();
  const Bytes hello = meta::EncodeFoundingHello(hello_);
  for (NodeId peer : peers_) {
    (void)transport_.Send(loop_.core(), peer, Channel::kControl, {hello});
  }
}

void RejoinTask::OnTime() {
  URSULA_CHECK(state_ == State::kRunning);
  if (opening_.cancelled()) {
    return End(Status(StatusCode::kCancelled, "the opening was cancelled"));
  }
  if (may_be_alone_ && !answered_ && loop_.now_ns() >= began_ns_ + kAloneNs) {
    return End(Status(StatusCode::kFailedPrecondition,
                      "it may be the only one of its cluster, of whom nobody else answers"));
  }
  loop_.StartTimer(&timer_, loop_.now_ns() + kAskNs);
  Ask();
  LogWaiting();
}

// Of this opening's asks, one of the last second.
bool RejoinTask::AnswersALateAsk(const meta::FoundingHello& answer) const {
  return std::ranges::any_of(answer.heard, [this](const meta::FoundingHeard& one) {
    const bool ours = one.from == hello_.from && one.number != 0 && one.number <= hello_.number;
    return ours && hello_.number - one.number < asked_ns_.size() &&
           loop_.now_ns() - asked_ns_[one.number % asked_ns_.size()] <= kFreshNs;
  });
}

// What is no answer of a member to this process is passed over.
void RejoinTask::OnFrame(NodeId from, Channel /*channel*/, Bytes frame) {
  URSULA_CHECK(state_ == State::kRunning);
  if (!meta::IsFoundingFrame(frame)) return;
  Result<meta::FoundingHello> answer = meta::DecodeFoundingHello(frame);
  if (!answer.ok() || answer->from.node != from || answer->number != 0) return;
  if (answer->record.state != meta::FoundingState::kMember) return;
  if (!AnswersALateAsk(*answer)) return;
  const uint64_t cluster = answer->record.plan.cluster_id;
  if (cluster != directory_.cluster_id()) {
    return Object(from, "it is a member of cluster " + std::to_string(cluster));
  }
  if (!answer->admission || answer->admission->directory != directory_.id()) return;
  OnAnswer(from, *answer);
}

void RejoinTask::OnAnswer(NodeId from, const meta::FoundingHello& answer) {
  answered_ = true;
  const meta::FoundingAdmission& word = *answer.admission;
  if (!word.refusal.empty()) {
    return End(Status(StatusCode::kFailedPrecondition, word.refusal));
  }
  // Who joins is refused for these: a member was let go on with what it had.
  if (answer.wish.limits != limits_) {
    return End(Status(StatusCode::kFailedPrecondition,
                      "its limits are others than those of node " + std::to_string(Raw(from)) +
                          ": give each node the same message_bytes_max"));
  }
  if (!word.waits.empty()) {
    URSULA_SOMETIMES("aside: a rotten directory stays while its cluster has no leaders");
    return Object(from, word.waits);
  }
  if (word.lives_before == 0) {
    // A release before this one neither objects nor promises anything.
    words_[from] = {.says = "its release doesn't tell whether this node would be taken in"};
    return;
  }
  if (word.lives_before != LivesBefore(directory_.replica_id()) + 1) {
    return Object(from, "it knows this node by another directory");
  }
  OnYes(&words_[from]);
}

void RejoinTask::OnYes(Word* word) {
  const uint64_t now_ns = loop_.now_ns();
  const bool goes_on = word->yes_since_ns != 0 && now_ns - word->heard_ns <= kFreshNs;
  if (!goes_on) word->yes_since_ns = now_ns;
  word->heard_ns = now_ns;
  word->says = "it would take this node in";
  if (now_ns - std::max(word->yes_since_ns, objected_ns_) >= kSteadyNs) End(Status());
}

void RejoinTask::Object(NodeId from, const std::string& why) {
  objected_ns_ = loop_.now_ns();
  words_[from] = {.heard_ns = objected_ns_, .says = why};
}

void RejoinTask::OnRoom(NodeId /*to*/, Channel /*channel*/) {}  // It is asked again.

void RejoinTask::OnLost(NodeId peer, bool /*ended*/) { words_.erase(peer); }

void RejoinTask::LogWaiting() {
  if (loop_.now_ns() < next_line_ns_) return;
  next_line_ns_ = loop_.now_ns() + kLineNs;
  if (!log_) return;
  std::string line = directory_.path() +
                     " is rotten, and stays as it is until its cluster would take this node in "
                     "again: ";
  if (words_.empty()) line += "no member has answered yet, among nodes";
  for (std::size_t i = 0; words_.empty() && i < peers_.size(); ++i) {
    line += (i == 0 ? " " : ", ") + std::to_string(Raw(peers_[i]));
  }
  for (const auto& [node, word] : words_) {
    line += (node == words_.begin()->first ? "node " : "; node ") + std::to_string(Raw(node)) +
            " says: " + word.says;
  }
  log_(storage::LogLevel::kWarning, line);
}

void RejoinTask::End(Status status) {
  state_ = State::kEnded;
  loop_.CancelTimer(&timer_);
  transport_.Detach(loop_.core());
  loop_.Defer(
      [done = std::move(done_), status = std::move(status)]() mutable { done(std::move(status)); });
}

}  // namespace ursula::engine
