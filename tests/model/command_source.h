// tests/model/command_source.h
//
// Makes commands over a small alphabet, so that most of them meet something: a few names, producers
// and lifetimes, and a clock that moves by about as much as the lifetimes last.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/random.h"
#include "lib/stream/command.h"
#include "tests/model/stream_twin.h"

namespace ursula::stream {

// The names random commands use.
const std::vector<StreamId>& ModelNames();

class CommandSource {
 public:
  // `twin` is borrowed: later commands refer to what earlier ones made.
  CommandSource(uint64_t seed, const StreamTwin* twin) : random_(seed), twin_(twin) {}

  Command Next();

 private:
  StreamId Name();
  std::string ContentType();
  Lifetime SomeLifetime();
  Bytes Payload();
  Incarnation SomeIncarnation();
  CreateStream Create();
  CreateFork Fork();
  ForkPoint Point();
  Append SomeAppend();
  Command::Body StreamBody();
  Command::Body ClusterBody();
  Reservation SomeReservation();
  Framing FramingFor(std::string_view content_type);
  StateMatch Match(const StreamId& id);
  Precondition Condition(const StreamId& id);
  Command::Body Configuration();
  Recover RandomRecover();

  Random random_;
  const StreamTwin* twin_;
  int64_t now_ms_ = 1000;
  Append last_append_ = {};
};

}  // namespace ursula::stream
