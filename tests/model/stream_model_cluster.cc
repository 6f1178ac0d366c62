// The part of the model that one group shares with others: buckets and their fences, placements of
// forks that live elsewhere, and the group's configuration.

#include <algorithm>
#include <string>

#include "tests/model/stream_model.h"

namespace ursula::stream {
namespace {

using State = ModelStream::State;

}  // namespace

void StreamModel::Settle(GroupId home, Incarnation below) {
  if (settled_.count(Raw(home)) == 0 && Raw(below) == 0) return;
  uint64_t& settled = settled_[Raw(home)];
  settled = std::max(settled, Raw(below));
  std::erase_if(asked_, [&](const Asked& asked) {
    return asked.home == Raw(home) && asked.reservation < settled;
  });
  std::erase_if(gone_, [&](const Gone& gone) {
    return gone.applied && gone.reservation.home == home && Raw(gone.reservation.id) < settled;
  });
}

bool StreamModel::IsOver(const Reservation& reservation) const {
  for (const Gone& gone : gone_) {
    if (gone.reservation == reservation) return true;
  }
  for (const Asked& asked : asked_) {
    bool same = asked.home == Raw(reservation.home) && asked.reservation == Raw(reservation.id);
    if (same && asked.never) return true;
  }
  auto settled = settled_.find(Raw(reservation.home));
  return settled != settled_.end() && Raw(reservation.id) < settled->second;
}

void StreamModel::Do(uint64_t index, const CreateBucket& command, ModelResult* result) {
  result->reply.outcome = Outcome::kExisted;
  if (command.bucket == "v1") return;
  if (buckets_.count(command.bucket) == 0) {
    buckets_[command.bucket].number = index;
    result->reply.outcome = Outcome::kOk;
  }
  result->reply.incarnation = Incarnation{buckets_[command.bucket].number};
}

void StreamModel::Do(uint64_t index, const DeleteBucket& command, ModelResult* result) {
  Reply& reply = result->reply;
  bool begin = command.step == DeleteBucket::Step::kBegin;
  auto found = buckets_.find(command.bucket);
  if (command.bucket == "v1") {
    reply.outcome = Outcome::kBucketNotEmpty;
    return;
  }
  bool known = found != buckets_.end() &&
               (begin || (found->second.deleting && found->second.attempt == Raw(command.attempt)));
  if (!known) {
    reply.outcome = Outcome::kBucketNotFound;
    return;
  }
  reply.incarnation = Incarnation{found->second.number};
  found->second.deleting = begin;
  found->second.attempt = begin ? index : 0;
  if (begin) reply.attempt = Incarnation{index};
  if (command.step == DeleteBucket::Step::kFinish) buckets_.erase(found);
  if (begin) return;
  uint64_t through = index;
  for (const auto& [name, bucket] : buckets_) {
    if (bucket.deleting) through = std::min(through, bucket.attempt - 1);
  }
  reply.settled_through = Incarnation{through};
}

void StreamModel::Do(uint64_t, const FenceBucket& command, ModelResult* result) {
  // The machine expires what is due in order of names until it meets one that isn't.
  std::map<std::string, std::vector<uint64_t>> by_path;
  for (const ModelStream& stream : streams_) {
    if (stream.id.bucket != command.bucket) continue;
    if (stream.state != State::kLive && stream.state != State::kSoftDeleted) continue;
    std::string path = stream.id.affinity;
    path += stream.id.affinity.empty() ? "" : "/";
    by_path[path + stream.id.name].push_back(stream.number);
  }
  bool empty = command.bucket != "v1";
  bool stop = false;
  for (const auto& [path, numbers] : by_path) {
    for (uint64_t number : numbers) {
      ModelStream* stream = Numbered(Incarnation{number});
      if (stream == nullptr) continue;
      if (!IsDue(*stream)) stop = true;
      if (!stop) ExpireIfDue(stream);
    }
  }
  if (stop)
    empty = std::none_of(streams_.begin(), streams_.end(), [&](const ModelStream& stream) {
      return stream.id.bucket == command.bucket && Visible(stream.id) != nullptr;
    });
  for (const auto& [id, placement] : placements_) {
    if (id.bucket == command.bucket) empty = false;
  }
  if (command.bucket == "v1") empty = false;
  uint64_t attempt = Raw(command.attempt);
  bool late = attempt <= fences_settled_;
  if (fences_.count(command.bucket) != 0) {
    const Fence& there = fences_[command.bucket];
    if (there.attempt > attempt || (there.attempt == attempt && there.undone)) late = true;
  }
  result->reply.outcome = late    ? Outcome::kConflict
                          : empty ? Outcome::kOk
                                  : Outcome::kBucketNotEmpty;
  if (late || !empty) return;
  Fence& fence = fences_[command.bucket];
  fence = {std::max(fence.refused, Raw(command.bucket_incarnation)), attempt, false};
}

void StreamModel::Do(uint64_t, const UnfenceBucket& command, ModelResult*) {
  if (Raw(command.attempt) <= fences_settled_) return;
  Fence& fence = fences_[command.bucket];
  if (fence.attempt > Raw(command.attempt)) return;
  if (fence.refused == Raw(command.bucket_incarnation) && fence.refused > 0) --fence.refused;
  fence.attempt = Raw(command.attempt);
  fence.undone = true;
}

void StreamModel::Do(uint64_t, const SettleFences& command, ModelResult*) {
  fences_settled_ = std::max(fences_settled_, Raw(command.through));
  std::erase_if(fences_, [&](const auto& one) { return one.second.attempt <= fences_settled_; });
}

void StreamModel::Do(uint64_t index, const Reserve& command, ModelResult* result) {
  CreateFork asked;
  asked.point = command.point;
  if (Occupied(command.stream, &asked, &result->reply)) return;
  if (command.target == group_) {
    result->reply.outcome = Outcome::kConflict;
    return;
  }
  Placement placement;
  placement.target = command.target;
  placement.reservation = {group_, Incarnation{index}};
  placement.made_ms = now_;
  placements_[command.stream.id] = placement;
  result->reply.placement = placement;
}

void StreamModel::Do(uint64_t, const Confirm& command, ModelResult* result) {
  auto found = placements_.find(command.id);
  if (found == placements_.end() || found->second.reservation.id != command.reservation) {
    result->reply.outcome = Outcome::kNotFound;
    return;
  }
  found->second.confirmed = true;
  found->second.incarnation = command.incarnation;
  result->reply.placement = found->second;
}

void StreamModel::Do(uint64_t, const Unreserve& command, ModelResult* result) {
  auto found = placements_.find(command.id);
  if (found == placements_.end() || found->second.reservation.id != command.reservation) {
    result->reply.outcome = Outcome::kNotFound;
    return;
  }
  placements_.erase(found);
}

void StreamModel::Do(uint64_t, const ResolveFork& command, ModelResult* result) {
  const Reservation& reservation = command.reservation;
  const ModelStream* stream = Named(command.id);
  if (stream != nullptr && stream->reservation == reservation) {
    result->reply.resolution = ForkResolution::kExists;
    result->reply.incarnation = Incarnation{stream->number};
  } else if (IsOver(reservation)) {
    result->reply.resolution = ForkResolution::kNever;
  } else {
    auto same = [&](const Asked& asked) {
      return asked.home == Raw(reservation.home) && asked.reservation == Raw(reservation.id);
    };
    auto asked = std::find_if(asked_.begin(), asked_.end(), same);
    bool held = asked != asked_.end() && asked->first_ms <= now_ &&
                static_cast<uint64_t>(now_ - asked->first_ms) >= command.hold_ms;
    held |= command.hold_ms == 0;
    result->reply.resolution = held ? ForkResolution::kNever : ForkResolution::kPending;
    if (asked == asked_.end()) {
      asked_.push_back({Raw(reservation.home), Raw(reservation.id), now_, held});
    } else {
      asked->never = held;
    }
  }
  Settle(reservation.home, command.settled_below);
}

void StreamModel::Do(uint64_t, const DropReleases& command, ModelResult*) {
  for (Gone& gone : gone_) {
    for (Incarnation fork : command.forks) gone.applied |= gone.fork == Raw(fork);
  }
  Settle(command.home, command.settled_below);
}

void StreamModel::Do(uint64_t, const SetLimits& command, ModelResult*) { limits_ = command.limits; }

void StreamModel::Do(uint64_t, const SetFeatureLevel& command, ModelResult*) {
  feature_level_ = std::max(feature_level_, command.level);
}

void StreamModel::Do(uint64_t, const SetHistory& command, ModelResult* result) {
  history_ = command.history;
  for (const ModelStream& stream : streams_) {
    bool named = stream.state == State::kLive || stream.state == State::kSoftDeleted;
    if (named) result->changed.insert(stream.number);
  }
}

void StreamModel::Do(uint64_t index, const Recover& command, ModelResult* result) {
  if (recovery_ >= command.number) {
    result->reply.outcome = Outcome::kConflict;
    return;
  }
  recovery_ = command.number;
  Do(index, SetHistory{command.history}, result);
  // What was learnt of other groups' numbers is of numbers that they may use anew.
  fences_.clear();
  fences_settled_ = 0;
  asked_.clear();
  for (auto& [home, below] : settled_) below = 0;
  if (command.survivors.empty()) return;
  std::map<uint64_t, Node> after;
  for (const auto& survivor : command.survivors) {
    after[survivor.node] = Node();
    after[survivor.node].lives_before = survivor.lives_before;
  }
  for (uint64_t node : command.lost) nodes_[node];
  for (const auto& [number, before] : nodes_) {
    if (after.count(number) > 0) continue;
    after[number].lives_before = before.lives_before + 1;
    after[number].stage = "gone";
  }
  nodes_ = after;
}

void StreamModel::Do(uint64_t, const AdmitNode& command, ModelResult* result) {
  auto there = nodes_.find(command.node);
  if (there != nodes_.end() && command.directory != 0 && there->second.stage != "gone" &&
      there->second.stage != "leaving" && there->second.directory == command.directory) {
    result->reply.lives_before = there->second.lives_before;
    return;
  }
  const uint64_t lives = there == nodes_.end() ? 0 : there->second.lives_before;
  const std::string stage = there == nodes_.end() ? "member" : there->second.stage;
  if (lives != command.lives_before || stage == "leaving" || stage == "gone") {
    result->reply.outcome = Outcome::kConflict;
    result->reply.lives_before = lives;
    return;
  }
  Node next;
  next.lives_before = lives + 1;
  next.stage = "joining";
  next.directory = command.directory;
  next.cordoned = there != nodes_.end() && there->second.cordoned;
  nodes_[command.node] = next;
  result->reply.lives_before = next.lives_before;
}

void StreamModel::Do(uint64_t, const SettleNode& command, ModelResult* result) {
  const bool known = nodes_.count(command.node) > 0;
  Node node = known ? nodes_[command.node] : Node();
  result->reply.lives_before = node.lives_before;
  const std::string stage = node.stage;
  std::string next;
  if (command.step == SettleNode::Step::kWhole) {
    if (stage == "joining" || stage == "member") next = "member";
  } else if (stage == "leaving" || stage == "gone") {
    next = "gone";
  }
  if (next.empty() || command.lives_before != node.lives_before) {
    result->reply.outcome = Outcome::kConflict;
    return;
  }
  node.stage = next;
  nodes_[command.node] = node;
}

void StreamModel::Do(uint64_t, const OpenNode& command, ModelResult* result) {
  Node node = nodes_.count(command.node) > 0 ? nodes_[command.node] : Node();
  result->reply.lives_before = node.lives_before;
  if (command.lives_before != node.lives_before || node.stage == "gone" ||
      node.stage == "invited") {
    result->reply.outcome = Outcome::kGone;
    return;
  }
  const bool repeated = node.nonce == command.nonce && node.opening == command.opening;
  bool follows = command.opening > node.opening;
  if (node.opening > 0 && command.opening - 1 == node.opening) {
    follows = command.nonce_before == node.nonce;
  }
  if (!repeated && !follows) {
    result->reply.outcome = Outcome::kConflict;
    return;
  }
  node.opening = command.opening;
  node.nonce = command.nonce;
  nodes_[command.node] = node;
}

void StreamModel::Do(uint64_t, const MarkNode& command, ModelResult* result) {
  const bool known = nodes_.count(command.node) > 0;
  Node node = known ? nodes_[command.node] : Node();
  result->reply.lives_before = node.lives_before;
  bool refused = command.lives_before != node.lives_before;
  const bool away = node.stage == "gone" || node.stage == "invited";
  const bool present = !away && node.stage != "leaving";
  if (command.mark == MarkNode::Mark::kInvite) {
    int count = 0;
    for (const auto& [number, other] : nodes_) {
      if (other.stage == "member" || other.stage == "joining" || other.stage == "invited") ++count;
    }
    const bool fresh = !known || node.stage == "gone";
    if (present && known) refused = true;
    if (fresh && count >= 5) refused = true;
    if (node.stage == "leaving") {
      node.stage = "joining";
    } else {
      Node invited;
      invited.lives_before = node.lives_before;
      invited.stage = "invited";
      node = invited;
    }
  } else if (command.mark == MarkNode::Mark::kLeave) {
    if (node.stage == "gone") refused = true;
    if (present) {
      const bool stays =
          nodes_.count(command.keeps) == 0 || nodes_[command.keeps].stage == "member";
      if (!stays || command.keeps == command.node) refused = true;
    }
    node.stage = node.stage == "invited" ? "gone" : "leaving";
  } else {
    refused = refused || !present;
    node.cordoned = command.mark == MarkNode::Mark::kCordon;
  }
  if (refused) {
    result->reply.outcome = Outcome::kConflict;
  } else {
    nodes_[command.node] = node;
  }
}

void StreamModel::Do(uint64_t, const StepClock& command, ModelResult*) {
  auto move = [&](int64_t* time) { *time = std::max<int64_t>(*time + command.delta_ms, 0); };
  move(&now_);
  for (ModelStream& stream : streams_) {
    if (stream.effective.ttl_seconds) stream.last_use_ms += command.delta_ms;
    for (auto& [id, seen] : stream.seen_ms) move(&seen);
  }
  for (Asked& asked : asked_) move(&asked.first_ms);
  for (auto& [id, placement] : placements_) {
    if (!placement.confirmed) move(&placement.made_ms);
  }
}

}  // namespace ursula::stream
