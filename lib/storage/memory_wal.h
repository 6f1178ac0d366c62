// lib/storage/memory_wal.h
//
// A log that keeps nothing, for engines without a directory: every record counts as durable at the
// end of the turn in which it was appended.

#pragma once

#include <cstdint>

#include "lib/io/loop.h"
#include "lib/storage/wal.h"

namespace ursula::storage {

class MemoryWal final : public Wal, private io::TurnHook {
 public:
  MemoryWal(io::Loop* loop, Listener* listener) : loop_(*loop), listener_(*listener) {}
  ~MemoryWal() override;

  void Start(Function<void(Status)> done) override;
  uint64_t Append(const WalRecord& record) override;
  uint32_t record_bytes_max() const override { return UINT32_MAX; }
  void Release(GroupId, Index) override {}
  Status ReadyFor(const Work& work) const override;
  WalStats stats() const override { return stats_; }
  void Stop(Function<void()> done) override;

 private:
  void OnTurnEnd() override;

  io::Loop& loop_;
  Listener& listener_;
  WalStats stats_;
  uint64_t appended_ = 0;
  uint64_t durable_ = 0;
  bool stopped_ = false;
};

}  // namespace ursula::storage
