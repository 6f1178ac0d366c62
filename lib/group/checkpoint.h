// lib/group/checkpoint.h
//
// A CheckpointJob moves a group's past out of the log: payload to the payload store, then metadata
// to the snapshot store; only when both are durable may the log forget. It also flushes payload
// alone when memory asks for it. Metadata is collected a step a turn: what a checkpoint holds is
// the state, and the index, at the last step. Payload alone may be flushed meanwhile.
//
// Invariant: Wal::Release(index) happens only when a snapshot at `index` is durable and every byte
// of payload that entries up to `index` appended is in the payload store.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/group/services.h"
#include "lib/group/ship.h"
#include "lib/io/timer.h"
#include "lib/raft/types.h"
#include "lib/storage/snapshot_format.h"
#include "lib/stream/collection.h"
#include "lib/stream/hot_ring.h"
#include "lib/stream/machine.h"

namespace ursula::group {

class CheckpointHost {
 public:
  virtual ~CheckpointHost() = default;
  // The state as applied now: its index, term and membership. Nothing: nothing was applied since
  // the last checkpoint (`again`: ever).
  virtual std::optional<raft::SnapshotMeta> AppliedMeta(bool again) = 0;
  // A snapshot at `meta` is durable, and so is the payload it speaks of.
  virtual void OnCheckpointed(const raft::SnapshotMeta& meta) = 0;
  // What RequestBase asked for is durable.
  virtual void OnBase(std::shared_ptr<const BaseSnapshot> base) = 0;
  // Some payload became flushed, or the attempt failed.
  virtual void OnFlushed() = 0;
  // Once: the payload store has failed for good, and nothing is flushed any more.
  virtual void OnPayloadFailed(const Status& status) = 0;
};

class CheckpointJob {
 public:
  CheckpointJob(const Services& services, GroupId group, CheckpointHost* host);

  // REQUIRES: before Request and Flush; both outlive the job.
  void Bind(stream::Machine* machine, stream::HotRing* ring) {
    machine_ = machine;
    ring_ = ring;
  }

  // Makes a checkpoint of what is applied by now, or by the end of its collection.
  void Request();
  // The same, of the whole state and even if nothing has changed, and given to OnBase.
  void RequestBase();
  // Writes payload out, unless that is being done.
  void Flush();
  // Tries again what a full disk refused; called now and then.
  void Tick();

  // Ends what is under way, writes all payload in memory out, and begins nothing any more; then
  // `done`, perhaps inside the call. Where the disk is full it goes on once it isn't.
  void Drain(Function<void()> done);
  // After Drain: another state has taken this one's place, and a base of it is durable.
  void Resume(stream::Machine* machine);

  bool busy() const { return state_ != State::kIdle; }
  // `done` runs when nothing is under way any more, at once if nothing is; nothing new starts.
  void Stop(Function<void()> done);

 private:
  enum class State : uint8_t { kIdle, kFlushing, kSnapshotting };

  void StartCollecting();
  void OnCollectTimer();
  void Collect();
  void GiveUp();
  void StartFlush();
  void FlushSome();
  std::vector<storage::PayloadRun> TakeSome();
  void OnPayloadWritten(Status status);
  void StartSnapshot();
  void OnSnapshotWritten(Status status);
  void Finish();
  // What a write of payload, or of a snapshot, ended with: `full` is that store's.
  void NoteStorage(const Status& status, bool* full);

  const Services services_;
  const GroupId group_;
  CheckpointHost& host_;
  stream::Machine* machine_ = nullptr;
  stream::HotRing* ring_ = nullptr;

  State state_ = State::kIdle;
  uint64_t retry_ns_ = 0;  // Nothing is tried before.
  bool checkpoint_wanted_ = false;
  bool flush_wanted_ = false;
  bool base_wanted_ = false;  // For OnBase.
  bool draining_ = false;
  Function<void()> drain_done_;
  bool base_needed_ = false;  // What the last one collected is in no file.
  std::vector<stream::UnflushedRun> to_flush_;
  std::size_t next_run_ = 0;   // In to_flush_: what wasn't asked for yet begins there,
  std::size_t next_part_ = 0;  // with that part of the run,
  uint64_t next_start_ = 0;    // at that offset of the stream.
  struct Flushed {
    stream::Incarnation incarnation = stream::kNoIncarnation;
    uint64_t end = 0;
  };
  std::vector<Flushed> flushing_;  // Under way.
  bool flushing_for_checkpoint_ = false;
  // The checkpoint under way: being collected; then metadata as of `meta_`, until its payload is
  // flushed.
  std::optional<stream::Collection> collection_;
  io::Timer collect_timer_;
  std::optional<raft::SnapshotMeta> meta_;
  bool base_ = false;
  storage::SnapshotRecords records_;
  bool for_peers_ = false;                        // It was asked for by RequestBase,
  std::shared_ptr<const BaseSnapshot> for_them_;  // and is being written.
  bool payload_failed_ = false;                   // For good.
  Function<void()> stop_done_;
  bool stopping_ = false;
};

}  // namespace ursula::group
