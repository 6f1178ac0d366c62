// lib/engine/follow_task.h
//
// One Follow: a chain of waiting Reads. Without credit a Read asks for no data, only to be told
// when the stream is gone, so that a slow consumer costs at most its `unread_bytes_max` and one
// read.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "lib/engine/outside.h"
#include "lib/io/loop.h"
#include "ursula/engine.h"

namespace ursula::engine {

// Lives on `loop`: every method runs there. Keeps itself alive until OnEnd has returned.
// Invariant: at most one of {a Read under way, a delivery under way} at any time, so that the
// follower's calls never overlap and come in order.
class FollowTask : public std::enable_shared_from_this<FollowTask> {
 public:
  // `outside` is where the follower's calls run; null: on `loop`. `ended` runs on `loop` after
  // OnEnd has returned.
  FollowTask(StreamEngine* engine, io::Loop* loop, Outside* outside, FollowRequest request,
             Follower* follower, Function<void()> ended);

  void Start(Status valid);  // Ends with `valid` if that isn't ok.
  void Grant(uint64_t bytes);
  void Cancel();

 private:
  enum class State : uint8_t { kIdle, kReading, kDelivering, kPaused, kEnded };

  bool HasCredit() const { return unread_bytes_ < request_.unread_bytes_max; }
  void ReadNext();
  void Wake();  // Ends the read under way, if any, and then goes on.
  void OnRead(Result<ReadReply> result);
  void Deliver(ReadReply reply);
  void OnDelivered(bool last);
  void End(Status status, Outcome outcome);
  // Runs `call` where the follower's calls run, then `after` on the loop.
  void Run(Function<void()> call, Function<void()> after);

  StreamEngine& engine_;
  io::Loop& loop_;
  Outside* const outside_;
  FollowRequest request_;
  Follower* const follower_;
  Function<void()> ended_;
  State state_ = State::kIdle;
  bool cancelled_ = false;
  uint64_t unread_bytes_ = 0;
  std::optional<uint64_t> incarnation_;  // Of the first reply: a stream made anew is another.
  Ticket read_ticket_ = 0;
};

}  // namespace ursula::engine
