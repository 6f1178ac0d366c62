// Appends: straight to the group that has the stream.

#include <utility>

#include "lib/engine/append_steps.h"
#include "lib/engine/arguments.h"
#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {
namespace {

bool Refused(Outcome outcome) { return outcome != Outcome::kOk; }

// The stream's form of the payload, as applied; Apply refuses another one.
void SetFraming(group::Replica& replica, AppendWork* work) {
  stream::Append& append = work->append();
  append.framing = FramingOf(append.content_type.empty()
                                 ? replica.machine().Lookup(append.id, replica.NowMs()).content_type
                                 : std::string_view(append.content_type));
}

}  // namespace

AppendWork WorkOf(AppendRequest request) {
  AppendWork work;
  stream::Append& append = work.command.body.emplace<stream::Append>();
  append.id = std::move(request.stream);
  append.content_type = std::move(request.content_type);
  append.close = request.close;
  append.producer = std::move(request.producer);
  append.sequence = std::move(request.sequence);
  append.expected.tail = request.expected_tail;
  append.expected.incarnation = request.expected_incarnation;
  append.condition = std::move(request.condition);
  work.messages = std::move(request.messages);
  work.json_checked = request.json_checked || !append.content_type.empty();
  return work;
}

bool ProposeAppend(group::Replica& replica, AppendWork* work, group::ProposeDone done) {
  SetFraming(replica, work);
  if (work->append().framing == stream::Framing::kJson && !work->json_checked) {
    if (Status valid = CheckJson(work->messages); !valid.ok()) {
      done(std::move(valid));
      return true;
    }
  }
  return replica.Propose(&work->command, work->messages, std::move(done));
}

bool RefusedAsApplied(group::Replica& replica, AppendWork* work, stream::Reply* refusal) {
  if (replica.proposals_pending() > 0) return false;
  SetFraming(replica, work);
  if (!work->messages.empty()) work->append().payload = work->messages.front();
  const int64_t now_ms = replica.NowMs();
  *refusal = replica.machine().Preview(work->command, now_ms);
  work->append().payload = {};
  // A stream that is due expires by a command: what it holds is gone with it, for everyone.
  using Kind = stream::LookupResult::Kind;
  if (refusal->outcome == Outcome::kNotFound &&
      replica.machine().Lookup(work->append().id, now_ms).kind == Kind::kExpired) {
    return false;
  }
  return Refused(refusal->outcome);
}

bool MetOtherForm(AppendWork* work, const Result<stream::Reply>& reply) {
  const bool other = reply.ok() && reply->outcome == Outcome::kContentTypeMismatch &&
                     work->append().content_type.empty();
  return other && work->reframed++ < kReframedMax;
}

bool Engine::TooLarge(std::span<const Bytes> messages) const {
  uint64_t bytes = 0;
  for (const Bytes& message : messages) bytes += message.size();
  return bytes > options_.message_bytes_max;
}

void Engine::AppendAt(GroupId group, AppendCall call) {
  if (TooLarge(call->request.messages)) {
    return ShardOf(group).loop().Post([call] { Answer(call, Outcome::kTooLarge); });
  }
  ask::Append ask{std::shared_ptr<AppendWork>(call, &call->request)};
  CallGroup(group, std::move(ask), [this, call, group](Result<stream::Reply> reply) {
    OnAppended(call, group, std::move(reply));
  });
}

void Engine::CarryOut(group::Replica& replica, ask::Append ask, group::ProposeDone done) {
  AppendWork* const work = ask.work.get();
  stream::Reply refusal;
  if (!RefusedAsApplied(replica, work, &refusal)) {
    ProposeAppend(replica, work, std::move(done));
    return;
  }
  replica.AfterBarrier(
      [work = std::move(ask.work), &replica, done = std::move(done)](Status status) mutable {
        if (!status.ok()) return done(std::move(status));
        stream::Reply again;
        if (RefusedAsApplied(replica, work.get(), &again)) return done(std::move(again));
        ProposeAppend(replica, work.get(), std::move(done));
      });
}

void Engine::OnAppended(AppendCall call, GroupId group, Result<stream::Reply> reply) {
  if (!reply.ok()) return call->done(reply.status());
  if (reply->placement) {
    bool there = reply->placement->confirmed && call->attempts++ == 0;
    if (there) return AppendAt(reply->placement->target, call);
    reply->outcome = Outcome::kNotFound;
    reply->append = {};
  }
  if (MetOtherForm(&call->request, reply)) return AppendAt(group, call);
  reply->append.outcome = reply->outcome;
  AnswerOfStream(call, call->request.append().id.bucket, std::move(reply->append));
}

}  // namespace ursula::engine
