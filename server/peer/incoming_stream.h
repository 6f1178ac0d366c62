// server/peer/incoming_stream.h
//
// A stream that a peer dialled: its handshake, then the frames of one of its cores, which go to one
// of ours.
//
// Invariant: at most kPostsMax posts and about kPostedBytesMax bytes of it wait on the core; until
// there is room nothing is read, and HTTP/2's flow control holds the sender.

#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/peer/frame_records.h"
#include "server/peer/handshake_format.h"
#include "server/peer/roster.h"
#include "server/peer/rpc.h"

namespace ursula::peer {

// Where streams come in: gives each its turn.
class Reception {
 public:
  virtual ~Reception() = default;
  // A call has come: the next one is to be awaited. False: none is accepted now, too many are in
  // their handshake.
  virtual bool OnCalled(grpc::ServerCompletionQueue* queue) = 0;
  virtual void OnHandshakeEnded() = 0;  // As often as OnCalled was true.
  virtual void OnEstablished(std::string_view connection) = 0;
};

class PeerStream final : public IncomingStream, public std::enable_shared_from_this<PeerStream> {
 public:
  // All are borrowed and outlive its operations, which OpenCalls counts.
  struct Services {
    Roster* roster = nullptr;
    Cores* cores = nullptr;
    OpenCalls* open = nullptr;
    Reception* reception = nullptr;
  };

  explicit PeerStream(const Services& services);

  // Waits for a call.
  void Await(grpc::AsyncGenericService* service, grpc::ServerCompletionQueue* queue);
  void Close() override;

 private:
  static constexpr uint32_t kPostsMax = 4;
  static constexpr uint64_t kPostedBytesMax = 4 << 20;

  enum class State : uint8_t { kAwaited, kHello, kProof, kOpen, kClosed };

  void OnCalled(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);
  void OnDelivered(uint64_t bytes);
  bool Admit();
  // With the lock.
  void OnHello();
  void OnProof();
  void OnMessage();
  void Refuse(const std::string& sentence);
  void Read();
  void Write(std::string_view message);
  void GoOnWriting();
  void CloseLocked();
  void EndHandshake();
  std::shared_ptr<PeerStream> Done();

  const Services services_;
  std::mutex mutex_;
  State state_ = State::kAwaited;
  struct Call {
    grpc::GenericServerContext context;
    grpc::GenericServerAsyncReaderWriter stream{&context};
  };
  std::unique_ptr<Call> call_ = std::make_unique<Call>();
  grpc::ServerCompletionQueue* queue_ = nullptr;
  Tag called_, read_, written_, finished_;
  uint32_t pending_ = 0;              // Operations.
  std::shared_ptr<PeerStream> self_;  // While there are some, or one may begin.
  bool in_handshake_ = false;         // As the reception counts it.
  bool reading_ = false;
  bool writing_ = false;
  std::string next_write_;     // Waits for the one under way.
  bool wants_finish_ = false;  // After it.
  grpc::ByteBuffer incoming_;
  std::string refusal_;

  Hello ours_, theirs_;
  std::string ours_bytes_, theirs_bytes_;
  CoreId core_ = {};  // Ours.
  PeerCounters* counters_ = nullptr;
  std::optional<FrameReader> reader_;
  uint32_t posts_ = 0;
  uint64_t posted_bytes_ = 0;
};

}  // namespace ursula::peer
