// lib/storage/directory_watch.h
//
// Looks once a second whether a log still writes where the next opening will look: what is written
// into a directory that was removed, replaced or unmounted under a running server is lost, and
// nothing else tells. Also whether what was put aside is there still, of which nothing follows.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/directory.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

class DirectoryWatch {
 public:
  static constexpr uint64_t kIntervalNs = 1'000'000'000;

  // `loop` and `directory` outlive it. `newest` gives the path of a file that must be there as
  // well, for as long as it gives that path. `lost` is called at most once.
  DirectoryWatch(io::Loop* loop, const DataDirectory& directory, Function<std::string()> newest,
                 Function<void(Status)> lost);
  ~DirectoryWatch();  // REQUIRES: never started, or stopped.

  void Start();
  // Ends the look under way; then `done`, perhaps inside the call. `lost` is not called any more.
  void Stop(Function<void()> done);

 private:
  enum class State : uint8_t { kIdle, kLooking, kLost, kStopped };

  void OnTime();
  void LookAtNext();
  void LookAgainLater();
  void OnLooked(int64_t result);
  Status Judge(int64_t result);

  io::Loop& loop_;
  const DataDirectory& directory_;
  std::shared_ptr<const std::vector<DataDirectory::Place>> places_;  // Of this look.
  Function<std::string()> newest_;
  Function<void(Status)> lost_;
  State state_ = State::kIdle;
  std::size_t next_ = 0;  // Of places_; its size: the newest file, and then what was put aside.
  std::string path_;      // Looked at.
  io::FileIdentity found_;
  Function<void()> stop_done_;
  io::Timer timer_;
  io::Op op_;
};

}  // namespace ursula::storage
