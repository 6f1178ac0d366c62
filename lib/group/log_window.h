// lib/group/log_window.h
//
// A leader's side of peers that were away for a while: what they lack stays in the write-ahead log
// though a snapshot has it, and is read back from there, so that they need no snapshot and nobody
// any memory. (Raft, dissertation 5: a log is kept beyond its snapshot for slow followers.)

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/ids.h"
#include "lib/group/group_log.h"
#include "lib/group/services.h"
#include "lib/storage/wal.h"

namespace ursula::group {

class LogWindowHost {
 public:
  virtual ~LogWindowHost() = default;
  // What was asked for of the log is at hand, or is to be had as a snapshot alone.
  virtual void OnWindowRead() = 0;
};

class LogWindow {
 public:
  LogWindow(const Services& services, GroupId group, GroupLog* log, LogWindowHost* host)
      : services_(services), group_(group), log_(*log), host_(*host) {}

  // Entries from `from` on are lacked by somebody who may come for them. UINT64_MAX: by nobody.
  void Keep(Index from);
  // What leaves memory from there on, the log has still. UINT64_MAX: that isn't wanted.
  Index from() const;
  // All that anybody lacks is in the log, and what comes is to stay there.
  bool holds() const {
    return kept_from_ != Index{UINT64_MAX} && kept_from_ >= solid_from_ && from() == kept_from_ &&
           services_.wal->KeepsMore();
  }

  // After the core has looked for entries: reads what it missed.
  void ReadMissed();

 private:
  // What was read is kept so long at most: who is to get it may wait for the pace.
  static constexpr uint64_t kFilledNs = 10'000'000'000;

  void OnRead(Index from, Result<std::vector<storage::WalEntry>> read);

  const Services services_;
  const GroupId group_;
  GroupLog& log_;
  LogWindowHost& host_;
  Index kept_from_{UINT64_MAX};
  Index solid_from_{};      // All from there on was released since it is wanted, or will be.
  uint64_t filled_ns_ = 0;  // When it was read last.
  // While a read is under way. Who waits for its end may be gone by then.
  std::shared_ptr<LogWindow*> reading_;
};

}  // namespace ursula::group
