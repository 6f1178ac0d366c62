// The one that takes over a peer's state crashes between any two of its steps, whatever else it was
// at and whatever it had: each mix of what may be present, with small, middling and large states.
// URSULA_INSTALL_SIZES says how many of the sizes; the bar asks for all.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/group/behind_world.h"

namespace ursula::group {
namespace {

struct Size {
  const char* name = "";
  int streams = 0;  // Beside the one that is read.
  int append_bytes = 0;
  uint64_t part_bytes = 0;  // Of the snapshot on its way.
};

constexpr Size kSizes[] = {
    {"small", 0, 100, 256 << 10},
    {"of some parts", 20, 20'000, 1000},
    {"of many parts", 60, 3000, 200},
    {"large", 300, 30'000, 4000},
};
constexpr std::size_t kSizesAtFirst = 2;

struct Present {
  explicit Present(int bits)
      : old_tail((bits & 1) != 0),
        waiters((bits & 2) != 0),
        checkpoint((bits & 4) != 0),
        members((bits & 8) != 0),
        lacks((bits & 16) != 0) {}
  static constexpr int kMixes = 32;

  bool old_tail;    // What it wrote as leader, and nobody else has.
  bool waiters;     // A read at the tail, and, where it led, an append.
  bool checkpoint;  // One is asked for all the time.
  bool members;     // Changed while it was away.
  bool lacks;       // Payload of its own was lost before.
};

// From where it is behind and hears of the others again.
class InstallSteps {
 public:
  InstallSteps(const Present& present, const Size& size)
      : present_(present), world_(11, Options(size), present.members ? 4 : 3) {
    if (present_.members) world_.cluster.Crash(4);  // It isn't one yet.
    world_.Append(std::string(2000, 'x'));
    world_.Check(world_.cluster.AwaitEqual());
    if (present_.old_tail) world_.away = world_.leader;
    if (present_.lacks) LosePayload();
    world_.CutOff();
    if (present_.waiters) Wait();
    if (present_.old_tail) WriteInVain();
    world_.Check(world_.cluster.RunUntil([this] { return OthersLead(); }));
    for (int i = 0; i < size.streams; ++i) {
      world_.Check(world_.cluster.CreateNow("other" + std::to_string(i)));
    }
    if (present_.members) ChangeMembers();
    world_.GoOn(3, size.append_bytes);
    world_.cluster.network().Heal();
  }

  // Crashes after so many steps of it; true: it had ended before.
  bool CrashAfter(uint64_t steps) {
    Replica& replica = world_.cluster.replica(world_.away);
    bool done = false;
    RunSteps([&](uint64_t step, bool ended) {
      if (present_.checkpoint) replica.Checkpoint();
      done = ended;
      return step >= steps;
    });
    if (done) ExpectAnswers();
    world_.cluster.Crash(world_.away);
    return done;
  }

  // A checkpoint is asked for after so many steps, for the first time; when all is done, or a while
  // later, it crashes. True: it had ended before.
  bool CheckpointAfter(uint64_t steps, bool at_once) {
    Replica& replica = world_.cluster.replica(world_.away);
    bool asked = false;
    RunSteps([&](uint64_t step, bool ended) {
      if (step == steps && !ended) {
        replica.Checkpoint();
        asked = true;
      }
      return false;
    });
    if (!at_once) world_.cluster.RunFor(kSecond);
    world_.cluster.Crash(world_.away);
    return !asked;
  }

  void ComeBack() {
    const Status opened = world_.cluster.Open(world_.away);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    if (present_.checkpoint) world_.cluster.replica(world_.away).Checkpoint();
    ASSERT_TRUE(world_.CaughtUp());
    world_.ExpectAlike();
  }

 private:
  // Until it is whole, or `look` says so, which is told each step's number and whether it is whole.
  template <class Look>
  void RunSteps(Look look) {
    Replica& replica = world_.cluster.replica(world_.away);
    const Index behind = replica.applied();
    world_.Check(world_.cluster.RunUntil([&] { return replica.installing(); }));
    uint64_t step = 0;
    world_.Check(world_.cluster.RunUntil([&] {
      const bool ended = replica.applied() > behind && world_.Whole(world_.away);
      return look(step++, ended) || ended;
    }));
  }

  static WorldOptions Options(const Size& size) {
    WorldOptions options = KeepsNothing();
    options.shipment_part_bytes = size.part_bytes;
    return options;
  }

  bool OthersLead() {
    const std::optional<uint64_t> leader = world_.cluster.Leader();
    return leader && *leader != world_.away;
  }

  void LosePayload() {
    GroupWorld& node = world_.cluster.node(world_.away);
    const uint64_t before = node.budget().stats.snapshots;
    world_.cluster.replica(world_.away).Checkpoint();
    world_.Check(world_.cluster.RunUntil([&] { return node.budget().stats.snapshots > before; }));
    world_.cluster.Crash(world_.away);
    RemovePayloadFiles(&node);
    world_.CutOff();
    world_.Check(world_.cluster.Open(world_.away).ok());
    world_.Check(!world_.Whole(world_.away) || present_.old_tail);
  }

  void Wait() {
    ReadRequest request;
    request.stream = NameOf("s");
    request.from_tail = true;
    request.wait_ms = 50'000;
    reads_.push_back(world_.cluster.node(world_.away).Read(request));
  }

  // Of one that has lost its payload the leadership has gone with its process.
  void WriteInVain() {
    for (int i = 0; i < 10; ++i) {
      const Asked append = world_.cluster.node(world_.away).Append("s", "never");
      if (present_.waiters) appends_.push_back(append);
    }
    world_.cluster.RunFor(kSecond / 10);
  }

  void ChangeMembers() {
    world_.Check(world_.cluster.Open(4).ok());
    raft::ConfChange change;
    change.steps.push_back({raft::ConfChangeOp::kAddLearner, ReplicaId{4}});
    world_.Check(world_.cluster.ChangeMembers(change).ok());
  }

  // Nobody waits for what never comes; what it wrote in vain isn't said to be there.
  void ExpectAnswers() {
    for (const Asked& append : appends_) {
      world_.Check(world_.cluster.RunUntil([&] { return append->reply.has_value(); }));
      EXPECT_FALSE(append->ok());
    }
    for (const AskedRead& read : reads_) {
      EXPECT_TRUE(world_.cluster.RunUntil([&] { return read->reply.has_value(); }));
    }
  }

  const Present present_;
  Behind world_;
  std::vector<AskedRead> reads_;
  std::vector<Asked> appends_;
};

std::size_t SizesAsked() {
  const char* asked = std::getenv("URSULA_INSTALL_SIZES");
  if (asked == nullptr) return kSizesAtFirst;
  return std::min(std::size(kSizes), static_cast<std::size_t>(std::strtoul(asked, nullptr, 10)));
}

TEST(InstallStepsTest, ACrashBetweenAnyTwoWithAnythingPresentLosesNothing) {
  uint64_t crashes = 0;
  for (std::size_t i = 0; i < SizesAsked(); ++i) {
    for (int mix = 0; mix < Present::kMixes; ++mix) {
      uint64_t steps = 0;
      for (bool done = false; !done; ++steps) {
        InstallSteps world(Present(mix), kSizes[i]);
        done = world.CrashAfter(steps);
        world.ComeBack();
        ASSERT_FALSE(HasFailure()) << kSizes[i].name << ", mix " << mix << ", step " << steps;
      }
      EXPECT_GT(steps, 10u) << kSizes[i].name << ", mix " << mix;
      crashes += steps;
    }
  }
  std::printf("%llu crashes in %d mixes of %zu sizes: every byte was there\n",
              static_cast<unsigned long long>(crashes), Present::kMixes, SizesAsked());
}

TEST(InstallStepsTest, ACheckpointAskedForAtAnyOfThemTakesNothingsPlace) {
  uint64_t checkpoints = 0;
  for (std::size_t i = 0; i < SizesAsked(); ++i) {
    for (bool at_once : {true, false}) {
      for (int mix : {0, 1, 8, 16, 25}) {
        uint64_t steps = 0;
        for (bool done = false; !done; ++steps) {
          InstallSteps world(Present(mix), kSizes[i]);
          done = world.CheckpointAfter(steps, at_once);
          world.ComeBack();
          ASSERT_FALSE(HasFailure()) << kSizes[i].name << ", mix " << mix << ", step " << steps;
        }
        checkpoints += steps;
      }
    }
  }
  std::printf("%llu checkpoints asked for between its steps: every byte was there\n",
              static_cast<unsigned long long>(checkpoints));
}

}  // namespace
}  // namespace ursula::group
