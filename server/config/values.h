// server/config/values.h
//
// The values an option can have, from text. Each parser gives nullopt for what it doesn't take.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/server_config.h"

namespace ursula::server {

// Decimal digits only, no sign.
std::optional<uint64_t> ParseNumber(std::string_view text);

// "65536", "64KiB", "64k", "1.5GiB" is none. Units: B, K KB KiB, M MB MiB, G GB GiB, T TB TiB, in
// any case, all powers of 1024.
std::optional<uint64_t> ParseSize(std::string_view text);
std::string FormatSize(uint64_t bytes);  // "64MiB", or plain digits.

// "true", "yes", "on", "1" and their opposites.
std::optional<bool> ParseBool(std::string_view text);

// "127.0.0.1:4437", "[::1]:4437", "localhost:4437" (127.0.0.1). The host is a numeric address.
std::optional<HostPort> ParseHostPort(std::string_view text);
std::string FormatHostPort(const HostPort& address);
bool IsLoopback(const HostPort& address);
bool IsAnyAddress(const HostPort& address);  // 0.0.0.0 or ::, in whichever form.

// "a, b,c": its parts, without the spaces around them; none is empty.
std::optional<std::vector<std::string>> ParseList(std::string_view text);

// Paths that streams may live below: of 1 to 4 segments of letters, digits and "-._~" each, none
// within another one and none where the server has something else. As ProtocolConfig has them,
// without /v1/stream/, which is always one.
std::optional<std::vector<std::string>> ParseStreamRoots(std::string_view text);

// "https://app.example.com": scheme, host and perhaps port, as browsers send it.
bool IsOrigin(std::string_view text);
bool IsHeaderName(std::string_view text);

// What container platforms put into the environment of each process for a service by the name of
// "ursula" or "ursula-…": URSULA_SERVICE_HOST, URSULA_PORT=tcp://…, URSULA_PORT_4437_TCP_ADDR.
bool IsServiceLink(std::string_view name, std::string_view value);

}  // namespace ursula::server
