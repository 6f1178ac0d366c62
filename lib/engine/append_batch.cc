// Many appends in one call. Those to one stream make up a lane, which one core has at a time.
//
// Invariant: of a lane nothing is proposed, or asked for, behind something that may still come. At
// a leader that is here its appends follow each other into one log; elsewhere each waits for the
// end of the one before it, since calls to another node may be sent on and come out of order.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "lib/base/strings.h"
#include "lib/engine/append_steps.h"
#include "lib/engine/arguments.h"
#include "lib/engine/engine.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

constexpr std::size_t kNoPlace = SIZE_MAX;  // Of an item that has gone on to another lane.

Status NotBegun(const char* why) { return Status(StatusCode::kUnavailable, why); }

Status NoDecision() {
  return NotBegun(
      "an append before it in its stream came to no decision; nothing of this one was applied");
}

Status TimeIsOver() {
  return NotBegun("the batch's time is over; nothing of this append was applied");
}

// What the stream decided, or would have: not what kept the engine from asking it.
bool IsDecided(const Result<stream::Reply>& reply) {
  return reply.ok() || reply.status().code() == StatusCode::kInvalidArgument;
}

using LaneKey = std::tuple<absl::string_view, absl::string_view, absl::string_view>;

LaneKey KeyOf(const StreamId& id) { return {A(id.bucket), A(id.affinity), A(id.name)}; }

}  // namespace

struct Engine::Batch {
  Batch(Engine* engine, std::size_t items, Done<AppendBatchReply> done_of_caller)
      : done(engine, std::move(done_of_caller)) {
    reply.items.resize(items, Status(StatusCode::kInternal, "no answer"));
  }

  // Each item is written once, by the core that has its lane; read by who ends the last lane.
  AppendBatchReply reply;
  std::atomic<std::size_t> lanes_left = 0;
  Return<AppendBatchReply> done;
};

struct Engine::Lane {
  struct Item {
    std::size_t place = 0;  // In the batch.
    AppendWork work = {};
    Result<stream::Reply> reply = Status(StatusCode::kInternal, "no answer");
  };

  std::size_t size() const { return items.size(); }
  bool IsLate(uint64_t now_ns) const { return now_ns > begin_until_ns; }
  // None of those left is begun.
  void EndRest(const Status& why) {
    for (; next < size(); ++next) items[next].reply = why;
  }

  std::shared_ptr<Batch> batch;
  std::string bucket = {};
  GroupId group = {};
  std::vector<Item> items;    // In the request's order. Not resized.
  std::size_t next = 0;       // The first that isn't begun.
  bool undecided = false;     // One was proposed and came to no decision.
  std::size_t under_way = 0;  // Proposed and not answered; and one, while more are being proposed.
  // Past it (leader_ms_max) nothing more is asked for: all have ended append_ms_max later. 0: none
  // was begun yet.
  uint64_t begin_until_ns = 0;
  bool follows_placement = false;  // Its stream is a fork, looked for where its state is.
};

void Engine::AppendBatch(std::vector<AppendRequest> items, Done<AppendBatchReply> done) {
  io::Loop& meta_loop = ShardOf(kMetaGroup).loop();
  if (!gate_.Enter()) {
    return AnswerUncounted<AppendBatchReply>(&meta_loop, std::move(done), EngineStopping());
  }
  Status valid;
  if (items.empty()) valid = Status(StatusCode::kInvalidArgument, "a batch without appends");
  if (items.size() > kAppendBatchItemsMax) {
    valid = Status(StatusCode::kInvalidArgument, "a batch has more than 1024 appends");
  }
  auto batch = std::make_shared<Batch>(this, items.size(), std::move(done));
  std::vector<LanePtr> lanes;
  if (valid.ok()) lanes = LanesOf(batch, std::move(items));
  if (lanes.empty()) {
    return meta_loop.Post([batch, valid = std::move(valid)]() mutable {
      if (!valid.ok()) return batch->done(std::move(valid));
      batch->done(std::move(batch->reply));
    });
  }
  batch->lanes_left = lanes.size();
  std::vector<std::vector<LanePtr>> of_cores(shards_.size());
  for (LanePtr& lane : lanes) {
    const CoreId core = CoreOf(lane->group, static_cast<uint16_t>(shards_.size()));
    of_cores[Raw(core)].push_back(std::move(lane));
  }
  for (std::size_t core = 0; core < of_cores.size(); ++core) {
    if (of_cores[core].empty()) continue;
    EnterLanes(CoreId{static_cast<uint16_t>(core)}, batch, std::move(of_cores[core]));
  }
}

std::vector<Engine::LanePtr> Engine::LanesOf(const std::shared_ptr<Batch>& batch,
                                             std::vector<AppendRequest> items) {
  const std::size_t none = items.size();
  std::vector<std::size_t> chosen(items.size(), none);
  std::vector<std::size_t> sizes;                     // Of the lanes.
  absl::flat_hash_map<LaneKey, std::size_t> lane_of;  // Its keys are views of `items`.
  for (std::size_t i = 0; i < items.size(); ++i) {
    Status valid = Check(items[i]);
    if (!valid.ok()) {
      batch->reply.items[i] = std::move(valid);
    } else if (TooLarge(items[i].messages)) {
      AppendReply refusal;
      refusal.outcome = Outcome::kTooLarge;
      batch->reply.items[i] = refusal;
    } else {
      chosen[i] = lane_of.try_emplace(KeyOf(items[i].stream), lane_of.size()).first->second;
      if (chosen[i] == sizes.size()) sizes.push_back(0);
      ++sizes[chosen[i]];
    }
  }
  std::vector<LanePtr> lanes(sizes.size());
  lane_of.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (chosen[i] == none) continue;
    LanePtr& lane = lanes[chosen[i]];
    if (lane == nullptr) {
      lane = std::make_shared<Lane>();
      lane->batch = batch;
      lane->bucket = items[i].stream.bucket;
      lane->group = Home(items[i].stream);
      lane->items.reserve(sizes[chosen[i]]);
    }
    lane->items.push_back({.place = i, .work = WorkOf(std::move(items[i]))});
  }
  return lanes;
}

// As Enter, for the lanes of one core.
void Engine::EnterLanes(CoreId core, const std::shared_ptr<Batch>& batch,
                        std::vector<LanePtr> lanes) {
  io::Loop& loop = shards_[Raw(core)]->loop();
  if (loop.InLoop()) {
    batch->done.SetInside(true);
    for (const LanePtr& lane : lanes) RunLane(lane);
    return batch->done.SetInside(false);
  }
  auto shared = std::make_shared<std::vector<LanePtr>>(std::move(lanes));
  const bool taken = loop.TryPost([this, shared] {
    for (const LanePtr& lane : *shared) RunLane(lane);
  });
  if (taken) return;
  loop.Post([this, shared] {
    for (const LanePtr& lane : *shared) {
      lane->EndRest(Status(StatusCode::kResourceExhausted,
                           "too many requests wait for this core; try again shortly"));
      SettleLane(lane);
    }
  });
}

void Engine::RunLane(const LanePtr& lane) {
  Shard& shard = ShardOf(lane->group);
  if (lane->begin_until_ns == 0) {
    lane->begin_until_ns = shard.loop().now_ns() + options_.leader_ms_max * kNsPerMs;
  }
  const bool alone = shard.forwarder() == nullptr;
  if (!alone && !Forwarder::CanLead(shard.replica(lane->group))) return AskLane(lane);
  lane->under_way = 1;
  ProposeLane(lane, false);
}

// ---- at a leader that is here -------------------------------------------------------------------

// `behind_barrier`: what the state says at this moment is an answer.
void Engine::ProposeLane(const LanePtr& lane, bool behind_barrier) {
  group::Replica& replica = ShardOf(lane->group).replica(lane->group);
  if (lane->undecided) lane->EndRest(NoDecision());
  if (lane->IsLate(ShardOf(lane->group).loop().now_ns())) lane->EndRest(TimeIsOver());
  while (lane->next < lane->size()) {
    const std::size_t i = lane->next;
    Lane::Item& item = lane->items[i];
    stream::Reply refusal;
    if (!RefusedAsApplied(replica, &item.work, &refusal)) {
      ++lane->next;
      ++lane->under_way;
      const bool let_in =
          ProposeAppend(replica, &item.work, [this, lane, i](Result<stream::Reply> reply) {
            OnLaneProposed(lane, i, std::move(reply));
          });
      // A smaller one, or one that only closes, could be.
      if (!let_in) lane->EndRest(NoDecision());
    } else if (behind_barrier) {
      ++lane->next;
      item.reply = std::move(refusal);
    } else {
      return replica.AfterBarrier([this, lane](Status status) {
        if (status.ok()) return ProposeLane(lane, true);
        lane->EndRest(status);
        if (--lane->under_way == 0) OnLaneJudged(lane);
      });
    }
  }
  if (--lane->under_way == 0) OnLaneJudged(lane);
}

void Engine::OnLaneProposed(const LanePtr& lane, std::size_t item, Result<stream::Reply> reply) {
  lane->undecided = lane->undecided || !IsDecided(reply);
  lane->items[item].reply = std::move(reply);
  if (--lane->under_way == 0) OnLaneJudged(lane);
}

// What wasn't applied, and nothing behind it either, may be asked for again: of another leader, or
// in the form of another stream.
void Engine::OnLaneJudged(const LanePtr& lane) {
  const bool peers = ShardOf(lane->group).forwarder() != nullptr;
  std::vector<Lane::Item>& items = lane->items;
  auto again = [peers](Lane::Item& item) {
    const bool elsewhere = peers && item.reply.status().code() == StatusCode::kUnavailable;
    return elsewhere || MetOtherForm(&item.work, item.reply);
  };
  lane->next = lane->size();
  while (lane->next > 0 && again(items[lane->next - 1])) --lane->next;
  const auto begin = items.begin(), end = begin + static_cast<std::ptrdiff_t>(lane->next);
  // Of one that is unknown something may be there.
  const bool all_decided =
      std::all_of(begin, end, [](const Lane::Item& item) { return IsDecided(item.reply); });
  if (!all_decided) lane->next = lane->size();
  for (std::size_t i = 0; i < lane->next; ++i) {  // Those that aren't asked for again.
    if (!MetOtherForm(&items[i].work, items[i].reply)) continue;
    items[i].reply = NotBegun(
        "the stream was made anew in another form meanwhile; nothing of this append was applied");
  }
  if (lane->next == lane->size()) return SettleLane(lane);
  URSULA_SOMETIMES("forward: appends of a batch met the end of a leadership");
  AskLane(lane);
}

// ---- wherever the leader is ---------------------------------------------------------------------

void Engine::AskLane(const LanePtr& lane) {
  if (lane->IsLate(ShardOf(lane->group).loop().now_ns())) lane->EndRest(TimeIsOver());
  if (lane->next == lane->size()) return SettleLane(lane);
  ask::Append ask{std::shared_ptr<AppendWork>(lane, &lane->items[lane->next].work)};
  CallGroup(lane->group, std::move(ask),
            [this, lane](Result<stream::Reply> reply) { OnLaneAsked(lane, std::move(reply)); });
}

void Engine::OnLaneAsked(const LanePtr& lane, Result<stream::Reply> reply) {
  Lane::Item& item = lane->items[lane->next];
  if (!MetOtherForm(&item.work, reply)) {
    const bool decided = IsDecided(reply);
    item.reply = std::move(reply);
    ++lane->next;
    if (!decided) lane->EndRest(NoDecision());
  }
  // Later: an ask may be answered at once, and a lane is long.
  ShardOf(lane->group).loop().Defer([this, lane] { AskLane(lane); });
}

// ---- the end ------------------------------------------------------------------------------------

// What asks for a fork goes on to where its state is, still as one lane.
void Engine::SettleLane(const LanePtr& lane) {
  LanePtr placed;
  bool not_found = false;
  for (Lane::Item& item : lane->items) {
    if (!item.reply.ok()) continue;
    stream::Reply& reply = *item.reply;
    if (reply.placement && reply.placement->confirmed && !lane->follows_placement) {
      if (placed == nullptr) {
        placed = std::make_shared<Lane>();
        placed->batch = lane->batch;
        placed->bucket = lane->bucket;
        placed->begin_until_ns = lane->begin_until_ns;
        placed->group = reply.placement->target;
        placed->follows_placement = true;
      }
      placed->items.push_back({.place = item.place, .work = std::move(item.work)});
      item.place = kNoPlace;
      continue;
    }
    if (reply.placement) {
      reply.outcome = Outcome::kNotFound;
      reply.append = {};
    }
    reply.append.outcome = reply.outcome;
    not_found = not_found || reply.outcome == Outcome::kNotFound;
  }
  if (placed != nullptr) {
    ++lane->batch->lanes_left;
    ShardOf(placed->group).loop().Post([this, placed] { RunLane(placed); });
  }
  if (!not_found || lane->bucket == kUpstreamBucket) return EndLane(lane);
  // Its bucket may be what there isn't.
  AskForBucket(lane->bucket, [this, lane](Result<FoundBucket> found) {
    for (Lane::Item& item : lane->items) {
      if (!item.reply.ok() || item.reply->append.outcome != Outcome::kNotFound) continue;
      if (!found.ok()) item.reply = found.status();
      if (found.ok() && !found->info) item.reply->append.outcome = Outcome::kBucketNotFound;
    }
    EndLane(lane);
  });
}

void Engine::EndLane(const LanePtr& lane) {
  Batch& batch = *lane->batch;
  for (Lane::Item& item : lane->items) {
    if (item.place == kNoPlace) continue;
    if (item.reply.ok()) {
      batch.reply.items[item.place] = std::move(item.reply->append);
    } else if (item.reply.status().code() == StatusCode::kUnavailable && gate_.closed()) {
      batch.reply.items[item.place] = EngineStopping();  // As Return says it of one that is alone.
    } else {
      batch.reply.items[item.place] = item.reply.status();
    }
  }
  if (batch.lanes_left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  batch.done(std::move(batch.reply));
}

}  // namespace ursula::engine
