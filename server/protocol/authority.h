// server/protocol/authority.h
//
// The authority of an http URL, as Host, X-Forwarded-Host and absolute-form targets carry it.

#pragma once

#include <string_view>

namespace ursula::protocol {

// host[:port]: a name of letters, digits and "-._~%" or a bracketed IPv6 address, then at most one
// port below 65536. No user, no path, no list.
bool IsAuthority(std::string_view text);

}  // namespace ursula::protocol
