// server/peer/library_log.h
//
// What gRPC would write to stderr by itself: it has strangers' bytes in it, and there is no bound
// on it. One line in a while goes where the transport's own lines go, cleaned; the others are
// counted.

#pragma once

#include <functional>
#include <string>

namespace ursula::peer {

// gRPC has one log for a process: of several of these the newest hears it. `log` is called on any
// thread, never after the destructor. Once there was one, gRPC writes to stderr no more.
class LibraryLog {
 public:
  explicit LibraryLog(std::function<void(const std::string&)> log);
  LibraryLog(const LibraryLog&) = delete;
  LibraryLog& operator=(const LibraryLog&) = delete;
  ~LibraryLog();

 private:
  std::function<void(const std::string&)> log_;
  friend class LibraryLogs;
};

}  // namespace ursula::peer
