// tests/unit/stream/machine_driver.h
//
// Drives a Machine by hand: stamps commands, numbers them, and keeps the payload as a replica
// would.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lib/stream/command.h"
#include "lib/stream/machine.h"

namespace ursula::stream {

inline StreamId Id(std::string_view name) { return {"v1", "", std::string(name)}; }

inline CreateStream Creating(std::string_view name, std::string_view payload = "") {
  CreateStream create;
  create.id = Id(name);
  create.content_type = "text/plain";
  create.payload = Bytes::Copy(payload);
  return create;
}

inline Append Appending(std::string_view name, std::string_view payload) {
  Append append;
  append.id = Id(name);
  append.payload = Bytes::Copy(payload);
  return append;
}

inline Append Producing(std::string_view name, std::string_view payload, Producer producer) {
  Append append = Appending(name, payload);
  append.producer = std::move(producer);
  return append;
}

inline Append Closing(std::string_view name) {
  Append append = Appending(name, "");
  append.close = true;
  return append;
}

inline CreateFork Forking(std::string_view name, std::string_view source,
                          std::optional<uint64_t> offset = std::nullopt) {
  CreateFork fork;
  fork.stream.id = Id(name);
  fork.point.source = Id(source);
  fork.at_tail = !offset.has_value();
  if (offset) fork.offset = Offset{*offset};
  if (offset) fork.point.offset = Offset{*offset};
  return fork;
}

class MachineDriver {
 public:
  explicit MachineDriver(Limits limits = {}, GroupId group = GroupId{1}) : machine_(group) {
    if (limits != Limits{}) Do(SetLimits{limits});
  }

  Reply Do(Command::Body body) { return Apply(std::move(body)).reply; }

  // A fork that says nothing of its source is resolved against the one that is there.
  ApplyResult Apply(Command::Body body) {
    CreateFork* fork = std::get_if<CreateFork>(&body);
    if (fork != nullptr && fork->source == kNoIncarnation) {
      LookupResult source = machine_.Lookup(fork->point.source, now_ms_);
      fork->source = source.incarnation == kNoIncarnation ? kResolvedElsewhere : source.incarnation;
    }
    return ApplyAsIs(std::move(body));
  }

  ApplyResult ApplyAsIs(Command::Body body) {
    ApplyResult result = machine_.Apply(Index{++index_}, Command{now_ms_, std::move(body)});
    if (result.appended) {
      Incarnation incarnation = result.appended->incarnation;
      if (payload_[incarnation].empty()) starts_[incarnation] = result.appended->start;
      payload_[incarnation] += result.appended->payload.view();
    }
    for (Incarnation freed : result.freed) payload_.erase(freed);
    return result;
  }

  // The content from `from` on, read as a replica reads it.
  std::string Read(std::string_view name, uint64_t from = 0) const {
    std::string content;
    Incarnation incarnation = machine_.Lookup(Id(name), now_ms_).incarnation;
    for (const ReadRange& range : machine_.PlanRead(incarnation, from, uint64_t{1} << 40)) {
      auto payload = payload_.find(range.owner);
      if (payload == payload_.end()) return "(freed payload)";
      content +=
          payload->second.substr(range.from - starts_.at(range.owner), range.to - range.from);
    }
    return content;
  }

  LookupResult Find(std::string_view name) const { return machine_.Lookup(Id(name), now_ms_); }

  void Advance(int64_t ms) { now_ms_ += ms; }
  int64_t now_ms() const { return now_ms_; }
  uint64_t index() const { return index_; }
  Machine& machine() { return machine_; }

 private:
  static constexpr Incarnation kResolvedElsewhere{uint64_t{1} << 40};

  Machine machine_;
  uint64_t index_ = 0;
  int64_t now_ms_ = 1'000'000;
  std::map<Incarnation, std::string> payload_;
  std::map<Incarnation, uint64_t> starts_;
};

}  // namespace ursula::stream
