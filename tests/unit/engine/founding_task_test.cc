// Nodes on faulty disks and a network in virtual time that found a cluster.

#include "lib/engine/founding_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/hex.h"
#include "lib/base/ids.h"
#include "lib/base/random.h"
#include "lib/meta/founding_format.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_network.h"

namespace ursula::engine {
namespace {

using storage::DataDirectory;
using storage::DirectoryState;

constexpr uint64_t kSecond = 1'000'000'000;

// What an engine does with the frames of those that still found.
class Answerer final : public FrameSink {
 public:
  Answerer(Transport* transport, const DataDirectory* directory, ClusterOptions cluster,
           FoundingTerms terms)
      : transport_(*transport),
        directory_(*directory),
        cluster_(std::move(cluster)),
        terms_(std::move(terms)) {
    transport_.Attach(CoreId{0}, this);
  }
  ~Answerer() override { transport_.Detach(CoreId{0}); }
  void OnFrame(NodeId from, Channel /*channel*/, Bytes frame) override {
    Result<meta::FoundingHello> hello = meta::DecodeFoundingHello(frame);
    if (!hello.ok() || hello->number == 0) return;
    const Bytes answer =
        meta::EncodeFoundingHello(AnswerHello(directory_, cluster_, terms_, *hello));
    transport_.Send(CoreId{0}, from, Channel::kControl, {answer});
  }
  void OnRoom(NodeId /*to*/, Channel /*channel*/) override {}
  void OnLost(NodeId /*peer*/, bool /*ended*/) override {}

 private:
  Transport& transport_;
  const DataDirectory& directory_;
  const ClusterOptions cluster_;
  const FoundingTerms terms_;
};

struct TestFounder {
  std::unique_ptr<testing::FaultDisk> disk = {};
  ClusterOptions cluster = {};
  FoundingTerms terms = {};
  // Of a process.
  std::unique_ptr<testing::ManualRuntime> runtime = {};
  std::unique_ptr<DataDirectory> directory = {};
  std::unique_ptr<Opening> opening = {};
  std::unique_ptr<FoundingTask> task = {};
  std::unique_ptr<Answerer> answerer = {};
  std::optional<Status> end = {};
  std::vector<std::string> log = {};
};

class FoundingTaskTest : public ::testing::Test {
 protected:
  ~FoundingTaskTest() override {
    for (auto& [id, node] : nodes_) Stop(id);
  }

  TestFounder& At(uint64_t id) { return nodes_[id]; }

  void Begin(uint64_t count, uint64_t seed) {
    random_ = Random(seed);
    network_ = std::make_unique<testing::TestNetwork>(seed);
    for (uint64_t id = 1; id <= count; ++id) {
      TestFounder& node = At(id);
      node.disk = std::make_unique<testing::FaultDisk>(seed * 10 + id);
      node.cluster.node = NodeId{id};
      for (uint64_t peer = 1; peer <= count; ++peer) node.cluster.founders.push_back(NodeId{peer});
      node.terms.group_count_if_new = 8;
    }
  }

  // What the opening said, or the founding has begun.
  Status Start(uint64_t id) {
    TestFounder& node = At(id);
    node.runtime = std::make_unique<testing::ManualRuntime>(1, node.disk.get(), random_.Next());
    node.runtime->StandStill(now_ns_ - node.runtime->now_ns());
    node.end.reset();
    node.log.clear();
    io::Loop& loop = node.runtime->loop(CoreId{0});
    Result<std::unique_ptr<DataDirectory>> directory =
        DataDirectory::Open(loop.disk(), "/data",
                            {.group_count_wanted = node.terms.group_count,
                             .id_if_new = random_.Next(),
                             .nonce = random_.Next(),
                             .node_id_wanted = Raw(node.cluster.node),
                             .cluster_id_wanted = node.cluster.cluster_id,
                             .one_of_several = true});
    if (!directory.ok()) {
      node.end = directory.status();
      return directory.status();
    }
    node.directory = std::move(*directory);
    node.cluster.transport = network_->Join(NodeId{id}, node.runtime.get());
    node.opening = std::make_unique<Opening>();
    node.task = std::make_unique<FoundingTask>(
        &loop, node.directory.get(), node.cluster, node.terms, node.opening.get(),
        [&node](storage::LogLevel, std::string_view line) { node.log.emplace_back(line); });
    node.task->Start([this, id](Status status) { OnEnded(id, std::move(status)); });
    return {};
  }

  void StartAll() {
    for (auto& [id, node] : nodes_) ASSERT_TRUE(Start(id).ok());
  }

  void OnEnded(uint64_t id, Status status) {
    TestFounder& node = At(id);
    node.task.reset();
    if (status.ok()) {
      EXPECT_EQ(node.directory->state(), DirectoryState::kMember);
      node.answerer = std::make_unique<Answerer>(node.cluster.transport, node.directory.get(),
                                                 node.cluster, node.terms);
    }
    node.end = std::move(status);
  }

  // The process dies, or power is lost with it.
  void Stop(uint64_t id, bool crash = false) {
    TestFounder& node = At(id);
    if (node.runtime == nullptr) return;
    if (node.task != nullptr) node.task->Abandon();
    node.task.reset();
    node.answerer.reset();
    if (node.directory != nullptr) network_->Leave(NodeId{id}, !crash);
    node.directory.reset();
    if (crash) node.disk->Crash();
    node.runtime->Crash();
    node.runtime.reset();
  }

  void Wipe(uint64_t id) {
    Stop(id, true);
    At(id).disk = std::make_unique<testing::FaultDisk>(random_.Next());
  }

  // Nothing fits any more from the n-th file on that is opened from now.
  void FillDisk(uint64_t id, uint64_t n) {
    testing::FaultDisk* disk = At(id).disk.get();
    disk->SetWatcher([disk, n]() mutable {
      if (--n == 0) disk->faults().capacity_bytes = 0;
    });
  }
  void EmptyDisk(uint64_t id) {
    At(id).disk->SetWatcher(nullptr);
    At(id).disk->faults().capacity_bytes = uint64_t{1} << 46;
  }

  // Until `done`, or so much time has passed; every node's clock shows the same.
  template <class Condition>
  bool RunUntil(Condition done, uint64_t ns = 20 * kSecond) {
    const uint64_t end_ns = now_ns_ + ns;
    while (!done()) {
      bool turned = false;
      uint64_t next_ns = end_ns;
      for (auto& [id, node] : nodes_) {
        if (node.runtime == nullptr) continue;
        turned = node.runtime->RunTurn() || turned;
        next_ns = std::min(next_ns, node.runtime->NextEventNs());
      }
      if (turned) continue;
      if (next_ns >= end_ns) return false;
      for (auto& [id, node] : nodes_) {
        if (node.runtime == nullptr || node.runtime->now_ns() >= next_ns) continue;
        node.runtime->StandStill(next_ns - node.runtime->now_ns());
      }
      now_ns_ = std::max(now_ns_, next_ns);
    }
    return true;
  }

  bool AllEnded() {
    return std::all_of(nodes_.begin(), nodes_.end(),
                       [](const auto& node) { return node.second.end.has_value(); });
  }

  void ExpectOneCluster() {
    const DataDirectory& first = *At(1).directory;
    for (auto& [id, node] : nodes_) {
      ASSERT_TRUE(node.end.has_value() && node.end->ok()) << id << ": " << node.end->ToString();
      EXPECT_EQ(node.directory->state(), DirectoryState::kMember);
      EXPECT_EQ(node.directory->cluster_id(), first.cluster_id());
      EXPECT_EQ(node.directory->history_id(), first.history_id());
      EXPECT_EQ(node.directory->group_count(), first.group_count());
      EXPECT_EQ(node.directory->founders(), first.founders());
      EXPECT_EQ(node.directory->replica_id(), ReplicaId{id});
      EXPECT_EQ(node.directory->founding_voters().size(), nodes_.size());
    }
  }

  uint64_t now_ns_ = kSecond;
  Random random_{1};
  std::unique_ptr<testing::TestNetwork> network_;
  std::map<uint64_t, TestFounder> nodes_;
};

// As each hello of a change goes at once, before the first one that time brings.
TEST_F(FoundingTaskTest, ThreeNodesFoundOneClusterSoon) {
  Begin(3, 1);
  StartAll();
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }, FoundingTask::kHelloNs / 2));
  ExpectOneCluster();
  EXPECT_EQ(At(3).directory->group_count(), 8u);
  EXPECT_EQ(At(1).opening->Progress().step, OpeningStep::kFounding);
  EXPECT_EQ(At(1).opening->Progress().total, 3u);
  EXPECT_EQ(At(1).opening->Progress().done, 3u);
  const std::string cluster = Hex16(At(2).directory->cluster_id());
  EXPECT_EQ(At(2).log.back(), "a member of cluster " + cluster +
                                  ", founded by nodes 1, 2, 3 with 8 groups; with cluster-id " +
                                  cluster + " this node never founds another");
}

TEST_F(FoundingTaskTest, OneAloneAndFiveFoundToo) {
  for (uint64_t count : {1, 5}) {
    Begin(count, 2);
    StartAll();
    ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
    ExpectOneCluster();
    for (auto& [id, node] : nodes_) Stop(id);
    nodes_.clear();
  }
}

TEST_F(FoundingTaskTest, AMemberAsksNobodyOnItsNextStart) {
  Begin(3, 3);
  StartAll();
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  const uint64_t cluster = At(2).directory->cluster_id();
  for (uint64_t id = 1; id <= 3; ++id) Stop(id, true);
  At(2).cluster.cluster_id = cluster;
  ASSERT_TRUE(Start(2).ok());
  ASSERT_TRUE(RunUntil([&] { return At(2).end.has_value(); }, kSecond / 100));
  EXPECT_TRUE(At(2).end->ok()) << At(2).end->ToString();
  EXPECT_EQ(At(2).directory->cluster_id(), cluster);
}

TEST_F(FoundingTaskTest, OneThatWaitsSaysForWhom) {
  Begin(3, 4);
  ASSERT_TRUE(Start(1).ok());
  ASSERT_TRUE(Start(3).ok());
  EXPECT_FALSE(RunUntil([&] { return AllEnded(); }, 6 * kSecond));
  EXPECT_EQ(At(1).log,
            std::vector<std::string>{"founding a cluster: waiting to hear from nodes 2"});
  EXPECT_EQ(At(1).directory->state(), DirectoryState::kFounding);
  EXPECT_FALSE(At(1).directory->has_plan());
  EXPECT_LT(network_->frames(), 140u);  // A hello of each every 100 ms, and few more.
  ASSERT_TRUE(Start(2).ok());
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  ExpectOneCluster();
}

TEST_F(FoundingTaskTest, ItIsCancelledByItselfAndByTheOpening) {
  Begin(3, 5);
  ASSERT_TRUE(Start(1).ok());
  ASSERT_TRUE(Start(2).ok());
  RunUntil([] { return false; }, kSecond);
  At(1).task->Cancel();
  EXPECT_FALSE(At(1).end.has_value());
  At(2).opening->Cancel();
  ASSERT_TRUE(RunUntil([&] { return At(1).end && At(2).end; }, kSecond));
  EXPECT_EQ(At(1).end->code(), StatusCode::kCancelled);
  EXPECT_EQ(At(2).end->code(), StatusCode::kCancelled);
}

// Node 3 hears nothing of the others' end, until the engines of members answer it.
TEST_F(FoundingTaskTest, MembersThatHaveGoneOnAnswerOneThatStillFounds) {
  Begin(3, 6);
  StartAll();
  ASSERT_TRUE(RunUntil([&] { return At(3).directory->has_plan(); }));
  network_->Cut(NodeId{1}, NodeId{3});
  network_->Cut(NodeId{2}, NodeId{3});
  ASSERT_TRUE(RunUntil([&] { return At(1).end && At(2).end; }));
  EXPECT_FALSE(RunUntil([&] { return At(3).end.has_value(); }, 3 * kSecond));
  network_->Heal();
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  ExpectOneCluster();
}

TEST_F(FoundingTaskTest, AWipedMemberWaitsToBeAdmittedAndItsDirectoryStaysAsItIs) {
  Begin(3, 7);
  StartAll();
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  const std::string cluster = Hex16(At(1).directory->cluster_id());
  Wipe(3);
  ASSERT_TRUE(Start(3).ok());
  // Members whose engines admit nobody.
  EXPECT_FALSE(RunUntil([&] { return AllEnded(); }));
  ASSERT_FALSE(At(3).log.empty());
  const std::string& line = At(3).log.back();
  EXPECT_NE(line.find("cluster " + cluster + " has begun, and this directory is empty"),
            std::string::npos)
      << line;
  EXPECT_FALSE(At(3).directory->has_plan());
  Stop(3);
}

// Whatever becomes of the others: two that were emptied don't found with it, and another cluster
// doesn't get it.
TEST_F(FoundingTaskTest, OneWhoseDirectoryWasPutAsideFoundsNothing) {
  Begin(3, 5);
  StartAll();
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  const uint64_t cluster = At(3).directory->cluster_id();
  io::Disk& disk = At(3).runtime->loop(CoreId{0}).disk();
  ASSERT_TRUE(At(3).directory->PutAside(disk, 77, 78).ok());
  Stop(3);
  Wipe(1);
  Wipe(2);
  StartAll();
  EXPECT_FALSE(RunUntil(
      [&] { return At(1).end.has_value() || At(2).end.has_value() || At(3).end.has_value(); }));
  EXPECT_TRUE(At(3).directory->rejoins());
  EXPECT_FALSE(At(3).directory->has_plan());
  EXPECT_EQ(At(3).opening->Progress().step, OpeningStep::kRejoining);
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_FALSE(At(id).end.has_value()) << id;
    EXPECT_NE(At(id).directory->state(), DirectoryState::kMember) << id;
  }
  EXPECT_EQ(At(3).directory->meta().aside.cluster_id, cluster);
}

TEST_F(FoundingTaskTest, ANodeThatNamesAStrangerLearnsWhyItWaits) {
  Begin(3, 8);
  TestFounder& fourth = At(4);
  fourth.disk = std::make_unique<testing::FaultDisk>(99);
  fourth.cluster.node = NodeId{4};
  fourth.cluster.founders = {NodeId{1}, NodeId{2}, NodeId{4}};
  ASSERT_TRUE(Start(1).ok());
  ASSERT_TRUE(Start(2).ok());
  ASSERT_TRUE(Start(4).ok());
  ASSERT_TRUE(RunUntil([&] { return At(4).end.has_value(); }));
  EXPECT_NE(At(4).end->message().find("those of node 4 are 1, 2, 4"), std::string::npos)
      << At(4).end->message();
  ASSERT_TRUE(Start(3).ok());
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  EXPECT_TRUE(At(1).end->ok() && At(2).end->ok() && At(3).end->ok());
}

TEST_F(FoundingTaskTest, WhatIsNoHelloIsPassedOver) {
  Begin(3, 9);
  Transport* third = nullptr;
  ASSERT_TRUE(Start(1).ok());
  ASSERT_TRUE(Start(2).ok());
  testing::FaultDisk disk(1);
  testing::ManualRuntime runtime(1, &disk);
  runtime.StandStill(now_ns_ - runtime.now_ns());
  third = network_->Join(NodeId{3}, &runtime);
  meta::FoundingHello hello{.from = {NodeId{2}, 1, 1}, .number = 1};
  const std::string other_version("\xF0\x02rest");
  for (const Bytes& frame : {Bytes::Copy("letters"), Bytes::Copy(other_version), Bytes(),
                             meta::EncodeFoundingHello(hello)}) {
    third->Send(CoreId{0}, NodeId{1}, Channel::kControl, {frame});
    third->Send(CoreId{0}, NodeId{1}, Channel::kControl, {frame});
  }
  RunUntil([] { return false; }, kSecond);
  network_->Leave(NodeId{3}, true);
  ASSERT_EQ(At(1).log.size(), 2u);
  EXPECT_EQ(At(1).log[0].substr(0, 47), "of node 3: a founder's hello of version 2, this");
  EXPECT_EQ(At(1).log[1], "of node 3: it calls itself node 2");
  ASSERT_TRUE(Start(3).ok());
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  ExpectOneCluster();
}

TEST_F(FoundingTaskTest, AFailedDiskEndsItAndTheNextStartGoesOn) {
  for (uint64_t id = 1; id <= 3; ++id) {
    for (uint64_t opening : {1, 2}) {  // Of META.tmp: for the plan, for the membership.
      Begin(3, 10 + id);
      StartAll();
      FillDisk(id, opening);
      ASSERT_TRUE(RunUntil([&] { return At(id).end.has_value(); }));
      EXPECT_EQ(At(id).end->code(), StatusCode::kStorageFull);
      EXPECT_EQ(At(id).directory->has_plan(), opening == 2);
      EXPECT_EQ(At(id).directory->state(), DirectoryState::kFounding);
      Stop(id, true);
      EmptyDisk(id);
      ASSERT_TRUE(Start(id).ok());
      ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
      ExpectOneCluster();
      for (auto& [other, node] : nodes_) Stop(other);
      nodes_.clear();
    }
  }
}

// Nodes die, disks fail and lose what they hadn't synced, connections break; then all is well, and
// all become members.
TEST_F(FoundingTaskTest, CrashesOfAnyNodeAtAnyTimeEndInOneCluster) {
  uint64_t several = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Begin(3, seed);
    network_->set_faults({.delay_ns_max = 20'000'000, .break_per_million = 20'000});
    for (uint64_t i = 4 + random_.Below(20); i > 0; --i) {
      const uint64_t id = 1 + random_.Below(3);
      Stop(id, random_.OneIn(2));
      EmptyDisk(id);
      const bool begun = std::any_of(nodes_.begin(), nodes_.end(), [](const auto& node) {
        return node.second.directory != nullptr && node.second.directory->has_plan();
      });
      if (!begun && random_.OneIn(3)) Wipe(id);
      ASSERT_TRUE(Start(id).ok());
      if (random_.OneIn(3)) FillDisk(id, 1 + random_.Below(2));
      RunUntil([] { return false; }, random_.Below(400'000'000));
    }
    if (At(1).directory != nullptr && At(1).directory->generation() > 2) ++several;
    network_->set_faults({});
    for (auto& [id, node] : nodes_) {
      EmptyDisk(id);
      if (node.runtime == nullptr || (node.end.has_value() && !node.end->ok())) {
        Stop(id);
        ASSERT_TRUE(Start(id).ok()) << At(id).end->ToString();
      }
    }
    ASSERT_TRUE(RunUntil([&] { return AllEnded(); })) << "seed " << seed;
    ExpectOneCluster();
    if (HasFailure()) FAIL() << "seed " << seed;
    for (auto& [id, node] : nodes_) Stop(id);
    nodes_.clear();
  }
  EXPECT_GT(several, 100u);
}

TEST_F(FoundingTaskTest, DirectoriesThatWereFoundedApartAreRefused) {
  Begin(3, 11);
  for (uint64_t id = 1; id <= 3; ++id) {
    testing::ManualLoop loop(At(id).disk.get());
    storage::DirectoryOptions alone{.group_count_if_new = 4, .id_if_new = id, .nonce = id};
    alone.if_new = {.cluster_id = 70 + id, .history_id = 9, .node_id = id};
    ASSERT_TRUE(DataDirectory::Open(loop.disk(), "/data", alone).ok());
  }
  StartAll();
  ASSERT_TRUE(RunUntil([&] { return AllEnded(); }));
  for (auto& [id, node] : nodes_) {
    for (const char* cluster : {"0000000000000047", "0000000000000048", "0000000000000049"}) {
      EXPECT_NE(node.end->message().find(cluster), std::string::npos) << node.end->message();
    }
  }
}

}  // namespace
}  // namespace ursula::engine
