#include "server/http/server.h"

#include <atomic>
#include <cstddef>
#include <utility>

#include "ursula/sync.h"

namespace ursula::http {
namespace {

struct Listened {};

// The outcome of stopping several cores: the last one to stop completes it.
struct StopCount {
  std::atomic<std::size_t> left = 0;
  std::atomic<bool> all_gone = true;
  Function<void(Result<bool>)> done = {};
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(io::LoopRuntime* runtime, HttpOptions options,
                                              std::span<const CoreId> cores, HandlerFactory factory,
                                              std::unique_ptr<io::PortLock> port_lock) {
  if (port_lock == nullptr) {
    Result<std::unique_ptr<io::PortLock>> taken = io::PortLock::Take(options.host, options.port);
    if (!taken.ok()) return taken.status();
    port_lock = std::move(*taken);
  }
  std::unique_ptr<Server> server(new Server(std::move(options)));
  server->port_ = port_lock->port();
  server->port_lock_ = std::move(port_lock);
  Status status = server->port_lock_->Share();
  if (status.ok()) status = server->Listen(runtime, cores, &factory);
  if (!status.ok()) {
    server->Stop();
    return status;
  }
  return server;
}

Status Server::Listen(io::LoopRuntime* runtime, std::span<const CoreId> cores,
                      HandlerFactory* factory) {
  std::vector<CoreId> all;
  for (uint16_t i = 0; cores.empty() && i < runtime->core_count(); ++i) all.push_back(CoreId{i});
  if (cores.empty()) cores = all;
  for (CoreId id : cores) {
    io::Loop* loop = &runtime->loop(id);
    auto core = std::make_unique<CoreServer>(loop, &options_, &shared_);
    core->SetHandler((*factory)({loop, &core->counters(), port_}));
    cores_.push_back({loop, std::move(core)});
  }
  std::vector<CoreServer*> servers;
  for (Core& core : cores_) servers.push_back(core.server.get());
  for (Core& core : cores_) {
    CoreServer* server = core.server.get();
    server->SetAll(servers);
    Result<Listened> listened = Wait<Listened>([&](auto done) {
      core.loop->Post([this, server, done = std::move(done)]() mutable {
        Status status = server->Listen(port_);
        done(status.ok() ? Result<Listened>(Listened{}) : Result<Listened>(std::move(status)));
      });
    });
    if (!listened.ok()) return listened.status();
    core.listening = true;
  }
  return {};
}

Server::~Server() = default;

bool Server::Stop() {
  auto count = std::make_shared<StopCount>();
  for (const Core& core : cores_) count->left += core.listening ? 1 : 0;
  if (count->left == 0) return true;
  Result<bool> all_gone = Wait<bool>([&](auto done) {
    count->done = std::move(done);
    for (Core& core : cores_) {
      if (!core.listening) continue;
      core.listening = false;
      core.loop->Post([server = core.server.get(), loop = core.loop, count] {
        server->Stop([loop, count](bool gone) {
          if (!gone) count->all_gone = false;
          // Counted on a stack that holds nothing of the server, which may die right after.
          loop->Post([count] {
            if (--count->left == 0) count->done(count->all_gone.load());
          });
        });
      });
    }
  });
  if (*all_gone) port_lock_.reset();
  return *all_gone;
}

HttpStats Server::Stats() const {
  HttpStats stats;
  for (const Core& core : cores_) stats.Merge(core.server->counters());
  stats.body_bytes = shared_.body_bytes.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace ursula::http
