// The same commands on nodes with different memory budgets, numbers of cores, disks and moments of
// checkpoints, through crashes and stops: the state of each group is the same at the same index,
// the same as a replay of the log gives, and every byte can be read.

#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "tests/model/agreement.h"
#include "tests/model/command_source.h"
#include "tests/support/test_node.h"

namespace ursula::stream {
namespace {

using testing::FaultDisk;
using testing::TestNode;
using testing::TestNodeOptions;

constexpr uint32_t kGroups = 3;
constexpr uint64_t kMs = 1'000'000;
// Replicas tick at multiples of it (TestNode opens them there), commands come half-way between.
constexpr uint64_t kTickNs = group::Replica::kTickMs * kMs;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// More bytes of the same kind, so that memory has to be given up.
void Inflate(Command::Body* body) {
  Bytes* payload = nullptr;
  if (auto* append = std::get_if<Append>(body)) payload = &append->payload;
  if (auto* create = std::get_if<CreateStream>(body)) payload = &create->payload;
  if (auto* fork = std::get_if<CreateFork>(body)) payload = &fork->stream.payload;
  if (payload == nullptr || payload->empty()) return;
  std::string bytes;
  while (bytes.size() < 900 * payload->size()) bytes += payload->view();
  *payload = Bytes::Take(std::move(bytes));
}

// What all nodes are asked to do, in their order.
class Script {
 public:
  explicit Script(uint64_t seed, uint32_t group)
      : random_(seed), twin_(GroupId{group}), source_(seed * kGroups + group, &twin_) {
    next_ = source_.Next();
  }

  // The bodies that are due by `now_ms`, which have become entries above `applied`.
  std::vector<Command::Body> TakeDue(int64_t now_ms, Index applied) {
    std::vector<Command::Body> due;
    twin_.SkipTo(Raw(applied));
    while (next_.now_ms <= now_ms) {
      Add(std::exchange(next_, source_.Next()), now_ms, &due);
      for (uint64_t more = random_.Below(3); more > 0; --more) {
        Command command;
        command.body = AppendToSome();
        Add(std::move(command), now_ms, &due);
      }
    }
    return due;
  }

 private:
  void Add(Command command, int64_t now_ms, std::vector<Command::Body>* due) {
    // After a step a node's stamps run from when it was applied there: each of these nodes would
    // stamp what comes next differently.
    if (std::holds_alternative<StepClock>(command.body)) return;
    Inflate(&command.body);
    command.now_ms = now_ms;
    EXPECT_EQ(twin_.Apply(command), "");
    due->push_back(std::move(command.body));
  }

  // The source's alphabet is for refusals; these fill memory.
  Append AppendToSome() {
    Append append;
    append.id = ModelNames()[random_.Below(ModelNames().size())];
    append.payload = Bytes::Static(random_.OneIn(2) ? "yz" : "x");
    return append;
  }

  Random random_;
  StreamTwin twin_;  // Nearly where the nodes are: what expires by itself it doesn't see.
  CommandSource source_;
  Command next_;
};

struct Member {
  explicit Member(uint64_t seed) : disk(seed), random(seed), node(&disk, seed) {}
  FaultDisk disk;
  Random random;  // Of what this member does on its own account.
  TestNode node;
  std::string name = {};
};

class World {
 public:
  explicit World(uint64_t seed) : seed_(seed), random_(seed), keeper_(kGroups) {
    for (uint32_t group = 0; group < kGroups; ++group) {
      scripts_.push_back(std::make_unique<Script>(seed, group));
      replays_.push_back(std::make_unique<Replay>(group, testing::kTestHistory));
    }
    for (uint64_t i = 0; i < 4; ++i) {
      members_.push_back(std::make_unique<Member>(seed * 10 + i));
      members_.back()->name = "node " + std::to_string(i);
    }
  }

  // The first node keeps its log from opening to opening, and gives it up at the next.
  void Open() {
    now_ns_ = (now_ns_ / kTickNs + 1) * kTickNs;
    static constexpr uint64_t kHotBytes[] = {64 << 20, 512 << 10, 96 << 10};
    for (std::size_t i = 0; i < members_.size(); ++i) {
      TestNodeOptions options;
      options.cores = static_cast<uint16_t>(1 + random_.Below(kGroups));
      options.groups = kGroups;
      options.hot_bytes_max = i == 0 ? kHotBytes[0] : kHotBytes[random_.Below(3)] * options.cores;
      options.wal_segment_bytes = (64 << 10) << random_.Below(3);
      // Never so small that a slow disk has one refuse what the others take.
      options.wal_bytes_max = options.wal_segment_bytes * 24;
      if (i == 0) {
        // All of an opening in one segment: one that had nothing but the first entries of the
        // leaders' terms, which the snapshots of an opening have, would go before it was read.
        options.wal_segment_bytes = options.wal_first_segment_bytes = 8 << 20;
        options.wal_bytes_max = 64 << 20;
      }
      options.collection_step.records_max = random_.OneIn(2) ? 1024 : 1 + random_.Below(4);
      options.start_ns = now_ns_;
      Member& member = *members_[i];
      member.disk.faults().latency_max_ns = 0;  // What follows happens at the same time on all.
      Status status = member.node.Open(options, i == 0 ? &keeper_ : nullptr);
      ASSERT_TRUE(status.ok()) << member.name << ": " << status.ToString();
      member.node.runtime().RunUntilIdle();
    }
    Observe();
  }

  void SlowDisksDown() {
    for (auto& member : members_) member->disk.faults().latency_max_ns = random_.Below(3 * kMs);
  }

  void Close() {
    for (auto& member : members_) {
      bool crash = random_.OneIn(2);
      if (crash && member != members_[0] && random_.OneIn(2)) {
        // In the midst of a checkpoint, and before the next tick.
        for (uint32_t group = 0; group < kGroups; ++group) member->node.replica(group).Checkpoint();
        member->node.runtime().AdvanceBy(random_.Below(kTickNs / 8));
      }
      if (member != members_[0]) {
        for (uint32_t group = 0; group < kGroups; ++group) {
          snapshots_ += member->node.shard_of(group).Stats().snapshots;
        }
      }
      crash ? member->node.Crash() : member->node.Stop();
    }
  }

  // The commands of one tick, on every node, until all are answered.
  void Step() {
    now_ns_ = now_ns_ / kTickNs * kTickNs + kTickNs + kTickNs / 2;
    for (auto& member : members_) member->node.runtime().AdvanceTo(now_ns_);
    for (uint32_t group = 0; group < kGroups; ++group) {
      Index applied = members_[0]->node.replica(group).applied();
      std::vector<Command::Body> due =
          scripts_[group]->TakeDue(static_cast<int64_t>(now_ns_ / kMs), applied);
      for (auto& member : members_) {
        for (const Command::Body& body : due) Propose(member.get(), group, body);
      }
    }
    for (auto& member : members_) {
      member->node.runtime().AdvanceTo(now_ns_ + kTickNs / 4);
      Disturb(member.get());
    }
    Observe();
  }

  // The log that the first node kept gives the states that were observed.
  void CompareWithReplay() {
    for (uint32_t group = 0; group < kGroups; ++group) {
      Note(replays_[group]->Run(keeper_.entries(group), &agreement_));
    }
  }

  // Every node gives the bytes that the model has. REQUIRES: CompareWithReplay.
  void CompareContent() {
    for (uint32_t group = 0; group < kGroups; ++group) {
      for (const StreamId& id : ModelNames()) {
        std::string first = Content(members_[0].get(), group, id);
        if (const ModelStream* stream = Live(group, id); stream != nullptr) {
          ASSERT_TRUE(first == "outcome 0: " + stream->content) << id.name;
          bytes_read_ += stream->content.size();
        }
        for (auto& member : members_) {
          std::string content = Content(member.get(), group, id);
          ASSERT_TRUE(content == first)
              << member->name << ", group " << group << ", " << id.bucket << "/" << id.affinity
              << "/" << id.name << ": " << content.size() << " bytes, " << content.substr(0, 100)
              << ", not " << first.size() << ", " << first.substr(0, 100);
        }
      }
    }
    Observe();  // A read may have made a stream expire.
  }

  // From now on the appends that this node gets have a byte more than the others'.
  void PlantIn(std::size_t member) { planted_ = members_[member].get(); }

  // The first that was seen, or empty.
  const std::string& difference() const { return difference_; }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t snapshots() const { return snapshots_; }  // Of all nodes but the first.
  Agreement& agreement() { return agreement_; }
  const LogKeeper& keeper() const { return keeper_; }
  uint64_t replayed() const {
    uint64_t count = 0;
    for (const auto& replay : replays_) count += replay->commands();
    return count;
  }

 private:
  void Propose(Member* member, uint32_t group, Command::Body body) {
    Command command;
    command.body = std::move(body);
    std::vector<Bytes> messages;
    if (auto* append = std::get_if<Append>(&command.body); append && !append->payload.empty()) {
      messages.push_back(std::exchange(append->payload, {}));
      if (member == planted_) messages.push_back(Bytes::Static("!"));
    }
    member->node.replica(group).Propose(&command, messages, [this, member](Result<Reply> reply) {
      EXPECT_TRUE(reply.ok()) << "seed=" << seed_ << " " << member->name << ": "
                              << reply.status().ToString();
    });
  }

  // The model's stream, if it has one that hasn't expired by now.
  const ModelStream* Live(uint32_t group, const StreamId& id) const {
    const StreamModel& model = replays_[group]->twin().model();
    const ModelStream* stream = model.Visible(id);
    if (stream == nullptr || stream->state != ModelStream::State::kLive) return nullptr;
    std::optional<int64_t> deadline = model.Deadline(*stream);
    if (deadline && *deadline <= static_cast<int64_t>(now_ns_ / kMs)) return nullptr;
    return stream;
  }

  // What a node does when it likes.
  void Disturb(Member* member) {
    group::Replica& replica =
        member->node.replica(static_cast<uint32_t>(member->random.Below(kGroups)));
    if (member == members_[0].get()) return;  // It keeps the log.
    if (member->random.OneIn(20)) replica.Checkpoint();
    if (member->random.OneIn(20)) replica.Flush();
    if (member->random.OneIn(20)) replica.EvictTo(0);
  }

  void Observe() {
    for (auto& member : members_) {
      for (uint32_t group = 0; group < kGroups; ++group) {
        group::Replica& replica = member->node.replica(group);
        ASSERT_EQ(replica.proposals_pending(), 0u) << member->name;
        ASSERT_EQ(replica.applied(), members_[0]->node.replica(group).applied()) << member->name;
        Note(agreement_.Observe(member->name, group, replica.applied(),
                                replica.machine().StateHash()));
      }
    }
  }

  void Note(const std::string& difference) {
    if (difference_.empty()) difference_ = difference;
  }

  std::string Content(Member* member, uint32_t group, const StreamId& id) {
    ReadRequest request;
    request.stream = id;
    request.bytes_max = uint64_t{1} << 30;
    request.touch = false;
    std::string content;
    for (;;) {
      std::optional<Result<group::GroupReadReply>> got;
      member->node.replica(group).Read(
          request, 0, [&](Result<group::GroupReadReply> reply) { got.emplace(std::move(reply)); });
      // Time stands still: what a read makes expire is stamped alike.
      member->node.runtime().RunUntil([&] { return got.has_value(); });
      if (!got->ok()) return got->status().ToString();
      if ((*got)->placement) return "placed elsewhere";
      const ReadReply& reply = (*got)->reply;
      for (const Bytes& part : reply.parts) content += part.view();
      if (reply.outcome != Outcome::kOk || reply.up_to_date) {
        return "outcome " + std::to_string(static_cast<int>(reply.outcome)) + ": " + content;
      }
      request.from = reply.next;
    }
  }

  const uint64_t seed_;
  Random random_;
  uint64_t now_ns_ = 1'000'000'000;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Script>> scripts_;
  std::vector<std::unique_ptr<Replay>> replays_;
  LogKeeper keeper_;
  Agreement agreement_;
  std::string difference_;
  Member* planted_ = nullptr;
  uint64_t bytes_read_ = 0;
  uint64_t snapshots_ = 0;
};

// Opens and runs the world, then closes it: an epoch.
void RunEpoch(World* world, int steps) {
  world->Open();
  if (::testing::Test::HasFatalFailure()) return;
  world->CompareWithReplay();
  if (world->difference().empty()) world->CompareContent();
  world->SlowDisksDown();
  for (int step = 0; step < steps; ++step) {
    if (::testing::Test::HasFatalFailure() || !world->difference().empty()) return;
    world->Step();
  }
  world->Close();
}

// URSULA_AGREEMENT_COMMANDS says how many in all, URSULA_MODEL_SEED the first of the seeds.
TEST(ReplicaAgreementTest, NodesOfAnyMemoryAndCoresAgreeAtEveryIndexAcrossRestarts) {
  uint64_t seed = FromEnvironment("URSULA_MODEL_SEED", 1);
  uint64_t total = FromEnvironment("URSULA_AGREEMENT_COMMANDS", 3'000);
  uint64_t compared = 0;
  uint64_t commands = 0;
  for (; commands < total; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    World world(seed);
    for (int epoch = 0; epoch < 6; ++epoch) {
      RunEpoch(&world, 120);
      ASSERT_FALSE(HasFailure());
      ASSERT_EQ(world.difference(), "");
    }
    EXPECT_GT(world.bytes_read(), 0u);
    EXPECT_GT(world.snapshots(), 0u);
    compared += world.agreement().compared();
    commands += world.replayed();
  }
  EXPECT_GT(compared, commands);
  std::cout << commands << " commands, " << compared << " states compared\n";
}

TEST(ReplicaAgreementTest, OneByteMoreOnOneNodeIsNoticed) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    World world(seed);
    RunEpoch(&world, 30);
    ASSERT_EQ(world.difference(), "");
    world.PlantIn(2);
    for (int epoch = 0; epoch < 3 && world.difference().empty(); ++epoch) RunEpoch(&world, 60);
    EXPECT_TRUE(world.difference().starts_with("node 2 differs from node 0"))
        << "seed=" << seed << " " << world.difference();
  }
}

// Each way in which one applied command of the log may be another one.
TEST(ReplicaAgreementTest, OneOtherCommandInTheReplayIsNoticed) {
  World world(1);
  RunEpoch(&world, 300);
  RunEpoch(&world, 1);
  ASSERT_EQ(world.difference(), "");
  std::vector<raft::Entry> entries = world.keeper().entries(1);
  std::vector<Function<void(Append*)>> changes;
  changes.push_back([](Append* append) { append->payload = append->payload.Slice(1); });
  changes.push_back([](Append* append) { append->close = !append->close; });
  changes.push_back([](Append* append) { append->producer = Producer{"other", 0, 0}; });
  changes.push_back([](Append* append) { append->sequence = "zz"; });
  changes.push_back([](Append* append) { append->id.name = "nobody"; });
  for (std::size_t at = 0; at < entries.size(); ++at) {
    if (entries[at].payload.empty()) continue;
    Result<Command> command = Decode(entries[at].payload);
    ASSERT_TRUE(command.ok());
    Append* append = std::get_if<Append>(&command->body);
    if (append == nullptr || append->payload.empty() || append->close || append->producer) continue;
    if (!append->sequence.empty()) continue;
    // Only of one that had an effect; there will be some.
    Machine machine(GroupId{1}, testing::kTestHistory);
    bool applied = false;
    for (std::size_t i = 0; i <= at; ++i) {
      if (entries[i].payload.empty()) continue;
      Result<Command> one = Decode(entries[i].payload);
      applied = machine.Apply(entries[i].index, *one).appended.has_value();
    }
    if (!applied) continue;
    Append original = *append;
    for (std::size_t change = 0; change < changes.size(); ++change) {
      *append = original;
      changes[change](append);
      std::vector<raft::Entry> altered = entries;
      altered[at].payload = Encode(*command);
      std::string difference = Replay(1, testing::kTestHistory).Run(altered, &world.agreement());
      EXPECT_TRUE(difference.starts_with("the replay differs from node 0 in group 1"))
          << "change " << change << " of entry " << at << ": " << difference;
    }
    return;
  }
  FAIL() << "no append had an effect";
}

}  // namespace
}  // namespace ursula::stream
