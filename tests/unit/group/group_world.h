// tests/unit/group/group_world.h
//
// Replicas on one core with its log and stores on a faulty disk in virtual time, and nothing above
// them: opened, stopped, killed, crashed and opened again.
//
//   GroupWorld world;
//   ASSERT_TRUE(world.Open().ok());
//   world.Create("s");
//   Asked append = world.Append("s", "abc");
//   world.Finish(append);
//   world.Crash();

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/group/recovery.h"
#include "lib/group/replica.h"
#include "lib/group/services.h"
#include "lib/peers/hub.h"
#include "lib/storage/directory.h"
#include "lib/storage/disk_wal_options.h"
#include "lib/storage/wal_recovery.h"
#include "lib/stream/collection.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_network.h"
#include "ursula/status.h"

namespace ursula::group {

struct WorldOptions {
  uint32_t groups = 1;  // Of a new directory.
  uint32_t wal_segment_bytes = 64 << 10;
  uint64_t wal_bytes_max = 16 << 20;
  uint64_t inflight_bytes_max = 1 << 20;
  uint64_t hot_bytes_max = 64 << 20;
  uint64_t kept_log_bytes_max = 1 << 20;
  uint64_t log_kept_ns = 0;
  uint64_t waiters_max = 1000;
  stream::CollectionStep collection_step = {};
  uint64_t shipment_part_bytes = 256 << 10;
  uint64_t apply_page_bytes = 128 << 10;
  uint64_t apply_turn_cost = ApplyTurns::kTurnCost;
  uint64_t unapplied_max = 1 << 14;
  uint64_t peer_window_bytes_max = 16 << 20;
  uint64_t rejoin_bytes_per_second = 0;
  bool balances = false;       // Writes out and evicts as memory wants it, as a core does.
  bool payload_direct = true;  // Write payload with direct I/O.
  ReplicaId self{1};           // Of a new directory, as the next.
  std::vector<ReplicaId> voters = {ReplicaId{1}};
};

// What one proposal gave; `reply` is empty until it is answered.
struct Answer {
  std::optional<Result<stream::Reply>> reply = {};
  uint64_t order = 0;  // 1 for the first of all answers.
  bool ok() const { return reply && reply->ok() && (*reply)->outcome == Outcome::kOk; }
  // kOk too where the stream refused.
  StatusCode code() const {
    return !reply || reply->ok() ? StatusCode::kOk : reply->status().code();
  }
};
using Asked = std::shared_ptr<Answer>;

// What one read gave.
struct ReadAnswer {
  std::optional<Result<GroupReadReply>> reply = {};
  std::string text() const;  // Its bytes, or its status, or what kept it from having any.
};
using AskedRead = std::shared_ptr<ReadAnswer>;

StreamId NameOf(std::string_view name);

class GroupWorld : private storage::Wal::Listener, private peers::Receiver {
 public:
  explicit GroupWorld(uint64_t seed = 1, const testing::FaultDisk::Faults& faults = {});
  GroupWorld(const GroupWorld&) = delete;
  GroupWorld& operator=(const GroupWorld&) = delete;
  ~GroupWorld() override;  // Crashes, if it is open.

  // Recovers, starts, and runs until every group has said how that went: the first that isn't ok.
  Status Open(storage::RecoverySink* also = nullptr);
  // The same, but starting goes on when it returns. An error is recovery's.
  Status Begin(storage::RecoverySink* also = nullptr);
  // Before it is opened: of several nodes, those that it reaches, and the time.
  void Connect(testing::TestNetwork* network) { network_ = network; }
  void set_now_ns(uint64_t now_ns) { now_ns_ = now_ns; }
  bool started() const { return to_start_ == 0; }
  const Status& start_status() const { return start_status_; }
  // False: something never ended.
  bool Stop() { return StopReplicas() && StopStores(); }
  bool StopReplicas();
  void BeginStopReplicas();
  bool replicas_stopped() const { return to_stop_ == 0; }
  bool StopStores();  // And closes.
  void Crash();       // Of the machine.
  void Kill();        // Of the process.
  bool open() const { return runtime_ != nullptr; }

  Replica& replica(uint32_t group = 0) { return *replicas_.at(group); }
  storage::Wal& wal() { return *wal_; }
  const peers::Hub& hub() const { return *hub_; }
  storage::PayloadStore& payload() { return *payload_; }
  storage::SnapshotStore& snapshots() { return *snapshots_; }
  CoreBudget& budget() { return budget_; }
  Pace& pace() { return *pace_; }
  io::Loop& loop() { return runtime_->loop(CoreId{0}); }
  testing::ManualRuntime& runtime() { return *runtime_; }
  const std::vector<std::string>& log() const { return log_; }  // Since it was opened.
  bool Logged(std::string_view part) const;
  const std::vector<GroupId>& pinned() const { return pinned_; }  // Who was last told.
  const Status& wal_failure() const { return wal_failure_; }

  // ---- commands; asked at once, answered as the loop runs ----
  Asked Propose(stream::Command::Body body, uint32_t group = 0);
  Asked Append(std::string_view name, std::string_view bytes, uint32_t group = 0);
  Asked Create(std::string_view name, Lifetime lifetime = {}, uint32_t group = 0);
  bool Finish(const Asked& asked);  // Runs until it is answered, and whether that is kOk.
  bool CreateNow(std::string_view name) { return Finish(Create(name)); }
  bool AppendNow(std::string_view name, std::string_view bytes) {
    return Finish(Append(name, bytes));
  }

  // ---- reads ----
  AskedRead Read(ReadRequest request, uint64_t read_id = 0, uint32_t group = 0);
  std::string FinishRead(const AskedRead& read);
  // The whole stream, page by page.
  std::string Content(std::string_view name, uint32_t group = 0);

  // Makes one of all there is and waits for it: whether there was one.
  bool CheckpointNow(uint32_t group = 0);
  bool FlushNow(uint32_t group = 0);  // Until nothing is unflushed.
  // Runs until it holds, or nothing happens any more.
  template <class Condition>
  bool RunUntil(Condition condition) {
    return runtime_->RunUntil(std::move(condition));
  }

  testing::FaultDisk disk;
  WorldOptions options;
  LevelGate* levels = nullptr;  // Services::levels, of the next openings.

 private:
  // storage::Wal::Listener
  void OnWalDurable(uint64_t lsn) override;
  void OnWalFailed(Status status) override;
  void OnWalPinned(std::span<const GroupId> groups) override;
  // peers::Receiver
  void OnLetter(NodeId from, GroupId group, Bytes letter) override;
  void OnBeats(peers::Beats record) override;
  void OnPeerLost(NodeId peer, bool ended) override;
  void OnDropped(NodeId to, GroupId group, uint64_t token) override;
  void OnOtherFrame(NodeId /*from*/, Bytes /*frame*/) override {}

  Status Recover(storage::RecoverySink* also);
  void OnWalStarted(Status status);
  void OnReplicaStarted(Status status);
  void OnTick();
  void Close(bool told);
  void CloseAbandoned(bool told);

  uint64_t seed_;
  uint64_t now_ns_ = 1'000'000'000;  // Of the next opening.
  std::vector<std::string> log_;
  Function<void(int, std::string_view)> log_function_;
  std::unique_ptr<testing::ManualRuntime> runtime_;
  std::unique_ptr<storage::DataDirectory> directory_;
  CoreBudget budget_;
  std::unique_ptr<storage::Wal> wal_;
  std::unique_ptr<storage::PayloadStore> payload_;
  std::unique_ptr<storage::SnapshotStore> snapshots_;
  std::unique_ptr<Pace> pace_;
  std::unique_ptr<ApplyTurns> applies_;
  std::vector<RecoveredGroup> recovered_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  testing::TestNetwork* network_ = nullptr;
  std::unique_ptr<peers::Hub> hub_;
  std::vector<GroupId> pinned_;
  Status wal_failure_;
  Status start_status_;
  std::size_t to_start_ = 0;
  std::size_t to_stop_ = 0;
  uint64_t answers_ = 0;
  io::Timer tick_;
};

}  // namespace ursula::group
