// server/protocol/response_mapping.h
//
// Engine replies to HTTP responses: every status, header and error code of the protocol. Time and
// chance come in with ReplyContext.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "server/protocol/config.h"
#include "server/protocol/errors.h"
#include "server/protocol/http_message.h"
#include "server/protocol/request_mapping.h"
#include "ursula/engine.h"
#include "ursula/status.h"

namespace ursula::protocol {

struct ReplyContext {
  int64_t now_ms = 0;   // Unix time.
  uint64_t random = 0;  // Any value; jitters Stream-Cursor.
};

// Replies to writes say in Stream-Outcome what has become of them: applied, duplicate, refused,
// not-proposed or unknown. This one is of a write that was answered without the engine: empty where
// the method doesn't write, or the response has said it.
std::string_view OutcomeWithoutEngine(Method method, const Response& response);

Response MapBucketReply(const CreateBucketAction&, const Result<BucketReply>&,
                        const ProtocolConfig&);
Response MapBucketReply(const GetBucketAction&, const Result<BucketReply>&, const ProtocolConfig&);
Response MapBucketReply(const DeleteBucketAction&, const Result<BucketReply>&,
                        const ProtocolConfig&);
Response MapListReply(const ListAction&, const Result<ListReply>&, const ProtocolConfig&);
Response MapCreateReply(const CreateAction&, const Result<CreateReply>&, const ProtocolConfig&);
Response MapAppendReply(const AppendAction&, const Result<AppendReply>&, const ProtocolConfig&);
Response MapHeadReply(const HeadAction&, const Result<HeadReply>&, const ProtocolConfig&);
Response MapDeleteReply(const DeleteAction&, const Result<DeleteReply>&, const ProtocolConfig&);

// A local reply is older than what the client has, as its tags say: it isn't to be told, and the
// same call with the action's request, which is for a newer one now, is to be made.
bool WantsNewer(ReadAction* action, const Result<ReadReply>& reply);
bool WantsNewer(HeadAction* action, const Result<HeadReply>& reply);

// The answer to a read that gives no data: the engine's refusal, or a condition that doesn't hold.
// Empty: go on. Of SSE that is all that is asked before the head.
std::optional<Response> RefuseRead(const ReadAction& action, const Result<ReadReply>& reply,
                                   const ReplyContext& context, const ProtocolConfig& config);

// The request names an incarnation, and the engine has no such stream: Head tells whether there is
// another one (412) or none (404).
bool MissedIncarnation(const ReadAction& action, const Result<ReadReply>& reply);
Response MapMissedRead(const ReadAction& action, const Result<HeadReply>& reply,
                       const ProtocolConfig& config);

// A page of text that ends inside an append ends at a character: some clients make text of each
// page by itself. First of all, since the reply's range is what its tag names.
void EndAtCharacter(ReadReply* reply);

// Catch-up and long-poll. The body shares the reply's memory, except that of JSON. Does not
// compress: see compress.h.
Response MapReadReply(const ReadAction& action, const Result<ReadReply>& reply,
                      const ReplyContext& context, const ProtocolConfig& config);

// Its two halves, of a reply that is no refusal and brings data: the body that the action asks for,
// made of the reply's parts (empty: the stored form is broken), and the answer with that body.
std::optional<std::vector<Bytes>> PageBody(const ReadAction& action, const ReadReply& reply);
Response MapPage(const ReadAction& action, const ReadReply& reply, std::vector<Bytes> body,
                 const ReplyContext& context);

// An EventSource that has had all of a closed stream and comes again: 204, at which it stops (HTML,
// 9.2.3). Empty: there is something to tell.
std::optional<Response> EndOfEvents(const ReadAction& action, const ReadReply& reply);

// The head of an SSE stream, once the first read has found the stream. It has no body: frames
// follow (sse.h).
Response SseHead(const ReadAction& action, const ReadReply& first);

Response MapGuardedRefusal(const GuardedRefusal&, const Result<HeadReply>&, const ProtocolConfig&);

// Stream-Cursor: the number of 20-second intervals since 2024-10-09T00:00:00Z; a client that is as
// far or ahead is moved on by a random 1 to 3600 seconds, so that no two live reads of one URL can
// share a stale cache entry.
uint64_t NextCursor(const std::optional<uint64_t>& client_cursor, const ReplyContext& context);

}  // namespace ursula::protocol
