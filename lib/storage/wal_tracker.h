// lib/storage/wal_tracker.h
//
// Knows which segments of one log are still needed, and by whom. Pure bookkeeping. Invariant: a
// segment is free only if no group needs an entry in it; and it may go only if, besides, no group's
// newest durable state record is in it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/base/ids.h"
#include "lib/storage/wal.h"
#include "lib/storage/wal_format.h"

namespace ursula::storage {

class WalTracker {
 public:
  // ---- what the log does ----
  void AddSegment(uint32_t number, uint32_t bytes = 0);  // The next records go there.
  void OnAppended(const WalRecord& record);              // Staged.
  void OnWriting(const RecordHeader& header);            // Goes to the newest segment.
  void OnDurable();                                      // Everything written is.
  // Groups whose reset has become durable since the last call: nothing before it is needed.
  std::vector<GroupId> TakeResets() { return std::exchange(resets_, {}); }

  // What recovery knew: the group's last entry, from before this log.
  void SetLast(GroupId group, Index last) { groups_[group].last = last; }

  // Returns the index up to which all records of the group so far are released: `upto`, or the
  // highest there can be when nothing above it was appended (what stood there once was replaced).
  // While a reset is under way it waits for that, and none are.
  Index Release(GroupId group, Index upto);

  // Entries from `from` on are wanted besides. UINT64_MAX: none. False: nothing has changed by it.
  bool Keep(GroupId group, Index from);

  // ---- what may go ----
  uint64_t segment_bytes() const { return segment_bytes_; }  // Of all there are.
  std::size_t free_segments() const;                         // From the front, the newest excluded.
  uint32_t front_bytes() const { return segments_.front().bytes; }
  bool front_has_states() const { return segments_.front().states > 0; }
  bool front_is_kept() const { return !segments_.front().kept.empty(); }
  std::size_t unwanted_segments() const;        // Of those that are free.
  std::size_t kept_segments() const;            // Needed by nobody, and wanted.
  std::vector<GroupId> front_groups() const;    // Who needs entries there. By group.
  std::vector<GroupId> pinning_groups() const;  // The same, behind what is kept at the front.
  uint64_t free_bytes() const;                  // Of segments from the front.
  std::vector<GroupId> groups_upto(uint32_t segment) const;  // The same, and there.
  uint32_t PopFront();  // REQUIRES: free_segments() > 0, !front_has_states().

  // States that keep the free front and have no newer record under way: to be appended again.
  struct State {
    GroupId group = {};
    Index index = {};
    Term term = {};
    std::string payload = {};
  };
  std::vector<State> StatesToMove() const;

 private:
  struct Segment {
    uint32_t number = 0;
    uint32_t bytes = 0;
    uint32_t states = 0;  // Groups whose newest durable state record is here.
    absl::flat_hash_map<GroupId, Index> entries = {};  // Needed, with their highest index;
    absl::flat_hash_map<GroupId, Index> kept = {};     // released, and wanted all the same.
  };
  struct Group {
    Index last = {};  // Of the newest entry appended.
    Index released = {};
    Index kept_from{UINT64_MAX};
    uint32_t resets_under_way = 0;  // Appended, not durable.
    bool has_state = false;
    bool state_durable = false;
    uint32_t state_segment = 0;     // Of the newest durable one.
    uint32_t states_under_way = 0;  // Appended, not durable.
    Index state_index = {};
    Term state_term = {};
    std::string state_payload = {};
  };

  std::deque<Segment> segments_;
  uint64_t segment_bytes_ = 0;
  absl::flat_hash_map<GroupId, Group> groups_;
  std::vector<GroupId> writing_states_;
  std::vector<GroupId> writing_resets_;
  std::vector<GroupId> resets_;
};

}  // namespace ursula::storage
