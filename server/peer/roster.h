// server/peer/roster.h
//
// What this node knows of its peers: which process of each is alive, which streams come from it,
// and what was refused. Everything here happens once per connection, not once per frame.
//
// Invariants: streams of one process of a peer and of one session of it are open at a time; once
// OnLost was posted for a session, its streams post no frame; the end of a process is told once.

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/peer/cores.h"
#include "server/peer/handshake_format.h"
#include "server/peer/options.h"

namespace ursula::peer {

// A stream on which a peer's frames come.
class IncomingStream {
 public:
  virtual ~IncomingStream() = default;
  // From now on it posts no frame. Called with the roster's lock; calls nothing of the roster's.
  virtual void Close() = 0;
};

struct PeerCounters {
  std::atomic<uint64_t> sent_frames = 0;
  std::atomic<uint64_t> sent_bytes = 0;
  std::atomic<uint64_t> received_frames = 0;
  std::atomic<uint64_t> received_bytes = 0;
  std::atomic<uint64_t> window_stalls = 0;
  std::atomic<uint64_t> bad_messages = 0;
};

// What a peer answered on the streams of a session.
struct Answer {
  Hello ours = {};
  Hello theirs = {};
  uint64_t round_trip_us = 0;
  int64_t clock_offset_ms = 0;
};

class Roster {
 public:
  // Borrows `cores`.
  Roster(const PeerTransportOptions& options, Cores* cores);

  const PeerTransportOptions& options() const { return options_; }
  PeerCounters& counters(NodeId peer) { return peers_.at(peer).counters; }

  // What this end says, but for session, core and channel. Takes no lock.
  Hello OurHello(NodeId receiver);
  std::optional<std::string> Judge(const Hello& ours, const Hello& theirs) const;

  // Outgoing. Of a peer's link.
  void OnDialled(NodeId peer, bool refused);
  // All streams of a session are up, but nothing was sent yet. A sentence if it isn't to be used.
  std::optional<std::string> OnAnswered(NodeId peer, const Answer& answer);
  void OnOutgoingLost(NodeId peer);

  // Incoming. The stream's peer has proved who it is: it is open now, or the sentence says why not.
  std::optional<std::string> Admit(std::shared_ptr<IncomingStream> stream, const Hello& ours,
                                   const Hello& theirs);
  void OnIncomingLost(IncomingStream* stream, const Hello& theirs);
  // Closes all streams and admits none any more. One whose frames wait on a core has no operation
  // under way by whose end it could hear of the stop.
  void Stop();

  enum class Direction : uint8_t { kOutgoing, kIncoming };
  // Why there is no connection. Logged when it is another sentence than the last.
  void NoteRefusal(NodeId peer, Direction direction, const std::string& sentence);
  void Log(bool trouble, const std::string& sentence) const;

  // Closes what was agreed upon with another cluster id, or with none. True for those peers whose
  // outgoing streams have to be made anew.
  std::vector<NodeId> SetCluster(uint64_t cluster_id, uint32_t group_count);
  // The cluster's level is this from now on: of those that can't who connects is refused.
  void SetFeatureLevel(uint32_t level) { feature_level_ = level; }
  // True: it is another than before.
  bool SetAppendBytesMax(uint64_t bytes) { return append_bytes_max_.exchange(bytes) != bytes; }
  std::vector<PeerStatus> Statuses();

 private:
  using Lane = std::pair<CoreId, Channel>;
  struct Incoming {
    std::shared_ptr<IncomingStream> stream = {};
    uint64_t cluster_id = 0;  // Theirs.
  };
  struct Refused {
    std::string sentence = {};  // The last one; empty: none since it was connected.
    std::string logged = {};    // The last one that was.
    std::chrono::steady_clock::time_point when = {};
  };
  struct Peer {
    std::string address = {};
    uint64_t incarnation = 0;  // Of the process last met; 0: none yet.
    bool told_ended = false;   // That this process has ended.
    bool refused = false;      // The last dial was.
    bool outgoing = false;     // Up.
    Answer answer = {};        // Where `outgoing`, or of the last time.
    // As it said last, whoever dialled.
    std::string http_address = {};
    uint64_t append_bytes_max = 0;
    std::string warned = {};  // The last one that was logged.
    uint64_t connects = 0;
    uint64_t session = 0;  // Of what comes in.
    std::map<Lane, Incoming> incoming = {};
    std::array<Refused, 2> refusals = {};  // By Direction.
    PeerCounters counters = {};
  };

  // All with the lock.
  void NoteWords(const Hello& ours, const Hello& theirs, Peer* peer);
  void CloseIncoming(NodeId node, Peer* peer);
  void MeetProcess(NodeId node, Peer* peer, uint64_t incarnation);
  void TellIfEnded(NodeId node, Peer* peer);
  std::optional<std::string> OtherProcess(NodeId node, const Peer& peer, const Hello& theirs) const;

  const PeerTransportOptions options_;
  Cores& cores_;
  std::atomic<uint64_t> cluster_id_;
  std::atomic<uint32_t> group_count_;
  std::atomic<uint32_t> feature_level_ = 0;
  std::atomic<uint64_t> append_bytes_max_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::map<NodeId, Peer> peers_;         // Never grows.
  std::map<NodeId, Refused> strangers_;  // Nodes that aren't peers.
};

}  // namespace ursula::peer
