#include "lib/engine/engine.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "lib/engine/append_steps.h"
#include "lib/engine/arguments.h"
#include "lib/engine/stream_commands.h"
#include "lib/engine/ticket.h"

namespace ursula {

Result<std::unique_ptr<StreamEngine>> StreamEngine::Open(EngineOptions options) {
  return engine::Engine::Open(std::move(options));
}

std::string_view Version() { return "0.2.0"; }

namespace engine {

void Engine::ProposeAt(GroupId group, stream::Command::Body body, group::ProposeDone done) {
  CallGroup(group, ask::Propose{std::move(body)}, std::move(done));
}

void Engine::CarryOut(group::Replica& replica, ask::Propose ask, group::ProposeDone done) {
  const stream::CreateStream* create = CreationIn(ask.body);
  if (create != nullptr && FenceWaits::Holds(replica, *create)) {
    FenceWaits::Held held(replica, *create);
    return ShardHere().AwaitFence(std::move(held), [this, &replica, ask = std::move(ask),
                                                    done = std::move(done)](bool passed) mutable {
      if (!passed) return done(StillFenced());
      CarryOut(replica, std::move(ask), std::move(done));
    });
  }
  if (MovesFences(ask.body)) {
    done = [this, &replica, done = std::move(done)](Result<stream::Reply> reply) mutable {
      ShardHere().LookAtFences(replica);
      done(std::move(reply));
    };
  }
  stream::Command command;
  command.body = std::move(ask.body);
  replica.Propose(&command, ask.messages, std::move(done));
}

void Engine::CarryOut(group::Replica& replica, ask::StepClock /*ask*/,
                      Function<void(Result<int64_t>)> done) {
  replica.StepClock(std::move(done));
}

void Engine::CreateBucket(std::string bucket, Done<BucketReply> done) {
  Status valid = CheckBucket(bucket);
  auto call = Admit(kMetaGroup, std::move(bucket), std::move(done));
  Enter(kMetaGroup, call, std::move(valid), [this, call] {
    ProposeAt(kMetaGroup, stream::CreateBucket{call->request}, [call](Result<stream::Reply> reply) {
      if (!reply.ok()) return call->done(reply.status());
      Answer(call, reply->outcome);
    });
  });
}

void Engine::GetBucket(std::string bucket, Done<BucketReply> done) {
  Status valid = CheckBucket(bucket);
  auto call = Admit(kMetaGroup, std::move(bucket), std::move(done));
  Enter(kMetaGroup, call, std::move(valid), [this, call] {
    AskForBucket(call->request, [call](Result<FoundBucket> found) {
      if (!found.ok()) return call->done(found.status());
      const bool there = call->request == kUpstreamBucket || found->info.has_value();
      Answer(call, there ? Outcome::kOk : Outcome::kBucketNotFound);
    });
  });
}

void Engine::DeleteBucket(std::string bucket, Done<BucketReply> done) {
  Status valid = CheckBucket(bucket);
  auto call = Admit(kMetaGroup, std::move(bucket), std::move(done));
  Enter(kMetaGroup, call, std::move(valid), [this, call] {
    CallGroup(kMetaGroup, ask::DeleteBucket{call->request},
              [call](Result<BucketReply> reply) { call->done(std::move(reply)); });
  });
}

void Engine::List(ListRequest request, Done<ListReply> done) {
  Status valid = Check(request);
  auto call = Admit(kMetaGroup, std::move(request), std::move(done));
  Enter(kMetaGroup, call, std::move(valid), [this, call] { ListFlow(call); });
}

void Engine::Create(CreateRequest request, Done<CreateReply> done) {
  Status valid = Check(request);
  GroupId home = Home(request.stream);
  auto call = Admit(home, std::move(request), std::move(done));
  Enter(home, call, std::move(valid), [this, call, home] {
    if (!TooLarge(call->request.messages)) return CreateFlow(call);
    ShardOf(home).loop().Post([call] { Answer(call, Outcome::kTooLarge); });
  });
}

void Engine::Head(HeadRequest request, Done<HeadReply> done) {
  Status valid = Check(request);
  GroupId home = Home(request.stream);
  auto call = Admit(home, ReadWork<HeadRequest>{std::move(request)}, std::move(done));
  Enter(home, call, std::move(valid), [this, call] {
    call->request.asked_ns = runtime_.Current()->fresh_ns();
    call->request.bound_ms = call->request.request.staleness_ms_max;
    HeadFlow(call);
  });
}

void Engine::Delete(DeleteRequest request, Done<DeleteReply> done) {
  Status valid = Check(request);
  GroupId home = Home(request.stream);
  auto call = Admit(home, std::move(request), std::move(done));
  Enter(home, call, std::move(valid), [this, call, home] { DeleteAt(home, call); });
}

void Engine::StepClock(Done<ClockReply> done) {
  struct Round {
    std::size_t missing = 0;
    ClockReply reply = {};
    Status failure = {};
  };
  auto call = Admit(kMetaGroup, Round{group_count_}, std::move(done));
  Enter(kMetaGroup, call, Status(), [this, call] {
    for (uint32_t i = 0; i < group_count_; ++i) {
      CallGroup(GroupId{i}, ask::StepClock{}, [call](Result<int64_t> moved) {
        Round& round = call->request;
        if (!moved.ok()) round.failure = moved.status();
        if (moved.ok() && std::abs(*moved) > std::abs(round.reply.moved_ms)) {
          round.reply.moved_ms = *moved;
        }
        if (--round.missing > 0) return;
        if (!round.failure.ok()) return call->done(round.failure);
        call->done(round.reply);
      });
    }
  });
}

void Engine::Append(AppendRequest request, Done<AppendReply> done) {
  Status valid = Check(request);
  AppendWork work = WorkOf(std::move(request));
  GroupId home = Home(work.append().id);
  auto call = Admit(home, std::move(work), std::move(done));
  Enter(home, call, std::move(valid), [this, call, home] { AppendAt(home, call); });
}

Ticket Engine::Read(ReadRequest request, Done<ReadReply> done) {
  Status valid = Check(request);
  GroupId home = Home(request.stream);
  Ticket ticket = MakeTicket(ShardOf(home).loop().core(), false,
                             next_ticket_.fetch_add(1, std::memory_order_relaxed));
  auto call = Admit(home, ReadWork<ReadRequest>{std::move(request)}, std::move(done));
  Enter(home, call, std::move(valid), [this, call, home, ticket] {
    call->request.asked_ns = runtime_.Current()->fresh_ns();
    call->request.bound_ms = call->request.request.staleness_ms_max;
    ReadAt(home, call, ticket);
  });
  return ticket;
}

Ticket Engine::Follow(FollowRequest request, Follower* follower) {
  Status valid = Check(request);
  io::Loop* here = runtime_.Current();
  bool outside = here == nullptr;
  if (outside) here = &ShardOf(Home(request.stream)).loop();
  Ticket ticket =
      MakeTicket(here->core(), true, next_ticket_.fetch_add(1, std::memory_order_relaxed));
  if (!gate_.Enter()) {
    AnswerUncounted<Stopped>(
        here,
        [follower](Result<Stopped> refusal) { follower->OnEnd(refusal.status(), Outcome::kOk); },
        EngineStopping());
    return ticket;
  }
  here->Post([this, here, outside, ticket, follower, valid = std::move(valid),
              request = std::move(request)]() mutable {
    Shard& shard = *shards_[Raw(here->core())];
    auto task = std::make_shared<FollowTask>(this, here, outside && outside_ ? &outside_ : nullptr,
                                             std::move(request), follower, [this, &shard, ticket] {
                                               shard.follows().erase(ticket);
                                               CallEnded();
                                             });
    shard.follows().emplace(ticket, task);
    task->Start(std::move(valid));
  });
  return ticket;
}

void Engine::Grant(Ticket ticket, uint64_t bytes) {
  Shard& shard = *shards_[Raw(CoreOfTicket(ticket)) % shards_.size()];
  shard.loop().Post([&shard, ticket, bytes] {
    auto found = shard.follows().find(ticket);
    if (found == shard.follows().end()) return;
    std::shared_ptr<FollowTask> task = found->second;
    task->Grant(bytes);
  });
}

// Nothing to do once the engine is stopping: that ends all there is to cancel.
void Engine::Cancel(Ticket ticket) {
  if (ticket == 0 || !gate_.Enter()) return;
  Shard& shard = *shards_[Raw(CoreOfTicket(ticket)) % shards_.size()];
  shard.loop().Post([this, &shard, ticket] {
    CancelAt(&shard, ticket);
    CallEnded();
  });
}

void Engine::CancelAt(Shard* shard, Ticket ticket) {
  if (IsFollow(ticket)) {
    auto found = shard->follows().find(ticket);
    if (found == shard->follows().end()) return;
    std::shared_ptr<FollowTask> task = found->second;
    return task->Cancel();
  }
  for (group::Replica* replica : shard->Replicas()) {
    if (replica->CancelRead(ticket)) return;
  }
  // A fork's read went on to its source's core. What this loop posts arrives behind it.
  for (auto& other : shards_) {
    if (other.get() == shard) continue;
    other->loop().Post([target = other.get(), ticket] {
      for (group::Replica* replica : target->Replicas()) {
        if (replica->CancelRead(ticket)) return;
      }
    });
  }
}

Status Engine::Ready() const {
  std::string refused = refused_.Get();
  if (!refused.empty()) return Status(StatusCode::kFailedPrecondition, std::move(refused));
  if (gate_.closed()) return EngineStopping();
  for (const auto& shard : shards_) {
    Status status = shard->Ready();
    if (!status.ok()) return status;
  }
  return {};
}

Status Engine::ReadyFor(const StreamId& stream) const {
  const GroupId group = Home(stream);
  if (!ShardOf(group).IsLeaderless(group)) return {};
  return Status(StatusCode::kUnavailable,
                "its group has no leader, as this node knows: a majority of the nodes must run and "
                "reach each other; nothing of this was applied, try again, or at another node");
}

EngineStats Engine::Stats() const {
  EngineStats total;
  for (const auto& shard : shards_) total.Add(shard->Stats());
  return total;
}

ClusterStatus Engine::Cluster() const {
  ClusterStatus cluster = published_members_.Get();
  cluster.node = options_.cluster.node;
  if (directory_ != nullptr) {
    cluster.cluster_id = directory_->cluster_id();
    if (!directory_->aside_gone()) cluster.aside = directory_->aside_path();
    cluster.rejoins = !cluster.aside.empty() && !IsTakenIn(cluster.members);
  }
  cluster.message_bytes_max = options_.message_bytes_max;
  LevelsStatus levels = published_levels_.Get();
  cluster.feature_level = levels.in_force;
  cluster.feature_level_max = options_.feature_level_max;
  cluster.feature_level_waits_for = std::move(levels.waits_for);
  for (const auto& shard : shards_) {
    for (const GroupStatus& group : shard->Groups()) cluster.groups.push_back(group);
  }
  std::ranges::sort(cluster.groups, {}, [](const GroupStatus& group) { return Raw(group.group); });
  return cluster;
}

}  // namespace engine
}  // namespace ursula
