// server/main.cc
//
// ursulad's process: configuration, limits, signals, exit status. Everything else is Daemon.

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "server/config/cluster.h"
#include "server/config/cpu_limit.h"
#include "server/config/load.h"
#include "server/config/memory_limit.h"
#include "server/config/options.h"
#include "server/daemon.h"
#include "server/log.h"
#include "server/output.h"
#include "server/service_manager.h"
#include "ursula/engine.h"

namespace ursula::server {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr uint64_t kOpenFilesLeast = 256;  // Where the kernel doesn't say.

void Say(int fd, std::string_view text) { Output(fd).Write(text); }

// gRPC's library, as it is loaded, opens one to see whether it can, and forgets it: there it takes
// a closed descriptor's place before main.
bool IsEventCounter(int fd) {
  constexpr std::string_view kTarget = "anon_inode:[eventfd]";
  std::array<char, 64> target;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = readlink(link.c_str(), target.data(), target.size());
  return size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)) == kTarget;
}

// What is opened gets the lowest free number. Where 0, 1 or 2 was closed, that would be a file of
// ours, and what is printed would go into it.
void FillStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) {
      if (open("/dev/null", O_RDWR) < 0) return;
    } else if (IsEventCounter(fd)) {
      const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
      if (nothing < 0) return;
      dup2(nothing, fd);
      close(nothing);
    }
  }
}

Result<std::string> ReadFile(const std::string& path) {
  constexpr std::size_t kBytesMax = 1 << 20;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return Status(StatusCode::kIoError, std::strerror(errno));
  std::string text(kBytesMax, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  bool failed = std::ferror(file) != 0;
  bool whole = text.size() < kBytesMax || std::fgetc(file) == EOF;
  std::fclose(file);
  if (failed) return Status(StatusCode::kIoError, "it can't be read");
  if (!whole) return Status(StatusCode::kIoError, "it is larger than 1 MiB");
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

uint32_t AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<uint32_t>(CPU_COUNT(&set));
}

uint64_t PhysicalMemoryBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return UINT64_MAX;  // The kernel doesn't say.
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes);
}

sigset_t SetOf(std::initializer_list<int> numbers) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : numbers) sigaddset(&signals, number);
  return signals;
}

sigset_t StopSignals() { return SetOf({SIGTERM, SIGINT}); }
// Those that end a process unless it does something about them, and mean something to others.
sigset_t HeldSignals() { return SetOf({SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}); }

std::string_view NameOf(int signal) {
  switch (signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGHUP:
      return "SIGHUP";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "SIGUSR2";
  }
}

// Before the first thread, so that all inherit it: only the main thread takes these signals.
void HoldSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals = HeldSignals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

int WaitForStopSignal() {
  sigset_t signals = HeldSignals();
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGTERM || signal == SIGINT) return signal;
    Log(LogLevel::kInfo,
        "a signal without effect: options are read at the start alone, and the log goes to stderr",
        {{"signal", std::string(NameOf(signal))}});
  }
}

// ---- while it recovers: the first stop signal ends that, the next one the process ----

Opening opening_now;
volatile std::sig_atomic_t stop_signal = 0;

void OnStopSignal(int signal) {
  if (stop_signal != 0) _exit(128 + signal);
  stop_signal = signal;
  opening_now.Cancel();
}

// Not on a core's thread: those were started while the signals were held.
Status RecoverUntilStopped(Daemon* daemon) {
  struct sigaction action = {};
  action.sa_handler = OnStopSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  sigset_t signals = StopSignals();
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  Status status = daemon->Recover();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return status;
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

// ---- a stop that doesn't end: a disk that hangs, say ----

// Behind --shutdown-timeout-ms. Less than TimeoutStopSec of the unit with both.
constexpr uint64_t kStopSecondsMax = 45;

std::atomic<const Daemon*> daemon_that_stops = nullptr;

void OnStopTakesTooLong(int /*signal*/) {
  const Daemon* daemon = daemon_that_stops;
  // In one piece: a core that runs still may write a line meanwhile.
  char line[256];
  std::size_t size = 0;
  for (std::string_view part :
       {std::string_view("ursulad: the stop has waited for too long for "),
        std::string_view(daemon == nullptr ? "its end" : daemon->stopping()),
        std::string_view(": the process ends without it; what was acknowledged is on disk\n")}) {
    size += part.copy(line + size, sizeof(line) - size);
  }
  pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};  // Somebody may not read.
  if (poll(&room, 1, 0) == 1) {
    [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line, size);
  }
  _exit(kExitFailed);
}

// By a timer of the kernel's, which needs no thread and no loop to turn.
void LimitStop(const Daemon& daemon, uint64_t shutdown_timeout_ms) {
  daemon_that_stops = &daemon;
  struct sigaction action = {};
  action.sa_handler = OnStopTakesTooLong;
  sigaction(SIGALRM, &action, nullptr);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGALRM;
  timer_t timer = {};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;  // The unit has a limit too.
  itimerspec limit = {};
  limit.it_value.tv_sec = static_cast<time_t>(shutdown_timeout_ms / 1000 + kStopSecondsMax);
  timer_settime(timer, 0, &limit, nullptr);
}

int Serve(const ServerConfig& config, uint64_t open_files) {
  const ServiceManager manager({.notify_socket = std::getenv("NOTIFY_SOCKET"),
                                .watchdog_usec = std::getenv("WATCHDOG_USEC"),
                                .watchdog_pid = std::getenv("WATCHDOG_PID")},
                               getpid());
  auto daemon = std::make_unique<Daemon>(config, open_files, &opening_now, &manager);
  Status status = daemon->Begin();
  if (status.ok()) status = RecoverUntilStopped(daemon.get());
  if (stop_signal != 0) {
    Log(LogLevel::kInfo, "stopped before it had recovered; nothing is lost",
        {{"signal", std::string(NameOf(stop_signal))}});
    ExitOnNextStopSignal();
    manager.TellSurely("STOPPING=1\n");
    daemon.reset();
    CloseLog();
    return 0;
  }
  if (status.ok()) status = daemon->Serve();
  if (!status.ok()) {
    daemon.reset();
    CloseLog();
    Say(STDERR_FILENO, "ursulad: can't start: " + status.message() + "\n");
    return kExitFailed;
  }
  Say(STDOUT_FILENO, "listening on " + daemon->url() + "\n");

  int signal = WaitForStopSignal();
  Log(LogLevel::kInfo, "stopping", {{"signal", std::string(NameOf(signal))}});
  ExitOnNextStopSignal();
  LimitStop(*daemon, config.shutdown_timeout_ms);
  bool clean = daemon->Stop();
  daemon_that_stops = nullptr;
  Log(clean ? LogLevel::kInfo : LogLevel::kError,
      clean ? "stopped" : "stopped before everything had finished");
  CloseLog();
  if (!clean) _exit(kExitFailed);  // What is still running refers to what would be destroyed.
  return 0;
}

int Main(std::span<const char* const> arguments) {
  FillStandardDescriptors();
  HoldSignals();
  ConfigInput input;
  input.flags = arguments;
  input.environment = [](const char* name) { return std::getenv(name); };
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view name(*entry);
    if (name.starts_with("URSULA_")) input.environment_names.emplace_back(name, 0, name.find('='));
  }
  input.read_file = [](const std::string& path) { return ReadFile(path); };
  input.read_secret = [](const std::string& path) { return ReadSecretFile(path); };
  input.memory_bytes =
      MemoryLimit([](const std::string& path) { return ReadFile(path); }, PhysicalMemoryBytes());
  input.cpu_count = CpuLimit([](const std::string& path) { return ReadFile(path); }, AllowedCpus());
  LoadedConfig loaded = LoadConfig(std::move(input));
  if (loaded.action == LoadedConfig::Action::kHelp) {
    std::fputs(HelpText().c_str(), stdout);
    return 0;
  }
  if (loaded.action == LoadedConfig::Action::kVersion) {
    std::fputs(("ursulad " + std::string(Version()) + "\n").c_str(), stdout);
    return 0;
  }
  if (!loaded.mistakes.empty()) {
    for (const std::string& mistake : loaded.mistakes)
      Say(STDERR_FILENO, "ursulad: " + mistake + "\n");
    return kExitUsage;
  }
  OpenLog(loaded.config.log_level, loaded.config.log_format);
  const uint64_t open_files = RaiseOpenFilesLimit();
  return Serve(loaded.config, open_files);
}

}  // namespace
}  // namespace ursula::server

int main(int argc, char** argv) {
  // Debian builds Abseil with its search for deadlocks: each lock that gRPC takes would enter a
  // graph that all threads share.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
  return ursula::server::Main(arguments.empty() ? arguments : arguments.subspan(1));
}
