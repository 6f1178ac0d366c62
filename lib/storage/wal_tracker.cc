#include "lib/storage/wal_tracker.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::storage {

void WalTracker::AddSegment(uint32_t number, uint32_t bytes) {
  URSULA_CHECK(segments_.empty() || number > segments_.back().number);
  segments_.push_back({.number = number, .bytes = bytes});
  segment_bytes_ += bytes;
}

void WalTracker::OnAppended(const WalRecord& record) {
  Group& group = groups_[record.group];
  if (record.kind == RecordKind::kReset) ++group.resets_under_way;
  if (record.kind != RecordKind::kState) {
    group.last = record.index;
    return;
  }
  group.has_state = true;
  ++group.states_under_way;
  group.state_index = record.index;
  group.state_term = record.term;
  group.state_payload.assign(record.parts[0]);
  group.state_payload.append(record.parts[1]);
}

void WalTracker::OnWriting(const RecordHeader& header) {
  URSULA_CHECK(!segments_.empty());
  if (header.kind == RecordKind::kState) {
    writing_states_.push_back(header.group);
    return;
  }
  if (header.kind == RecordKind::kReset) {
    // In the newest segment, which stays for now, that is as good as done.
    segments_.back().entries.erase(header.group);
    segments_.back().kept.erase(header.group);
    writing_resets_.push_back(header.group);
    return;
  }
  auto found = groups_.find(header.group);
  if (found != groups_.end() && header.index <= found->second.released) return;
  Index& highest = segments_.back().entries[header.group];
  highest = std::max(highest, header.index);
}

void WalTracker::OnDurable() {
  // Not before: what is void without the record would come back half if its front had gone.
  for (GroupId id : writing_resets_) {
    for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
      segments_[i].entries.erase(id);
      segments_[i].kept.erase(id);
    }
    resets_.push_back(id);
    URSULA_CHECK(groups_[id].resets_under_way > 0);
    --groups_[id].resets_under_way;
  }
  writing_resets_.clear();
  if (writing_states_.empty()) return;
  const uint32_t newest = segments_.back().number;
  const uint32_t oldest = segments_.front().number;
  for (GroupId id : writing_states_) {
    Group& group = groups_[id];
    URSULA_CHECK(group.states_under_way > 0);
    --group.states_under_way;
    if (group.state_durable) {
      Segment& segment = segments_[group.state_segment - oldest];
      URSULA_CHECK(segment.number == group.state_segment && segment.states > 0);
      --segment.states;
    }
    group.state_durable = true;
    group.state_segment = newest;
    ++segments_.back().states;
  }
  writing_states_.clear();
}

Index WalTracker::Release(GroupId id, Index upto) {
  Group& group = groups_[id];
  group.released = std::max(group.released, upto);
  // Half of the void entries would be the log's, if a crash came before the record.
  if (group.resets_under_way > 0) return Index{};
  const bool all = group.released >= group.last;
  for (Segment& segment : segments_) {
    auto found = segment.entries.find(id);
    if (found == segment.entries.end()) continue;
    if (!all && found->second > group.released) continue;
    if (found->second >= group.kept_from) {
      Index& highest = segment.kept[id];
      highest = std::max(highest, found->second);
    }
    segment.entries.erase(found);
  }
  return all ? Index{UINT64_MAX} : group.released;
}

bool WalTracker::Keep(GroupId id, Index from) {
  Group& group = groups_[id];
  if (std::exchange(group.kept_from, from) == from) return false;
  bool changed = false;
  for (Segment& segment : segments_) {
    auto found = segment.kept.find(id);
    if (found == segment.kept.end() || found->second >= from) continue;
    segment.kept.erase(found);
    changed = true;
  }
  return changed;
}

std::size_t WalTracker::unwanted_segments() const {
  std::size_t count = 0;
  const std::size_t free = free_segments();
  for (std::size_t i = 0; i < free; ++i) count += segments_[i].kept.empty() ? 1 : 0;
  return count;
}

std::size_t WalTracker::kept_segments() const {
  std::size_t count = 0;
  for (const Segment& segment : segments_) {
    if (segment.entries.empty() && !segment.kept.empty()) ++count;
  }
  return count;
}

std::size_t WalTracker::free_segments() const {
  std::size_t count = 0;
  while (count + 1 < segments_.size() && segments_[count].entries.empty()) ++count;
  return count;
}

std::vector<GroupId> WalTracker::front_groups() const {
  std::vector<GroupId> groups;
  if (segments_.size() < 2) return groups;
  for (const auto& [group, highest] : segments_.front().entries) groups.push_back(group);
  std::sort(groups.begin(), groups.end());
  return groups;
}

std::vector<GroupId> WalTracker::pinning_groups() const {
  if (segments_.empty() || !front_is_kept()) return front_groups();
  const std::size_t first = free_segments();
  return first + 1 < segments_.size() ? groups_upto(segments_[first].number)
                                      : std::vector<GroupId>{};
}

uint64_t WalTracker::free_bytes() const {
  uint64_t bytes = 0;
  for (std::size_t i = 0, free = free_segments(); i < free; ++i) bytes += segments_[i].bytes;
  return bytes;
}

std::vector<GroupId> WalTracker::groups_upto(uint32_t number) const {
  std::vector<GroupId> groups;
  for (const Segment& segment : segments_) {
    if (segment.number > number) break;
    for (const auto& [group, highest] : segment.entries) groups.push_back(group);
  }
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

uint32_t WalTracker::PopFront() {
  URSULA_CHECK(free_segments() > 0 && !front_has_states());
  uint32_t number = segments_.front().number;
  segment_bytes_ -= segments_.front().bytes;
  segments_.pop_front();
  return number;
}

std::vector<WalTracker::State> WalTracker::StatesToMove() const {
  std::vector<State> states;
  if (free_segments() == 0 || !front_has_states()) return states;
  const uint32_t front = segments_.front().number;
  for (const auto& [id, group] : groups_) {
    if (!group.state_durable || group.state_segment != front) continue;
    if (group.states_under_way > 0) continue;
    states.push_back({id, group.state_index, group.state_term, group.state_payload});
  }
  std::sort(states.begin(), states.end(),
            [](const State& a, const State& b) { return a.group < b.group; });
  return states;
}

}  // namespace ursula::storage
