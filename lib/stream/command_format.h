// lib/stream/command_format.h
//
// The field encodings that commands and snapshot records share (docs/formats/commands.md), on top
// of lib/base/coding.h. Get… marks the reader as failed on values no Put… writes.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lib/base/coding.h"
#include "lib/stream/command.h"
#include "ursula/types.h"

namespace ursula::stream {

inline constexpr uint8_t kCommandFormatVersion = 2;

// Create, append, and (kFlagCondition alone) delete.
inline constexpr uint8_t kFlagClosed = 1;
inline constexpr uint8_t kFlagProducer = 2;  // Append.
inline constexpr uint8_t kFlagJson = 4;      // The payload is framed as JSON.
inline constexpr uint8_t kFlagCondition = 8;
inline constexpr uint8_t kFlagExpected = 16;  // Append.

inline constexpr uint8_t kFlagAtTail = 1;       // CreateFork.
inline constexpr uint8_t kFlagReservation = 2;  // CreateFork.

inline constexpr std::size_t kStateMatchesMax = 64;  // In each list of a precondition.

void PutStreamId(std::string* out, const StreamId& id);
void PutLifetime(std::string* out, const Lifetime& lifetime);
void PutForkPoint(std::string* out, const ForkPoint& point);
void PutProducer(std::string* out, const Producer& producer);
void PutReservation(std::string* out, const Reservation& reservation);
void PutStateMatch(std::string* out, const StateMatch& match);
void PutPrecondition(std::string* out, const Precondition& condition);
void PutLimits(std::string* out, const Limits& limits);

StreamId GetStreamId(Reader* in);
Lifetime GetLifetime(Reader* in);
ForkPoint GetForkPoint(Reader* in);
Producer GetProducer(Reader* in);
Reservation GetReservation(Reader* in);
StateMatch GetStateMatch(Reader* in);
Precondition GetPrecondition(Reader* in);
Limits GetLimits(Reader* in);
GroupId GetGroup(Reader* in);
Incarnation GetIncarnation(Reader* in);
bool GetBool(Reader* in);
uint8_t GetFlags(Reader* in, uint8_t known);
int64_t GetTime(Reader* in);       // A varint below 2^63.
uint64_t GetPosition(Reader* in);  // A varint below kOffsetEnd.

}  // namespace ursula::stream
