// server/http/connection.h
//
// One client connection: reads requests one at a time, gives each to the handler, writes its
// answer, keeps the connection for the next. What the client pipelines meanwhile waits in a bounded
// buffer.
//
//   kReading → kExchange → kFlushing → kReading …      keep-alive
//       └→ kMoving → kClosed      another core goes on with the socket
//                             ├→ kDraining → kClosing   no further request: FIN, wait for the
//                             client's └→ kClosing → kClosed     an error, a timeout, the server
//                             stops
//
// Invariant: the connection is destroyed (through its host) only when its socket is closed or given
// up, and no exchange is open.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "server/http/body_pace.h"
#include "server/http/counters.h"
#include "server/http/exchange.h"
#include "server/http/options.h"
#include "server/http/request_parser.h"
#include "server/http/send_queue.h"

namespace ursula::http {

class Connection;

// A connection between two cores, and between two requests.
struct MovingConnection {
  CoreId to = {};
  int descriptor = -1;
  std::string input = {};   // What came behind the last request.
  bool peer_ended = false;  // With a FIN after that.
  bool broken = false;      // Or it failed, or is to be cut: it is only to be closed.
};

// The core that a connection lives on; outlives it.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual io::Loop& loop() = 0;
  virtual const HttpOptions& options() const = 0;
  virtual Handler& handler() = 0;
  virtual CoreCounters& counters() = 0;
  virtual SharedUse& shared() = 0;
  virtual bool stopping() const = 0;
  // "Date: …\r\nX-Request-Id: …\r\n" of one answer, and with `keep_alive` how long the connection
  // may idle. Valid until the next call.
  virtual std::string_view NextAnswerLines(bool keep_alive) = 0;
  // Nothing refers to `connection` any more, but it may be on the stack: destroy it later.
  virtual void OnConnectionDone(Connection* connection) = 0;

  // Whether a connection may go to `core`, if only to be taken by it or sent back.
  virtual bool MayMove(CoreId core) const = 0;
  // `connection`, which was allowed to, has left its socket and is done, as above.
  virtual void OnReleased(Connection* connection, MovingConnection moving) = 0;
};

class Connection final : public Exchange,
                         public ListHook<Connection>,
                         private io::Receiver,
                         private SendQueue::Listener {
 public:
  // `admitted`: counted in SharedUse::connections, which the host gives back.
  Connection(ConnectionHost* host, std::unique_ptr<io::Socket> socket, bool admitted);
  ~Connection() override;

  bool admitted() const { return admitted_; }
  bool idle() const { return state_ == State::kReading && !parser_.InRequest(); }

  void Start();                         // Not admitted: 503, then close.
  void Resume(MovingConnection moved);  // In place of Start; goes on with what has come.
  void Stop();                          // Finishes what is under way, then closes.
  void Cut();                           // Closes now; the task learns that the client has gone.
  // Closes, for a connection that takes its place: it is admitted no more. REQUIRES: idle().
  void GiveWay();

  // ---- Exchange ----
  protocol::Request& request() override { return parser_.request(); }
  io::Loop& loop() override { return host_->loop(); }
  bool stopping() const override { return host_->stopping(); }
  bool gone() const override { return state_ >= State::kClosing; }
  void Own(std::unique_ptr<Task> task) override { task_ = std::move(task); }
  void ServedOn(CoreId core) override;
  void Reply(protocol::Response response) override;
  void StartStream(protocol::Response head) override;
  void Send(const Chunk& piece) override;
  std::size_t unsent_bytes() const override { return queue_.unsent_bytes(); }
  void EndStream() override;
  void Abort() override { Close(); }
  void Abandon() override;

 private:
  // What is above kMoving is gone.
  enum class State : uint8_t {
    kReading,
    kExchange,
    kFlushing,
    kDraining,
    kMoving,
    kClosing,
    kClosed
  };
  // So many requests in a row for another core: a move costs as much as some of them gain.
  static constexpr uint32_t kMoveAfterRequests = 16;

  void OnReceived(std::string_view bytes) override;
  void OnReceiveEnded(int error) override;
  void OnSent(std::size_t bytes) override;
  void OnSendFailed(int error) override;
  void OnClosed(int64_t result);
  void OnTimer();
  void OnRequestLate();

  void Consume(std::string_view bytes);
  void Keep(std::string_view bytes);
  void OnHead(bool body_has_begun);
  void OnWholeRequest();
  void OnParseError();
  bool TakeBodyBudget(uint64_t bytes);

  void Refuse(protocol::Response response, Refusal why);
  void PushAnswer(const protocol::Response& response, protocol::Framing framing);
  void EndExchange();
  void OnFlushed();
  void NextRequest();
  void Go(std::string_view input);
  void StartDraining();
  bool Moves();
  void OnReleased(int64_t descriptor);
  void Close();

  void SetDeadline(uint64_t ms);
  void SetDeadlineAt(uint64_t deadline_ns);
  void ClearDeadline() { deadline_ns_ = 0; }
  void CountRefusal(Refusal why);

  ConnectionHost* const host_;
  const HttpOptions& options_;
  bool admitted_;
  std::unique_ptr<io::Socket> socket_;
  SendQueue queue_;
  RequestParser parser_;
  BodyPace pace_;
  State state_ = State::kReading;

  std::unique_ptr<Task> task_;
  std::unique_ptr<Task> ended_task_;  // Kept a while: it may be what ended the exchange.
  bool exchange_open_ = false;
  bool streaming_ = false;
  bool chunked_ = false;
  bool keep_alive_ = false;
  bool drain_after_ = false;
  bool peer_ended_ = false;
  bool paused_ = false;
  std::string pending_;       // What came behind the request under way.
  uint64_t body_budget_ = 0;  // Taken of SharedUse::body_bytes.
  uint64_t drained_bytes_ = 0;
  uint64_t request_start_ns_ = 0;

  CoreId served_on_ = {};          // By the last requests,
  uint32_t served_elsewhere_ = 0;  // so many, where it is another core than this one.
  bool broken_ = false;            // While it moves.

  // The timer fires at or before the deadline and looks again: moving a deadline is cheap.
  uint64_t deadline_ns_ = 0;  // 0: none.
  io::Timer timer_;
  io::Op end_op_;  // Of the socket: its close, or its release.
};

}  // namespace ursula::http
