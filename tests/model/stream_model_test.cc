#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "tests/model/command_source.h"
#include "tests/model/stream_twin.h"

namespace ursula::stream {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// Random commands. URSULA_MODEL_COMMANDS says how many in all (a long run: 1000000),
// URSULA_MODEL_SEED the first of the seeds.
TEST(StreamModelTest, RandomCommandsDoWhatTheModelDoes) {
  constexpr uint64_t kCommandsPerSeed = 2000;
  uint64_t total = FromEnvironment("URSULA_MODEL_COMMANDS", 100'000);
  uint64_t first = FromEnvironment("URSULA_MODEL_SEED", 1);
  std::set<Outcome> outcomes;
  for (uint64_t seed = first; seed < first + (total + kCommandsPerSeed - 1) / kCommandsPerSeed;
       ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    StreamTwin twin;
    CommandSource source(seed, &twin);
    for (uint64_t i = 0; i < kCommandsPerSeed; ++i) {
      Command command = source.Next();
      ASSERT_EQ(twin.Apply(command), "")
          << "command " << i << " of kind " << command.body.index() + 1;
      if (i % 7 == 0) {
        ASSERT_EQ(twin.CompareState(ModelNames()), "") << "after command " << i;
      }
      if (i % 23 == 0) {
        ASSERT_EQ(twin.Restore(i % 5 == 0), "") << "after command " << i;
      }
    }
    outcomes.insert(twin.outcomes().begin(), twin.outcomes().end());
  }
  // The alphabet reaches every decision there is; kTooLarge alone is left to unit tests.
  for (Outcome outcome :
       {Outcome::kOk, Outcome::kExisted, Outcome::kDuplicate, Outcome::kBucketNotFound,
        Outcome::kNotFound, Outcome::kSoftDeleted, Outcome::kClosed, Outcome::kConflict,
        Outcome::kContentTypeMismatch, Outcome::kProducerStale, Outcome::kProducerGap,
        Outcome::kProducerEpochStart, Outcome::kSequenceConflict, Outcome::kForkSourceNotFound,
        Outcome::kForkSourceDeleted, Outcome::kForkOffsetInvalid, Outcome::kForkContentTypeMismatch,
        Outcome::kBucketNotEmpty}) {
    EXPECT_EQ(outcomes.count(outcome), 1u) << static_cast<int>(outcome);
  }
}

// A base and deltas that are collected in small steps, while commands are applied, are the state at
// the last step of each.
TEST(StreamModelTest, SnapshotsInStepsHoldTheStateAtTheirEnd) {
  uint64_t ended = 0;
  uint64_t between = 0;  // Commands while one was under way.
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    StreamTwin twin;
    CommandSource source(seed, &twin);
    Random random(seed);
    for (uint64_t i = 0; i < 2000; ++i) {
      ASSERT_EQ(twin.Apply(source.Next()), "");
      between += twin.in_snapshot();
      if (!twin.in_snapshot() && random.OneIn(10)) {
        twin.BeginSnapshot(random.OneIn(2), {1 + random.Below(4), 1 + random.Below(200)});
      }
      while (twin.in_snapshot() && random.OneIn(2)) {
        std::string difference;
        ended += twin.StepSnapshot(&difference);
        ASSERT_EQ(difference, "") << "after command " << i;
      }
    }
  }
  EXPECT_GT(ended, 500u);
  EXPECT_GT(between, 5000u);
}

// The same log gives the same state, whatever was snapshotted, restored or previewed on the way.
TEST(StreamModelTest, ReplayIsDeterministic) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    StreamTwin twin;
    CommandSource source(seed, &twin);
    Machine replica(twin.machine().group());
    for (uint64_t i = 0; i < 2000; ++i) {
      Command command = source.Next();
      ASSERT_EQ(twin.Apply(command), "");
      if (i % 50 == 0) {
        ASSERT_EQ(twin.Restore(i % 100 == 0), "");
      }
      replica.Apply(Index{twin.index()}, command);
      ASSERT_EQ(replica.StateHash(), twin.machine().StateHash()) << "after command " << i;
    }
  }
}

Command::Body AppendOf(const char* name, const char* payload, bool close) {
  Append append;
  append.id = {"v1", "", name};
  append.payload = Bytes::Static(payload);
  append.close = close;
  return append;
}

Command::Body ProducerAppend(uint64_t epoch, uint64_t sequence, bool close) {
  Append append;
  append.id = {"v1", "", "s"};
  append.payload = Bytes::Static("p");
  append.close = close;
  append.producer = Producer{"id", epoch, sequence};
  return append;
}

Command::Body CreateOf(const char* name, std::optional<uint64_t> ttl_seconds) {
  CreateStream create;
  create.id = {"v1", "", name};
  create.content_type = "text/plain";
  create.lifetime.ttl_seconds = ttl_seconds;
  return create;
}

Command::Body ForkOf(const char* name, const char* from) {
  CreateFork fork;
  fork.stream.id = {"v1", "", name};
  fork.point.source = {"v1", "", from};
  fork.at_tail = true;
  return fork;
}

// Everything that can follow, to a depth, over an alphabet of two names and a fork's.
class Exhaustive {
 public:
  Exhaustive(std::vector<Command::Body> alphabet, uint64_t depth)
      : alphabet_(std::move(alphabet)), depth_(depth) {}

  // Counts the sequences; 0 when one went wrong.
  uint64_t Run() {
    std::vector<std::size_t> letters(depth_, 0);
    uint64_t count = 0;
    do {
      if (!Try(letters)) return 0;
      ++count;
    } while (Advance(&letters));
    return count;
  }

 private:
  bool Advance(std::vector<std::size_t>* letters) const {
    for (std::size_t& letter : *letters) {
      if (++letter < alphabet_.size()) return true;
      letter = 0;
    }
    return false;
  }

  bool Try(const std::vector<std::size_t>& letters) const {
    const std::vector<StreamId> names = {{"v1", "", "s"}, {"v1", "", "f"}, {"v1", "", "g"}};
    StreamTwin twin;
    int64_t now_ms = 0;
    std::string difference;
    for (std::size_t letter : letters) {
      Command command;
      now_ms += 600;  // Two commands on, a lifetime of one second is over.
      command.now_ms = now_ms;
      command.body = alphabet_[letter];
      if (auto* fork = std::get_if<CreateFork>(&command.body); fork != nullptr) {
        const ModelStream* there = twin.model().Visible(fork->point.source);
        if (there != nullptr) fork->source = Incarnation{there->number};
      }
      if (difference.empty()) difference = twin.Apply(command);
    }
    if (difference.empty()) difference = twin.CompareState(names);
    if (difference.empty()) difference = twin.Restore(true);
    if (difference.empty()) return true;
    std::string sequence;
    for (std::size_t letter : letters) sequence += " " + std::to_string(letter);
    ADD_FAILURE() << difference << " after the letters" << sequence;
    return false;
  }

  std::vector<Command::Body> alphabet_;
  uint64_t depth_;
};

// URSULA_MODEL_DEPTH: 4 if not set.
TEST(StreamModelTest, EverySequenceOfLifecycleCommandsToADepth) {
  std::vector<Command::Body> alphabet = {
      CreateOf("s", {}),         CreateOf("s", 1),         AppendOf("s", "a", false),
      AppendOf("s", "", true),   ForkOf("f", "s"),         ForkOf("g", "f"),
      AppendOf("f", "b", false), AppendOf("g", "c", true), Delete{{"v1", "", "s"}},
      Delete{{"v1", "", "f"}},   Delete{{"v1", "", "g"}},  Expire{{Incarnation{1}, Incarnation{2}}},
      Touch{{Incarnation{1}}},
  };
  EXPECT_GT(Exhaustive(alphabet, FromEnvironment("URSULA_MODEL_DEPTH", 4)).Run(), 10'000u);
}

TEST(StreamModelTest, EverySequenceOfProducerAppendsToADepth) {
  std::vector<Command::Body> alphabet = {CreateOf("s", {})};
  for (uint64_t epoch : {0, 1}) {
    for (uint64_t sequence : {0, 1, 2}) alphabet.push_back(ProducerAppend(epoch, sequence, false));
  }
  alphabet.push_back(ProducerAppend(0, 1, true));
  alphabet.push_back(AppendOf("s", "", true));
  alphabet.push_back(AppendOf("s", "x", true));
  EXPECT_GT(Exhaustive(alphabet, FromEnvironment("URSULA_MODEL_DEPTH", 4)).Run(), 5'000u);
}

}  // namespace
}  // namespace ursula::stream
