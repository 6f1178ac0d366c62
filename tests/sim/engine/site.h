// tests/sim/engine/site.h
//
// One engine, or a cluster of them, on simulated disks and a simulated network, all on one thread:
// opened, stopped, crashed and opened again. Which core's turn is next, and how time passes
// meanwhile, the seed decides.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/random.h"
#include "lib/engine/engine.h"
#include "tests/sim/engine/operation.h"
#include "tests/sim/engine/profile.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_network.h"
#include "ursula/engine.h"
#include "ursula/status.h"

namespace ursula::engine::sim {

class Site {
 public:
  // Borrows both.
  Site(const Profile* profile, Random* random);
  ~Site();

  // All nodes that aren't open; of a cluster, until its groups have leaders.
  Status Open();
  bool up(std::size_t node) const { return nodes_[node].engine != nullptr; }
  // How many of its processes have ended: what was asked of one isn't answered by the next.
  uint64_t ended(std::size_t node) const { return nodes_[node].ended; }
  // Called, too, while a node is being opened and the others go on.
  // How much earlier than now what a node answers may have been made, since then.
  uint64_t LagNs(std::size_t node, uint64_t since_ns) const;
  void SetMeanwhile(Function<void()> meanwhile) { meanwhile_ = std::move(meanwhile); }

  // A turn of some core, or else time, up to `limit_ns`.
  void Step(uint64_t limit_ns);
  // Until `done()`; false once `ns` have passed.
  template <class Condition>
  bool RunUntil(Condition done, uint64_t ns) {
    const uint64_t limit_ns = now_ns() + ns;
    while (!done()) {
      if (now_ns() >= limit_ns) return false;
      Step(limit_ns);
    }
    return true;
  }
  void Advance(uint64_t ns);
  uint64_t now_ns() const { return now_ns_; }
  int64_t wall_ms() const;  // Of a clock that is right.

  // ---- clocks.cc ----
  // What the times of groups are, and have been since WatchTime: whoever decides from now on does
  // so at `from` or later, and whoever has decided since did so by `until`.
  Intervals Times() const;
  void WatchTime();
  std::string MoveClock();  // A step of some node's wall clock, forwards or backwards.
  // Whether groups' times have gone on as they must; empty: they have.
  std::string CheckTime();

  static constexpr std::size_t kAnyNode = SIZE_MAX;
  // Runs `call` at a node that is up, in a turn of a core or at once from outside. Which node.
  std::size_t Call(Function<void(StreamEngine&)> call, std::size_t node = kAnyNode);

  // ---- all nodes ----
  void BeginStop();
  bool stopped() const;
  void Close();  // Once stopped.
  enum class Fall : uint8_t { kPower, kProcess };
  void Crash(Fall fall);
  void Wipe();  // REQUIRES: none is open.

  // ---- of a cluster (troubles.cc, members.cc, disks.cc) ----
  std::size_t size() const { return nodes_.size(); }
  // What is to happen to its members, or to a disk; kNone: nothing, or nothing may now.
  enum class Story : uint8_t { kNone, kLoss, kPutBack, kGrowth, kDisk };
  Story PickStory();
  // Something happens to some of its nodes, or between them, and goes on happening. What it was.
  std::string Trouble(Story story);
  std::string TakeNews() {
    return std::exchange(news_, {});
  }  // What has happened since, a line each.
  bool AwaitsEvents() const { return !events_.empty(); }
  // Everything is well again, every node is a whole member, and whatever was under way has come to
  // its end.
  Status Mend();
  // Until nothing that was asked before is carried out any more: calls have deadlines, and what
  // leaders resolve for others (forks, deletions of buckets) has ended.
  void Settle();

  // Payload is written out and leaves memory; metadata goes into snapshots.
  void Evict();
  void Checkpoint();

 private:
  static constexpr const char* kDataPath = "/data";

  struct Stamp {
    int64_t ms = INT64_MIN;
    uint64_t ns = 0;  // When it was first seen.
  };
  struct Node {
    std::unique_ptr<testing::FaultDisk> disk = {};
    std::unique_ptr<testing::ManualRuntime> runtime = {};  // There while it opens, too.
    std::unique_ptr<StreamEngine> engine = {};
    std::unique_ptr<Opening> opening = {};
    uint16_t lazy_core = 0;  // Has fewer turns than others, in some openings.
    uint64_t lazy_one_in = 1;
    uint64_t paused_from_ns = 0;
    uint64_t paused_until_ns = 0;
    uint64_t ended = 0;
    uint64_t openings = 0;       // Of its disk and those before.
    int64_t clock_ahead_ms = 0;  // Of the right time, when that was
    uint64_t clock_set_ns = 0;   // this; from there it drifts.
    int64_t drift_per_million = 0;
    std::vector<Stamp> stamps = {};  // The last that the process has applied, by group.
    bool born = true;                // There is such a node already.
    bool empty = false;    // Its directory is a new one, which no opening has come to an end with.
    bool stale = false;    // Its directory isn't the cluster's any more.
    bool refused = false;  // And has been told so.
    std::unique_ptr<testing::FaultDisk> kept = {};  // A copy.
    MemberStatus kept_as = {};                      // What it was of.
    bool disk_is_bad = false;
    bool disk_is_full = false;  // Bad in that way.
    bool stopping = false;
    bool stopped = false;
  };
  struct Event {
    enum class Kind : uint8_t { kPower, kProcess, kEmpty, kOpen, kPause, kIsolate, kDeaf, kHeal };
    Kind kind = Kind::kHeal;
    std::size_t node = 0;
    std::size_t other = 0;  // That one doesn't hear.
    uint64_t ns = 0;        // Of a pause.
  };

  bool cluster() const { return nodes_.size() > 1; }
  NodeId IdOf(std::size_t node) const { return NodeId{node + 1}; }
  testing::NetworkFaults Network() const;  // Where nothing befalls it.
  bool opens(std::size_t node) const { return nodes_[node].runtime != nullptr && !up(node); }
  std::unique_ptr<testing::FaultDisk> NewDisk();
  // One that is to be taken in by the others gives up after `patience_ns`: kCancelled.
  Status OpenNode(std::size_t node, uint64_t patience_ns);
  void CrashNode(std::size_t node, Fall fall);
  void StopNode(std::size_t node);
  void CloseNode(std::size_t node);
  bool HasLeaders() const;
  bool RunSomeTurn();
  bool StepOfOpening(std::size_t node, uint64_t begun_ns, uint64_t patience_ns);

  // troubles.cc
  bool grown() const { return nodes_.back().born; }
  std::string Trouble();
  std::string Grow();
  void Pause(Node* node, uint64_t ns);
  void MarkFall(std::size_t node) const;
  void Plan(uint64_t in_ns, Event event);
  void PlanMore(std::size_t lost, uint64_t within_ns);
  bool MayHappen(const Event& event);
  void Tell(const Event& event);
  void Happen(const Event& event);
  void LetHappen();
  uint64_t NextEventNs() const;

  // disks.cc
  std::string FailDisk(std::size_t node);
  void HealDisk(Node* node) const;
  std::string DiskTrouble();
  Status MendDisks();

  // clocks.cc
  struct GroupTime {
    int64_t low_ms = 0;      // Of those who may lead.
    int64_t high_ms = 0;     //
    int64_t stamped_ms = 0;  // Highest that was applied.
    bool known = true;       // All of them have heard of stamps since their process began.
  };
  std::vector<GroupTime> ReadTimes() const;
  void SampleTimes();
  void SampleStamps(Node* node) const;
  int64_t LongestIdleMs(std::size_t group) const;
  void SetClock(std::size_t node, bool anew);
  void ShowClock(Node* node);
  int64_t HighestWallMs() const;

  // members.cc
  void Empty(std::size_t node);
  void Keep(std::size_t node);
  void PutBack(std::size_t node);
  void MarkPutBack(const Node& node) const;
  bool IsOld(const Node& node, const std::vector<MemberStatus>& members) const;  // What it keeps.
  std::vector<MemberStatus> Members() const;  // As group 0's leader says; none: there is none.
  bool AreMembers() const;
  std::string DescribeMembers() const;
  Status MendMembers();
  Status MendStale(std::size_t node);
  template <class Each>
  void OnReplicas(Each each);

  const Profile& profile_;
  Random& random_;
  testing::TestNetwork network_;
  std::vector<Node> nodes_;
  uint64_t now_ns_ = 1'000'000'000;
  std::multimap<uint64_t, Event> events_;  // To come, of a trouble.
  Function<void()> meanwhile_;
  Moments highest_ms_;  // Of each group's time, since WatchTime.
  // At the last CheckTime, and since.
  std::vector<GroupTime> checked_;
  Moments checked_idle_ms_;  // The longest since a last stamp, of each group.
  uint64_t checked_ns_ = 0;
  uint64_t checked_openings_ = 0;
  uint64_t openings_ = 0;
  int64_t highest_wall_ms_ = INT64_MIN;
  Status unexpected_;  // Of an opening, or of what never ends.
  uint32_t turns_at_once_ = 0;
  std::size_t story_node_ = 0;
  std::string news_;
  bool founded_ = false;
};

}  // namespace ursula::engine::sim
