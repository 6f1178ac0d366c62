// tests/bench/url.h
//
// http://host:port/prefix: where the streams of a run live.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/bench/loop.h"

namespace ursula::bench {

struct Url {
  std::string host = {};  // Without brackets.
  uint16_t port = 80;
  std::string authority = {};  // As the Host field has it.
  std::string prefix = {};     // "/v1/stream/bench", without a slash at its end.
};

// Nothing if it is not http, or has a query, a fragment or user info.
std::optional<Url> ParseUrl(std::string_view text);

// Nothing if the host has no address.
std::optional<Address> Resolve(const Url& url);

}  // namespace ursula::bench
