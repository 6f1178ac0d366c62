// server/protocol/json_body.h
//
// A JSON body to messages: validated (RFC 8259, UTF-8), a top-level array flattened one level, each
// message its own source text. Numbers of any size pass as they are written.
//
// Invariant: no message holds a raw CR or LF, so the line ends the engine adds are the only ones.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ursula/bytes.h"

namespace ursula::protocol {

struct JsonLimits {
  std::size_t depth_max = 512;
  std::size_t messages_max = 262'144;
};

enum class JsonVerdict : uint8_t { kValid, kInvalid, kNotUtf8, kTooDeep, kTooManyMessages };

struct JsonSplit {
  JsonVerdict verdict = JsonVerdict::kValid;
  std::size_t error_at = 0;          // Of kInvalid, kNotUtf8 and kTooDeep: the byte.
  std::vector<Bytes> messages = {};  // Slices of the body, or copies where CR or LF was replaced.
};

// An empty top-level array is valid and yields no message. A byte order mark before the text is
// skipped (RFC 8259, 8.1).
JsonSplit SplitJson(const Bytes& body, const JsonLimits& limits);

}  // namespace ursula::protocol
