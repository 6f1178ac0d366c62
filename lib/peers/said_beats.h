// lib/peers/said_beats.h
//
// Idle groups say the same again and again: a record that a peer has had is sent as its number
// alone. docs/formats/peer_frames.md, "Beats".
//
// Invariant: what is read of a number is what was written under it: a line is one hub's, random,
// and its numbers are never used again for other bytes. A number that isn't known is as a record
// that was lost.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "lib/peers/beats_format.h"

namespace ursula::peers {

inline constexpr std::size_t kKeptBeatsMax = 8;          // Of a line, at both ends.
inline constexpr std::size_t kKeptBeatsBytesMax = 4096;  // Larger records are always sent whole.
// Of a peer. Each of its cores has one, and all of a large node may speak to the one core of a
// small one: with too few most of what is said again would be unknown.
inline constexpr std::size_t kBeatsLinesMax = 128;
// Then it is sent whole again: one whose first sending was lost is missed for no longer than a
// follower waits for its leader.
inline constexpr uint32_t kBeatsAgainMax = 2;

// What a hub has said to one peer.
class SaidBeats {
 public:
  explicit SaidBeats(uint64_t line) : line_(line) {}

  // The letter for this record, which EncodeBeats has made.
  std::string Write(std::string record);
  // What was said may not have arrived.
  void Forget() { kept_.clear(); }

 private:
  struct Kept {
    uint64_t number = 0;
    std::string record = {};
    uint32_t again = 0;  // Since it was sent whole.
  };

  const uint64_t line_;
  uint64_t next_ = 1;
  std::deque<Kept> kept_;
};

// What one peer has said.
class HeardBeats {
 public:
  enum class Heard : uint8_t {
    kRecord,
    kUnknown,  // It was said before, and isn't known here.
    kMalformed,
  };

  Heard Read(std::string_view letter, Beats* record);
  void Forget() { lines_.clear(); }

 private:
  struct Kept {
    uint64_t number = 0;
    std::string record = {};
  };
  struct Line {
    uint64_t line = 0;
    std::deque<Kept> kept = {};
  };

  void Keep(uint64_t line, uint64_t number, std::string_view record);
  const std::string* Find(uint64_t line, uint64_t number) const;

  std::deque<Line> lines_;
};

}  // namespace ursula::peers
