// server/peer/grpc_transport.h
//
// The network between ursulads: a Transport (ursula/env.h) over gRPC. Each node dials each peer,
// sends on what it dialled and receives on what was dialled to it.
//
//   Result<std::unique_ptr<PeerTransport>> transport = NewPeerTransport(options);
//   engine_options.cluster.transport = transport->get();
//   ...
//   (*transport)->Stop();

#pragma once

#include <memory>
#include <vector>

#include "server/peer/options.h"
#include "ursula/env.h"
#include "ursula/status.h"

namespace ursula::peer {

class PeerTransport : public Transport {
 public:
  // REQUIRES: Stop() was called.
  ~PeerTransport() override = default;

  // The one that it listens on.
  virtual uint16_t port() const = 0;
  // The cluster that this node belongs to, once it is known, and how many groups it has (0: as it
  // was). Connections made before, with peers that know none or another, are made anew. Any thread.
  virtual void SetCluster(uint64_t cluster_id, uint32_t group_count = 0) = 0;
  // What this node's log takes of one append, once it is known. Where it is another than was said,
  // connections are made anew. Any thread.
  virtual void SetAppendBytesMax(uint64_t bytes) = 0;
  // By id. Any thread.
  virtual std::vector<PeerStatus> Peers() = 0;
  // Ends every connection and thread; once it returns no sink is called. Not to be called by one.
  // Send is answered kUnreachable from then on.
  virtual void Stop() = 0;
};

// Listens, and dials on. kInvalidArgument names the option, kIoError the address;
// kResourceExhausted: there is no thread left.
Result<std::unique_ptr<PeerTransport>> NewPeerTransport(const PeerTransportOptions& options);

}  // namespace ursula::peer
