#include "lib/peers/said_beats.h"

#include <algorithm>
#include <utility>

#include "lib/base/coding.h"

namespace ursula::peers {
namespace {

// A letter's first byte. Anything else begins a record, as it is.
constexpr uint8_t kKept = 2;
constexpr uint8_t kAgain = 3;

std::string Head(uint8_t kind, uint64_t line, uint64_t number) {
  std::string head;
  PutFixed<uint8_t>(&head, kind);
  PutVarint(&head, line);
  PutVarint(&head, number);
  return head;
}

HeardBeats::Heard Take(std::optional<Beats> read, Beats* record) {
  if (!read) return HeardBeats::Heard::kMalformed;
  *record = std::move(*read);
  return HeardBeats::Heard::kRecord;
}

}  // namespace

std::string SaidBeats::Write(std::string record) {
  if (record.size() > kKeptBeatsBytesMax) return record;
  auto found = std::ranges::find(kept_, record, &Kept::record);
  if (found != kept_.end() && found->again < kBeatsAgainMax) {
    ++found->again;
    return Head(kAgain, line_, found->number);
  }
  if (found != kept_.end()) {
    found->again = 0;
    return Head(kKept, line_, found->number) + record;
  }
  if (kept_.size() == kKeptBeatsMax) kept_.pop_front();
  kept_.push_back({next_++, record});
  return Head(kKept, line_, kept_.back().number) + record;
}

HeardBeats::Heard HeardBeats::Read(std::string_view letter, Beats* record) {
  Reader in(letter);
  const auto kind = in.Fixed<uint8_t>();
  if (kind != kKept && kind != kAgain) return Take(DecodeBeats(letter), record);
  const uint64_t line = in.Varint();
  const uint64_t number = in.Varint();
  if (!in.ok() || (kind == kAgain && !in.AtEnd())) return Heard::kMalformed;
  if (kind == kAgain) {
    const std::string* known = Find(line, number);
    return known == nullptr ? Heard::kUnknown : Take(DecodeBeats(*known), record);
  }
  std::optional<Beats> read = DecodeBeats(in.rest());
  if (read && in.rest().size() <= kKeptBeatsBytesMax) Keep(line, number, in.rest());
  return Take(std::move(read), record);
}

void HeardBeats::Keep(uint64_t line, uint64_t number, std::string_view record) {
  auto found = std::ranges::find(lines_, line, &Line::line);
  if (found == lines_.end()) {
    if (lines_.size() == kBeatsLinesMax) lines_.pop_front();
    lines_.push_back({line});
    found = std::prev(lines_.end());
  }
  if (std::ranges::find(found->kept, number, &Kept::number) != found->kept.end()) return;
  if (found->kept.size() == kKeptBeatsMax) found->kept.pop_front();
  found->kept.push_back({number, std::string(record)});
}

const std::string* HeardBeats::Find(uint64_t line, uint64_t number) const {
  auto at = std::ranges::find(lines_, line, &Line::line);
  if (at == lines_.end()) return nullptr;
  auto found = std::ranges::find(at->kept, number, &Kept::number);
  return found == at->kept.end() ? nullptr : &found->record;
}

}  // namespace ursula::peers
