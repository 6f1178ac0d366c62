// lib/stream/command_format.h
//
// The field encodings that commands and snapshot records share (docs/formats/commands.md), on top
// of lib/base/coding.h. Get… marks the reader as failed on values no Put… writes.

#pragma once

#include <cstdint>
#include <string>

#include "lib/base/coding.h"
#include "lib/stream/command.h"
#include "ursula/types.h"

namespace ursula::stream {

inline constexpr uint8_t kCommandFormatVersion = 1;

inline constexpr uint8_t kFlagClosed = 1;
inline constexpr uint8_t kFlagProducer = 2;     // Append.
inline constexpr uint8_t kFlagAtTail = 1;       // CreateFork.
inline constexpr uint8_t kFlagReservation = 2;  // CreateFork.

void PutStreamId(std::string* out, const StreamId& id);
void PutLifetime(std::string* out, const Lifetime& lifetime);
void PutForkPoint(std::string* out, const ForkPoint& point);
void PutProducer(std::string* out, const Producer& producer);
void PutReservation(std::string* out, const Reservation& reservation);

StreamId GetStreamId(Reader* in);
Lifetime GetLifetime(Reader* in);
ForkPoint GetForkPoint(Reader* in);
Producer GetProducer(Reader* in);
Reservation GetReservation(Reader* in);
Incarnation GetIncarnation(Reader* in);
bool GetBool(Reader* in);
uint8_t GetFlags(Reader* in, uint8_t known);
int64_t GetTime(Reader* in);       // A varint below 2^63.
uint64_t GetPosition(Reader* in);  // A varint below kOffsetEnd.

}  // namespace ursula::stream
