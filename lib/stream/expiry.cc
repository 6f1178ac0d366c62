#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"
#include "lib/stream/machine.h"

// Deadlines. A stream is gone from its deadline on: a command that names it meets it as absent,
// because it expires first; the leader's Expire removes those that no command names.

namespace ursula::stream {

void Machine::ExpireNamed(const Command& command, ApplyResult* result) {
  if (streams_.deadlines().empty() || streams_.deadlines().begin()->first > now_ms_) return;
  if (const StreamId* id = StreamOf(command); id != nullptr) {
    ExpireIfDue(NameKey(*id).view(), result);
  }
  if (const CreateFork* fork = std::get_if<CreateFork>(&command.body); fork != nullptr) {
    ExpireIfDue(NameKey(fork->point.source).view(), result);
  }
  if (const FenceBucket* fence = std::get_if<FenceBucket>(&command.body); fence != nullptr) {
    ExpireBucket(fence->bucket, result);
  }
}

void Machine::ExpireIfDue(std::string_view key, ApplyResult* result) {
  StreamState* stream = streams_.FindByKey(key);
  if (stream != nullptr && Due(*stream, now_ms_)) ExpireStream(stream, result);
}

// All that are due before the first that isn't: enough to tell an empty bucket from another.
void Machine::ExpireBucket(std::string_view bucket, ApplyResult* result) {
  std::string prefix = std::string(bucket) + '\0';
  std::vector<StreamState*> due;
  for (auto at = streams_.names().lower_bound(std::string_view(prefix));
       at != streams_.names().end() && (*at)->key().starts_with(prefix); ++at) {
    if (!Due(**at, now_ms_)) break;
    due.push_back(*at);
  }
  // Freeing one may free sources, but those are not live, hence not in `due`.
  for (StreamState* stream : due) ExpireStream(stream, result);
}

void Machine::ExpireStream(StreamState* stream, ApplyResult* result) {
  URSULA_CHECK(stream->life == Life::kLive);
  result->changed.push_back(stream->incarnation);
  End(stream, Life::kDetached, result);
}

void Machine::Renew(StreamState* stream) {
  if (stream->lifetime == nullptr || !stream->lifetime->ttl_seconds) return;
  streams_.SetDeadline(stream, DeadlineOf(*stream->lifetime, now_ms_));
}

Reply Machine::Decide(const Expire&, int64_t) const { return {}; }

void Machine::Commit(Index, const Expire& command, ApplyResult* result) {
  for (Incarnation incarnation : command.incarnations) {
    StreamState* stream = streams_.Find(incarnation);
    if (stream != nullptr && Due(*stream, now_ms_)) ExpireStream(stream, result);
  }
}

Reply Machine::Decide(const Touch&, int64_t) const { return {}; }

void Machine::Commit(Index, const Touch& command, ApplyResult* result) {
  for (Incarnation incarnation : command.incarnations) {
    StreamState* stream = streams_.Find(incarnation);
    if (stream == nullptr || stream->life != Life::kLive) continue;
    // Past its deadline too: it was read in time or is being read, says the leader, who stamped
    // this when it came to it. A fixed deadline isn't for it to move.
    const bool sliding = stream->lifetime != nullptr && stream->lifetime->ttl_seconds.has_value();
    if (!sliding && Due(*stream, now_ms_)) {
      ExpireStream(stream, result);
    } else {
      Renew(stream);
    }
  }
}

}  // namespace ursula::stream
