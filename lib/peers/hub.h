// lib/peers/hub.h
//
// What one core has to say to its node's peers. Letters of a turn leave together at its end, in
// frames, one after the other on each channel; what the transport doesn't take waits here. Beats of
// a turn are one letter, on the control channel.
//
// Invariant: for each peer and channel at most `window_bytes_max` bytes and one letter wait, and
// one frame. A letter beyond is dropped, never an older one in its place: what is sent arrives in
// order.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "lib/base/byte_parts.h"
#include "lib/base/ids.h"
#include "lib/io/loop.h"
#include "lib/peers/beats_format.h"
#include "lib/peers/said_beats.h"
#include "ursula/env.h"
#include "ursula/types.h"

namespace ursula::peers {

class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void OnLetter(NodeId from, GroupId group, Bytes letter) = 0;
  // Of a replica of that node. Which one it is for is to be looked at.
  virtual void OnBeats(Beats beats) = 0;
  // Letters to this peer, or from it, may be lost.
  virtual void OnPeerLost(NodeId peer, bool ended) = 0;
  // One that Send had taken didn't leave: there is no connection. `token` as given to Send. Called
  // before OnPeerLost where that follows; no letter may be sent from here.
  virtual void OnDropped(NodeId to, GroupId group, uint64_t token) = 0;
  // A frame that isn't made of letters: its first byte is kOtherFrame or above.
  virtual void OnOtherFrame(NodeId from, Bytes frame) = 0;
};

struct HubOptions {
  uint64_t cluster_id = 0;               // Frames of another one are dropped.
  uint64_t window_bytes_max = 16 << 20;  // Of letters that wait, for each peer and channel.
  uint64_t opening = 0;                  // Random, of this opening of the node; of all its cores.
};

struct HubStats {
  uint64_t sent_frames = 0;
  uint64_t sent_letters = 0;  // In them.
  uint64_t sent_bytes = 0;
  uint64_t dropped_letters = 0;  // The window was full, or the peer unreachable.
  uint64_t unknown_beats = 0;    // Records that were lost when they were said first, or too many.
  uint64_t bad_frames = 0;       // Damaged, or of another cluster; records of beats, too.
  uint64_t waiting_bytes = 0;
};

class Hub final : public FrameSink, private io::TurnHook {
 public:
  // All are borrowed and outlive it.
  Hub(io::Loop* loop, Transport* transport, Receiver* receiver, const HubOptions& options = {});
  ~Hub() override;

  // False: it was dropped. `token` names it to Receiver::OnDropped.
  bool Send(NodeId to, GroupId group, Channel channel, ByteParts&& letter, uint64_t token = 0);

  // To the node of replica `to`. Whether it
  // leaves is told to nobody: it is sent again and again.
  void SendBeat(ReplicaId from, ReplicaId to, const Beat& beat);

  // Takes back a letter that hasn't left. False: it has, or may have, or there is none.
  bool Withdraw(NodeId to, Channel channel, uint64_t token);

  const HubStats& stats() const { return stats_; }

 private:
  struct Pending {
    GroupId group = {};
    uint64_t token = 0;
    ByteParts letter = {};
  };
  struct Token {
    GroupId group = {};
    uint64_t token = 0;
  };
  struct Outbox {
    std::deque<Pending> letters = {};
    std::vector<Bytes> frame = {};  // Made, and refused by the transport.
    std::vector<Token> frame_letters = {};
    uint64_t bytes = 0;  // Of letters.
    bool full = false;   // Waits for OnRoom.
  };
  struct Peer {
    explicit Peer(uint64_t line) : said(line) {}
    std::array<Outbox, kChannelCount> outboxes = {};
    // Of this turn, by replica: most often of one pair. At most kBeatsMax each.
    std::map<std::pair<ReplicaId, ReplicaId>, Beats> beats = {};
    SaidBeats said;
    HeardBeats heard = {};
  };

  // FrameSink
  void OnFrame(NodeId from, Channel channel, Bytes frame) override;
  void OnRoom(NodeId to, Channel channel) override;
  void OnLost(NodeId peer, bool ended) override;
  // io::TurnHook
  void OnTurnEnd() override;

  Peer& PeerOf(NodeId node) { return peers_.try_emplace(node, line_).first->second; }
  void WriteBeats(NodeId to, Peer* peer);
  void WriteRecord(NodeId to, Peer* peer, Beats* record);
  // How many beats it held.
  std::size_t OnRecord(NodeId from, const Bytes& letter);
  void Flush(NodeId to, Channel channel, Outbox* outbox);
  std::vector<Bytes> NextFrame(Outbox* outbox);
  void Drop(NodeId to, Outbox* outbox);

  io::Loop& loop_;
  Transport& transport_;
  Receiver& receiver_;
  const HubOptions options_;
  const uint64_t line_;
  std::map<NodeId, Peer> peers_;
  HubStats stats_;
};

}  // namespace ursula::peers
