// server/protocol/request_mapping.h
//
// MapRequest turns an HTTP request into what the server has to do: one Action. It decides all that
// can be decided without a stream's state; the engine decides the rest.
//
// What to do with each action:
//   Response           send it: a refusal, or the answer to OPTIONS.
//   …BucketAction      engine.CreateBucket / GetBucket / DeleteBucket, then MapBucketReply.
//   ListAction         engine.List(request), then MapListReply.
//   CreateAction       if needs_source_type: engine.Head(request.fork->source), then FinishFork.
//                      Then engine.Create(request), then MapCreateReply.
//   AppendAction       engine.Append(request), then MapAppendReply.
//   AppendBatchAction  BatchReader (append_batch.h) takes it apart; engine.AppendBatch(requests of
//                      some items), then MapAppendReply and AppendBatchLine for each.
//   HeadAction, DeleteAction     likewise.
//   HeadAction, ReadAction       the same call again, if the reply WantsNewer(&action, reply).
//   ReadAction         live kNone, kLongPoll: engine.Read(request), then MapReadReply.
//                      live kSse: read or follow from `request`; see sse.h, RefuseRead and SseHead.
//                      If MissedIncarnation(reply): engine.Head(stream), then MapMissedRead.
//   GuardedRefusal     engine.Head(stream), then MapGuardedRefusal: the stream's own refusals (404,
//                      410) come before complaints about a query or a condition.
// Requests may be moved out of an action before the reply is mapped: the Map…Reply functions read
// only the action's other fields.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"
#include "server/protocol/negotiation.h"
#include "server/protocol/precondition.h"
#include "ursula/engine.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::protocol {

enum class LiveMode : uint8_t { kNone, kLongPoll, kSse };

struct CreateBucketAction {
  std::string bucket = {};
  std::string location = {};
};
struct GetBucketAction {  // GET or HEAD.
  std::string bucket = {};
};
struct DeleteBucketAction {
  std::string bucket = {};
};
struct ListAction {
  ListRequest request = {};
};

struct CreateAction {
  CreateRequest request = {};
  std::string location = {};  // Absolute URL of the stream.
  // A fork that names no Content-Type but brings a body: whether the body is JSON is known only
  // with the source's type.
  bool needs_source_type = false;
  Bytes body = {};  // Of such a fork.
};

struct AppendAction {
  AppendRequest request = {};
  bool has_body = false;
  std::optional<uint64_t> producer_sequence = {};  // As sent.
  // The body can't be stored: the answer if the stream itself refuses nothing. The request then is
  // under a condition that never holds.
  std::unique_ptr<Response> refusal = {};
};

struct AppendBatchAction {
  std::string bucket = {};
};

struct HeadAction {
  HeadRequest request = {};
  Conditions conditions = {};
  bool local = false;  // The answer says how old it is.
};
struct DeleteAction {
  DeleteRequest request = {};
};

struct ReadAction {
  ReadRequest request = {};  // wait_ms and bytes_max are set from the configuration.
  LiveMode live = LiveMode::kNone;
  bool from_now = false;                // offset=now.
  bool reconnects = false;              // SSE: an EventSource that was here before.
  bool ndjson = false;                  // The client accepts JSON lines.
  bool state_offsets = false;           // Of JSON: see state_offsets.h.
  std::optional<uint64_t> cursor = {};  // As sent.
  Conditions conditions = {};
  ContentCoding coding = ContentCoding::kIdentity;  // What the client would like best.
  bool local = false;                               // The answer says how old it is.
};

struct GuardedRefusal {
  StreamId stream = {};
  Response refusal = {};
};

using Action = std::variant<Response, CreateBucketAction, GetBucketAction, DeleteBucketAction,
                            ListAction, CreateAction, AppendAction, AppendBatchAction, HeadAction,
                            DeleteAction, ReadAction, GuardedRefusal>;

Action MapRequest(const Request& request, const ProtocolConfig& config);

// What the head of a request that has a body says by itself: a refusal, which MapRequest would give
// whatever the body is, or which stream it writes to. Neither: the body decides.
struct HeadJudgement {
  std::optional<Response> refusal = {};
  std::optional<StreamId> writes_to = {};
};
HeadJudgement JudgeHead(const Request& request, const ProtocolConfig& config);

// Splits the body of a fork by its source's type. A response: send that instead of creating.
// A source that is not there is left to Create, which refuses it.
std::optional<Response> FinishFork(CreateAction* action, const Result<HeadReply>& source,
                                   const ProtocolConfig& config);

}  // namespace ursula::protocol
