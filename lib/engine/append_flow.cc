// Appends: straight to the group that has the stream.

#include <utility>

#include "lib/engine/engine.h"
#include "lib/stream/media_type.h"

namespace ursula::engine {
namespace {

bool Refused(Outcome outcome) { return outcome != Outcome::kOk; }

// ---- on the core of the group that has the stream ----

stream::Append AppendOf(const AppendRequest& request) {
  stream::Append append;
  append.id = request.stream;
  append.content_type = request.content_type;
  append.close = request.close;
  append.producer = request.producer;
  append.sequence = request.sequence;
  return append;
}

void ProposeAppend(group::Replica& replica, stream::Append append,
                   const std::vector<Bytes>& messages, group::ProposeDone reply) {
  if (append.content_type.empty()) {
    append.content_type = replica.machine().Lookup(append.id, replica.NowMs()).content_type;
  }
  stream::Framing framing =
      stream::IsJson(append.content_type) ? stream::Framing::kJson : stream::Framing::kConcatenated;
  stream::Command command;
  command.body = std::move(append);
  replica.Propose(std::move(command), messages, framing, std::move(reply));
}

// What the state as applied would refuse needn't go through the log, as long as nothing pending can
// change it; but a refusal is an answer too, and is given behind the barrier.
bool RefusedAsApplied(group::Replica& replica, const AppendRequest& request, stream::Append* append,
                      stream::Reply* refusal) {
  if (replica.proposals_pending() > 0) return false;
  stream::Command command;
  command.now_ms = replica.NowMs();
  if (!request.messages.empty()) append->payload = request.messages.front();
  command.body = std::move(*append);
  *refusal = replica.machine().Preview(command, command.now_ms);
  *append = std::move(std::get<stream::Append>(command.body));
  append->payload = {};
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
        stream::Append append = AppendOf(call->request);
        if (!RefusedAsApplied(replica, call->request, &append, &refusal)) {
          return ProposeAppend(replica, std::move(append), call->request.messages,
                               std::move(reply));
        }
        replica.AfterBarrier([call, &replica, reply = std::move(reply)](Status status) mutable {
          if (!status.ok()) return reply(std::move(status));
          stream::Reply again;
          stream::Append anew = AppendOf(call->request);
          if (RefusedAsApplied(replica, call->request, &anew, &again)) {
            return reply(std::move(again));
          }
          ProposeAppend(replica, std::move(anew), call->request.messages, std::move(reply));
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
