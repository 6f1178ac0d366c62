// server/peer/peer_link.h
//
// The connections that this node dialled to one peer, one for each channel, with a stream for each
// core of ours: they come up together and go together (a session).
//
// Invariant: a lane has a stream only while every stream of its session is up.

#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/random.h"
#include "server/peer/dial.h"
#include "server/peer/outgoing_stream.h"

namespace ursula::peer {

class PeerLink {
 public:
  // All are borrowed and outlive it; `pollers` too.
  PeerLink(const OutgoingStream::Services& services, NodeId peer,
           std::vector<std::unique_ptr<Poller>>* pollers);
  ~PeerLink();  // REQUIRES: Join() was called.

  // False: there is no thread to be had.
  bool Start();
  // On the core's thread.
  SendOutcome Send(CoreId core, Channel channel, std::vector<Bytes> frame);
  // Ends the session, if there is one, and makes another. Any thread.
  void Redial(const std::string& reason);
  // Dials now, if it waits to. Any thread.
  void Hurry();

  void BeginStop();
  void Join();

 private:
  class Session;
  struct Lane {
    std::mutex mutex;
    std::shared_ptr<OutgoingStream> stream;
  };
  enum class Ending : uint8_t { kNotReached, kNotUp, kWasUp };

  void Run();
  Ending RunSession();
  bool Connect(Session* session);
  void StartStreams(const std::shared_ptr<Session>& session);
  bool AwaitUp(Session* session);
  void Publish(Session* session, bool up);
  void Pause();

  const OutgoingStream::Services services_;
  const NodeId peer_;
  const std::string address_;
  std::vector<std::unique_ptr<Poller>>& pollers_;
  std::vector<Lane> lanes_;  // By core and channel.

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Session> session_;  // The current one.
  bool stopping_ = false;
  bool hurry_ = false;

  // The thread's own.
  Fd stop_event_;
  Resolver resolver_;
  Random random_;
  uint64_t session_count_ = 0;
  uint64_t pause_ms_ = 0;
  std::thread thread_;
};

}  // namespace ursula::peer
