// lib/engine/rejoin_task.h
//
// Asks the cluster of a directory that was found rotten whether it would take this node in again,
// and ends once a member has said so for a while and nobody has objected: until then the directory
// stays where and as it is.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lib/engine/founding_task.h"
#include "lib/io/disk.h"
#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "lib/meta/founding.h"
#include "lib/storage/directory.h"
#include "lib/storage/log_line.h"
#include "ursula/engine.h"
#include "ursula/env.h"

namespace ursula::engine {

// Of a directory that was opened before: whether it has a file of the log, where it has snapshots,
// and, where `snapshot_wanted`, of a snapshot. One that was there and has gone with all of its
// files isn't rotten, but a volume that isn't mounted. kDataLoss says so.
Status CheckMounted(io::Disk& disk, const storage::DataDirectory& directory, bool snapshot_wanted);

// As FoundingTask: lives on `loop`, and is its node's only sink while it runs.
class RejoinTask final : private FrameSink {
 public:
  static constexpr uint64_t kAskNs = 200'000'000;

  static constexpr uint64_t kAloneNs = 5'000'000'000;

  // An answer is one to an ask of the last second: an older one may have waited on a link.
  static constexpr uint64_t kFreshNs = 1'000'000'000;
  // For so long the same member says yes, and no other objects: more than two election time-outs,
  // after which who was cut off from the rest knows of no leaders.
  static constexpr uint64_t kSteadyNs = 5'000'000'000;

  // All are borrowed and outlive it. The directory is a member's. `may_be_alone`: there may be no
  // other member, and it doesn't wait for one longer than kAloneNs.
  RejoinTask(io::Loop* loop, const storage::DataDirectory* directory, const ClusterOptions& cluster,
             const FoundingTerms& terms, bool may_be_alone, Opening* opening, storage::LogLine log);
  RejoinTask(const RejoinTask&) = delete;
  RejoinTask& operator=(const RejoinTask&) = delete;
  ~RejoinTask() override;  // REQUIRES: not under way.

  // `done`, once and not inside this call: ok, a member of the directory's cluster has said for
  // kSteadyNs that nothing keeps this node out; kFailedPrecondition: one, that the directory is
  // none of the cluster's any more, or that has other limits, or nobody has answered one that may
  // be alone; kCancelled: by the opening.
  void Start(Function<void(Status)> done);

 private:
  enum class State : uint8_t { kIdle, kRunning, kEnded };
  // What a member said last.
  struct Word {
    uint64_t heard_ns = 0;
    uint64_t yes_since_ns = 0;  // 0: it doesn't say yes.
    std::string says = {};      // A sentence, why not yet.
  };

  // FrameSink
  void OnFrame(NodeId from, Channel channel, Bytes frame) override;
  void OnRoom(NodeId to, Channel channel) override;
  void OnLost(NodeId peer, bool ended) override;

  bool AnswersALateAsk(const meta::FoundingHello& answer) const;
  void OnAnswer(NodeId from, const meta::FoundingHello& answer);
  void OnYes(Word* word);
  void Object(NodeId from, const std::string& why);
  void OnTime();
  void Ask();
  void LogWaiting();
  void End(Status status);

  io::Loop& loop_;
  const storage::DataDirectory& directory_;
  Transport& transport_;
  const bool may_be_alone_;
  Opening& opening_;
  const storage::LogLine log_;
  const std::vector<NodeId> peers_;
  const std::vector<meta::FoundingLimit> limits_;
  meta::FoundingHello hello_;                                  // Each has a number of its own.
  std::array<uint64_t, 2 * kFreshNs / kAskNs> asked_ns_ = {};  // By number, of the last ones.
  State state_ = State::kIdle;
  Function<void(Status)> done_;
  io::Timer timer_;
  uint64_t began_ns_ = 0;
  uint64_t next_line_ns_ = 0;
  bool answered_ = false;     // By any member.
  uint64_t objected_ns_ = 0;  // When any of them objected last.
  std::map<NodeId, Word> words_;
};

}  // namespace ursula::engine
