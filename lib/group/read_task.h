// lib/group/read_task.h
//
// One read of one stream: gathers its bytes from the hot ring and the payload store across fork
// ancestors, cuts them at message ends, and at the tail waits for more.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "lib/stream/machine.h"
#include "ursula/engine.h"
#include "ursula/function.h"

namespace ursula::group {

class Replica;

// How old what a replica answers of may be. 0: nothing is fresh enough without asking.
struct Staleness {
  static constexpr Staleness OfMs(uint64_t ms) { return {ms * 1'000'000}; }
  uint64_t ns = 0;
};

// FreshNs of what is complete by its nature: behind a barrier, or where nobody else acknowledges.
inline constexpr uint64_t kFreshNow = UINT64_MAX;

struct GroupReadReply {
  ReadReply reply = {};
  uint64_t fresh_ns = kFreshNow;                    // Replica::FreshNs when a local reply was made.
  bool waited = false;                              // At the tail.
  std::optional<stream::Placement> placement = {};  // Set: the stream's state is in that group.
};
using GroupReadDone = Function<void(Result<GroupReadReply>)>;

struct ResolvedFork {
  Outcome outcome = Outcome::kOk;  // kOk, kForkSourceNotFound or kForkOffsetInvalid.
  Offset offset = {};
  bool at_tail = false;
};

// Bytes of one stream in memory or on their way there: `from` onward, in order.
struct Gathered {
  std::vector<Bytes> parts = {};
  uint64_t bytes = 0;
  std::vector<uint64_t> append_ends =
      {};  // Of the appends in parts, ascending; the last may be cut
};         // to the range's end, or lie past the parts.

// Lives in its replica until its `done` ran. Invariant: at most one payload read is under way.
class ReadTask : public ListHook<ReadTask> {
 public:
  virtual ~ReadTask() = default;
  virtual void Start() = 0;         // Behind the barrier.
  virtual void Wake() {}            // The stream changed; only while it waits.
  virtual void Cancel(Status) = 0;  // Ends soon with this.
  // Where it waits it is to hear of what is acknowledged anywhere.
  virtual bool IsTail() const { return false; }
  uint64_t id() const { return id_; }

 protected:
  ReadTask(Replica* replica, uint64_t id) : replica_(*replica), id_(id) {}

  // Brings gathered_ from `from_` to at least `bytes_min` bytes (or the range's end `to`), about
  // `bytes_min` in all; then calls OnGathered.
  void Gather(stream::Incarnation incarnation, uint64_t from, uint64_t to, uint64_t bytes_min);
  virtual void OnGathered(Status status) = 0;
  // What this replica lacks is waited for, for a while; false: kDataLoss, unless the disk, asked
  // once more, has it after all.
  virtual bool AwaitsPayload() const { return true; }

  Replica& replica_;
  Gathered gathered_;
  bool gathering_ = false;  // A payload read is under way.

 private:
  void Continue();
  void AddEnds(const std::vector<uint64_t>& ends, uint64_t owned_to);
  void AddOwnersEnd(uint64_t owned_to);
  bool TakeHot(const stream::ReadRange& range, uint64_t bytes_max);
  void ReadStored(const stream::ReadRange& range, uint64_t bytes_max);
  void AwaitFetched(stream::Incarnation owner, uint64_t offset);

  const uint64_t id_;
  stream::Incarnation incarnation_ = stream::kNoIncarnation;
  uint64_t from_ = 0;
  uint64_t to_ = 0;
  uint64_t bytes_min_ = 0;
  uint64_t awaits_until_ns_ = 0;  // Since it met what this replica lacks.
};

class StreamRead final : public ReadTask {
 public:
  StreamRead(Replica* replica, uint64_t id, ReadRequest request, GroupReadDone done);

  void Start() override;
  void Wake() override;
  void Cancel(Status status) override;
  bool IsTail() const override;

 private:
  void Look(const stream::LookupResult& found);
  bool IsKept() const;  // The page to read is one that the caller has.
  void GatherPage(uint64_t bytes);
  void OnGathered(Status status) override;
  bool BeginsInside() const;  // An append or a message, as the byte before it tells.
  void SeekBack(uint64_t stream_start);
  void OnSought(uint64_t stream_start);
  std::optional<uint64_t> LastStartSought() const;
  bool CutAtMessageEnd();  // False: no message ends in what is gathered.
  void CutAtAppendEnd();
  bool EndsInside(uint64_t next) const;
  void KeepThrough(std::size_t part, std::size_t bytes);
  void KeepBytes(uint64_t bytes);
  void Wait();
  void OnTimeout();
  void Reply();
  GroupReadReply NewReply() const;
  void FillEnds(ReadReply* reply) const;
  void FinishWith(Outcome outcome);
  void Finish(Result<GroupReadReply> result);

  ReadRequest request_;
  GroupReadDone done_;
  stream::Incarnation incarnation_ = stream::kNoIncarnation;
  bool json_ = false;
  bool waiting_ = false;
  bool waited_ = false;  // For incarnation_, and so kept it from expiring.
  bool before_ = false;  // The byte before `start_` is gathered too, to be checked.
  bool seeking_ = false;
  bool kept_ = false;
  uint64_t sought_from_ = 0;  // Of the piece that is looked through,
  uint64_t sought_to_ = 0;    // and where it ends: nothing begins from there to `start_`.
  uint64_t start_ = 0;
  uint64_t tail_ = 0;  // When the page was planned.
  uint64_t page_bytes_ = 0;
  io::Timer timer_;
  std::optional<Status> cancelled_;
};

// Finds the absolute offset of a fork point that lies inside the data.
class ForkPointRead final : public ReadTask {
 public:
  ForkPointRead(Replica* replica, uint64_t id, stream::Incarnation source, ForkPoint point,
                Function<void(Result<ResolvedFork>)> done);

  void Start() override;
  void Cancel(Status status) override;

 private:
  void OnGathered(Status status) override;
  void ResolveSub();
  void Finish(Result<ResolvedFork> result);

  const stream::Incarnation source_;
  const ForkPoint point_;
  Function<void(Result<ResolvedFork>)> done_;
  bool json_ = false;
  bool before_ = false;
  uint64_t tail_ = 0;
  std::optional<Status> cancelled_;
};

}  // namespace ursula::group
