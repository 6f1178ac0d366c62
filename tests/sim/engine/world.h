// tests/sim/engine/world.h
//
// An engine and its callers from one seed: batches of operations that are under way together, then
// what can be seen of every stream, compared with the model; between them evictions, time, stops
// and crashes.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "tests/sim/engine/local_reads.h"
#include "tests/sim/engine/model.h"
#include "tests/sim/engine/operation.h"
#include "tests/sim/engine/profile.h"
#include "tests/sim/engine/site.h"
#include "tests/sim/engine/workload.h"

namespace ursula::engine::sim {

struct Counts {
  uint64_t operations = 0;
  uint64_t together = 0;  // Of those, begun before another had ended.
  uint64_t batched = 0;   // Of those, appends in batches.
  uint64_t lost = 0;      // Unanswered, because of a crash.
  uint64_t looks = 0;     // Heads, reads and listings that compare.
  uint64_t restarts = 0;
  uint64_t troubles = 0;  // Of a cluster's nodes.
  uint64_t losses = 0;    // Of those, of directories.
  uint64_t put_back = 0;  // Of older ones.
  uint64_t grown = 0;     // Clusters, from one node to three.
  uint64_t disks = 0;     // That failed, or were full.
  uint64_t evictions = 0;
  uint64_t local = 0;   // Answers of local reads that were compared.
  uint64_t models = 0;  // The most that could be the truth at once.
};

class World {
 public:
  // `nodes`: 1 or 3.
  World(uint64_t seed, uint32_t nodes, bool verbose);

  bool Run();  // False: there is a violation().

  const std::string& violation() const { return violation_; }
  uint64_t trace_hash() const { return trace_; }
  const Counts& counts() const { return counts_; }

 private:
  enum class Ending : uint8_t { kNone, kStop, kPower, kProcess, kTrouble };

  void RunBatch();
  void Plan(Ending ending, std::vector<Operation>* operations, std::vector<uint64_t>* starts);
  void PlanLocalReads(std::vector<Operation>* operations, std::vector<uint64_t>* starts);
  // Begins each at its time; ends when all are answered, or the engine has stopped or crashed.
  bool Carry(std::vector<Operation>* operations, const std::vector<uint64_t>& starts,
             Ending ending);
  bool BeginNext(std::vector<Operation>* operations, const std::vector<uint64_t>& starts,
                 uint64_t begin_ns, std::size_t* begun);
  void CountLost(std::vector<Operation>* operations, std::size_t begun);
  void Begin(Operation* operation, std::size_t node = Site::kAnyNode);
  // Of one AppendBatch, all of them.
  void BeginTogether(std::span<Operation> operations);
  template <class Reply>
  Done<Reply> Answered(Operation* operation);
  void Strike();
  void Mend();
  void Reopen(Ending ending);

  // checks.cc
  void Check(std::vector<Operation>* operations, Ending ending);
  std::string CheckStatuses(const std::vector<Operation>& operations, Ending ending) const;
  bool MayBeUnavailable(const std::vector<Operation>& operations, const Operation& operation) const;
  // Renewals by those that have no place in an order.
  void RenewLocally(const std::vector<Operation>& operations);
  void CheckLocalReads(const std::vector<Operation>& operations);
  void LookLocally(const StreamId& id);
  void MarkWiped(const Operation& operation) const;
  void MarkOrders(const std::vector<Operation>& operations, const std::vector<Model>& before);
  void Look(bool everything);
  // From any node, or from one.
  void LookAt(const StreamId& id, std::size_t node = Site::kAnyNode);
  void LookFromEachNode();
  void LookAtBucket(const std::string& bucket);
  // Runs it alone and filters the models by it. The answer stands in the operation.
  bool Observe(Operation* operation, std::size_t node);
  void ForgetTheDoubtful();

  // Of each group, by its leader or whoever may lead next.
  Intervals Now() const;
  void TakeUntil(Operation* operation, int64_t error_ms) const;
  void Violate(const std::string& what);
  bool ok() const { return violation_.empty(); }
  void Trace(uint64_t value);
  void Say(const std::string& what) const;
  std::string Describe(const std::vector<Operation>& operations) const;

  const bool verbose_;
  Random random_;
  const Profile profile_;
  Site site_;
  Workload workload_;

  std::vector<Model> models_;                   // Each may be the truth.
  std::map<StreamId, int64_t> doubtful_names_;  // Reserved by what a crash cut off, until then.
  std::map<std::string, int64_t> doubtful_buckets_;
  std::set<StreamId> wiped_names_;
  std::vector<StreamId> touched_names_;
  LocalReads local_reads_;
  uint64_t batch_ = 0;
  uint64_t next_number_ = 1;
  uint64_t event_ = 0;
  std::size_t open_ = 0;                    // Begun and not answered.
  Site::Story story_ = Site::Story::kNone;  // Of the trouble that is to come.
  bool watched_ = false;  // The trouble that is to come goes on for some time, and is read in.
  bool wiped_ = false;    // The last opening began with nothing.
  Counts counts_;
  std::string violation_;
  uint64_t trace_ = 0;
};

}  // namespace ursula::engine::sim
