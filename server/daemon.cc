#include "server/daemon.h"

#include <algorithm>
#include <array>
#include <utility>

#include "server/config/cluster.h"
#include "server/config/values.h"
#include "server/http/connection_limits.h"
#include "server/log.h"
#include "server/peer_wiring.h"
#include "ursula/sync.h"

namespace ursula::server {
namespace {

Status Because(std::string_view what, const Status& status) {
  return Status(status.code(), std::string(what) + ": " + status.message());
}

http::HttpOptions AdminOptions(const ServerConfig& config) {
  http::HttpOptions options;
  options.host = config.admin_listen.host;
  options.port = config.admin_listen.port;
  options.limits.body_bytes_max = 4096;  // Read, then refused: nothing takes a body.
  options.connections_max = 16;          // Few: they come out of what is kept for files.
  options.refused_connections_max = 4;
  options.idle_gives_way = true;       // Probes are never kept out by scrapers that keep theirs.
  options.request_timeout_ms = 5'000;  // Nor by what never sends its request.
  options.stop_timeout_ms = 1000;
  return options;
}

}  // namespace

Daemon::Daemon(const ServerConfig& config, uint64_t descriptors_max, Opening* opening,
               const ServiceManager* manager)
    : config_(config), descriptors_max_(descriptors_max), opening_(*opening), manager_(*manager) {
  protocol_.public_url = config.public_url;
  protocol_.trust_forwarded = config.trust_forwarded;
  protocol_.stream_roots = config.stream_roots;
  protocol_.cors.origins = config.cors_origins;
  protocol_.cors.headers = config.cors_headers;
  protocol_.cors.private_network = config.cors_private_network;
  protocol_.body_bytes_max = config.body_bytes_max;
  protocol_.batch_items_max = config.batch_items_max;
  protocol_.read_bytes_max = config.read_bytes_max;
  protocol_.sse_read_bytes_max = std::min(protocol_.sse_read_bytes_max, config.read_bytes_max);
  protocol_.long_poll_ms = config.long_poll_timeout_ms;
  live_.heartbeat_ms = config.sse_heartbeat_ms;
  live_.rotation_ms = config.sse_rotation_ms;
  live_.unsent_bytes_max = config.subscriber_buffer_bytes_max;
}

// Completions and connections live on the loops: those end before what they refer to.
Daemon::~Daemon() {
  if (admin_ != nullptr) admin_->Stop();
  engine_.reset();
  StopPeers();
  if (watchdog_ != nullptr) watchdog_->Stop();
  runtime_.reset();
}

std::string Daemon::url() const {
  return "http://" + FormatHostPort({config_.listen.host, clients_->port()});
}

// ---- start -------------------------------------------------------------------------------------

// Ports before the engine recovers, which may take long: a second start of the same server ends
// here. Then the admin listener, which tells how far recovery is.
Status Daemon::Begin() {
  Status status = LockPorts();
  if (status.ok()) status = StartRuntime();
  if (status.ok()) status = ListenToPeers();
  if (status.ok()) status = ListenAdmin();
  if (!status.ok()) return status;
  watchdog_ = std::make_unique<Watchdog>(&io::LoopRuntime::Of(*runtime_), &manager_);
  watchdog_->Start();
  return {};
}

Status Daemon::Recover() {
  report_ = std::make_unique<RecoveryReport>(&io::LoopRuntime::Of(*runtime_).loop(CoreId{0}),
                                             &opening_, &manager_);
  report_->Start();
  Status status = OpenEngine();
  report_->Stop();
  return status;
}

Status Daemon::Serve() {
  Status status = Listen();
  if (!status.ok()) return status;
  admin_view_.engine = engine_.get();
  admin_view_.http_stats = [this] { return clients_->Stats(); };
  admin_view_.serving.store(true, std::memory_order_release);
  manager_.TellSurely("READY=1\nSTATUS=serving on " + url() + "\n");
  return {};
}

Status Daemon::LockPorts() {
  auto lock = [](std::string_view option, const HostPort& address,
                 std::unique_ptr<io::PortLock>* into) {
    Result<std::unique_ptr<io::PortLock>> taken = io::PortLock::Take(address.host, address.port);
    if (taken.ok()) *into = std::move(*taken);
    return taken.ok()
               ? Status()
               : Because(std::string(option) + " " + FormatHostPort(address), taken.status());
  };
  Status status = lock("--listen", config_.listen, &client_port_);
  if (!status.ok() || !config_.admin) return status;
  return lock("--admin-listen", config_.admin_listen, &admin_port_);
}

Status Daemon::StartRuntime() {
  RuntimeOptions runtime_options;
  runtime_options.core_count = static_cast<uint16_t>(config_.core_count);
  runtime_options.pin_threads = config_.pin_threads;
  runtime_options.busy_poll_us = config_.busy_poll_us;
  runtime_options.ring_entries = config_.ring_entries;
  Result<std::unique_ptr<Runtime>> runtime = NewRuntime(runtime_options);
  if (!runtime.ok()) return runtime.status();
  runtime_ = std::move(*runtime);
  return {};
}

Status Daemon::ListenToPeers() {
  if (config_.peers.empty()) return {};
  auto peers = StartPeers(config_, runtime_.get());
  if (!peers.ok()) {
    return Because("--peer-listen " + FormatHostPort(config_.peer_listen), peers.status());
  }
  peers_ = std::move(*peers);
  admin_view_.node = NodeId{config_.node_id};
  admin_view_.peers = [this] { return PeerStates(peers_.get()); };
  const auto listed = config_.peers.find(config_.node_id);
  admin_view_.peer_address =
      FormatHostPort(listed == config_.peers.end() ? config_.peer_listen : listed->second);
  admin_view_.http_address = HttpAddressOf(config_);
  Log(LogLevel::kInfo, "listening for peers",
      {{"address", FormatHostPort(config_.peer_listen)},
       {"secret", config_.cluster_secret.empty() ? "none" : config_.cluster_secret_file}});
  Log(LogLevel::kWarning, "peers are reached without encryption: keep them on a private network");
  return {};
}

Status Daemon::OpenEngine() {
  EngineOptions options;
  if (!config_.memory) options.data_dir = config_.data_dir;
  options.group_count = config_.raft_group_count;
  options.new_history = config_.new_history;
  options.feature_level_max = config_.feature_level_max;
  options.hot_bytes_max = config_.hot_bytes_max;
  options.inflight_read_bytes_max = config_.inflight_read_bytes_max;
  options.wal_bytes_max = config_.wal_bytes_max;
  options.rejoin_bytes_per_second = config_.rejoin_bytes_per_second;
  options.scrub_bytes_per_second = config_.scrub_bytes_per_second;
  options.scrub_every_seconds = config_.scrub_every_seconds;
  options.rejoin_when_rotten = config_.rejoin_when_rotten;
  options.message_bytes_max = config_.message_bytes_max();
  options.leader_ms_max = config_.leader_timeout_ms;
  options.append_ms_max = config_.append_timeout_ms;
  options.read_ms_max = config_.read_timeout_ms;
  options.inflight_bytes_max = std::max(options.inflight_bytes_max, 2 * options.message_bytes_max);
  if (peers_ != nullptr) options.cluster = ClusterOf(config_, peers_.get());
  options.runtime = runtime_.get();
  options.opening = &opening_;
  options.log = [](int level, std::string_view message) {
    Log(static_cast<LogLevel>(std::clamp(level, 0, 3)), message);
  };
  Result<std::unique_ptr<StreamEngine>> engine = StreamEngine::Open(std::move(options));
  if (!engine.ok()) {
    if (engine.status().code() == StatusCode::kCancelled) return engine.status();
    return config_.memory ? engine.status()
                          : Because("--data-dir " + config_.data_dir, engine.status());
  }
  engine_ = std::move(*engine);
  if (peers_ == nullptr) return {};
  const ClusterStatus cluster = engine_->Cluster();
  const uint32_t group_count = static_cast<uint32_t>(cluster.groups.size());
  peers_->SetCluster(cluster.cluster_id, group_count);
  peers_->SetAppendBytesMax(cluster.message_bytes_max);
  Log(LogLevel::kInfo, "this is a node of a cluster",
      {{"node", std::to_string(config_.node_id)},
       {"cluster_id", FormatClusterId(cluster.cluster_id)},
       {"groups", std::to_string(group_count)}});
  return {};
}

http::HttpOptions Daemon::ClientOptions() const {
  http::HttpOptions options;
  options.host = config_.listen.host;
  options.port = config_.listen.port;
  options.limits.line_bytes_max = config_.url_bytes_max;
  options.limits.header_bytes_max = config_.header_bytes_max;
  options.limits.header_count_max = config_.header_count_max;
  options.limits.body_bytes_max = config_.body_bytes_max;
  options.inflight_body_bytes_max = config_.inflight_body_bytes_max;
  const http::ConnectionLimits fit =
      http::FitToDescriptors(descriptors_max_, runtime_->core_count(), config_.connections_max);
  options.connections_max = fit.connections_max;
  options.refused_connections_max = fit.refused_connections_max;
  options.backlog = fit.backlog;
  if (fit.connections_max < config_.connections_max) {
    Log(LogLevel::kWarning, "fewer connections than --connections-max: too few open files allowed",
        {{"connections", std::to_string(fit.connections_max)},
         {"open_files", std::to_string(descriptors_max_)}});
  }
  options.request_timeout_ms = config_.request_timeout_ms;
  options.body_bytes_per_second_min = config_.body_bytes_per_second_min;
  options.body_timeout_ms = config_.body_timeout_ms;
  options.idle_timeout_ms = config_.idle_timeout_ms;
  options.stop_timeout_ms = config_.shutdown_timeout_ms;
  return options;
}

Status Daemon::Listen() {
  auto handlers = [this](const http::HandlerCore& core) -> std::unique_ptr<http::Handler> {
    // With --listen HOST:0 the port is known only now; no request is served before this returns.
    protocol_.fallback_host = FormatHostPort({config_.listen.host, core.port});
    auto handler = std::make_unique<http::StreamHandler>(engine_.get(), &protocol_, &live_,
                                                         &frames_, core.loop, core.counters);
    handler->KeepPages(config_.kept_pages_bytes_max / runtime_->core_count());
    return handler;
  };
  auto server = http::Server::Start(&io::LoopRuntime::Of(*runtime_), ClientOptions(), {}, handlers,
                                    std::move(client_port_));
  if (!server.ok()) return Because("--listen " + FormatHostPort(config_.listen), server.status());
  clients_ = std::move(*server);
  Log(LogLevel::kInfo, "listening",
      {{"address", FormatHostPort({config_.listen.host, clients_->port()})},
       {"cores", std::to_string(runtime_->core_count())},
       {"data_dir", config_.memory ? "none: nothing is kept" : config_.data_dir}});
  return {};
}

Status Daemon::ListenAdmin() {
  if (!config_.admin) return {};
  admin_view_.opening = &opening_;
  admin_view_.version = Version();
  admin_view_.gate.node = NodeId{config_.node_id};
  admin_view_.gate.secret = config_.cluster_secret;
  admin_view_.gate.reachable = !IsLoopback(config_.admin_listen);
  const std::array<CoreId, 1> core = {CoreId{0}};
  auto handlers = [this](const http::HandlerCore& handler) -> std::unique_ptr<http::Handler> {
    handler.loop->Post([this, loop = handler.loop] {  // Its time is read there alone.
      admin_view_.start_seconds = static_cast<double>(loop->wall_ms()) / 1000;
    });
    return std::make_unique<admin::AdminHandler>(&admin_view_);
  };
  auto server = http::Server::Start(&io::LoopRuntime::Of(*runtime_), AdminOptions(config_), core,
                                    handlers, std::move(admin_port_));
  if (!server.ok()) {
    return Because("--admin-listen " + FormatHostPort(config_.admin_listen), server.status());
  }
  admin_ = std::move(*server);
  Log(LogLevel::kInfo, "admin listening",
      {{"address", FormatHostPort({config_.admin_listen.host, admin_->port()})},
       {"secret", config_.cluster_secret.empty() ? "none" : config_.cluster_secret_file}});
  return {};
}

// ---- stop --------------------------------------------------------------------------------------

bool Daemon::Stop() {
  admin_view_.stopping.store(true);
  manager_.TellSurely("STOPPING=1\nSTATUS=stopping: requests under way finish\n");
  if (!clients_->Stop()) return false;
  stopping_ = "the admin listener";
  if (admin_ != nullptr && !admin_->Stop()) return false;
  stopping_ = "the engine";
  StopEngine();
  stopping_ = "peers";
  StopPeers();
  return true;
}

// After the engine, which says good-bye through them.
void Daemon::StopPeers() {
  if (peers_ != nullptr) peers_->Stop();
}

void Daemon::StopEngine() {
  Result<Stopped> stopped = Wait<Stopped>([this](auto done) { engine_->Stop(std::move(done)); });
  if (!stopped.ok()) Log(LogLevel::kError, "engine: " + stopped.status().ToString());
}

}  // namespace ursula::server
