#include "lib/peers/beats_format.h"

#include <algorithm>

#include "lib/base/check.h"
#include "lib/base/coding.h"

namespace ursula::peers {
namespace {

constexpr uint8_t kWhole = 1;  // Other records are of later releases.

// A beat's first byte; the upper half is how far its group is from the one before.
constexpr uint8_t kAnswer = 1;
constexpr uint8_t kHasTerm = 2;  // Else it is that of the beat before.
constexpr uint8_t kHasIndex = 4;
constexpr uint8_t kHasRound = 8;
constexpr int kStepShift = 4;
constexpr uint32_t kStepFollows = 15;

}  // namespace

std::string EncodeBeats(Beats* record) {
  URSULA_CHECK(record->beats.size() <= kBeatsMax);
  std::ranges::stable_sort(record->beats, {}, [](const Beat& beat) { return Raw(beat.group); });
  std::string out;
  PutFixed<uint8_t>(&out, kWhole);
  PutVarint(&out, Raw(record->from));
  PutVarint(&out, Raw(record->to));
  uint32_t group = 0;
  uint64_t term = 0;
  for (const Beat& beat : record->beats) {
    const uint32_t step = Raw(beat.group) - group;
    uint32_t head = std::min(step, kStepFollows) << kStepShift;
    if (beat.answer) head |= kAnswer;
    if (beat.term != term) head |= kHasTerm;
    if (beat.index != 0) head |= kHasIndex;
    if (beat.round != 0) head |= kHasRound;
    PutFixed<uint8_t>(&out, static_cast<uint8_t>(head));
    if (step >= kStepFollows) PutVarint(&out, step);
    if (beat.term != term) PutVarint(&out, beat.term);
    if (beat.index != 0) PutVarint(&out, beat.index);
    if (beat.round != 0) PutVarint(&out, beat.round);
    group = Raw(beat.group);
    term = beat.term;
  }
  return out;
}

std::optional<Beats> DecodeBeats(std::string_view record) {
  Reader in(record);
  if (in.Fixed<uint8_t>() != kWhole) return std::nullopt;
  Beats read;
  read.from = ReplicaId{in.Varint()};
  read.to = ReplicaId{in.Varint()};
  uint64_t group = 0;
  uint64_t term = 0;
  while (in.ok() && !in.AtEnd()) {
    if (read.beats.size() == kBeatsMax) return std::nullopt;
    const uint8_t head = in.Fixed<uint8_t>();
    uint64_t step = head >> kStepShift;
    if (step == kStepFollows) step = in.Varint();
    if (step > UINT32_MAX - group) return std::nullopt;
    group += step;
    if ((head & kHasTerm) != 0) term = in.Varint();
    Beat beat;
    beat.group = GroupId{static_cast<uint32_t>(group)};
    beat.answer = (head & kAnswer) != 0;
    beat.term = term;
    if ((head & kHasIndex) != 0) beat.index = in.Varint();
    if ((head & kHasRound) != 0) beat.round = in.Varint();
    read.beats.push_back(beat);
  }
  if (!in.ok()) return std::nullopt;
  return read;
}

}  // namespace ursula::peers
