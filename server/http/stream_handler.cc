#include "server/http/stream_handler.h"

#include <optional>
#include <utility>
#include <variant>

#include "server/http/batch_task.h"
#include "server/http/read_task.h"
#include "server/http/sse_task.h"

namespace ursula::http {
namespace {

using protocol::ProtocolConfig;

// One engine call whose reply is mapped to one answer.
template <class Action>
class CallTask final : public Task {
 public:
  CallTask(StreamContext* context, Exchange* exchange, Action&& action)
      : context_(context), exchange_(exchange), action_(std::move(action)) {}

  void Start();

 private:
  StreamEngine& engine() { return *context_->engine; }
  const ProtocolConfig& config() { return *context_->config; }

  // The completion that answers with `kMap`'s response.
  template <class Reply, auto kMap>
  Done<Reply> Answer() {
    return [this](Result<Reply> reply) { exchange_->Reply(kMap(action_, reply, config())); };
  }

  StreamContext* const context_;
  Exchange* const exchange_;
  Action action_;
};

template <>
void CallTask<protocol::CreateBucketAction>::Start() {
  engine().CreateBucket(action_.bucket, [this](Result<BucketReply> reply) {
    exchange_->Reply(protocol::MapBucketReply(action_, reply, config()));
  });
}

template <>
void CallTask<protocol::GetBucketAction>::Start() {
  engine().GetBucket(action_.bucket, [this](Result<BucketReply> reply) {
    exchange_->Reply(protocol::MapBucketReply(action_, reply, config()));
  });
}

template <>
void CallTask<protocol::DeleteBucketAction>::Start() {
  engine().DeleteBucket(action_.bucket, [this](Result<BucketReply> reply) {
    exchange_->Reply(protocol::MapBucketReply(action_, reply, config()));
  });
}

template <>
void CallTask<protocol::ListAction>::Start() {
  engine().List(action_.request, Answer<ListReply, protocol::MapListReply>());
}

template <>
void CallTask<protocol::HeadAction>::Start() {
  engine().Head(action_.request, [this](Result<HeadReply> reply) {
    if (protocol::WantsNewer(&action_, reply)) return Start();
    exchange_->Reply(protocol::MapHeadReply(action_, reply, config()));
  });
}

template <>
void CallTask<protocol::DeleteAction>::Start() {
  engine().Delete(std::move(action_.request), Answer<DeleteReply, protocol::MapDeleteReply>());
}

template <>
void CallTask<protocol::GuardedRefusal>::Start() {
  engine().Head(action_.stream, Answer<HeadReply, protocol::MapGuardedRefusal>());
}

template <>
void CallTask<protocol::AppendAction>::Start() {
  engine().Append(std::move(action_.request), Answer<AppendReply, protocol::MapAppendReply>());
}

template <>
void CallTask<protocol::CreateAction>::Start() {
  if (!action_.needs_source_type) {
    engine().Create(std::move(action_.request), Answer<CreateReply, protocol::MapCreateReply>());
    return;
  }
  engine().Head(action_.request.fork->source, [this](Result<HeadReply> source) {
    std::optional<protocol::Response> refusal = protocol::FinishFork(&action_, source, config());
    if (refusal.has_value()) return exchange_->Reply(std::move(*refusal));
    engine().Create(std::move(action_.request), Answer<CreateReply, protocol::MapCreateReply>());
  });
}

struct Dispatch {
  StreamContext* context;
  Exchange* exchange;

  void operator()(protocol::Response&& response) { exchange->Reply(std::move(response)); }
  void operator()(protocol::ReadAction&& action) {
    if (action.live == protocol::LiveMode::kSse) return Begin<SseTask>(std::move(action));
    Begin<ReadTask>(std::move(action));
  }
  void operator()(protocol::AppendBatchAction&& action) { Begin<BatchTask>(std::move(action)); }
  template <class Action>
  void operator()(Action&& action) {
    Begin<CallTask<Action>>(std::move(action));
  }

  template <class Kind, class Action>
  void Begin(Action&& action) {
    if constexpr (requires { action.request.stream; }) {
      exchange->ServedOn(context->engine->HomeCoreOf(action.request.stream));
    }
    auto task = std::make_unique<Kind>(context, exchange, std::move(action));
    Kind* begun = task.get();
    exchange->Own(std::move(task));
    begun->Start();
  }
};

}  // namespace

protocol::ReplyContext StreamContext::Now() {
  random = random * 6364136223846793005 + 1442695040888963407;  // Knuth's MMIX generator.
  return {loop->wall_ms(), random >> 16};
}

StreamHandler::StreamHandler(StreamEngine* engine, const ProtocolConfig* config,
                             const LiveOptions* live, SharedFrames* frames, io::Loop* loop,
                             CoreCounters* counters)
    : context_(loop) {
  context_.engine = engine;
  context_.hub.SetEngine(engine);
  context_.config = config;
  context_.live = live;
  context_.shared_frames = frames;
  context_.heartbeat = Chunk::Of(protocol::kSseHeartbeat);
  context_.counters = counters;
  context_.pages.SetCounters(counters);
}

Bytes StreamHandler::SerializeHead(const protocol::Request& request,
                                   const protocol::Response& response, protocol::Framing framing,
                                   std::string_view more_lines) {
  std::string lines;
  if (std::string_view word = protocol::OutcomeWithoutEngine(request.method, response);
      !word.empty()) {
    lines.append("Stream-Outcome: ").append(word).append("\r\n").append(more_lines);
    more_lines = lines;
  }
  const protocol::CorsConfig& cors = context_.config->cors;
  if (cors.origins.empty()) {
    return Handler::SerializeHead(request, response, framing, more_lines);
  }
  return protocol::SerializeHead(response, framing, more_lines,
                                 protocol::OriginLines(cors, request));
}

std::optional<protocol::Response> StreamHandler::RefuseHead(const protocol::Request& request,
                                                            bool cheap) {
  protocol::HeadJudgement judged = protocol::JudgeHead(request, *context_.config);
  if (judged.refusal) return cheap ? std::nullopt : std::move(judged.refusal);
  if (!judged.writes_to) return std::nullopt;
  Status ready = context_.engine->ReadyFor(*judged.writes_to);
  if (ready.ok()) return std::nullopt;
  return protocol::StatusResponse(ready, *context_.config);
}

void StreamHandler::OnRequest(Exchange* exchange) {
  if (context_.random == 1) context_.random = context_.loop->Entropy();
  protocol::Action action = protocol::MapRequest(exchange->request(), *context_.config);
  std::visit(Dispatch{&context_, exchange}, std::move(action));
}

}  // namespace ursula::http
