// server/http/stream_handler.h
//
// StreamHandler answers the client listener's requests on one core: server/protocol says what each
// one asks, the engine does it, server/protocol says what to answer. No stream logic lives here.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "lib/io/loop.h"
#include "server/http/compress_queue.h"
#include "server/http/counters.h"
#include "server/http/exchange.h"
#include "server/http/frame_cache.h"
#include "server/http/live_hub.h"
#include "server/http/page_cache.h"
#include "server/protocol/config.h"
#include "server/protocol/request_mapping.h"
#include "server/protocol/response_mapping.h"
#include "ursula/engine.h"

namespace ursula::http {

struct LiveOptions {
  uint64_t heartbeat_ms = 15'000;  // A comment to a subscriber that has got nothing for this long.
  uint64_t rotation_ms = 60'000;   // Subscribers are let go after about this long, to reconnect.
  std::size_t unsent_bytes_max = 4 << 20;  // Nothing more is read for a subscriber behind by this.
};

// What the tasks of one core share.
struct StreamContext {
  explicit StreamContext(io::Loop* on)
      : loop(on), compress_queue(on), pages(on, &compress_queue), hub(on) {}

  StreamEngine* engine = nullptr;
  const protocol::ProtocolConfig* config = nullptr;
  const LiveOptions* live = nullptr;
  io::Loop* const loop;
  CompressQueue compress_queue;
  PageCache pages;
  LiveHub hub;
  CoreCounters* counters = nullptr;
  FrameCache frames = {};
  SharedFrames* shared_frames = nullptr;  // Of all cores.
  Chunk heartbeat = {};
  uint64_t random = 1;

  protocol::ReplyContext Now();
};

class StreamHandler final : public Handler {
 public:
  // All are borrowed and outlive this.
  StreamHandler(StreamEngine* engine, const protocol::ProtocolConfig* config,
                const LiveOptions* live, SharedFrames* frames, io::Loop* loop,
                CoreCounters* counters);

  // Encoded pages are kept for the next who ask for them, so many bytes. Before any request.
  void KeepPages(std::size_t bytes_max) { context_.pages.SetBytesMax(bytes_max); }

  void OnRequest(Exchange* exchange) override;
  std::optional<protocol::Response> RefuseHead(const protocol::Request& request,
                                               bool cheap) override;
  Bytes SerializeHead(const protocol::Request& request, const protocol::Response& response,
                      protocol::Framing framing, std::string_view more_lines) override;

 private:
  StreamContext context_;
};

}  // namespace ursula::http
