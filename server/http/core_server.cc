#include "server/http/core_server.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include "lib/base/check.h"

namespace ursula::http {
namespace {

// RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT". Not strftime, which follows the locale.
std::string DateLineOf(int64_t second) {
  constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::time_t time = static_cast<std::time_t>(second);
  std::tm parts = {};
  gmtime_r(&time, &parts);
  std::array<char, 96> line = {};
  std::snprintf(line.data(), line.size(), "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                kDays[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                parts.tm_hour, parts.tm_min, parts.tm_sec);
  return line.data();
}

}  // namespace

CoreServer::CoreServer(io::Loop* loop, const HttpOptions* options, SharedUse* shared)
    : loop_(loop), options_(options), shared_(shared) {
  stop_timer_.Then<&CoreServer::OnStopTimeout>(this);
}

CoreServer::~CoreServer() {
  URSULA_CHECK(connections_.empty() && done_.empty());
  URSULA_CHECK(listener_ == nullptr || listener_closed_);
}

Status CoreServer::Listen(uint16_t port) {
  io::ListenOptions listen;
  listen.host = options_->host;
  listen.port = port;
  listen.reuse_port = true;  // The other cores' have it too, and the port's lock.
  listen.backlog = options_->backlog;
  Result<std::unique_ptr<io::Listener>> listener = loop_->Listen(listen, this);
  if (!listener.ok()) return listener.status();
  listener_ = std::move(*listener);
  accepting_ = true;
  request_id_high_ = loop_->Entropy();
  return {};
}

// ---- connections -------------------------------------------------------------------------------

void CoreServer::OnAccepted(std::unique_ptr<io::Socket> socket) {
  bool admitted = !stopping_ && Admit();
  counters_.connections_accepted.Add();
  Take(std::move(socket), admitted)->Start();
  if (admitted || stopping_) return;
  ++refused_count_;
  if (refused_count_ >= options_->refused_connections_max && accepting_) {
    accepting_ = false;
    listener_->Pause();
  }
}

Connection* CoreServer::Take(std::unique_ptr<io::Socket> socket, bool admitted) {
  auto connection = std::make_unique<Connection>(this, std::move(socket), admitted);
  Connection* borrowed = connection.release();  // The list owns from here.
  connections_.PushBack(borrowed);
  ++connection_count_;
  return borrowed;
}

bool CoreServer::Admit() {
  const uint32_t most = options_->connections_max;
  if (SharedUse::Take(&shared_->connections, uint32_t{1}, most)) return true;
  return options_->idle_gives_way && MakeRoom() &&
         SharedUse::Take(&shared_->connections, uint32_t{1}, most);
}

// Until it is closed, what gave way counts as one that was refused.
bool CoreServer::MakeRoom() {
  for (Connection& connection : connections_) {
    if (!connection.admitted() || !connection.idle()) continue;
    ++refused_count_;
    SharedUse::Give(&shared_->connections, uint32_t{1});
    connection.GiveWay();
    return true;
  }
  return false;
}

void CoreServer::OnAcceptFailed(int) { counters_.accept_failures.Add(); }

void CoreServer::OnConnectionDone(Connection* connection) {
  if (connection->admitted()) {
    SharedUse::Give(&shared_->connections, uint32_t{1});
  } else if (refused_count_ > 0 && --refused_count_ < options_->refused_connections_max &&
             !accepting_ && !stopping_) {
    accepting_ = true;
    listener_->Resume();
  }
  Retire(connection);
}

void CoreServer::Retire(Connection* connection) {
  connection->Unlink();
  --connection_count_;
  done_.push_back(connection);
  if (burial_due_) return;
  burial_due_ = true;
  loop_->Defer([this] { Bury(); });
}

void CoreServer::Bury() {
  burial_due_ = false;
  std::vector<Connection*> dead = std::move(done_);
  done_.clear();
  for (Connection* connection : dead) delete connection;
  FinishStop();
}

template <class Visit>
void CoreServer::ForEachConnection(Visit visit) {
  for (uint32_t left = connection_count_; left > 0; --left) {
    Connection* connection = connections_.PopFront();
    connections_.PushBack(connection);
    visit(connection);
  }
}

// ---- connections that move ---------------------------------------------------------------------

CoreServer* CoreServer::ServerOf(CoreId core) const {
  for (CoreServer* server : all_) {
    if (server->loop_->core() == core) return server;
  }
  return nullptr;
}

bool CoreServer::MayMove(CoreId core) const {
  const CoreServer* to = ServerOf(core);
  if (to == nullptr || to == this) return false;
  const uint64_t here = counters_.connections_open.Get();
  return to->counters_.connections_open.Get() <= here + here / 8 + kMoreConnectionsMax;
}

// No more are on their way than there are connections.
void CoreServer::OnReleased(Connection* connection, MovingConnection moving) {
  ++moving_count_;
  Retire(connection);
  CoreServer* to = ServerOf(moving.to);
  if (stopping_ || moving.broken) return OnMoveEnded(std::move(moving));
  to->loop_->Post(
      [this, to, moving = std::move(moving)]() mutable { to->OnMoving(this, std::move(moving)); });
}

void CoreServer::OnMoving(CoreServer* from, MovingConnection moving) {
  std::optional<MovingConnection> refused;
  if (accepting_ && !stopping_) {
    counters_.connections_moved.Add();
    TakeMoved(std::move(moving));
  } else {
    refused = std::move(moving);
  }
  from->loop_->Post(
      [from, refused = std::move(refused)]() mutable { from->OnMoveEnded(std::move(refused)); });
}

// A refused one goes on here, and ends here if this core stops: its client may have asked for
// something meanwhile.
void CoreServer::OnMoveEnded(std::optional<MovingConnection> refused) {
  --moving_count_;
  if (refused.has_value()) TakeMoved(std::move(*refused));
  FinishStop();
}

// It stays admitted all the way.
void CoreServer::TakeMoved(MovingConnection moved) {
  Connection* connection = Take(loop_->Adopt(moved.descriptor), true);
  connection->Resume(std::move(moved));
  if (stopping_) connection->Stop();
  if (cut_) connection->Cut();  // The others were, before it was here again.
}

// ---- stopping ----------------------------------------------------------------------------------

void CoreServer::Stop(Function<void(bool)> done) {
  URSULA_CHECK(!stopping_);
  stopping_ = true;
  stopped_ = std::move(done);
  listener_->Close(close_op_.Then<&CoreServer::OnListenerClosed>(this));
  ForEachConnection([](Connection* connection) { connection->Stop(); });
  loop_->StartTimer(&stop_timer_, loop_->now_ns() + options_->stop_timeout_ms * 1'000'000);
}

void CoreServer::OnListenerClosed(int64_t) {
  listener_closed_ = true;
  FinishStop();
}

void CoreServer::OnStopTimeout() {
  if (cut_) return TellStopped(false);
  cut_ = true;
  ForEachConnection([](Connection* connection) { connection->Cut(); });
  loop_->StartTimer(&stop_timer_, loop_->now_ns() + options_->stop_patience_ms * 1'000'000);
}

void CoreServer::FinishStop() {
  if (!stopping_ || !listener_closed_ || connection_count_ > 0 || moving_count_ > 0) return;
  if (burial_due_) return;
  loop_->CancelTimer(&stop_timer_);
  TellStopped(true);
}

void CoreServer::TellStopped(bool all_gone) {
  if (!stopped_) return;
  Function<void(bool)> stopped = std::move(stopped_);
  stopped_ = nullptr;
  stopped(all_gone);
}

// ---- what connections ask for ------------------------------------------------------------------

std::string_view CoreServer::NextAnswerLines(bool keep_alive) {
  constexpr std::size_t kIdDigits = 16;
  constexpr std::string_view kLineEnd = "\r\n";
  int64_t second = loop_->wall_ms() / 1000;
  if (second != date_second_) {
    date_second_ = second;
    answer_lines_ =
        "Keep-Alive: timeout=" + std::to_string(options_->idle_timeout_ms / 1000) + "\r\n";
    keep_alive_bytes_ = answer_lines_.size();
    answer_lines_ += DateLineOf(second) + "X-Request-Id: ";
    answer_lines_.append(kIdDigits, '0').append(kLineEnd);
  }
  // Only the identifier differs from one answer to the next.
  uint64_t id = request_id_high_ << 32 | (++request_id_low_ & 0xffffffff);
  auto digit = answer_lines_.rbegin() + kLineEnd.size();
  for (std::size_t i = 0; i < kIdDigits; ++i, id >>= 4) *digit++ = "0123456789abcdef"[id & 15];
  std::string_view lines = answer_lines_;
  return keep_alive ? lines : lines.substr(keep_alive_bytes_);
}

}  // namespace ursula::http
