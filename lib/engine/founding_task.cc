#include "lib/engine/founding_task.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/hex.h"
#include "lib/base/ids.h"
#include "lib/meta/founding_format.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kFirstLineNs = 5'000'000'000;  // Of one that waits.
constexpr uint64_t kLineNs = 30'000'000'000;
constexpr std::size_t kComplaintsMax = 16;

meta::FoundingNode NodeOf(const storage::DataDirectory& directory) {
  return {NodeId{directory.node_id()}, directory.id(), directory.nonce()};
}

meta::FoundingRecord RecordOf(const storage::DataDirectory& directory) {
  meta::FoundingRecord record;
  if (!directory.has_plan()) return record;
  // One that must rejoin was a member: its cluster has begun.
  record.state = directory.state() == storage::DirectoryState::kFounding
                     ? meta::FoundingState::kFounding
                     : meta::FoundingState::kMember;
  record.plan.cluster_id = directory.cluster_id();
  record.plan.history_id = directory.history_id();
  record.plan.group_count = directory.group_count();
  for (const storage::FoundingDirectory& founder : directory.founders()) {
    record.plan.founders.push_back({NodeId{founder.node_id}, founder.id});
  }
  if (record.plan.founders.empty()) {
    record.plan.founders.push_back({NodeId{directory.node_id()}, directory.id()});
  }
  record.lives_before = LivesBefore(directory.replica_id());
  record.plan.feature_level = directory.founding_level();
  const storage::DirectoryRecovery& recovery = directory.recovery();
  if (recovery.number == 0) return record;
  meta::ClusterRecovery& known = record.plan.recovery;
  known.number = recovery.number;
  known.term = Raw(recovery.term);
  known.history_id = recovery.history_id;
  known.cluster_before = recovery.cluster_before;
  for (ReplicaId voter : directory.founding_voters()) {
    known.lives_before.push_back(LivesBefore(voter));
  }
  for (uint64_t node : recovery.lost) known.lost.push_back(NodeId{node});
  return record;
}

meta::FoundingWish WishOf(const ClusterOptions& cluster) {
  meta::FoundingWish wish{.founders = cluster.founders};
  std::sort(wish.founders.begin(), wish.founders.end());
  return wish;
}

meta::FoundingOptions OptionsOf(io::Loop* loop, const storage::DataDirectory& directory,
                                const ClusterOptions& cluster, const FoundingTerms& terms) {
  meta::FoundingOptions options{
      .self = NodeOf(directory),
      .record = RecordOf(directory),
      .wish = WishOf(cluster),
      .group_count_if_new = terms.group_count_if_new,
      .cluster_id = directory.rejoins() ? directory.meta().aside.cluster_id : cluster.cluster_id,
      .feature_level_max = terms.feature_level_max,
      .seed = loop->Entropy()};
  options.wish.group_count = terms.group_count;
  options.wish.limits = terms.limits;
  return options;
}

std::string FoundedLine(const meta::FoundingPlan& plan) {
  std::string nodes;
  for (const meta::Founder& founder : plan.founders) {
    nodes += (nodes.empty() ? "" : ", ") + std::to_string(Raw(founder.node));
  }
  const std::string cluster = Hex16(plan.cluster_id);
  return "a member of cluster " + cluster + ", founded by nodes " + nodes + " with " +
         std::to_string(plan.group_count) + " groups; with cluster-id " + cluster +
         " this node never founds another";
}

std::string JoinedLine(const meta::FoundingRecord& record) {
  return "an empty directory joins cluster " + Hex16(record.plan.cluster_id) + " in the place of " +
         std::to_string(record.lives_before) +
         " that its node had before: the others bring it up to date";
}

storage::DirectoryPlan PlanOf(const meta::FoundingRecord& record) {
  storage::DirectoryPlan plan{.cluster_id = record.plan.cluster_id,
                              .history_id = record.plan.history_id,
                              .group_count = record.plan.group_count,
                              .feature_level = record.plan.feature_level,
                              .lives_before = record.lives_before};
  for (const meta::Founder& founder : record.plan.founders) {
    plan.founders.push_back({Raw(founder.node), founder.directory});
  }
  const meta::ClusterRecovery& recovery = record.plan.recovery;
  if (recovery.number == 0) return plan;
  plan.recovery = {.number = recovery.number,
                   .term = Term{recovery.term},
                   .history_id = recovery.history_id,
                   .cluster_before = recovery.cluster_before};
  for (NodeId node : recovery.lost) plan.recovery.lost.push_back(Raw(node));
  for (std::size_t i = 0; i < record.plan.founders.size(); ++i) {
    plan.replicas.push_back(ReplicaOf(record.plan.founders[i].node, recovery.lives_before[i]));
  }
  return plan;
}

}  // namespace

FoundingTask::FoundingTask(io::Loop* loop, storage::DataDirectory* directory,
                           const ClusterOptions& cluster, const FoundingTerms& terms,
                           Opening* opening, storage::LogLine log)
    : loop_(*loop),
      directory_(*directory),
      transport_(*cluster.transport),
      opening_(opening),
      log_(std::move(log)),
      founding_(OptionsOf(loop, *directory, cluster, terms)) {
  timer_.Then<&FoundingTask::OnTime>(this);
}

FoundingTask::~FoundingTask() { URSULA_CHECK(state_ != State::kRunning); }

void FoundingTask::Start(Function<void(Status)> done) {
  URSULA_CHECK(state_ == State::kIdle);
  state_ = State::kRunning;
  done_ = std::move(done);
  began_ns_ = loop_.now_ns();
  next_line_ns_ = began_ns_ + kFirstLineNs;
  if (opening_ != nullptr && directory_.rejoins()) {
    opening_->Begin(OpeningStep::kRejoining, 1);
    (void)opening_->Advance(1);
  } else if (opening_ != nullptr) {
    opening_->Begin(OpeningStep::kFounding, founding_.peers().size() + 1);
  }
  transport_.Attach(loop_.core(), this);
  loop_.StartTimer(&timer_, began_ns_ + kHelloNs);
  Drive();
}

void FoundingTask::Cancel() {
  if (state_ == State::kRunning) End(Status(StatusCode::kCancelled, "the opening was cancelled"));
}

void FoundingTask::Abandon() {
  state_ = State::kEnded;
  done_ = nullptr;
}

void FoundingTask::OnFrame(NodeId from, Channel /*channel*/, Bytes frame) {
  URSULA_CHECK(state_ == State::kRunning);
  if (!meta::IsFoundingFrame(frame)) return;  // A member's, who will say it again.
  Result<meta::FoundingHello> hello = meta::DecodeFoundingHello(frame);
  if (!hello.ok() || hello->from.node != from) {
    const std::string why = hello.ok()
                                ? "it calls itself node " + std::to_string(Raw(hello->from.node))
                                : hello.status().message();
    const std::string line = "of node " + std::to_string(Raw(from)) + ": " + why;
    const bool is_new = complaints_.size() < kComplaintsMax && complaints_.insert(line).second;
    if (is_new && log_) log_(storage::LogLevel::kWarning, line);
    return;
  }
  const std::vector<NodeId>& peers = founding_.peers();
  if (std::find(peers.begin(), peers.end(), from) == peers.end()) {
    // It takes this node for a founder of its own, and learns that it isn't.
    if (hello->number == 0) return;
    const meta::FoundingHello mine = founding_.Hello();
    const meta::FoundingHello answer = meta::AnswerTo(*hello, mine.from, mine.record, mine.wish);
    transport_.Send(loop_.core(), from, Channel::kControl, {meta::EncodeFoundingHello(answer)});
    return;
  }
  founding_.OnHello(*hello);
  Drive();
}

void FoundingTask::OnRoom(NodeId /*to*/, Channel /*channel*/) {}  // The next hello says it all.

void FoundingTask::OnLost(NodeId peer, bool /*ended*/) {
  URSULA_CHECK(state_ == State::kRunning);
  founding_.OnLost(peer);
  Drive();
}

void FoundingTask::OnTime() {
  URSULA_CHECK(state_ == State::kRunning);
  if (opening_ != nullptr && opening_->cancelled()) return Cancel();
  founding_.OnTick();
  SayHello();
  loop_.StartTimer(&timer_, loop_.now_ns() + kHelloNs);
  LogWaiting();
  Drive();
}

void FoundingTask::Drive() {
  while (const meta::FoundingRecord* record = founding_.ToPersist()) {
    Status persisted = Persist(*record);
    if (!persisted.ok()) return End(std::move(persisted));
    founding_.OnPersisted();
  }
  if (founding_.TakeChanged()) SayHello();
  TellProgress();
  if (founding_.member()) return End(Status());
  if (founding_.ended()) End(Status(StatusCode::kFailedPrecondition, founding_.refusal()));
}

Status FoundingTask::Persist(const meta::FoundingRecord& record) {
  const storage::DirectoryPlan plan = PlanOf(record);
  if (plan.lives_before != 0) {
    Status joined = directory_.Join(loop_.disk(), plan);
    if (joined.ok() && log_) log_(storage::LogLevel::kInfo, JoinedLine(record));
    return joined;
  }
  if (record.state == meta::FoundingState::kMember) {
    Status became = directory_.BecomeMember(loop_.disk());
    if (became.ok() && log_) log_(storage::LogLevel::kInfo, FoundedLine(record.plan));
    return became;
  }
  return directory_.BecomeFounding(loop_.disk(), plan);
}

// What isn't taken is said again.
void FoundingTask::SayHello() {
  const Bytes hello = meta::EncodeFoundingHello(founding_.Hello());
  for (NodeId peer : founding_.peers()) {
    transport_.Send(loop_.core(), peer, Channel::kControl, {hello});
  }
}

void FoundingTask::TellProgress() {
  const uint64_t agreed = founding_.agreed();
  // Less than before, it wraps around, as the sum does.
  if (opening_ != nullptr && agreed != told_) static_cast<void>(opening_->Advance(agreed - told_));
  told_ = agreed;
}

void FoundingTask::LogWaiting() {
  if (loop_.now_ns() < next_line_ns_) return;
  next_line_ns_ = loop_.now_ns() + kLineNs;
  if (log_ && !founding_.ended()) {
    const std::string what =
        directory_.rejoins()
            ? "rejoining the cluster, with what was rotten in " + directory_.aside_path() + ": "
            : "founding a cluster: ";
    log_(storage::LogLevel::kInfo, what + founding_.Waiting());
  }
}

void FoundingTask::End(Status status) {
  state_ = State::kEnded;
  loop_.CancelTimer(&timer_);
  transport_.Detach(loop_.core());
  loop_.Defer(
      [done = std::move(done_), status = std::move(status)]() mutable { done(std::move(status)); });
}

meta::FoundingHello HelloOfMember(const storage::DataDirectory& directory,
                                  const ClusterOptions& cluster, const FoundingTerms& terms) {
  meta::FoundingWish wish = WishOf(cluster);
  wish.limits = terms.limits;
  return {.from = NodeOf(directory),
          .number = 1,
          .openings = directory.generation(),
          .predecessor = directory.predecessor(),
          .record = RecordOf(directory),
          .wish = std::move(wish),
          .feature_level_max = terms.feature_level_max,
          .stored_level = directory.feature_level()};
}

meta::FoundingHello AnswerHello(const storage::DataDirectory& directory,
                                const ClusterOptions& cluster, const FoundingTerms& terms,
                                const meta::FoundingHello& hello) {
  meta::FoundingWish wish = WishOf(cluster);
  wish.limits = terms.limits;
  meta::FoundingHello answer = meta::AnswerTo(hello, NodeOf(directory), RecordOf(directory), wish);
  answer.feature_level_max = terms.feature_level_max;
  answer.stored_level = directory.feature_level();
  return answer;
}

}  // namespace ursula::engine
