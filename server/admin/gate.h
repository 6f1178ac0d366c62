// server/admin/gate.h
//
// Who may ask the admin listener what. Probes and metrics: everyone who reaches it. The rest needs
// the cluster's secret where there is one (server/auth); without one, changes are for an address
// that only this machine reaches. A page in a browser changes nothing, whatever it knows.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/auth/admin_auth.h"
#include "server/auth/nonces.h"
#include "server/protocol/http_message.h"
#include "ursula/types.h"

namespace ursula::admin {

struct GateOptions {
  NodeId node = {};
  std::string secret = {};  // Empty: there is none.
  bool reachable = false;   // Others than this machine reach it.
};

// How a request came in; its answer is proven by it.
struct Pass {
  std::optional<auth::Challenge> proven = {};  // None: nobody had to prove anything.
};

class Gate {
 public:
  explicit Gate(GateOptions options) : options_(std::move(options)) {}

  // What the request is refused with; none: it may pass, with *pass.
  std::optional<protocol::Response> Refuse(const protocol::Request& request, uint64_t now_ns,
                                           Pass* pass);
  // Adds the proof that who answers knows the secret too.
  void Prove(const Pass& pass, protocol::Response* response) const;

 private:
  protocol::Response Challenge(const char* message, uint64_t now_ns) const;

  const GateOptions options_;
  auth::Nonces nonces_;
};

}  // namespace ursula::admin
