// tests/sim/storage/model.h
//
// What one group asked of the storage stack, what it was told, and therefore what an opening must
// give back. The rules, whatever happens but damage of the medium:
//
//   - entries and states that the log called durable are there, unless a later entry replaced or a
//     durable snapshot holds them; what else is there was appended, whole and in that order
//   - the newest snapshot is one that was asked for, and not older than one that was acknowledged;
//     the log goes on after it without a gap
//   - payload that the store acknowledged can be read, unless it was freed; a byte that is served
//     is the stream's

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lib/storage/payload_format.h"
#include "tests/sim/storage/node.h"

namespace ursula::storage::sim {

struct Appended {
  uint64_t lsn = 0;  // In the log of this opening; 0: from before it, and durable.
  uint64_t index = 0;
  std::string payload = {};  // Unique, nearly always: it tells records apart.
  bool reset = false;        // The log starts again after `index`.
};

// A committed entry appends its payload to the group's stream. One that begins with kNewStream puts
// another stream in its place first.
inline constexpr char kNewStream = 'N';

struct Snapshot {
  uint64_t index = 0;
  uint64_t incarnation = 0;
  uint64_t end = 0;  // Of the stream.
  std::string Text() const;
};

class GroupModel {
 public:
  explicit GroupModel(uint32_t group) : group_(group) {}

  uint32_t group() const { return group_; }
  PayloadKey KeyOf(uint64_t incarnation) const { return {GroupId{group_}, incarnation}; }

  // ---- what it does ----
  // The next index: a snapshot may be ahead of what the log has.
  uint64_t last() const;
  void OnEntry(uint64_t lsn, uint64_t index, std::string payload);
  void OnState(uint64_t lsn, std::string payload);
  // Others have committed these: the group must get them by a snapshot, before anything else.
  void OnLeftBehind(const std::vector<std::string>& payloads);
  void OnReset(uint64_t lsn);  // Of what they committed: their snapshot is durable.
  uint64_t behind() const { return reset_lsn_ == 0 ? behind_ : 0; }  // Index; 0: it isn't.
  // Commits what is durable, up to `index`.
  void Commit(uint64_t index);
  uint64_t LastDurable(uint64_t durable_lsn) const;
  uint64_t commit() const { return committed_.size(); }
  Snapshot At(uint64_t index) const;  // REQUIRES: 1 <= index <= commit().
  const std::string& Content(uint64_t incarnation) const;
  // The messages of entries (from, to] of the stream that is there at `to`.
  PayloadRun RunOf(uint64_t from, uint64_t to) const;
  void OnSnapshotAsked(uint64_t index) { asked_[index] = At(index); }
  void OnSnapshotDurable(uint64_t index);
  void OnFlushed(uint64_t index);
  void OnFreed(uint64_t incarnation, uint64_t before);
  uint64_t snapshot() const { return snapshot_; }  // The newest acknowledged; 0: none.
  uint64_t flushed() const { return flushed_; }
  uint64_t freed(uint64_t incarnation) const;

  // Of an entry that was committed, and appended in this opening. "" or what is wrong.
  std::string CheckReadBack(uint64_t from, const std::vector<WalEntry>& entries) const;

  // ---- what must be there ----
  // No more is acknowledged: the log called everything up to `lsn` durable.
  void OnClosed(uint64_t durable_lsn);
  // What is wrong with it, or "". It is taken for what is there, from now on.
  std::string CheckLog(const Found& found);
  std::string CheckSnapshot(const Found& found);  // REQUIRES: CheckLog.
  // What to make of a read that is refused.
  enum class Refusal : uint8_t { kIsWrong, kAgain, kLeaveOut };
  // REQUIRES: CheckSnapshot. `all`: what was acknowledged must be there. Else only what is served
  // counts.
  std::string CheckPayload(Node* node, bool all,
                           const std::function<Refusal(const std::string&)>& refused) const;

 private:
  struct Committed {
    uint64_t incarnation = 0;
    uint64_t offset = 0;
    std::string payload = {};
  };

  void CommitOne(const std::string& payload);
  std::string CheckEntries(const Found& found);
  std::string CheckState(const Found& found);
  std::string Fault(const std::string& what) const;

  const uint32_t group_;
  std::vector<Appended> entries_;  // In the order of appending, oldest first.
  std::vector<Appended> states_;
  std::size_t durable_entries_ = 0;  // Of them, as of OnClosed.
  std::size_t durable_states_ = 0;
  std::vector<Committed> committed_;  // By index, from 1.
  std::map<uint64_t, std::string> contents_;
  std::map<uint64_t, Snapshot> asked_;
  std::map<uint64_t, uint64_t> freed_;
  uint64_t snapshot_ = 0;
  uint64_t flushed_ = 0;
  uint64_t released_ = 0;
  uint64_t behind_ = 0;     // What only others have, up to here; until its reset is durable.
  uint64_t reset_lsn_ = 0;  // 0: not appended.
};

}  // namespace ursula::storage::sim
