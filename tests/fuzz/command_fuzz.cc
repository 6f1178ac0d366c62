// Stream commands: what Decode takes, Encode gives back, and Apply is total on it. The input is a
// row of commands, each with its length (a varint) before it; they are applied to one machine,
// whose snapshot then loads into an equal one.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/stream/command.h"
#include "lib/stream/machine.h"

namespace ursula::stream {
namespace {

// Small, so that an input can come to them.
constexpr Limits kLimits{
    .producers_per_stream_max = 3, .producer_idle_ms = 1000, .fork_depth_max = 4};

void CheckRoundTrip(const Command& command) {
  const Bytes encoded = Encode(command);
  const Result<Command> again = Decode(encoded);
  URSULA_CHECK(again.ok());
  URSULA_CHECK(*again == command);
  URSULA_CHECK(Encode(*again) == encoded);
}

void CheckSnapshot(Machine* machine) {
  Machine copy(machine->group());
  machine->CollectChanges(true,
                          [&copy](std::string_view key, std::optional<std::string_view> value) {
                            URSULA_CHECK(value.has_value());
                            URSULA_CHECK(copy.LoadRecord(key, value).ok());
                          });
  URSULA_CHECK(copy.FinishLoad().ok());
  URSULA_CHECK(copy.StateHash() == machine->StateHash());
  URSULA_CHECK(copy.stream_count() == machine->stream_count());
}

void Run(std::string_view input) {
  Machine machine(GroupId{0});
  Index index{1};
  machine.Apply(index, Command{0, SetLimits{kLimits}});
  for (Reader reader(input); !reader.rest().empty();) {
    const Bytes entry = Bytes::Copy(reader.String());
    const Result<Command> command = Decode(entry, Checksum::kIgnore);
    if (!command.ok()) continue;
    CheckRoundTrip(*command);
    index = index + 1;
    (void)machine.Preview(*command, command->now_ms);
    const int64_t before = machine.now_ms();
    (void)machine.Apply(index, *command);
    const bool stepped = std::holds_alternative<StepClock>(command->body);
    URSULA_CHECK(stepped || machine.now_ms() >= before);
  }
  CheckSnapshot(&machine);
}

}  // namespace
}  // namespace ursula::stream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::stream::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
