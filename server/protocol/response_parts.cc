#include "server/protocol/response_parts.h"

#include "absl/strings/str_cat.h"
#include "server/protocol/errors.h"
#include "server/protocol/offset.h"

namespace ursula::protocol {

StreamState StateOf(const StreamInfo& info) { return {info.incarnation, info.tail, info.closed}; }

StreamState StateOf(const AppendReply& reply) {
  return {reply.incarnation, reply.tail, reply.closed};
}

void AddStaleness(Response* response, bool local, uint64_t staleness_ms) {
  if (local) response->headers.Add("Stream-Staleness-Ms", absl::StrCat(staleness_ms));
}

void AddIncarnation(Response* response, uint64_t incarnation) {
  if (incarnation == 0) return;
  response->headers.Add("Stream-Incarnation", IncarnationText(incarnation).view());
}

void AddState(Response* response, const StreamState& state) {
  response->headers.Add("Stream-Next-Offset", OffsetText({state.tail}).view());
  if (state.closed) response->headers.Add("Stream-Closed", "true");
  if (state.incarnation == 0) return;
  response->headers.Add("ETag", StateTagText(state).view());
  AddIncarnation(response, state.incarnation);
}

Response PreconditionFailedResponse(const StreamState& state) {
  Response response = OutcomeResponse(Outcome::kPreconditionFailed);
  if (state.incarnation != 0) AddState(&response, state);
  return response;
}

}  // namespace ursula::protocol
