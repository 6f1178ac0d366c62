// server/peer/outgoing_stream.h
//
// A stream that this node dialled: its handshake, then the frames of one core to one peer on one
// channel.
//
// Invariant: at most one write is under way; what was taken and hasn't been written is at most
// `window_bytes_max` and one frame. After OnStreamBroken nothing is taken.

#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/peer/frame_records.h"
#include "server/peer/handshake_format.h"
#include "server/peer/roster.h"
#include "server/peer/rpc.h"

namespace ursula::peer {

class OutgoingStream final : public std::enable_shared_from_this<OutgoingStream> {
 public:
  // Whose streams make up a session. Called on a poller's thread, without locks.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnStreamUp(const Answer& answer) = 0;
    // Once, unless it was never started. `refusal`: in the peer's words or ours.
    virtual void OnStreamBroken(const std::string& refusal) = 0;
  };
  // All are borrowed and outlive its operations, which OpenCalls counts.
  struct Services {
    Roster* roster = nullptr;
    Cores* cores = nullptr;
    OpenCalls* open = nullptr;
  };

  OutgoingStream(const Services& services, const Hello& hello, std::shared_ptr<Owner> owner);

  void Start(const std::shared_ptr<grpc::Channel>& channel, grpc::CompletionQueue* queue);
  // Once it is up. On the core's thread.
  SendOutcome Send(std::vector<Bytes> frame);
  // It breaks soon, if it hasn't.
  void Cancel();

 private:
  enum class State : uint8_t { kStarting, kHello, kProof, kUp, kBroken };
  using Clock = std::chrono::steady_clock;

  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);
  // With the lock.
  void OnReply();
  void Refuse(const std::string& sentence);
  void Read();
  std::vector<Bytes> NextMessage();
  void GiveBack(uint64_t cost);
  std::shared_ptr<OutgoingStream> Done();
  // Without it, so that nobody waits for the socket; where BeginWrite was true before.
  bool BeginWrite();
  void Write(const std::vector<Bytes>& parts);

  const Services services_;
  const Hello hello_;
  const Bytes hello_bytes_;
  const std::shared_ptr<Owner> owner_;
  PeerCounters& counters_;

  std::mutex mutex_;
  State state_ = State::kStarting;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  Tag started_, read_, written_, finished_;
  uint32_t pending_ = 0;  // Operations.
  bool finish_done_ = false;
  std::shared_ptr<OutgoingStream> self_;  // While there are operations, or one may begin.
  grpc::ByteBuffer incoming_;
  grpc::Status status_;
  std::string refusal_;
  Clock::time_point said_hello_;
  Answer answer_;
  Bytes proof_;  // To be written, not empty.

  FrameQueue queue_;
  bool writing_ = false;
  uint64_t writing_cost_ = 0;
  uint64_t window_bytes_ = 0;  // Taken, not yet written.
  bool full_ = false;          // The sender was told so.
};

}  // namespace ursula::peer
