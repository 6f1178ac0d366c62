// Wall clocks of a cluster's nodes, and the times of its groups, which they pull at.

#include <algorithm>

#include "lib/base/ids.h"
#include "tests/sim/engine/site.h"

namespace ursula::engine::sim {
namespace {

constexpr int64_t kWallOffsetMs = 1'700'000'000'000;
constexpr uint64_t kMs = 1'000'000;
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kYearMs = int64_t{365} * 24 * 60 * kMinuteMs;
// Between a stamp and when it is seen here, and of rounding.
constexpr int64_t kErrorMs = 1200;

}  // namespace

int64_t Site::wall_ms() const { return kWallOffsetMs + static_cast<int64_t>(now_ns_ / kMs); }

// A process begins with a clock that is minutes off, and once in a while a year.
void Site::SetClock(std::size_t index, bool anew) {
  Node& node = nodes_[index];
  if (!anew || random_.OneIn(2)) {
    const int64_t reach_ms = random_.OneIn(3) ? 500 : 10 * kMinuteMs;
    node.clock_ahead_ms = static_cast<int64_t>(random_.Below(2 * reach_ms)) - reach_ms;
    if (anew && random_.OneIn(20)) node.clock_ahead_ms += random_.OneIn(2) ? kYearMs : -kYearMs;
    node.drift_per_million = static_cast<int64_t>(random_.Below(1000)) - 500;
    node.clock_set_ns = now_ns_;
  }
  if (node.runtime != nullptr) ShowClock(&node);
}

void Site::ShowClock(Node* node) {
  const auto passed_us = static_cast<int64_t>((now_ns_ - node->clock_set_ns) / 1000);
  const int64_t drift_ms = passed_us / 1000 * node->drift_per_million / 1'000'000;
  node->runtime->manual_loop(CoreId{0}).SetWallMs(wall_ms() + node->clock_ahead_ms + drift_ms);
}

std::string Site::MoveClock() {
  const std::size_t index = random_.Below(nodes_.size());
  SetClock(index, false);
  return "node " + std::to_string(index + 1) + "'s clock is now " +
         std::to_string(nodes_[index].clock_ahead_ms) + " ms ahead";
}

int64_t Site::HighestWallMs() const {
  int64_t highest_ms = INT64_MIN;
  for (const Node& node : nodes_) {
    if (node.runtime == nullptr) continue;
    highest_ms = std::max(highest_ms, node.runtime->manual_loop(CoreId{0}).wall_ms());
  }
  return highest_ms;
}

// Where a node isn't up, a process may begin that knows of no more than what is stamped.
std::vector<Site::GroupTime> Site::ReadTimes() const {
  std::vector<GroupTime> times(profile_.groups, {INT64_MAX, INT64_MIN, INT64_MIN, true});
  bool all = true;
  for (const Node& node : nodes_) {
    all = all && (node.engine != nullptr || !node.born);
    if (node.engine == nullptr) continue;
    auto& engine = static_cast<Engine&>(*node.engine);
    for (uint16_t core = 0; core < node.runtime->core_count(); ++core) {
      for (const group::Replica* replica : engine.shard(CoreId{core}).Replicas()) {
        GroupTime& time = times[Raw(replica->group())];
        const int64_t now_ms = std::max(replica->clock_ms(), replica->machine().now_ms());
        time.low_ms = std::min(time.low_ms, now_ms);
        time.high_ms = std::max(time.high_ms, now_ms);
        time.stamped_ms = std::max(time.stamped_ms, replica->machine().now_ms());
        time.known = time.known && replica->knows_time();
      }
    }
  }
  for (GroupTime& time : times) {
    if (time.high_ms == INT64_MIN) time = {0, 0, 0, false};
    time.low_ms = all ? std::max(time.low_ms, time.stamped_ms) : time.stamped_ms;
    time.known = time.known && all;
  }
  return times;
}

void Site::SampleTimes() {
  const std::vector<GroupTime> times = ReadTimes();
  highest_ms_.resize(times.size(), INT64_MIN);
  for (std::size_t i = 0; i < times.size(); ++i) {
    highest_ms_[i] = std::max(highest_ms_[i], times[i].high_ms);
  }
  for (Node& node : nodes_) SampleStamps(&node);
  highest_wall_ms_ = std::max(highest_wall_ms_, HighestWallMs());
}

// A process counts from the last stamp that it has applied itself.
void Site::SampleStamps(Node* node) const {
  if (node->engine == nullptr) return;
  node->stamps.resize(profile_.groups);
  auto& engine = static_cast<Engine&>(*node->engine);
  for (uint16_t core = 0; core < node->runtime->core_count(); ++core) {
    for (const group::Replica* replica : engine.shard(CoreId{core}).Replicas()) {
      Stamp& stamp = node->stamps[Raw(replica->group())];
      const int64_t stamped_ms = replica->machine().now_ms();
      if (stamped_ms > stamp.ms) stamp = {stamped_ms, now_ns_};
    }
  }
}

int64_t Site::LongestIdleMs(std::size_t group) const {
  int64_t longest_ms = 0;
  for (const Node& node : nodes_) {
    if (node.engine == nullptr || node.stamps.empty()) continue;
    longest_ms =
        std::max(longest_ms, static_cast<int64_t>((now_ns_ - node.stamps[group].ns) / kMs));
  }
  return longest_ms;
}

void Site::WatchTime() {
  if (!profile_.clocks) return;
  highest_ms_.clear();
  SampleTimes();
}

Intervals Site::Times() const {
  if (!profile_.clocks) return Intervals(profile_.groups, {wall_ms(), wall_ms()});
  Intervals times;
  const std::vector<GroupTime> now = ReadTimes();
  for (std::size_t i = 0; i < now.size(); ++i) {
    const int64_t until_ms = i < highest_ms_.size() ? highest_ms_[i] : INT64_MIN;
    times.push_back({now[i].low_ms, std::max(until_ms, now[i].high_ms)});
  }
  return times;
}

// No stamp is below an earlier one. From one look to the next no clock of those who lead or may
// lead goes further than at twice the speed. Two things come on top: who follows counts what has
// passed since the last stamp that it has applied (others may have heard of later ones) at half the
// speed or the whole one, by where its wall clock is when it counts; and a process that has heard
// of no stamp yet takes its wall clock for the time.
std::string Site::CheckTime() {
  if (!profile_.clocks) return {};
  SampleTimes();
  const std::vector<GroupTime> now = ReadTimes();
  std::string wrong;
  const auto passed_ms = static_cast<int64_t>((now_ns_ - checked_ns_) / kMs);
  for (std::size_t i = 0; i < checked_.size() && i < now.size(); ++i) {
    const GroupTime& before = checked_[i];
    int64_t latest_ms = before.high_ms + checked_idle_ms_[i] / 2 + 2 * passed_ms + kErrorMs;
    if (!before.known || checked_openings_ != openings_) {
      latest_ms = std::max(latest_ms, highest_wall_ms_ + 2 * passed_ms + kErrorMs);
    }
    const bool falls = now[i].stamped_ms < before.stamped_ms;
    if (!falls && now[i].high_ms <= latest_ms) continue;
    wrong = "the time of group " + std::to_string(i) + " was " + std::to_string(before.high_ms) +
            ", stamped " + std::to_string(before.stamped_ms) + ", and is " +
            std::to_string(now[i].low_ms) + " to " + std::to_string(now[i].high_ms) + " after " +
            std::to_string(passed_ms) + " ms";
  }
  checked_ = now;
  checked_idle_ms_.clear();
  for (std::size_t i = 0; i < now.size(); ++i) checked_idle_ms_.push_back(LongestIdleMs(i));
  checked_ns_ = now_ns_;
  checked_openings_ = openings_;
  highest_wall_ms_ = HighestWallMs();
  return wrong;
}

}  // namespace ursula::engine::sim
