#include <algorithm>

#include "lib/stream/machine.h"

// Preconditions (RFC 9110, 13.1), judged where a command is applied.

namespace ursula::stream {

bool Machine::Matches(const StateMatch& match, const StreamState& stream) const {
  if (match.incarnation && *match.incarnation != PublicIncarnation(stream.incarnation)) {
    return false;
  }
  if (match.tail && match.tail->bytes != stream.tail) return false;
  return !match.closed || *match.closed == stream.closed;
}

bool Machine::Holds(const Precondition& condition, const StreamState* stream) const {
  if (condition.empty()) return true;  // The common case.
  if (stream == nullptr) return !condition.exists && condition.any_of.empty();
  if (condition.absent) return false;
  auto matches = [&](const StateMatch& match) { return Matches(match, *stream); };
  if (std::ranges::any_of(condition.none_of, matches)) return false;
  return condition.any_of.empty() || std::ranges::any_of(condition.any_of, matches);
}

}  // namespace ursula::stream
