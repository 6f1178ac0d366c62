// tests/support/fake_engine.h
//
// FakeEngine is a StreamEngine of a few hundred lines for tests of what stands in front of it: byte
// streams in memory, closing, preconditions, waiting reads. No producers, forks, JSON or lifetimes.
// Everything runs on one loop, which must be the caller's.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "ursula/engine.h"

namespace ursula::testing {

class FakeEngine final : public StreamEngine {
 public:
  explicit FakeEngine(io::Loop* loop) : loop_(loop) {}
  ~FakeEngine() override = default;

  void CreateBucket(std::string bucket, Done<BucketReply> done) override;
  void GetBucket(std::string bucket, Done<BucketReply> done) override;
  void DeleteBucket(std::string bucket, Done<BucketReply> done) override;
  void List(ListRequest request, Done<ListReply> done) override;
  void Create(CreateRequest request, Done<CreateReply> done) override;
  void Head(HeadRequest request, Done<HeadReply> done) override;
  void Delete(DeleteRequest request, Done<DeleteReply> done) override;
  void Append(AppendRequest request, Done<AppendReply> done) override;
  void AppendBatch(std::vector<AppendRequest> items, Done<AppendBatchReply> done) override;
  Ticket Read(ReadRequest request, Done<ReadReply> done) override;
  Ticket Follow(FollowRequest request, Follower* follower) override;
  void Grant(Ticket ticket, uint64_t bytes) override;
  void Cancel(Ticket ticket) override;
  void StepClock(Done<ClockReply> done) override;
  void TransferLeader(GroupId group, NodeId to, Done<TransferReply> done) override;
  void ChangeMember(MemberChange change, Done<MemberReply> done) override;
  void InspectRecovery(Done<RecoveryStatus> done) override;
  void RecoverCluster(RecoveryPlan plan, Done<RecoveryReply> done) override;
  Status Ready() const override { return ready; }
  Status ReadyFor(const StreamId&) const override { return ready_for; }
  EngineStats Stats() const override { return stats; }
  ClusterStatus Cluster() const override { return cluster; }
  CoreId HomeCoreOf(const StreamId&) const override { return core; }
  void Stop(Done<Stopped> done) override;

  // Appends and Heads wait until Release, to see what others do meanwhile.
  void Hold() { holding_ = true; }
  void Release();
  std::size_t held() const { return held_.size(); }
  std::size_t waiting() const { return waiters_.size(); }

  Status ready = {};
  EngineStats stats = {};
  Status ready_for = {};  // Of every stream.
  ClusterStatus cluster = {};
  CoreId core = {};  // Of every stream.
  Result<MemberReply> member_reply = MemberReply{};
  MemberChange member_change = {};  // The last one.
  Result<RecoveryStatus> recovery_status = RecoveryStatus{};
  Result<RecoveryReply> recovery_reply = RecoveryReply{};
  RecoveryPlan recovery_plan = {};  // The last one.
  uint64_t cancelled = 0;
  uint64_t reads = 0;
  uint64_t kept = 0;     // Of them those whose page the caller had.
  uint64_t batches = 0;  // Calls of AppendBatch.
  uint64_t appends = 0;  // Alone or in one.
  // The append of that number (from 1) ends with this and isn't applied.
  std::map<uint64_t, Status> append_ends = {};
  // What local reads and heads come to, as on a replica that is cut off: how old they are, of what
  // was there before StandStill. Others are of now, and so are those of a bound of 0.
  void StandStill() { old_ = streams_; }
  uint64_t staleness_ms = 0;

 private:
  struct Stream {
    StreamInfo info;
    std::string data;
    std::vector<uint64_t> ends = {0};  // Of the appends, and the start.
  };
  struct Waiter {
    FakeEngine* engine = nullptr;
    Ticket ticket = 0;
    ReadRequest request;
    Done<ReadReply> done;
    io::Timer timer;
    void OnTimer() { engine->Finish(ticket); }
  };

  template <class Reply>
  void Later(Done<Reply> done, Result<Reply> reply);
  Stream* Find(const StreamId& id);
  template <class Request>
  static bool IsOfOld(const Request& request) {
    return request.consistency == Consistency::kLocal && request.staleness_ms_max > 0;
  }
  template <class Request>
  Stream* FindFor(const Request& request);
  bool HasBucket(const std::string& bucket) const;
  static bool IsWanted(const ReadRequest& request, const Stream& stream);
  ReadReply ReplyOf(const ReadRequest& request, const Stream& stream) const;
  void DoHead(const HeadRequest& request, Done<HeadReply> done);
  void DoAppend(AppendRequest request, Done<AppendReply> done);
  void Wake(const StreamId& id);
  void Finish(Ticket ticket);

  io::Loop* const loop_;
  std::map<std::string, bool> buckets_;
  std::map<StreamId, Stream> streams_;
  std::map<StreamId, Stream> old_;
  std::map<Ticket, std::unique_ptr<Waiter>> waiters_;
  uint64_t incarnation_ = 0;
  Ticket last_ticket_ = 0;
  bool holding_ = false;
  std::vector<Function<void()>> held_;
};

}  // namespace ursula::testing
