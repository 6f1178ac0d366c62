// A node whose log or snapshots have rotted while it was down (docs/decisions/0057): it puts its
// directory aside and comes back as its node's next one, where its cluster takes it in; else
// nothing is moved.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "lib/storage/directory.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::FaultDisk;
using testing::TestCluster;

constexpr int kStreams = 8;
constexpr uint64_t kShortMs = 8000;

StreamId Id(int i) { return {.bucket = kUpstreamBucket, .name = "s" + std::to_string(i)}; }

std::vector<std::string> FilesIn(const FaultDisk& disk, std::string_view folder,
                                 std::string_view ending) {
  std::vector<std::string> found = disk.Files();
  std::erase_if(found, [&](const std::string& path) {
    return !path.starts_with(folder) || !path.ends_with(ending);
  });
  return found;
}

// The first batch of a log that another one follows, which says that it was synced: the bit.
std::pair<std::string, uint64_t> PlaceInLog(const FaultDisk& disk) {
  for (const std::string& path : FilesIn(disk, "/data/wal/", ".wal")) {
    const std::string content = disk.Content(path);
    int batches = 0;
    for (std::size_t at = 0; at + 4 <= content.size(); at += 4096) {
      batches += content.compare(at, 4, "UWB1") == 0 ? 1 : 0;
    }
    if (batches >= 2) return {path, 70 * 8};
  }
  return {};
}

std::pair<std::string, uint64_t> PlaceInSnapshot(const FaultDisk& disk) {
  const std::vector<std::string> files = FilesIn(disk, "/data/snapshot/", ".snap");
  return files.empty() ? std::pair<std::string, uint64_t>()
                       : std::pair(files.back(), disk.Content(files.back()).size() / 2 * 8);
}

class RejoinTest : public ::testing::Test {
 protected:
  using Place = std::pair<std::string, uint64_t>;

  explicit RejoinTest(testing::TestClusterOptions options = {.cores = {1, 2, 1}})
      : cluster_(std::move(options)) {}

  void AppendAll(uint64_t node, const std::string& text) {
    for (int i = 0; i < kStreams; ++i) {
      AppendRequest request;
      request.stream = Id(i);
      request.messages.push_back(Bytes::Copy(text));
      auto reply = cluster_.Await<AppendReply>(
          [&](auto done) { cluster_.node(node).Append(request, std::move(done)); });
      ASSERT_TRUE(reply.ok()) << reply.status().ToString();
      ASSERT_EQ(reply->outcome, Outcome::kOk);
    }
    expected_ += text;
  }

  // Some of it in snapshots, and some in the log.
  void Fill(uint64_t nodes = 3) {
    ASSERT_TRUE(cluster_.AwaitLeaders());
    for (int i = 0; i < kStreams; ++i) {
      CreateRequest create;
      create.stream = Id(i);
      ASSERT_TRUE(cluster_
                      .Await<CreateReply>(
                          [&](auto done) { cluster_.node(1).Create(create, std::move(done)); })
                      .ok());
    }
    AppendAll(1, std::string(3000, 'a'));
    for (uint64_t node = 1; node <= nodes; ++node) {
      ASSERT_TRUE(cluster_.Stop(node).ok());
      ASSERT_TRUE(cluster_.Open(node).ok());
      ASSERT_TRUE(cluster_.AwaitLeaders());
    }
    cluster_.Advance(3000);
    AppendAll(1, std::string(2000, 'b'));
    cluster_.Advance(1000);
    AppendAll(1, "c");
  }

  Place Rot(uint64_t node, Place (*place_in)(const FaultDisk&)) {
    Place place = place_in(cluster_.disk(node));
    EXPECT_FALSE(place.first.empty());
    if (!place.first.empty()) cluster_.disk(node).FlipBit(place.first, place.second);
    return place;
  }

  void ExpectAll(uint64_t node) {
    for (int i = 0; i < kStreams; ++i) {
      ReadRequest request;
      request.stream = Id(i);
      auto reply = cluster_.Await<ReadReply>(
          [&](auto done) { cluster_.node(node).Read(request, std::move(done)); });
      ASSERT_TRUE(reply.ok()) << reply.status().ToString();
      std::string text;
      for (const Bytes& part : reply->parts) text += part.view();
      EXPECT_EQ(text, expected_) << i;
    }
  }

  bool TakenIn(uint64_t node, uint64_t lives_before) {
    const ClusterStatus status = cluster_.node(node).Cluster();
    const auto settled = [](const MemberStatus& member) {
      return member.stage == MemberStatus::Stage::kMember;
    };
    return status.members.size() == cluster_.size() &&
           std::ranges::all_of(status.members, settled) && !status.rejoins &&
           status.members[node - 1].lives_before == lives_before;
  }

  bool Says(uint64_t node, std::string_view what) {
    return std::ranges::any_of(cluster_.log(node), [what](const std::string& line) {
      return line.find(what) != std::string::npos;
    });
  }

  storage::DirectoryMeta MetaOf(uint64_t node, const std::string& folder) {
    auto meta = storage::DecodeDirectoryMeta(cluster_.disk(node).Content(folder + "/META"));
    EXPECT_TRUE(meta.ok()) << meta.status().ToString();
    return meta.ok() ? *meta : storage::DirectoryMeta();
  }

  bool IsAside(uint64_t node) { return cluster_.disk(node).Exists("/data/aside/META"); }

  // It is down, and what it has rots.
  void ExpectRejoins(uint64_t node, Place (*place_in)(const FaultDisk&)) {
    const storage::DirectoryMeta before = MetaOf(node, "/data");
    const Place place = Rot(node, place_in);
    const std::string rotten = cluster_.disk(node).Content(place.first);
    Status opened = cluster_.Open(node);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    EXPECT_TRUE(Says(node, place.first + ": damaged at offset"));
    EXPECT_TRUE(Says(node, "is kept in /data/aside"));
    EXPECT_EQ(cluster_.node(node).Cluster().aside, "/data/aside");
    // Nothing of it is gone, and nobody votes as it did.
    EXPECT_EQ(cluster_.disk(node).Content("/data/aside" + place.first.substr(5)), rotten);
    const storage::DirectoryMeta aside = MetaOf(node, "/data/aside");
    EXPECT_EQ(aside.id, before.id);
    EXPECT_EQ(aside.replica_id, before.replica_id);
    const storage::DirectoryMeta now = MetaOf(node, "/data");
    EXPECT_EQ(now.cluster_id, before.cluster_id);
    EXPECT_NE(now.id, before.id);
    EXPECT_EQ(now.replica_id, ReplicaOf(NodeId{node}, LivesBefore(before.replica_id) + 1));
  }

  TestCluster cluster_;
  std::string expected_;
};

TEST_F(RejoinTest, ANodeWhoseLogRottedComesBackWhole) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(2).ok());
  AppendAll(1, "while it is away");
  ExpectRejoins(2, PlaceInLog);
  EXPECT_TRUE(cluster_.node(2).Cluster().rejoins);
  ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(2, 1); }));
  // With it a majority has all that there was.
  cluster_.Crash(3);
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ExpectAll(2);
  AppendAll(2, "+");
  // It is kept until somebody removes it, and nothing else is said of it.
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(2, 1); }));
  EXPECT_EQ(cluster_.node(2).Cluster().aside, "/data/aside");
  EXPECT_TRUE(IsAside(2));
}

TEST_F(RejoinTest, ANodeWhoseSnapshotRottedComesBackWhole) {
  Fill();
  cluster_.Crash(1);
  ASSERT_TRUE(cluster_.AwaitLeaders());
  AppendAll(2, "while it is away");
  ExpectRejoins(1, PlaceInSnapshot);
  ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(1, 1); }));
  cluster_.Crash(2);
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ExpectAll(1);
}

TEST_F(RejoinTest, OneAfterTheOtherAndEachOnlyOnce) {
  Fill();
  for (uint64_t node = 1; node <= 3; ++node) {
    ASSERT_TRUE(cluster_.Stop(node).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
    ExpectRejoins(node, node == 2 ? PlaceInLog : PlaceInSnapshot);
    ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(node, 1); }));
    ASSERT_TRUE(cluster_.AwaitLeaders());
    AppendAll(node, std::to_string(node));
  }
  for (uint64_t node = 1; node <= 3; ++node) ExpectAll(node);
  // What is aside is all there may be of something: a second one has no place.
  cluster_.Advance(3000);
  ASSERT_TRUE(cluster_.Stop(2).ok());
  const Place place = Rot(2, PlaceInLog);
  Status opened = cluster_.Open(2);
  EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
  EXPECT_NE(opened.message().find(place.first + ": damaged at offset"), std::string::npos)
      << opened.ToString();
  EXPECT_NE(opened.message().find("/data/aside is there already"), std::string::npos);
  EXPECT_EQ(MetaOf(2, "/data").state, storage::DirectoryState::kMember);
}

// Each waits, and nothing is moved: once two of them are well again they serve, and take in the
// third.
TEST_F(RejoinTest, WhereAllAreRottenEachStaysAsItIs) {
  Fill();
  std::vector<Place> places(4);
  for (uint64_t node = 1; node <= 3; ++node) cluster_.Crash(node);
  for (uint64_t node = 1; node <= 3; ++node) places[node] = Rot(node, PlaceInLog);
  for (uint64_t node = 1; node <= 3; ++node) {
    const std::vector<std::string> files = cluster_.disk(node).Files();
    Opening opening;
    EXPECT_EQ(cluster_.OpenFor(node, kShortMs, &opening).code(), StatusCode::kCancelled);
    EXPECT_EQ(opening.Progress().step, OpeningStep::kRejoining);
    EXPECT_EQ(opening.Progress().done, 0u);
    EXPECT_TRUE(Says(node, places[node].first + ": damaged at offset"));
    EXPECT_TRUE(Says(node, "no member has answered yet, among nodes"));
    EXPECT_FALSE(IsAside(node));
    EXPECT_EQ(cluster_.disk(node).Files(), files);
  }
  // One that is well has no majority: it doesn't say that it would take anybody in.
  cluster_.disk(1).FlipBit(places[1].first, places[1].second);
  ASSERT_TRUE(cluster_.Open(1).ok());
  Opening opening;
  EXPECT_EQ(cluster_.OpenFor(3, kShortMs, &opening).code(), StatusCode::kCancelled);
  EXPECT_TRUE(Says(3, "groups have no leader"));
  EXPECT_FALSE(IsAside(3));
  cluster_.disk(2).FlipBit(places[2].first, places[2].second);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(3, 1); }));
  EXPECT_TRUE(IsAside(3));
  ExpectAll(3);
}

// The move is on its way when the power fails: no opening asks for more than that it goes on.
TEST_F(RejoinTest, AnOpeningGoesOnWithAMoveThatACrashCutOff) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(2).ok());
  storage::DirectoryMeta meta = MetaOf(2, "/data");
  meta.state = storage::DirectoryState::kMustRejoin;
  meta.aside.cluster_id = meta.cluster_id;
  {
    testing::ManualLoop loop(&cluster_.disk(2));
    ASSERT_TRUE(storage::WriteMeta(loop.disk(), "/data", meta).ok());
  }
  // Nor has it to be anybody's who answers.
  cluster_.Isolate(2);
  Opening opening;
  EXPECT_EQ(cluster_.OpenFor(2, kShortMs, &opening).code(), StatusCode::kCancelled);
  EXPECT_EQ(opening.Progress().step, OpeningStep::kRejoining);
  EXPECT_EQ(opening.Progress().done, 1u);
  EXPECT_TRUE(Says(2, "rejoining the cluster, with what was rotten in /data/aside"));
  EXPECT_TRUE(IsAside(2));
  cluster_.Heal();
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(2, 1); }));
  ExpectAll(2);
}

// Memory or a cable, not the disk.
TEST_F(RejoinTest, WhatIsReadRightTheSecondTimeIsNotRotten) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(2).ok());
  const Place place = Rot(2, PlaceInLog);
  bool mended = false;
  cluster_.disk(2).SetWatcher([&] {
    if (mended || !Says(2, "it is read once more")) return;
    mended = true;
    cluster_.disk(2).FlipBit(place.first, place.second);
  });
  ASSERT_TRUE(cluster_.Open(2).ok());
  cluster_.disk(2).SetWatcher(nullptr);
  EXPECT_TRUE(mended);
  EXPECT_FALSE(IsAside(2));
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ExpectAll(2);
}

// The second time it is another place: what is wrong is nothing that a disk keeps.
TEST_F(RejoinTest, WhatIsElsewhereTheSecondTimeIsRefused) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(2).ok());
  const Place place = Rot(2, PlaceInSnapshot);
  bool moved = false;
  cluster_.disk(2).SetWatcher([&] {
    if (moved || !Says(2, "it is read once more")) return;
    moved = true;
    cluster_.disk(2).FlipBit(place.first, place.second);
    Rot(2, PlaceInLog);
  });
  Status opened = cluster_.Open(2);
  cluster_.disk(2).SetWatcher(nullptr);
  EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
  EXPECT_NE(opened.message().find("memory and at the disk's controller"), std::string::npos)
      << opened.ToString();
  EXPECT_NE(opened.message().find(place.first), std::string::npos);
  EXPECT_FALSE(IsAside(2));
}

// One folder's volume isn't there: with it all is well.
TEST_F(RejoinTest, AFolderWithoutAnyFileIsNoRot) {
  Fill();
  cluster_.Advance(3000);
  ASSERT_TRUE(cluster_.Stop(2).ok());
  for (const std::string folder : {"/data/snapshot", "/data/wal"}) {
    std::vector<std::pair<std::string, std::string>> files;
    testing::ManualLoop loop(&cluster_.disk(2));
    for (const std::string& path : FilesIn(cluster_.disk(2), folder + "/", "")) {
      files.emplace_back(path, "/elsewhere" + path.substr(folder.size()));
    }
    ASSERT_FALSE(files.empty());
    ASSERT_TRUE(loop.disk().MakeDirectory("/elsewhere").ok());
    for (const auto& [from, to] : files) ASSERT_TRUE(loop.disk().RenameNow(from, to).ok());
    ASSERT_TRUE(loop.disk().SyncDirectoryNow("/data").ok());
    Opening opening;
    Status opened = cluster_.OpenFor(2, 2 * kShortMs, &opening);
    EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
    EXPECT_NE(opened.message().find(folder + " is empty"), std::string::npos) << opened.ToString();
    EXPECT_NE(opened.message().find("is it mounted?"), std::string::npos);
    EXPECT_FALSE(IsAside(2));
    for (const auto& [from, to] : files) ASSERT_TRUE(loop.disk().RenameNow(to, from).ok());
    ASSERT_TRUE(loop.disk().SyncDirectoryNow("/data").ok());
  }
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ExpectAll(2);
}

// What a node says whose own view of the cluster stands still, or whose payload isn't all there:
// the others can't be heard by who asks.
class KeptOutTest : public RejoinTest {
 protected:
  void ExpectWaits(uint64_t node, std::string_view why) {
    Opening opening;
    EXPECT_EQ(cluster_.OpenFor(node, 2 * kShortMs, &opening).code(), StatusCode::kCancelled);
    EXPECT_TRUE(Says(node, why));
    EXPECT_FALSE(IsAside(node));
  }
};

TEST_F(KeptOutTest, OneWhoseLogHasFailedKnowsNoLeader) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  Rot(2, PlaceInLog);
  cluster_.FailDisk(3);
  for (int i = 0; i < kStreams; ++i) {
    AppendRequest request;
    request.stream = Id(i);
    request.messages.push_back(Bytes::Copy("x"));
    cluster_.node(1).Append(request, [](Result<AppendReply>) {});
  }
  cluster_.Advance(1000);
  cluster_.Crash(1);
  cluster_.Advance(5000);
  ExpectWaits(2, "groups have no leader");
}

TEST_F(KeptOutTest, OneThatOnlyLearnsKnowsALeaderThatItHears) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(3).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  cluster_.Wipe(3);
  ASSERT_TRUE(cluster_.Open(3).ok());
  const auto known = [&] {
    return std::ranges::count_if(cluster_.node(3).Cluster().groups,
                                 [](const GroupStatus& group) { return group.leader != NodeId{}; });
  };
  ASSERT_TRUE(cluster_.RunUntil([&] { return known() > 0; }));
  cluster_.Crash(1);
  cluster_.Crash(2);
  ASSERT_FALSE(TakenIn(3, 1));
  EXPECT_TRUE(cluster_.RunUntil([&] { return known() == 0; }));
}

TEST_F(KeptOutTest, WhoTakesNoPartAnyMoreSaysSo) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(3).ok());
  cluster_.Keep(3);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(cluster_.Open(3).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
    cluster_.Advance(3000);
    ASSERT_TRUE(cluster_.Stop(3).ok());
  }
  cluster_.PutBack(3);
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return Says(3, "an older state of this directory"); }));
  ASSERT_TRUE(cluster_.Stop(2).ok());
  Rot(2, PlaceInLog);
  cluster_.Crash(1);
  ExpectWaits(2, "node 3 says: node 3 takes no part in its cluster any more");
}

// The rotten one is the only one that has it.
TEST_F(KeptOutTest, WhoLacksPayloadDoesntHaveItPutAside) {
  Fill();
  cluster_.Advance(3000);
  for (uint64_t node = 1; node <= 3; ++node) ASSERT_TRUE(cluster_.Stop(node).ok());
  for (uint64_t node : {1, 3}) {
    testing::ManualLoop loop(&cluster_.disk(node));
    const std::vector<std::string> files = FilesIn(cluster_.disk(node), "/data/payload/", ".pay");
    ASSERT_FALSE(files.empty());
    for (const std::string& file : files) ASSERT_TRUE(loop.disk().RemoveNow(file).ok());
    ASSERT_TRUE(loop.disk().SyncDirectoryNow("/data/payload").ok());
  }
  const Place place = Rot(2, PlaceInLog);
  ASSERT_TRUE(cluster_.Open(1).ok());
  ASSERT_TRUE(cluster_.Open(3).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ASSERT_GT(cluster_.node(1).Stats().payload_lacking_bytes, 0u);
  ExpectWaits(2, "bytes of payload, which the rotten directory may be the only one to have");
  // With the cable mended they have it again.
  cluster_.disk(2).FlipBit(place.first, place.second);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.node(1).Stats().payload_lacking_bytes == 0 &&
           cluster_.node(3).Stats().payload_lacking_bytes == 0;
  }));
  ExpectAll(1);
}

class RefusedTest : public RejoinTest {
 protected:
  RefusedTest() : RejoinTest({.cores = {1, 1, 1}, .rejoin_when_rotten = false}) {}
};

TEST_F(RefusedTest, ANodeThatIsToldNotToIsRefusedAndStaysAsItIs) {
  Fill();
  ASSERT_TRUE(cluster_.Stop(2).ok());
  const Place place = Rot(2, PlaceInLog);
  Status opened = cluster_.Open(2);
  EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
  EXPECT_NE(opened.message().find(place.first + ": damaged at offset"), std::string::npos);
  EXPECT_FALSE(IsAside(2));
  cluster_.disk(2).FlipBit(place.first, place.second);
  ASSERT_TRUE(cluster_.Open(2).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ExpectAll(2);
}

class OneNodeTest : public RejoinTest {
 protected:
  OneNodeTest() : RejoinTest({.nodes = 1, .cores = {1}}) {}
};

TEST_F(OneNodeTest, ANodeThatIsAloneIsRefusedAsEver) {
  Fill(1);
  ASSERT_TRUE(cluster_.Stop(1).ok());
  const Place place = Rot(1, PlaceInLog);
  Status opened = cluster_.Open(1);
  EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
  EXPECT_NE(opened.message().find(place.first + ": damaged at offset"), std::string::npos);
  EXPECT_FALSE(IsAside(1));
}

class FoundedAloneTest : public RejoinTest {
 protected:
  FoundedAloneTest() : RejoinTest({.founders = 1, .cores = {1, 1, 1}}) {}
};

// Its options name others, and nothing that it can read says whether there are any.
TEST_F(FoundedAloneTest, WhoFoundedAloneRejoinsOnlyWhatHasGrown) {
  Fill(1);
  ASSERT_TRUE(cluster_.Stop(1).ok());
  const Place place = Rot(1, PlaceInLog);
  Status opened = cluster_.Open(1);
  EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
  EXPECT_NE(opened.message().find("it may be the only one of its cluster"), std::string::npos)
      << opened.ToString();
  EXPECT_FALSE(IsAside(1));
  cluster_.disk(1).FlipBit(place.first, place.second);
  for (uint64_t node = 1; node <= 3; ++node) ASSERT_TRUE(cluster_.Open(node).ok());
  ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(2, 1) && TakenIn(3, 1); }));
  ASSERT_TRUE(cluster_.Stop(1).ok());
  ASSERT_TRUE(cluster_.AwaitLeaders());
  ExpectRejoins(1, PlaceInLog);
  ASSERT_TRUE(cluster_.RunUntil([&] { return TakenIn(1, 1); }));
  ExpectAll(1);
}

// Last: by what the suite as a whole came by.
TEST(RejoinMarks, EveryOneWasHit) {
  int marks = 0;
  for (const SometimesMark& mark : SometimesMarks()) {
    if (!std::string_view(mark.name).starts_with("aside: ")) continue;
    ++marks;
    EXPECT_TRUE(mark.reached.load()) << mark.name;
  }
  EXPECT_GE(marks, 3);
}

}  // namespace
}  // namespace ursula::engine
