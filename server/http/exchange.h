// server/http/exchange.h
//
// One request and its answer, between a Connection and the Handler that knows what the request
// means. Everything runs on one core's loop.
//
// Invariant: an exchange that a handler was given ends by exactly one call of Reply, EndStream or
// Abandon, also when the client has gone meanwhile. Until then the Exchange and its Task live, so a
// completion that names them is always safe.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lib/io/loop.h"
#include "server/http/chunk.h"
#include "server/protocol/cors.h"
#include "server/protocol/http_message.h"
#include "ursula/types.h"

namespace ursula::http {

// What a handler has under way for one exchange; owned by it and destroyed some time after its end.
// The notices may call the exchange, and may end it.
class Task {
 public:
  virtual ~Task() = default;
  virtual void OnGone() {}       // Nobody will read the answer: hurry to end the exchange.
  virtual void OnPeerEnded() {}  // The client sent FIN: it asks nothing more, and may have gone.
  virtual void OnStopping() {}   // The server stops: end what would take long.
  virtual void OnDrained() {}    // Of a stream: everything sent so far was taken by the kernel.
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual protocol::Request& request() = 0;
  virtual io::Loop& loop() = 0;
  virtual bool stopping() const = 0;
  virtual bool gone() const = 0;

  virtual void Own(std::unique_ptr<Task> task) = 0;

  // What the request asks for is done on `core`. A connection that asks for one core's again and
  // again moves there.
  virtual void ServedOn(CoreId core) = 0;

  // A whole answer. Ends the exchange.
  virtual void Reply(protocol::Response response) = 0;

  // An answer without a known end: head, then pieces as they come, then EndStream.
  virtual void StartStream(protocol::Response head) = 0;
  // Sent at the end of the turn, in one write with the head.
  virtual void Send(const Chunk& piece) = 0;
  virtual std::size_t unsent_bytes() const = 0;
  virtual void EndStream() = 0;  // Ends the exchange.

  // Cuts the connection. The exchange goes on until it is ended, as after OnGone.
  virtual void Abort() = 0;
  // Ends the exchange without an answer. REQUIRES: gone().
  virtual void Abandon() = 0;
};

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void OnRequest(Exchange* exchange) = 0;
  // Of a request whose body is still to come: what to answer instead of reading that, if it is
  // known already. `cheap`: the body is small, so that reading it costs less than the connection,
  // which this ends.
  virtual std::optional<protocol::Response> RefuseHead(const protocol::Request& /*request*/,
                                                       bool /*cheap*/) {
    return std::nullopt;
  }
  // The bytes of a response's head, by default with the headers every client answer carries. The
  // request may be what there was of one that was refused.
  virtual Bytes SerializeHead(const protocol::Request&, const protocol::Response& response,
                              protocol::Framing framing, std::string_view more_lines) {
    return protocol::SerializeHead(response, framing, more_lines, protocol::kAnyOrigin);
  }
};

}  // namespace ursula::http
