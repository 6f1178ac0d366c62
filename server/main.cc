// server/main.cc
//
// ursulad's process: configuration, limits, signals, exit status. Everything else is Daemon.

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "server/config/load.h"
#include "server/config/memory_limit.h"
#include "server/config/options.h"
#include "server/daemon.h"
#include "server/log.h"
#include "ursula/engine.h"

namespace ursula::server {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr uint64_t kOpenFilesLeast = 256;  // Where the kernel doesn't say.

void Say(std::FILE* to, const std::string& text) { std::fwrite(text.data(), 1, text.size(), to); }

Result<std::string> ReadFile(const std::string& path) {
  constexpr std::size_t kBytesMax = 1 << 20;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return Status(StatusCode::kIoError, std::strerror(errno));
  std::string text(kBytesMax, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) return Status(StatusCode::kIoError, "it can't be read");
  return text;
}

// Each connection is a descriptor; the soft limit is often 1024. Returns what holds from now on.
uint64_t RaiseOpenFilesLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kOpenFilesLeast;
  rlimit raised = {limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur == limit.rlim_max || setrlimit(RLIMIT_NOFILE, &raised) == 0) {
    return limit.rlim_max;
  }
  Log(LogLevel::kWarning, "the limit of open files can't be raised",
      {{"reason", std::strerror(errno)}});
  return limit.rlim_cur;
}

uint64_t PhysicalMemoryBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return UINT64_MAX;  // The kernel doesn't say.
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes);
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Before the first thread, so that all inherit it: only the main thread takes these signals.
void HoldStopSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals = StopSignals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

int WaitForStopSignal() {
  sigset_t signals = StopSignals();
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

// From here the next one ends the process at once.
void ExitOnNextStopSignal() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { _exit(128 + signal); };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  sigset_t signals = StopSignals();
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

int Serve(const ServerConfig& config, uint64_t open_files) {
  Daemon daemon(config, open_files);
  Status status = daemon.Start();
  if (!status.ok()) {
    CloseLog();
    Say(stderr, "ursulad: can't start: " + status.message() + "\n");
    return kExitFailed;
  }
  Say(stdout, "listening on " + daemon.url() + "\n");
  std::fflush(stdout);

  int signal = WaitForStopSignal();
  Log(LogLevel::kInfo, "stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
  ExitOnNextStopSignal();
  bool clean = daemon.Stop();
  Log(clean ? LogLevel::kInfo : LogLevel::kError,
      clean ? "stopped" : "stopped before everything had finished");
  CloseLog();
  if (!clean) _exit(kExitFailed);  // What is still running refers to what would be destroyed.
  return 0;
}

int Main(std::span<const char* const> arguments) {
  ConfigInput input;
  input.flags = arguments;
  input.environment = [](const char* name) { return std::getenv(name); };
  input.read_file = [](const std::string& path) { return ReadFile(path); };
  input.memory_bytes =
      MemoryLimit([](const std::string& path) { return ReadFile(path); }, PhysicalMemoryBytes());
  LoadedConfig loaded = LoadConfig(std::move(input));
  if (loaded.action == LoadedConfig::Action::kHelp) {
    Say(stdout, HelpText());
    return 0;
  }
  if (loaded.action == LoadedConfig::Action::kVersion) {
    Say(stdout, "ursulad " + std::string(Version()) + "\n");
    return 0;
  }
  if (!loaded.mistakes.empty()) {
    for (const std::string& mistake : loaded.mistakes) Say(stderr, "ursulad: " + mistake + "\n");
    return kExitUsage;
  }
  HoldStopSignals();
  OpenLog(loaded.config.log_level, loaded.config.log_format);
  const uint64_t open_files = RaiseOpenFilesLimit();
  return Serve(loaded.config, open_files);
}

}  // namespace
}  // namespace ursula::server

int main(int argc, char** argv) {
  std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
  return ursula::server::Main(arguments.empty() ? arguments : arguments.subspan(1));
}
