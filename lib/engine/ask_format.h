// lib/engine/ask_format.h
//
// The bytes of what nodes ask each other's groups, and of the answers: docs/formats/peer_frames.md,
// "Calls". A call is a letter to its group whose first byte no replica's letter has.

#pragma once

#include <cstdint>
#include <optional>

#include "lib/base/byte_parts.h"
#include "lib/engine/ask.h"
#include "ursula/status.h"

namespace ursula::engine {

// The numbers stand on the wire; replicas' letters are below them (lib/group/letter_format.h).
inline constexpr uint8_t kCallLetter = 128;
inline constexpr uint8_t kAnswerLetter = 129;

// Which call of which process: `number` grows by one with each that is sent by a core, and holds
// its core above kCallNumberBits.
struct CallId {
  uint64_t opening = 0;  // Random, of the caller's engine.
  uint64_t number = 0;
  friend bool operator==(const CallId&, const CallId&) = default;
};
inline constexpr int kCallNumberBits = 48;

struct CallLetter {
  CallId id = {};
  uint64_t time_left_ms = 0;
  ask::OfLeader ask = {};
};

struct AnswerLetter {
  CallId id = {};
  // Set: nothing was applied, for it doesn't lead. Who does, as far as it knows; 0: nobody.
  std::optional<NodeId> elsewhere = {};
  Result<ask::LeadersAnswer> answer = Status(StatusCode::kUnavailable, "");  // Else.
};

// Whether EncodeCall may be called: names and lists are what a command can say.
bool IsEncodable(const ask::OfLeader& ask);
void EncodeCall(const CallLetter& call, ByteParts* out);
void EncodeAnswer(const AnswerLetter& answer, ByteParts* out);

// Of a call or an answer; none: it is malformed.
std::optional<CallId> PeekId(const Bytes& letter);

// kInvalidArgument. `letter` begins with kCallLetter, or kAnswerLetter. Messages are slices of it.
Result<CallLetter> DecodeCall(const Bytes& letter);
Result<AnswerLetter> DecodeAnswer(const Bytes& letter);

}  // namespace ursula::engine
