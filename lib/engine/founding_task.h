// lib/engine/founding_task.h
//
// Founds a cluster with other nodes, before there is anything to serve: runs meta::Founding over a
// Transport, with a data directory for its memory.

#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "lib/meta/founding.h"
#include "lib/storage/directory.h"
#include "lib/storage/log_line.h"
#include "ursula/engine.h"
#include "ursula/env.h"

namespace ursula::engine {

// What one node brings to a founding beside its ClusterOptions.
struct FoundingTerms {
  uint32_t group_count = 0;         // EngineOptions::group_count; 0: any.
  uint32_t group_count_if_new = 1;  // Where no node wishes any, the lowest node's.
  // What every node must have alike.
  std::vector<meta::FoundingLimit> limits = {};
  uint32_t feature_level_max = 1;  // EngineOptions::feature_level_max.
};

// Lives on `loop`: every method runs there. While it runs it is the sink of this core, and the only
// one of its node, so that every frame comes here.
class FoundingTask final : private FrameSink {
 public:
  static constexpr uint64_t kHelloNs = 100'000'000;

  // All are borrowed and outlive it; `opening` may be null. The directory was opened with
  // one_of_several.
  FoundingTask(io::Loop* loop, storage::DataDirectory* directory, const ClusterOptions& cluster,
               const FoundingTerms& terms, Opening* opening, storage::LogLine log);
  FoundingTask(const FoundingTask&) = delete;
  FoundingTask& operator=(const FoundingTask&) = delete;
  ~FoundingTask() override;  // REQUIRES: not under way.

  // `done`, once and not inside this call: ok, the directory is a member's; kFailedPrecondition:
  // this node can't found, the message says what to do; kCancelled; or what the disk said.
  // Afterwards the task may be destroyed, by `done` too.
  void Start(Function<void(Status)> done);
  void Cancel();   // Ends it soon, unless it has ended. So does cancelling the opening.
  void Abandon();  // In place of an end, once the world it ran in has crashed. Simulators.

 private:
  enum class State : uint8_t { kIdle, kRunning, kEnded };

  // FrameSink
  void OnFrame(NodeId from, Channel channel, Bytes frame) override;
  void OnRoom(NodeId to, Channel channel) override;
  void OnLost(NodeId peer, bool ended) override;

  void OnTime();
  void Drive();
  Status Persist(const meta::FoundingRecord& record);
  void SayHello();
  void TellProgress();
  void LogWaiting();
  void End(Status status);

  io::Loop& loop_;
  storage::DataDirectory& directory_;
  Transport& transport_;
  Opening* const opening_;
  const storage::LogLine log_;
  meta::Founding founding_;
  State state_ = State::kIdle;
  Function<void(Status)> done_;
  io::Timer timer_;
  uint64_t began_ns_ = 0;
  uint64_t next_line_ns_ = 0;
  uint64_t told_ = 0;  // Of the opening's progress.
  std::set<std::string> complaints_;
};

// What a member says of itself, to hear whether it is one still.
meta::FoundingHello HelloOfMember(const storage::DataDirectory& directory,
                                  const ClusterOptions& cluster, const FoundingTerms& terms);

// What a member that has no FoundingTask any more answers to a peer's hello. On any core.
meta::FoundingHello AnswerHello(const storage::DataDirectory& directory,
                                const ClusterOptions& cluster, const FoundingTerms& terms,
                                const meta::FoundingHello& hello);

}  // namespace ursula::engine
