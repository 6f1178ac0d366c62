// A node with peers: what they send, on its way to the cores it is for.

#include <utility>
#include <variant>
#include <vector>

#include "lib/engine/engine.h"
#include "lib/engine/founding_task.h"
#include "lib/meta/founding_format.h"

namespace ursula::engine {

void Engine::CarryOutAny(GroupId group, ask::OfLeader ask, ask::LeadersDone done) {
  group::Replica& replica = ShardOf(group).replica(group);
  std::visit(
      [this, &replica, &done](auto&& one) {
        using Answer = typename std::decay_t<decltype(one)>::Answer;
        CarryOut(replica, std::move(one), [done = std::move(done)](Result<Answer> answer) mutable {
          if (!answer.ok()) return done(answer.status());
          done(ask::LeadersAnswer(std::move(*answer)));
        });
      },
      std::move(ask));
}

bool Engine::RouteLetter(NodeId from, GroupId group, Bytes letter, uint64_t arrived_ns) {
  if (Raw(group) >= group_count_) return true;
  Shard& shard = ShardOf(group);
  if (shard.loop().InLoop()) {
    shard.forwarder()->OnGroupLetter(from, group, letter, arrived_ns);
    return true;
  }
  return shard.loop().TryPost([&shard, from, group, letter = std::move(letter), arrived_ns] {
    if (shard.forwarder() == nullptr) return;
    shard.forwarder()->OnGroupLetter(from, group, letter, arrived_ns);
  });
}

// Each core gets its groups' part. Where the peer has as many cores there is one.
void Engine::RouteBeats(peers::Beats record) {
  std::vector<std::vector<peers::Beat>> parts(shards_.size());
  for (const peers::Beat& beat : record.beats) {
    if (Raw(beat.group) >= group_count_) continue;
    parts[Raw(ShardOf(beat.group).loop().core())].push_back(beat);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    Shard& shard = *shards_[i];
    peers::Beats part{record.from, record.to, std::move(parts[i])};
    if (shard.loop().InLoop()) {
      shard.forwarder()->OnGroupBeats(part);
      continue;
    }
    (void)shard.loop().TryPost([&shard, part = std::move(part)] {
      if (shard.forwarder() != nullptr) shard.forwarder()->OnGroupBeats(part);
    });
  }
}

void Engine::RouteAnswer(CoreId core, Bytes letter) {
  if (Raw(core) >= shards_.size()) return;
  Shard& shard = *shards_[Raw(core)];
  if (shard.loop().InLoop()) return shard.forwarder()->OnAnswer(letter);
  shard.loop().Post([&shard, letter = std::move(letter)] {
    if (shard.forwarder() != nullptr) shard.forwarder()->OnAnswer(letter);
  });
}

std::vector<NodeId> Engine::Leaders() {
  std::vector<NodeId> leaders;
  for (const auto& shard : shards_) {
    for (const GroupStatus& group : shard->Groups()) leaders.push_back(group.leader);
  }
  return leaders;
}

// One that still founds learns from its members that the cluster has begun, and may join it.
void Engine::OnNodeFrame(NodeId from, const Bytes& frame) {
  if (!meta::IsFoundingFrame(frame)) return;
  Result<meta::FoundingHello> hello = meta::DecodeFoundingHello(frame);
  if (!hello.ok() || hello->from.node != from) return;
  // An answer tells a member one thing: that it is none any more.
  const bool refusal = hello->admission && !hello->admission->refusal.empty();
  if (hello->number == 0 && !refusal) return;
  io::Loop& loop = ShardOf(kMetaGroup).loop();
  auto answer = [this, from, hello = std::move(*hello)] {
    if (!ShardOf(kMetaGroup).Has(kMetaGroup)) return;
    if (hello.number != 0) return AnswerJoiner(from, hello);
    if (hello.admission->directory != directory_->id()) return;
    if (hello.record.plan.cluster_id != directory_->cluster_id()) return;
    RefuseDirectory(hello.admission->refusal);
  };
  if (loop.InLoop()) return answer();
  (void)loop.TryPost(std::move(answer));
}

}  // namespace ursula::engine
