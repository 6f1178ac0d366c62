// The default Runtime: threads, each with an UringLoop.

#include "ursula/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/io/runtime.h"
#include "lib/io/uring/loop.h"
#include "lib/io/uring/ring.h"
#include "ursula/sync.h"

namespace ursula::io::uring {
namespace {

constexpr uint16_t kCoresMax = 1024;
constexpr uint32_t kRingEntriesMin = 8;
constexpr uint32_t kRingEntriesMax = 32768;
constexpr uint32_t kBusyPollUsMax = 10'000;

std::vector<int> AllowedCpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// Signals are the host application's: our threads leave them to the others. Those that a fault of
// the thread itself raises stay open, for the host's crash handlers.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
      sigdelset(&all, fault);
    }
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// What the threads report to NewRuntime when their loop has started or failed to.
class StartReport {
 public:
  void Add(Status status) {
    std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
    if (first_failure_.ok()) first_failure_ = std::move(status);
    changed_.notify_one();
  }
  Status AwaitAll(std::size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return count_ == count; });
    return first_failure_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
  Status first_failure_;
};

class UringRuntime final : public LoopRuntime {
 public:
  ~UringRuntime() override {
    URSULA_CHECK(Current() == nullptr &&
                 "a runtime is destroyed on one of its cores, which would wait for itself");
    for (auto& loop : loops_) loop->Stop();
    for (std::thread& thread : threads_) thread.join();
    // Only now may a ring go: until its thread has ended, each loop may wake any other.
  }

  // Threads that were started before a failure end with the runtime.
  Status Start(const RuntimeOptions& options) {
    std::vector<int> cpus = AllowedCpus();
    std::size_t count = options.core_count == 0 ? cpus.size() : options.core_count;
    for (std::size_t i = 0; i < count; ++i) {
      loops_.push_back(std::make_unique<UringLoop>(CoreId{static_cast<uint16_t>(i)}, this,
                                                   uint64_t{options.busy_poll_us} * 1000));
    }
    auto report = std::make_shared<StartReport>();
    BlockedSignals blocked;  // The threads inherit the mask.
    for (auto& loop : loops_) {
      int cpu = options.pin_threads ? cpus[threads_.size() % cpus.size()] : -1;
      try {
        threads_.emplace_back(&UringRuntime::RunThread, loop.get(), cpu, options.ring_entries,
                              report);
      } catch (const std::system_error& error) {
        // A loop may only go once nobody can wake it any more: the others have started or failed.
        static_cast<void>(report->AwaitAll(threads_.size()));
        return NoThread(threads_.size(), count, error);
      }
    }
    return report->AwaitAll(count);
  }

  uint16_t core_count() const override { return static_cast<uint16_t>(loops_.size()); }
  Loop& loop(CoreId core) override { return *loops_.at(Raw(core)); }
  Loop* Current() override {
    UringLoop* here = UringLoop::Current();
    return here != nullptr && here->family() == this ? here : nullptr;
  }

 private:
  static Status NoThread(std::size_t started, std::size_t wanted, const std::system_error& error) {
    return Status(StatusCode::kResourceExhausted,
                  "only " + std::to_string(started) + " of " + std::to_string(wanted) +
                      " threads could be started: " + error.code().message() +
                      ". Raise the limit of processes and threads (ulimit -u, RLIMIT_NPROC), which "
                      "is " +
                      LimitText(RLIMIT_NPROC) +
                      ", or the control group's pids.max, or ask for fewer cores");
  }

  static void RunThread(UringLoop* loop, int cpu, uint32_t ring_entries,
                        std::shared_ptr<StartReport> report) {
    std::string name = "ursula-" + std::to_string(Raw(loop->core()));
    pthread_setname_np(pthread_self(), name.c_str());
    if (cpu >= 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(static_cast<std::size_t>(cpu), &set);
      pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // Best effort.
    }
    Status status = loop->Start(ring_entries);
    bool started = status.ok();
    report->Add(std::move(status));
    if (started) loop->Run();
  }

  std::vector<std::unique_ptr<UringLoop>> loops_;
  std::vector<std::thread> threads_;
};

}  // namespace
}  // namespace ursula::io::uring

namespace ursula {

void CheckMayWait() {
  URSULA_CHECK(io::uring::UringLoop::Current() == nullptr &&
               "Wait was called on a core of a runtime, which would wait for itself");
}

Result<std::unique_ptr<Runtime>> NewRuntime(const RuntimeOptions& options) {
  using io::uring::kBusyPollUsMax;
  using io::uring::kCoresMax;
  using io::uring::kRingEntriesMax;
  using io::uring::kRingEntriesMin;
  if (options.core_count > kCoresMax) {
    return Status(StatusCode::kInvalidArgument,
                  "core_count is at most " + std::to_string(kCoresMax));
  }
  if (options.ring_entries < kRingEntriesMin || options.ring_entries > kRingEntriesMax) {
    return Status(StatusCode::kInvalidArgument, "ring_entries is between " +
                                                    std::to_string(kRingEntriesMin) + " and " +
                                                    std::to_string(kRingEntriesMax));
  }
  if (options.busy_poll_us > kBusyPollUsMax) {
    return Status(StatusCode::kInvalidArgument,
                  "busy_poll_us is at most " + std::to_string(kBusyPollUsMax));
  }
  auto runtime = std::make_unique<io::uring::UringRuntime>();
  if (Status status = runtime->Start(options); !status.ok()) return status;
  return std::unique_ptr<Runtime>(std::move(runtime));
}

}  // namespace ursula
