#include "lib/engine/stream_commands.h"

#include <type_traits>
#include <utility>

#include "lib/stream/media_type.h"

namespace ursula::engine {

stream::CreateStream StreamCommand(const CreateRequest& request, stream::BucketStamp bucket) {
  stream::CreateStream create;
  create.id = request.stream;
  create.content_type = request.content_type;
  create.lifetime = request.lifetime;
  create.closed = request.closed;
  create.sequence = request.sequence;
  create.bucket = bucket;
  create.condition = request.condition;
  create.framing = FramingOf(request.content_type);
  return create;
}

const stream::CreateStream* CreationIn(const stream::Command::Body& body) {
  if (const auto* create = std::get_if<stream::CreateStream>(&body)) return create;
  const auto* reserve = std::get_if<stream::Reserve>(&body);
  return reserve != nullptr ? &reserve->stream : nullptr;
}

bool MovesFences(const stream::Command::Body& body) {
  return std::holds_alternative<stream::FenceBucket>(body) ||
         std::holds_alternative<stream::UnfenceBucket>(body) ||
         std::holds_alternative<stream::SettleFences>(body);
}

stream::Reply StillFenced() {
  stream::Reply reply;
  reply.outcome = Outcome::kBucketNotFound;
  return reply;
}

stream::Framing FramingOf(std::string_view content_type) {
  return stream::IsJson(content_type) ? stream::Framing::kJson : stream::Framing::kConcatenated;
}

namespace {

// Behind the barrier, and past a deadline once the stream has expired.
template <class Command>
void PreviewCreate(group::Replica* replica, Command create, group::ProposeDone done) {
  StreamId id;
  if constexpr (std::is_same_v<Command, stream::CreateFork>) {
    id = create.stream.id;
  } else {
    id = create.id;
  }
  replica->Lookup(std::move(id), [replica, create = std::move(create), done = std::move(done)](
                                     Result<stream::LookupResult> found) mutable {
    if (!found.ok()) return done(found.status());
    stream::Command command;
    command.now_ms = replica->NowMs();
    command.body = std::move(create);
    done(replica->machine().Preview(command, command.now_ms));
  });
}

}  // namespace

void CompareAt(group::Replica* replica, ask::Compare ask, group::ProposeDone done) {
  if (!ask.point) return PreviewCreate(replica, std::move(ask.stream), std::move(done));
  stream::CreateFork fork;
  fork.stream = std::move(ask.stream);
  fork.point = *std::move(ask.point);
  PreviewCreate(
      replica, fork, [replica, fork, done = std::move(done)](Result<stream::Reply> reply) mutable {
        if (!reply.ok()) return done(std::move(reply));
        const stream::Incarnation source = replica->machine().ForkSource(reply->incarnation);
        const bool by_point_alone = reply->outcome == Outcome::kConflict &&
                                    fork.point.sub_offset > 0 && source != stream::kNoIncarnation;
        if (!by_point_alone) return done(std::move(reply));
        const ForkPoint point = fork.point;
        replica->ResolveForkPoint(source, point,
                                  [replica, source, fork = std::move(fork), done = std::move(done)](
                                      Result<group::ResolvedFork> resolved) mutable {
                                    if (!resolved.ok()) return done(resolved.status());
                                    if (resolved->outcome == Outcome::kOk) {
                                      fork.source = source;
                                      fork.offset = resolved->offset;
                                    }
                                    PreviewCreate(replica, std::move(fork), std::move(done));
                                  });
      });
}

}  // namespace ursula::engine
