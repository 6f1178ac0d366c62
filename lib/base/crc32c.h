// lib/base/crc32c.h
//
// CRC32C (Castagnoli, RFC 3720 B.4), by ISA-L.

#pragma once

#include <cstdint>
#include <string_view>

namespace ursula {

// Of `data`, going on from `crc` of what came before it; 0 to start. Crc32c(0, "123456789") is
// 0xe3069283.
uint32_t Crc32c(uint32_t crc, std::string_view data);

}  // namespace ursula
