// Appends: straight to the group that has the stream.

#include <utility>

#include "lib/engine/engine.h"
#include "lib/stream/media_type.h"

namespace ursula::engine {
namespace {

bool Refused(Outcome outcome) { return outcome != Outcome::kOk; }

// On the core of the group that has the stream.
void ProposeAppend(group::Replica& replica, AppendWork* work, group::ProposeDone reply) {
  stream::Append& append = work->append();
  const bool any_type = append.content_type.empty();
  if (any_type) {
    append.content_type = replica.machine().Lookup(append.id, replica.NowMs()).content_type;
  }
  stream::Framing framing =
      stream::IsJson(append.content_type) ? stream::Framing::kJson : stream::Framing::kConcatenated;
  replica.Propose(&work->command, work->messages, framing, std::move(reply));
  if (any_type) append.content_type.clear();  // It was this group's stream's.
}

// What the state as applied would refuse needn't go through the log, as long as nothing pending can
// change it; but a refusal is an answer too, and is given behind the barrier.
bool RefusedAsApplied(group::Replica& replica, AppendWork* work, stream::Reply* refusal) {
  if (replica.proposals_pending() > 0) return false;
  if (!work->messages.empty()) work->append().payload = work->messages.front();
  *refusal = replica.machine().Preview(work->command, replica.NowMs());
  work->append().payload = {};
  return Refused(refusal->outcome);
}

}  // namespace

void Engine::AppendAt(GroupId group, AppendCall call) {
  uint64_t bytes = 0;
  for (const Bytes& message : call->request.messages) bytes += message.size();
  if (bytes > options_.message_bytes_max) {
    return ShardOf(group).loop().Post([call] { Answer(call, Outcome::kTooLarge); });
  }
  CallGroup<stream::Reply>(
      group,
      [call](group::Replica& replica, group::ProposeDone reply) mutable {
        stream::Reply refusal;
        if (!RefusedAsApplied(replica, &call->request, &refusal)) {
          return ProposeAppend(replica, &call->request, std::move(reply));
        }
        replica.AfterBarrier([call, &replica, reply = std::move(reply)](Status status) mutable {
          if (!status.ok()) return reply(std::move(status));
          stream::Reply again;
          if (RefusedAsApplied(replica, &call->request, &again)) return reply(std::move(again));
          ProposeAppend(replica, &call->request, std::move(reply));
        });
      },
      [this, call](Result<stream::Reply> reply) { OnAppended(call, std::move(reply)); });
}

void Engine::OnAppended(AppendCall call, Result<stream::Reply> reply) {
  if (!reply.ok()) return call->done(reply.status());
  if (reply->placement) {
    bool there = reply->placement->confirmed && call->attempts++ == 0;
    if (there) return AppendAt(reply->placement->target, call);
    return Answer(call, Outcome::kNotFound);
  }
  reply->append.outcome = reply->outcome;
  call->done(std::move(reply->append));
}

}  // namespace ursula::engine
