// tests/support/peer_nodes.h
//
// Nodes with real peer transports on loopback, in one process: a thread for each core, and sinks
// that write down what they are told.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/peer/grpc_transport.h"
#include "ursula/env.h"

namespace ursula::testing {

// A port of loopback that nobody has, below those that the kernel gives away.
uint16_t FreePort();
std::string Loopback(uint16_t port);

// A thread with a queue.
class CoreThread {
 public:
  CoreThread();
  ~CoreThread();
  void Post(Function<void()> work);
  void Run(Function<void()> work);  // And waits for its end.
  bool IsCurrent() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

struct PeerEvent {
  enum class Kind : uint8_t { kFrame, kRoom, kLost } kind = Kind::kFrame;
  uint16_t core = 0;
  NodeId peer = {};
  Channel channel = Channel::kControl;
  std::string frame = {};
  bool ended = false;
};

class PeerNode {
 public:
  using Change = std::function<void(peer::PeerTransportOptions*)>;

  PeerNode(uint64_t id, uint16_t core_count, uint16_t port, std::map<uint64_t, uint16_t> peers,
           const Change& change = {});
  ~PeerNode();

  peer::PeerTransport& transport() { return *transport_; }
  uint16_t core_count() const { return static_cast<uint16_t>(cores_.size()); }
  CoreThread& core(uint16_t core) { return *cores_[core]; }

  // From the core's thread.
  SendOutcome Send(uint16_t core, uint64_t to, Channel channel, std::vector<Bytes> frame);
  SendOutcome Send(uint16_t core, uint64_t to, Channel channel, const std::string& frame) {
    return Send(core, to, channel, std::vector<Bytes>{Bytes::Copy(frame)});
  }
  // Until it is taken: first waits for a connection, and for room after that.
  void SendSurely(uint16_t core, uint64_t to, Channel channel, const std::string& frame);

  // Blocks until the events so far, or the log, are as wanted.
  void Await(const std::function<bool(const std::vector<PeerEvent>&)>& wanted);
  void AwaitFrames(std::size_t count);
  void AwaitLost(uint64_t peer, bool ended);
  void AwaitLog(const std::string& part, std::size_t times = 1);
  // Its dialling fails for that reason.
  void AwaitRefused(uint64_t peer, const std::string& part);
  void AwaitConnected(uint64_t peer, std::size_t times = 1);

  std::size_t event_count();
  std::vector<PeerEvent> events();
  std::vector<std::string> frames(uint16_t core, Channel channel);
  std::size_t CountLog(const std::string& part);
  peer::PeerStatus status(uint64_t peer);
  void Clear();  // Of events.
  // Called on the core's thread for each event, after it is written down.
  void set_hook(std::function<void(const PeerEvent&)> hook) { hook_ = std::move(hook); }
  void Stop();
  void Detach(uint16_t core);

 private:
  class Sink;
  void OnEvent(PeerEvent event);

  std::vector<std::unique_ptr<CoreThread>> cores_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::unique_ptr<peer::PeerTransport> transport_;
  std::function<void(const PeerEvent&)> hook_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PeerEvent> events_;
  std::size_t frame_count_ = 0;  // Among them.
  std::vector<std::string> log_;
  bool stopped_ = false;
};

}  // namespace ursula::testing
