#include "lib/stream/collection.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/stream/record_format.h"

namespace ursula::stream {

Collection::Collection(Machine* machine, bool base, CollectionStep step)
    : machine_(*machine), step_(step), base_(base) {}

bool Collection::Step(Machine::Emit* emit) {
  URSULA_CHECK(state_ != State::kEnded);
  emit_ = emit;
  records_ = bytes_ = 0;
  if (state_ == State::kNew) Begin();
  // More than were marked since the last step: so they come to an end.
  records_min_ = 2 * static_cast<std::size_t>(machine_.marks() - marks_seen_);
  marks_seen_ = machine_.marks();
  if (state_ == State::kForgetting) Forget();
  if (state_ == State::kSweeping) Sweep();
  if (state_ == State::kTaking) Take();
  return state_ == State::kEnded;
}

void Collection::Begin() {
  header_ = EmitRecord(std::string(1, kHeaderRecord));
  marks_seen_ = machine_.marks();
  state_ = base_ ? State::kForgetting : State::kTaking;
  if (!base_) return;
  old_streams_ = machine_.streams_.marked_count();
  old_records_ = std::exchange(machine_.changed_records_, {});
}

bool Collection::full() const {
  if (state_ == State::kTaking && records_ < records_min_) return false;
  return records_ >= step_.records_max || bytes_ >= step_.bytes_max;
}

// A base emits everything, and what was marked before it began is no reason to emit it twice.
void Collection::Forget() {
  for (; old_streams_ > 0; --old_streams_, ++records_) {
    if (full()) return;
    machine_.streams_.TakeMarked();
  }
  for (; !old_records_.empty(); ++records_) {
    if (full()) return;
    old_records_.erase(old_records_.begin());
  }
  state_ = State::kSweeping;
}

void Collection::Sweep() {
  while (!full()) {
    swept_ = machine_.KeyAfter(swept_);
    if (swept_.empty()) {
      state_ = State::kTaking;
      return;
    }
    if (machine_.IsMarked(swept_)) {
      ++records_;
    } else {
      EmitRecord(swept_);
    }
  }
}

void Collection::Take() {
  while (!full()) {
    if (!machine_.changed_records_.empty()) {
      auto first = machine_.changed_records_.begin();
      EmitRecord(*first);
      machine_.changed_records_.erase(first);
    } else if (std::optional<Incarnation> stream = machine_.streams_.TakeMarked()) {
      EmitRecord(std::string(1, kStreamRecord) + IncarnationKey(*stream));
    } else {
      return End();
    }
  }
}

// The header isn't marked: nearly every command changes it.
void Collection::End() {
  std::string key(1, kHeaderRecord);
  if (machine_.RecordOf(key) != header_) EmitRecord(key);
  state_ = State::kEnded;
}

std::optional<std::string> Collection::EmitRecord(std::string_view key) {
  std::optional<std::string> value = machine_.RecordOf(key);
  (*emit_)(key, value ? std::optional<std::string_view>(*value) : std::nullopt);
  ++records_;
  bytes_ += key.size() + (value ? value->size() : 0);
  return value;
}

}  // namespace ursula::stream
