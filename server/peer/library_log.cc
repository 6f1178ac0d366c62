#include "server/peer/library_log.h"

#include <grpc/support/log.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "server/peer/handshake_format.h"

namespace ursula::peer {

// The process's. It is never destroyed, for gRPC's threads may outlive main().
class LibraryLogs {
 public:
  static LibraryLogs& Get() {
    static LibraryLogs* const logs = new LibraryLogs;
    return *logs;
  }

  void Add(LibraryLog* log) {
    std::lock_guard lock(mutex_);
    logs_.push_back(log);
    gpr_set_log_function([](gpr_log_func_args* line) { Get().Take(line->message); });
  }
  void Remove(LibraryLog* log) {
    std::lock_guard lock(mutex_);
    std::erase(logs_, log);
  }

 private:
  static constexpr std::chrono::seconds kPause{10};

  void Take(const char* message) {
    std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (logs_.empty()) return;
    if (now < next_) {
      ++left_out_;
      return;
    }
    next_ = now + kPause;
    std::string line = "gRPC: " + CleanSentence(message);
    if (const uint64_t count = std::exchange(left_out_, 0); count > 0) {
      line += " (" + std::to_string(count) + " lines before it were left out)";
    }
    logs_.back()->log_(line);
  }

  std::mutex mutex_;  // Held while a log is called, so that its destructor waits for that.
  std::vector<LibraryLog*> logs_;
  std::chrono::steady_clock::time_point next_;
  uint64_t left_out_ = 0;
};

LibraryLog::LibraryLog(std::function<void(const std::string&)> log) : log_(std::move(log)) {
  LibraryLogs::Get().Add(this);
}

LibraryLog::~LibraryLog() { LibraryLogs::Get().Remove(this); }

}  // namespace ursula::peer
