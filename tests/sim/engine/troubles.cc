// What befalls a cluster.

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "tests/sim/engine/site.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kStopNs = 10'000 * kMs;
constexpr uint64_t kPatienceNs = 5'000 * kMs;  // Of a node that the others don't take in.
constexpr uint64_t kRetryNs = 300 * kMs;

}  // namespace

std::string Site::Trouble(Story story) {
  if (story == Story::kGrowth) return Grow();
  if (story == Story::kNone && !grown()) {
    Pause(&nodes_[0], (1 + random_.Below(6000)) * kMs);
    return "the only node stands still";
  }
  if (story == Story::kNone) return Trouble();
  if (story == Story::kDisk) return DiskTrouble();
  const std::size_t node = story_node_;
  std::unique_ptr<testing::FaultDisk> kept = std::move(nodes_[node].kept);
  CrashNode(node, random_.OneIn(2) ? Fall::kPower : Fall::kProcess);
  std::string what = "node " + std::to_string(node + 1);
  if (story == Story::kPutBack) {
    MarkPutBack(nodes_[node]);
    nodes_[node].kept = std::move(kept);
    PutBack(node);
    what += " gets an older directory back";
  } else {
    if (kept != nullptr) nodes_[node].kept = std::move(kept);
    Empty(node);
    what += " loses its directory";
  }
  Plan(random_.OneIn(2) ? 0 : random_.Below(1500) * kMs,
       {.kind = Event::Kind::kOpen, .node = node});
  PlanMore(node, (story == Story::kPutBack && random_.OneIn(2) ? 400 : 4000) * kMs);
  return what;
}

// Those that its options name come one after the other.
std::string Site::Grow() {
  for (std::size_t i = 1; i < nodes_.size(); ++i) {
    nodes_[i].born = nodes_[i].empty = true;
    Plan(random_.Below(2000) * kMs, {.kind = Event::Kind::kOpen, .node = i});
  }
  PlanMore(1 + random_.Below(2), 5000 * kMs);
  return "the only node gets others";
}

std::string Site::Trouble() {
  const std::size_t node = random_.Below(nodes_.size());
  const std::size_t other = (node + 1 + random_.Below(nodes_.size() - 1)) % nodes_.size();
  const std::string name = std::to_string(node + 1);
  switch (random_.Below(8)) {
    case 0:
      CrashNode(node, Fall::kPower);
      return "node " + name + " loses power";
    case 1:
      CrashNode(node, Fall::kProcess);
      return "node " + name + "'s process ends";
    case 2:
      CrashNode(node, Fall::kPower);
      CrashNode(other, random_.OneIn(2) ? Fall::kPower : Fall::kProcess);
      return "node " + name + " and another crash";
    case 3:
      StopNode(node);
      return "node " + name + " stops";
    case 4:
      network_.Isolate(IdOf(node));
      return "node " + name + " is cut off";
    case 5:
      network_.set_faults(
          {.delay_ns_min = kMs, .delay_ns_max = 30 * kMs, .break_per_million = 50'000});
      return "the network is slow, and connections break";
    case 6:
      network_.Cut(IdOf(node), IdOf(other));
      return "node " + name + " isn't heard by another";
    default:
      Pause(&nodes_[node], (1 + random_.Below(6000)) * kMs);
      return "node " + name + " stands still";
  }
}

void Site::Pause(Node* node, uint64_t ns) {
  node->paused_from_ns = now_ns_;
  node->paused_until_ns = now_ns_ + ns;
}

void Site::Plan(uint64_t in_ns, Event event) { events_.emplace(now_ns_ + in_ns, event); }

// Up to three more things while what was lost is being made up for: to the one that has lost it, or
// to one of the others.
void Site::PlanMore(std::size_t lost, uint64_t within_ns) {
  using Kind = Event::Kind;
  const std::size_t other = (lost + 1 + random_.Below(nodes_.size() - 1)) % nodes_.size();
  const std::size_t third = nodes_.size() - lost - other;
  for (uint64_t i = random_.Below(4); i > 0; --i) {
    const uint64_t in_ns = random_.Below(within_ns);
    const uint64_t after_ns = in_ns + random_.Below(2500) * kMs;
    const Kind fall = random_.OneIn(2) ? Kind::kPower : Kind::kProcess;
    switch (random_.Below(6)) {
      case 0:
        Plan(in_ns, {.kind = fall, .node = other});
        Plan(after_ns, {.kind = Kind::kOpen, .node = other});
        break;
      case 1:
        Plan(in_ns, {.kind = Kind::kPause, .node = other, .ns = after_ns - in_ns});
        break;
      case 2:
        Plan(in_ns, {.kind = Kind::kIsolate, .node = random_.OneIn(2) ? other : lost});
        Plan(after_ns, {.kind = Kind::kHeal});
        break;
      case 3:
        Plan(in_ns, {.kind = Kind::kDeaf, .node = other, .other = third});
        Plan(after_ns, {.kind = Kind::kHeal});
        break;
      default:
        Plan(in_ns, {.kind = fall, .node = lost});
        if (random_.OneIn(2)) Plan(in_ns, {.kind = Kind::kEmpty, .node = lost});
        Plan(after_ns, {.kind = Kind::kOpen, .node = lost});
        break;
    }
  }
}

// An opening is under way on the stack below: what befalls that node waits for its end, and only
// one that waits for others lets them be opened meanwhile.
bool Site::MayHappen(const Event& event) {
  using Kind = Event::Kind;
  const bool falls =
      event.kind == Kind::kPower || event.kind == Kind::kProcess || event.kind == Kind::kEmpty;
  if (falls && opens(event.node)) {
    if (nodes_[event.node].empty) URSULA_SOMETIMES("members: a joining node fell in its opening");
    nodes_[event.node].opening->Cancel();
    return false;
  }
  if (event.kind != Kind::kOpen) return true;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!opens(i)) continue;
    if (i == event.node || !nodes_[i].empty || nodes_[event.node].empty) return false;
  }
  return true;
}

void Site::LetHappen() {
  for (auto at = events_.begin(); at != events_.end() && at->first <= now_ns_;) {
    const Event event = at->second;
    if (!MayHappen(event)) {
      ++at;
      continue;
    }
    events_.erase(at);
    Tell(event);
    Happen(event);
    at = events_.begin();  // It may have taken its time.
  }
}

// What is past waits for the end of an opening.
uint64_t Site::NextEventNs() const {
  auto next = events_.upper_bound(now_ns_);
  return next == events_.end() ? UINT64_MAX : next->first;
}

void Site::Tell(const Event& event) {
  static constexpr const char* kNames[] = {
      "loses power", "process ends", "is emptied",       "opens",
      "is paused",   "is cut off",   "doesn't hear one", "is healed"};
  news_ += std::to_string(now_ns_) + "   node " + std::to_string(event.node + 1) + " " +
           kNames[static_cast<std::size_t>(event.kind)] + "\n";
}

void Site::MarkFall(std::size_t node) const {
  const std::vector<MemberStatus> members = Members();
  for (const MemberStatus& member : members) {
    if (member.stage != MemberStatus::Stage::kJoining) continue;
    if (member.node == IdOf(node)) {
      URSULA_SOMETIMES("members: a node fell while groups took it in");
    } else {
      URSULA_SOMETIMES("members: a node fell while groups took another in");
    }
  }
}

void Site::Happen(const Event& event) {
  using Kind = Event::Kind;
  Node& node = nodes_[event.node];
  const auto others_up =
      std::ranges::count_if(nodes_, [&](const Node& one) { return one.engine != nullptr; }) -
      (node.engine != nullptr ? 1 : 0);
  switch (event.kind) {
    case Kind::kPower:
    case Kind::kProcess: {
      const Fall fall = event.kind == Kind::kPower ? Fall::kPower : Fall::kProcess;
      if (node.engine != nullptr && others_up > 0) {
        MarkFall(event.node);
        return CrashNode(event.node, fall);
      }
      if (node.runtime == nullptr && fall == Fall::kPower) node.disk->Crash();
      return;
    }
    case Kind::kEmpty:
      if (node.runtime == nullptr) Empty(event.node);
      return;
    case Kind::kOpen: {
      if (node.runtime != nullptr || node.refused) return;
      const Status opened = OpenNode(event.node, kPatienceNs);
      if (opened.code() == StatusCode::kCancelled) {
        URSULA_SOMETIMES("members: a node waited to be taken in, and tried again");
      }
      if (opened.code() == StatusCode::kCancelled) return Plan(kRetryNs, event);
      if (opened.code() == StatusCode::kFailedPrecondition && node.stale) {
        URSULA_SOMETIMES("members: what was put back was refused at its next opening");
        node.refused = true;
        return;
      }
      if (!opened.ok() && unexpected_.ok()) unexpected_ = opened;
      return;
    }
    case Kind::kPause:
      if (others_up > 0) Pause(&node, event.ns);
      return;
    case Kind::kIsolate:
      return network_.Isolate(IdOf(event.node));
    case Kind::kDeaf:
      return network_.Cut(IdOf(event.node), IdOf(event.other));
    case Kind::kHeal:
      return network_.Heal();
  }
}

Status Site::Mend() {
  events_.clear();
  network_.Heal();
  network_.set_faults(Network());
  for (Node& node : nodes_) node.paused_until_ns = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!up(i) || !nodes_[i].stopping) continue;
    if (!RunUntil([&] { return nodes_[i].stopped; }, kStopNs)) {
      return Status(StatusCode::kInternal, "a stop doesn't end");
    }
    CloseNode(i);
  }
  Status status = MendDisks();
  if (status.ok()) status = MendMembers();
  if (status.ok()) status = Open();
  if (status.ok()) Settle();
  return status;
}

}  // namespace ursula::engine::sim
