// lib/io/address.h
//
// Numeric IPv4 and IPv6 addresses, to and from text.

#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "ursula/status.h"

namespace ursula::io {

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  uint16_t port() const;
};

// kInvalidArgument when `host` is no numeric address. "[::1]" and "::1" mean the same.
Result<Address> ParseAddress(const std::string& host, uint16_t port);

// "127.0.0.1:4437", "[::1]:4437".
std::string FormatAddress(const Address& address);

// Of the socket's other end; "unknown" when it has gone already.
std::string PeerOf(int fd);

}  // namespace ursula::io
