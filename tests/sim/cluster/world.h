// tests/sim/cluster/world.h
//
// One seed: nodes, clients and trouble, in one thread.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/random.h"
#include "tests/sim/cluster/history.h"
#include "tests/sim/cluster/profile.h"
#include "tests/sim/seeds/simulation.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group::sim {

class World {
 public:
  World(uint64_t seed, bool verbose);
  ursula::sim::SeedResult Run();

 private:
  struct Stream {
    uint32_t group = 0;
    std::string name;
    History history = {};
    // One who asks again under the same number until it knows.
    uint64_t sequence = 0;
    std::string asked = {};
    bool asking = false;
    std::map<uint64_t, uint64_t> told_at = {};  // By the time: History::told().
  };
  // What is to be undone, and when.
  struct Repair {
    uint64_t at_ns = 0;
    std::function<void()> run;
  };
  // A call under way; true: it has ended.
  using Call = std::function<bool()>;

  // world.cc
  bool CreateStreams();
  void Operate();
  void Append(Stream* stream, uint64_t node);
  void AppendOnce(Stream* stream, uint64_t node);
  void Read(Stream* stream, uint64_t node);
  void ReadOf(Stream* stream, uint64_t node, std::optional<uint64_t> staleness_ms);
  uint64_t ToldBy(const Stream& stream, uint64_t ns) const;
  void UseShortLived(uint64_t node);
  uint64_t PickNode(uint32_t group);
  void Poll();
  void Observe();
  void Finish();
  bool AllAlike();
  std::string Describe();
  void CheckPayload(uint64_t node, const Stream& stream);
  void Violate(const std::string& what);
  void Note(uint64_t what, uint64_t value);
  void Say(const std::string& what);
  bool Run(uint64_t ns);  // False: a violation.
  void Succeeded(const Stream& stream) { succeeded_.insert(stream.group); }

  // members.cc
  void ChangeMembers();
  std::optional<raft::ConfChange> PickChange(uint32_t group, const raft::ConfState& conf);
  bool IsWhole(uint64_t node, uint32_t group);

  // trouble.cc
  void Trouble();
  void CloseNode(uint64_t node, int how);
  void Open(uint64_t node);
  void LosePayload(uint64_t node);
  void JumpClock(uint64_t node);
  void FillDisk(uint64_t node);
  void Later(uint64_t ns_max, std::function<void()> run);
  void RepairDue(bool all);
  uint64_t AnyNode() { return 1 + random_.Below(profile_.nodes); }
  void PauseNode(uint64_t node, uint64_t ns);
  void CountSecond();
  bool IsSmall() const;
  bool AllWhole();
  bool AnyAlone();  // A group that has one member.

  const uint64_t seed_;
  const bool verbose_;
  Random random_;
  Profile profile_;
  ClusterWorld cluster_;
  std::deque<Stream> streams_;
  std::deque<Call> calls_;
  std::vector<Repair> repairs_;
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> hashes_;    // By group and index.
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> leaders_;   // By group and term.
  std::map<std::pair<uint64_t, uint32_t>, uint64_t> observed_;  // By node and group: the index.
  // By group: who has ever been a member. A replica's number is never given out again.
  std::map<uint32_t, std::set<uint64_t>> ever_;
  uint64_t changes_ = 0;  // Of members, that have ended well.
  uint64_t troubled_until_ns_ = 0;
  uint64_t second_ns_ = 0;        // When the second began that is looked at; 0: none is.
  std::set<uint32_t> succeeded_;  // Groups, in it.
  uint64_t calm_seconds_ = 0;     // Without any trouble, nor in the three before it.
  uint64_t served_seconds_ = 0;   // Of them: in which each group answered.
  uint64_t trace_ = 0;
  uint64_t operations_ = 0;
  uint64_t troubles_ = 0;
  uint64_t crashes_ = 0;
  uint64_t unknown_ = 0;
  uint64_t refused_ = 0;
  std::string violation_;
};

}  // namespace ursula::group::sim
