#include "lib/engine/engine.h"

#include <algorithm>
#include <utility>

#include "lib/engine/ticket.h"

namespace ursula {

Result<std::unique_ptr<StreamEngine>> StreamEngine::Open(EngineOptions options) {
  return engine::Engine::Open(std::move(options));
}

std::string_view Version() { return "0.1.0"; }

namespace engine {

void Engine::Enter(GroupId group, Function<void()> flow, Function<void(Status)> refused) {
  io::Loop& loop = ShardOf(group).loop();
  auto refuse = [&loop](Function<void(Status)> answer, Status status) {
    loop.Post([answer = std::move(answer), status = std::move(status)]() mutable {
      answer(std::move(status));
    });
  };
  if (!accepting_.load(std::memory_order_acquire)) {
    return refuse(std::move(refused), Status(StatusCode::kUnavailable, "the engine is stopping"));
  }
  if (loop.InLoop()) return flow();
  if (!loop.TryPost(std::move(flow))) {
    refuse(std::move(refused), Status(StatusCode::kResourceExhausted,
                                      "too many requests wait for this core; try again shortly"));
  }
}

void Engine::ProposeAt(GroupId group, stream::Command::Body body, group::ProposeDone done) {
  CallGroup<stream::Reply>(
      group,
      [body = std::move(body)](group::Replica& replica, group::ProposeDone reply) mutable {
        replica.Propose(std::move(body), std::move(reply));
      },
      std::move(done));
}

void Engine::CreateBucket(std::string bucket, Done<BucketReply> done) {
  auto call = MakeCall(std::move(bucket), std::move(done));
  Enter(
      kMetaGroup,
      [this, call] {
        ProposeAt(kMetaGroup, stream::CreateBucket{call->request},
                  [call](Result<stream::Reply> reply) {
                    if (!reply.ok()) return call->done(reply.status());
                    Answer(call, reply->outcome);
                  });
      },
      [call](Status status) { call->done(std::move(status)); });
}

void Engine::GetBucket(std::string bucket, Done<BucketReply> done) {
  auto call = MakeCall(std::move(bucket), std::move(done));
  Enter(
      kMetaGroup,
      [this, call] {
        group::Replica& meta = ShardOf(kMetaGroup).replica(kMetaGroup);
        meta.AfterBarrier([call, &meta](Status status) {
          if (!status.ok()) return call->done(std::move(status));
          bool found = call->request == kUpstreamBucket ||
                       meta.machine().BucketFind(call->request).has_value();
          Answer(call, found ? Outcome::kOk : Outcome::kBucketNotFound);
        });
      },
      [call](Status status) { call->done(std::move(status)); });
}

void Engine::DeleteBucket(std::string bucket, Done<BucketReply> done) {
  auto call = MakeCall(std::move(bucket), std::move(done));
  Enter(
      kMetaGroup, [this, call] { DeleteBucketFlow(call); },
      [call](Status status) { call->done(std::move(status)); });
}

void Engine::List(ListRequest request, Done<ListReply> done) {
  auto call = MakeCall(std::move(request), std::move(done));
  Enter(
      kMetaGroup, [this, call] { ListFlow(call); },
      [call](Status status) { call->done(std::move(status)); });
}

void Engine::Create(CreateRequest request, Done<CreateReply> done) {
  auto call = MakeCall(std::move(request), std::move(done));
  Enter(
      Home(call->request.stream), [this, call] { CreateFlow(call); },
      [call](Status status) { call->done(std::move(status)); });
}

void Engine::Head(StreamId stream, Done<HeadReply> done) {
  auto call = MakeCall(std::move(stream), std::move(done));
  Enter(
      Home(call->request),
      [this, call] {
        Locate(call->request, [call](Result<std::pair<GroupId, Located>> located) {
          if (!located.ok()) return call->done(located.status());
          HeadReply reply;
          using Kind = stream::LookupResult::Kind;
          Kind kind = located->second.kind;
          reply.outcome = kind == Kind::kFound         ? Outcome::kOk
                          : kind == Kind::kSoftDeleted ? Outcome::kSoftDeleted
                                                       : Outcome::kNotFound;
          reply.info = std::move(located->second.info);
          call->done(std::move(reply));
        });
      },
      [call](Status status) { call->done(std::move(status)); });
}

void Engine::Delete(DeleteRequest request, Done<DeleteReply> done) {
  auto call = MakeCall(std::move(request), std::move(done));
  Enter(
      Home(call->request.stream), [this, call] { DeleteAt(Home(call->request.stream), call); },
      [call](Status status) { call->done(std::move(status)); });
}

void Engine::Append(AppendRequest request, Done<AppendReply> done) {
  AppendWork work;
  stream::Append& append = work.command.body.emplace<stream::Append>();
  append.id = std::move(request.stream);
  append.content_type = std::move(request.content_type);
  append.close = request.close;
  append.producer = std::move(request.producer);
  append.sequence = std::move(request.sequence);
  work.messages = std::move(request.messages);
  GroupId home = Home(append.id);
  auto call = MakeCall(std::move(work), std::move(done));
  Enter(
      home, [this, call, home] { AppendAt(home, call); },
      [call](Status status) { call->done(std::move(status)); });
}

Ticket Engine::Read(ReadRequest request, Done<ReadReply> done) {
  GroupId home = Home(request.stream);
  Ticket ticket = MakeTicket(ShardOf(home).loop().core(), false,
                             next_ticket_.fetch_add(1, std::memory_order_relaxed));
  auto call = MakeCall(std::move(request), std::move(done));
  Enter(
      home, [this, call, home, ticket] { ReadAt(home, call, ticket); },
      [call](Status status) { call->done(std::move(status)); });
  return ticket;
}

Ticket Engine::Follow(FollowRequest request, Follower* follower) {
  io::Loop* here = runtime_.Current();
  bool outside = here == nullptr;
  if (outside) here = &ShardOf(Home(request.stream)).loop();
  Ticket ticket =
      MakeTicket(here->core(), true, next_ticket_.fetch_add(1, std::memory_order_relaxed));
  open_calls_.fetch_add(1, std::memory_order_relaxed);
  here->Post([this, here, outside, ticket, follower, request = std::move(request)]() mutable {
    Shard& shard = *shards_[Raw(here->core())];
    Executor* executor = outside && executor_ ? &executor_ : nullptr;
    auto task = std::make_shared<FollowTask>(this, here, executor, std::move(request), follower,
                                             [this, &shard, ticket] {
                                               shard.follows().erase(ticket);
                                               CallEnded();
                                             });
    shard.follows().emplace(ticket, task);
    task->Start();
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

void Engine::Cancel(Ticket ticket) {
  if (ticket == 0) return;
  Shard& shard = *shards_[Raw(CoreOfTicket(ticket)) % shards_.size()];
  shard.loop().Post([this, &shard, ticket] {
    if (IsFollow(ticket)) {
      auto found = shard.follows().find(ticket);
      if (found == shard.follows().end()) return;
      std::shared_ptr<FollowTask> task = found->second;
      return task->Cancel();
    }
    for (group::Replica* replica : shard.Replicas()) {
      if (replica->CancelRead(ticket)) return;
    }
    // A fork's read went on to its source's core. What this loop posts arrives behind it.
    for (auto& other : shards_) {
      if (other.get() == &shard) continue;
      other->loop().Post([target = other.get(), ticket] {
        for (group::Replica* replica : target->Replicas()) {
          if (replica->CancelRead(ticket)) return;
        }
      });
    }
  });
}

Status Engine::Ready() const {
  if (!accepting_.load(std::memory_order_acquire)) {
    return Status(StatusCode::kUnavailable, "the engine is stopping");
  }
  for (const auto& shard : shards_) {
    Status status = shard->Ready();
    if (!status.ok()) return status;
  }
  return {};
}

EngineStats Engine::Stats() const {
  EngineStats total;
  for (const auto& shard : shards_) total.Add(shard->Stats());
  return total;
}

}  // namespace engine
}  // namespace ursula
