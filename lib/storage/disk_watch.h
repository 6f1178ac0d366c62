// lib/storage/disk_watch.h
//
// Whether the volumes of a data directory answer, as one core sees it: by its log's writes and,
// where nothing else was synced for a while, by a VolumeProbe. A volume that keeps somebody waiting
// for kHangNs, or takes no writes, hangs, until it has answered kQuickAnswers times in a row within
// kQuickNs each.
//
// It is told the time by Tick alone, after what has completed by then: a core that stood still
// takes no disk for one that hangs.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/directory.h"
#include "lib/storage/log_line.h"
#include "lib/storage/volume_probe.h"
#include "ursula/function.h"
#include "ursula/stats.h"
#include "ursula/status.h"

namespace ursula::storage {

class DiskWatch {
 public:
  static constexpr uint64_t kHangNs = 2'000'000'000;
  static constexpr uint64_t kIdleNs = 1'000'000'000;  // Then an idle volume is asked.
  static constexpr uint64_t kAgainNs = 250'000'000;   // Between two questions to one that hangs.
  static constexpr uint64_t kQuickNs = 1'000'000'000;
  static constexpr uint32_t kQuickAnswers = 3;

  struct Options {
    // Every volume of the directory is asked when it is idle. One core of a node does that; the
    // others go by their log's writes, and ask its volume once it hangs.
    bool idle = true;
    bool direct = true;
    LogLine log = {};
  };

  // Blocks for a moment: which folders are on one volume. Both outlive it.
  DiskWatch(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal, Options options);

  // Counts of syncs of this core; more of them than at the last tick is an answer.
  struct Synced {
    uint64_t log = 0;
    uint64_t payload = 0;
    uint64_t snapshots = 0;
    uint64_t log_writing_since_ns = 0;  // WalStats::writing_since_ns.
  };
  void Tick(const Synced& synced);

  // Ok; or kUnavailable, which volume hangs and since when.
  Status Answers() const;
  uint64_t hanging() const;  // How many volumes.
  // That of the log is among them.
  bool log_hangs() const { return volumes_.front()->hangs; }
  // And somebody waits for it as long as that now, or it has refused a write: nothing can be voted
  // for or acknowledged. A disk that is only slow is never stuck for long.
  bool log_stuck() const { return volumes_.front()->stuck; }
  // What probes took from their write to its sync.
  const Histogram& probe_us() const { return probe_us_; }

  // Waits for what is under way; then `done`, not inside the call. REQUIRES: no Tick afterwards.
  void Stop(Function<void()> done);

 private:
  struct Volume {
    Volume(io::Loop* loop, VolumeProbe::Options options) : probe(loop, std::move(options)) {}
    VolumeProbe probe;
    bool hangs = false;
    bool stuck = false;          // Now.
    uint64_t since_ns = 0;       // What made it hang began.
    Status refusal = {};         // Not ok: it took no writes when it was asked last.
    uint32_t quick_answers = 0;  // In a row, while it hangs.
    uint64_t synced = 0;
    uint64_t answered_ns = 0;  // The last sync or question of which an end was seen.
  };

  void Add(const std::string& folder, uint32_t ordinal);
  void Judge(Volume* volume, uint64_t waiting_since_ns);
  void AskIfDue(Volume* volume, uint64_t synced);
  void OnAnswer(Volume* volume, VolumeProbe::Answer answer);
  std::string Text(const Volume& volume) const;

  io::Loop& loop_;
  const Options options_;
  // The log's is the first. Payload and snapshots have one where that is another volume.
  std::vector<std::unique_ptr<Volume>> volumes_;
  std::size_t payload_volume_ = 0;
  std::size_t snapshot_volume_ = 0;
  Histogram probe_us_;
  std::size_t stopping_ = 0;
  Function<void()> stop_done_;
};

}  // namespace ursula::storage
