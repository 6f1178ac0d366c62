// lib/storage/old_logs.h
//
// The segments that earlier openings left, until their groups need them no more. Groups may live on
// other cores than then, so the segments belong to one loop and each core's log posts its releases
// there. Invariant: segments leave oldest first, one at a time, each removal durable before the
// next; a log of this opening drops nothing before the old ones are gone. So what is left of a
// group's records is a suffix of its history, whatever the moment of a crash.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/io/loop.h"
#include "lib/storage/log_line.h"
#include "lib/storage/wal_format.h"
#include "ursula/function.h"

namespace ursula::storage {

struct OldSegment {
  SegmentName name = {};
  uint64_t bytes = 0;
  // Each group with records here, and the highest index of its entries (0: state records only).
  std::vector<std::pair<GroupId, Index>> groups = {};
};

class OldLogs : public std::enable_shared_from_this<OldLogs> {
 public:
  // `segments` ordered by name.
  OldLogs(std::string directory, std::vector<OldSegment> segments, LogLine log);
  ~OldLogs();  // REQUIRES: never attached, or stopped.

  // ---- before cores run ----
  const std::vector<OldSegment>& segments() const { return segments_; }
  // The highest entry index of each group in any segment.
  const absl::flat_hash_map<GroupId, Index>& last_indexes() const { return last_indexes_; }
  // Where removals run. Again with the same loop: nothing.
  void Attach(io::Loop* loop) {
    if (loop_ == nullptr) loop_ = loop;
    URSULA_CHECK(loop_ == loop);
  }
  bool attached() const { return loop_ != nullptr; }

  // ---- any thread, after Attach ----
  // The group's newest state record is in a log of this opening, and its entries up to `upto`
  // are no longer needed.
  void Release(GroupId group, Index upto);
  void Begin();  // Removes what no group needs.
  bool gone() const { return bytes_.load(std::memory_order_acquire) == 0; }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // ---- on the attached loop ----
  void Stop(Function<void()> done);  // After the removal under way; `done` not inside the call.

 private:
  enum class State : uint8_t { kIdle, kRemoving, kSyncing, kFailed, kStopped };

  void OnReleased(GroupId group, Index upto);
  bool FrontIsFree() const;
  void Continue();
  void OnRemoved(int64_t result);
  void OnSynced(int64_t result);
  void Fail(const char* what, int64_t result);
  void FinishStop();

  const std::string directory_;
  std::vector<OldSegment> segments_;
  std::size_t front_ = 0;  // Segments before it are removed.
  absl::flat_hash_map<GroupId, Index> last_indexes_;
  absl::flat_hash_map<GroupId, Index> released_;
  LogLine log_;
  io::Loop* loop_ = nullptr;
  State state_ = State::kIdle;
  std::string removing_path_;
  Function<void()> stop_done_;
  std::atomic<uint64_t> bytes_ = 0;
  io::Op op_;
};

}  // namespace ursula::storage
