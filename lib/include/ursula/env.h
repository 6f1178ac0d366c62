// ursula/env.h
//
// How nodes reach each other: the seam behind which ursulad has its network, a test or simulation
// another, and a program that embeds the library its own.

#pragma once

#include <cstdint>
#include <vector>

#include "ursula/bytes.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula {

// Two ways to each peer, so that what is small and urgent never waits behind what is large.
enum class Channel : uint8_t {
  kControl = 0,  // Votes, heartbeats, acknowledgements.
  kBulk = 1,     // Entries, snapshots, payload.
};
inline constexpr int kChannelCount = 2;

enum class SendOutcome : uint8_t {
  kTaken,        // On its way; it arrives, or is lost with the connection.
  kFull,         // Nothing was taken; OnRoom tells when to try again.
  kUnreachable,  // Nothing was taken: there is no connection now.
};

// Who receives on one core. Called on that core's thread, not inside a call to the Transport.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  // A frame, whole and in one piece, of a peer's core.
  virtual void OnFrame(NodeId from, Channel channel, Bytes frame) = 0;
  // After kFull there is room again.
  virtual void OnRoom(NodeId to, Channel channel) = 0;
  // A connection to the peer broke: what was taken and not received is lost. `ended`: its process
  // is known to have ended (refused, reset, or another process answers in its place).
  virtual void OnLost(NodeId peer, bool ended) = 0;
};

// Brings frames to peers. Between two cores frames of one channel arrive in the order in which they
// were taken, none twice, and what is lost is an end of what was sent on a connection. What arrives
// is from whom it is said to be.
class Transport {
 public:
  virtual ~Transport() = default;

  // From now on `sink` receives for `core`, until Detach, which may be called on that core only.
  // Both before and after nobody is called. Frames come to any core of a node that has a sink.
  virtual void Attach(CoreId core, FrameSink* sink) = 0;
  virtual void Detach(CoreId core) = 0;

  // On `core`'s thread. The parts make up one frame; they are shared until it is sent. A frame
  // larger than `frame_bytes_wanted` is taken apart and put together again on the way.
  virtual SendOutcome Send(CoreId core, NodeId to, Channel channel, std::vector<Bytes> frame) = 0;
  virtual uint64_t frame_bytes_wanted() const = 0;

  // The cluster's feature level is this from now on. A transport whose peers say what they can may
  // refuse those that can't, which take no part anyway. Any thread.
  virtual void OnFeatureLevel(uint32_t /*level*/) {}
};

// Of a node that is one of several. Each of them keeps every group; an append is acknowledged once
// a majority has it on disk.
struct ClusterOptions {
  Transport* transport = nullptr;  // Borrowed, outlives the engine. Null: this node is alone.
  NodeId node{1};                  // Who this is: above 0. A directory's own word must be the same.
  // The nodes that found the cluster, this one among them: 1, 3 or 5, and the same on each of them.
  // All have to meet once; a directory that is a member already asks nobody.
  std::vector<NodeId> founders = {};
  // Not 0: the cluster that this node belongs to. It founds none then, and no other one's directory
  // is opened.
  uint64_t cluster_id = 0;
  // Of letters that wait for one peer on one channel of a core; 1 MiB to 1 GiB. A letter that finds
  // it full is dropped, and written again.
  uint64_t window_bytes_max = 16 << 20;
};

}  // namespace ursula
