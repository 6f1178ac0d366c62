// server/ctl/admin_client.h
//
// AdminClient asks one node's admin listener: with the cluster's secret it proves that it knows it,
// and takes an answer only from who proves the same (server/auth).

#pragma once

#include <string>
#include <string_view>

#include "server/config/server_config.h"
#include "server/ctl/response_parser.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::ctl {

struct AdminAnswer {
  int status = 0;
  std::string body = {};
};

class AdminClient {
 public:
  // HttpCall, or a test's.
  using Call = Function<Result<HttpResponse>(const server::HostPort&, const std::string& request)>;

  // `secret`: empty, if there is none.
  AdminClient(std::string secret, Call call) : secret_(std::move(secret)), call_(std::move(call)) {}

  // `method`: GET or POST, without a body. What isn't ok is a sentence for people: kUnavailable
  // (nobody there), kFailedPrecondition (the secret), kInternal (not an ursulad's admin listener).
  Result<AdminAnswer> Ask(const server::HostPort& address, std::string_view method,
                          std::string_view target);

 private:
  Result<HttpResponse> Send(const server::HostPort& address, std::string_view method,
                            std::string_view target, const std::string& more_lines);

  const std::string secret_;
  Call call_;
};

// A node's text as it may stand on a terminal: at most 300 printable characters of ASCII.
std::string CleanText(std::string_view text);

}  // namespace ursula::ctl
