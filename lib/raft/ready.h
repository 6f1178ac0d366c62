// lib/raft/ready.h
//
// What a core wants done, handed out by Core::TakeReady.

#pragma once

#include <optional>
#include <vector>

#include "lib/raft/message.h"
#include "lib/raft/types.h"

namespace ursula::raft {

// To be made durable: first `snapshot` (it replaces the whole log), then `entries` (the first of
// them cuts the log there: what stood at its index and above is gone), and `hard_state`.
struct StorageAppend {
  std::optional<HardState> hard_state = {};
  std::vector<Entry> entries = {};
  Snapshot snapshot = {};

  // Something here must survive a crash before `responses` may go out. False: only the commit index
  // moved, or nothing did; the write needs no sync of its own, but keeps its place in the order.
  bool must_sync = false;

  // Released when this and every earlier StorageAppend is durable: those to this replica go to
  // Core::Step, the others to their peers, in this order.
  std::vector<Message> responses = {};
};

// To be applied to the state machine, in order, after every earlier StorageApply. Conf changes
// among them go to Core::ApplyConfChange where they stand in the order. `response` goes to
// Core::Step when all are applied.
struct StorageApply {
  std::vector<Entry> entries = {};
  Message response = {};
};

// The read asked for with `context` may be answered from any state at `index` or later.
struct ReadState {
  Index index{};
  Bytes context = {};
};

struct Ready {
  std::optional<SoftState> soft_state = {};  // Set when it changed.
  std::vector<ReadState> reads = {};
  std::vector<Message> messages = {};  // For peers, at once: they promise nothing about this disk.
  std::optional<StorageAppend> append = {};
  std::optional<StorageApply> apply = {};
};

}  // namespace ursula::raft
