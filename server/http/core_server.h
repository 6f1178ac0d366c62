// server/http/core_server.h
//
// The HTTP side of one core: its listener and the connections it accepted. Lives on that core's
// loop from Listen to the end of Stop; only counters() may be read from elsewhere.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "server/http/connection.h"
#include "server/http/counters.h"
#include "server/http/exchange.h"
#include "server/http/options.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::http {

class CoreServer final : public ConnectionHost, private io::Acceptor {
 public:
  // All are borrowed and outlive this.
  CoreServer(io::Loop* loop, const HttpOptions* options, SharedUse* shared);
  ~CoreServer() override;  // REQUIRES: Stop has completed, or Listen failed.

  void SetHandler(std::unique_ptr<Handler> handler) { handler_ = std::move(handler); }
  // Those of all cores, this one among them, to which connections may move. Before Listen; each
  // outlives the others' Stop.
  void SetAll(std::vector<CoreServer*> all) { all_ = std::move(all); }

  // ---- on the loop ----
  Status Listen(uint16_t port);
  uint16_t port() const { return listener_->port(); }
  // Accepting stops, exchanges under way finish, those that don't in time are cut off. `done` is
  // told true when no connection is left; false: engine calls still keep some, long after that.
  void Stop(Function<void(bool all_gone)> done);

  // ---- ConnectionHost ----
  io::Loop& loop() override { return *loop_; }
  const HttpOptions& options() const override { return *options_; }
  Handler& handler() override { return *handler_; }
  CoreCounters& counters() override { return counters_; }
  SharedUse& shared() override { return *shared_; }
  bool stopping() const override { return stopping_; }
  std::string_view NextAnswerLines(bool keep_alive) override;
  void OnConnectionDone(Connection* connection) override;
  bool MayMove(CoreId core) const override;
  void OnReleased(Connection* connection, MovingConnection moving) override;

 private:
  // Of connections there may be this many more where they want to go than where they are, and an
  // eighth: a core with all the busy streams is not to get all the work with clients besides.
  static constexpr uint64_t kMoreConnectionsMax = 4;

  void OnAccepted(std::unique_ptr<io::Socket> socket) override;
  void OnAcceptFailed(int error) override;
  void OnListenerClosed(int64_t result);
  void OnStopTimeout();
  Connection* Take(std::unique_ptr<io::Socket> socket, bool admitted);
  void TakeMoved(MovingConnection moved);
  void OnMoving(CoreServer* from, MovingConnection moving);
  void OnMoveEnded(std::optional<MovingConnection> refused);
  CoreServer* ServerOf(CoreId core) const;
  bool Admit();
  bool MakeRoom();
  template <class Visit>
  void ForEachConnection(Visit visit);
  void Retire(Connection* connection);
  void Bury();
  void FinishStop();
  void TellStopped(bool all_gone);

  io::Loop* const loop_;
  const HttpOptions* const options_;
  SharedUse* const shared_;
  std::unique_ptr<Handler> handler_;
  std::unique_ptr<io::Listener> listener_;
  CoreCounters counters_;

  IntrusiveList<Connection> connections_;  // Owned; in the list from accept to Bury.
  std::vector<Connection*> done_;          // To be destroyed at the next chance.
  uint32_t connection_count_ = 0;
  uint32_t moving_count_ = 0;  // On their way to others, which haven't taken them yet.
  std::vector<CoreServer*> all_;
  uint32_t refused_count_ = 0;
  bool burial_due_ = false;
  bool accepting_ = false;

  bool stopping_ = false;
  bool listener_closed_ = false;
  bool cut_ = false;  // The stop timer has fired once.
  Function<void(bool)> stopped_;
  io::Timer stop_timer_;
  io::Op close_op_;

  int64_t date_second_ = -1;
  std::string answer_lines_;          // First the hint of keep-alive.
  std::size_t keep_alive_bytes_ = 0;  // Of that hint.
  uint64_t request_id_high_ = 0;
  uint64_t request_id_low_ = 0;
};

}  // namespace ursula::http
