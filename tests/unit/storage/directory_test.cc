#include "lib/storage/directory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::storage {
namespace {

class DirectoryTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<DataDirectory>> Open(uint32_t wanted = 0, uint32_t if_new = 4) {
    return DataDirectory::Open(
        loop_.disk(), "/data",
        {.group_count_wanted = wanted, .group_count_if_new = if_new, .id_if_new = 0x1234});
  }
  Status Refusal(uint32_t wanted = 0) {
    Result<std::unique_ptr<DataDirectory>> opened = Open(wanted);
    return opened.ok() ? Status() : opened.status();
  }
  testing::FaultDisk disk_{5};
  testing::ManualLoop loop_{&disk_};
};

TEST_F(DirectoryTest, ANewOneIsMadeAndEveryOpeningIsCounted) {
  for (uint64_t generation = 1; generation <= 3; ++generation) {
    Result<std::unique_ptr<DataDirectory>> opened = Open(0, static_cast<uint32_t>(3 + generation));
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ((*opened)->generation(), generation);
    EXPECT_EQ((*opened)->group_count(), 4u);  // The first opening's.
    EXPECT_EQ((*opened)->id(), 0x1234u);
    EXPECT_TRUE(disk_.Exists("/data/wal") && disk_.Exists("/data/payload") &&
                disk_.Exists("/data/snapshot"));
  }
}

TEST_F(DirectoryTest, WhoItIsIsOfItsFoundingWhateverLaterOpeningsAskFor) {
  DirectoryOptions options{.id_if_new = 1, .nonce = 100};
  options.if_new = {.cluster_id = 21,
                    .history_id = 22,
                    .node_id = 3,
                    .replica_id = ReplicaId{3},
                    .voters = {ReplicaId{1}, ReplicaId{2}, ReplicaId{3}}};
  ASSERT_TRUE(DataDirectory::Open(loop_.disk(), "/data", options).ok());
  options.nonce = 101;
  options.if_new = {.cluster_id = 31, .history_id = 32, .voters = {ReplicaId{1}}};
  Result<std::unique_ptr<DataDirectory>> opened =
      DataDirectory::Open(loop_.disk(), "/data", options);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_EQ((*opened)->cluster_id(), 21u);
  EXPECT_EQ((*opened)->history_id(), 22u);
  EXPECT_EQ((*opened)->node_id(), 3u);
  EXPECT_EQ((*opened)->replica_id(), ReplicaId{3});
  EXPECT_EQ((*opened)->founding_voters(),
            (std::vector<ReplicaId>{ReplicaId{1}, ReplicaId{2}, ReplicaId{3}}));
  EXPECT_EQ((*opened)->feature_level(), kFeatureLevel);
  EXPECT_EQ((*opened)->state(), DirectoryState::kMember);
  EXPECT_EQ((*opened)->nonce(), 101u);
  EXPECT_EQ((*opened)->predecessor(), 100u);
}

TEST_F(DirectoryTest, ARaisedFeatureLevelStaysAndKeepsLowerOnesOut) {
  auto open = [this](uint32_t level_max) {
    return DataDirectory::Open(loop_.disk(), "/data",
                               {.id_if_new = 1, .nonce = 1, .feature_level_max = level_max});
  };
  {
    Result<std::unique_ptr<DataDirectory>> opened = open(1);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ((*opened)->feature_level(), 1u);
    EXPECT_EQ((*opened)->founding_level(), 1u);
  }
  {
    Result<std::unique_ptr<DataDirectory>> opened = open(kFeatureLevel);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ((*opened)->feature_level(), 1u);  // Not by itself.
    ASSERT_TRUE((*opened)->RaiseFeatureLevel(loop_.disk(), 2).ok());
    EXPECT_TRUE((*opened)->RaiseFeatureLevel(loop_.disk(), 1).ok());
    EXPECT_EQ((*opened)->feature_level(), 2u);
    EXPECT_EQ((*opened)->founding_level(), 1u);
  }
  disk_.Crash();
  Result<std::unique_ptr<DataDirectory>> lower = open(1);
  ASSERT_FALSE(lower.ok());
  EXPECT_EQ(lower.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(lower.status().message(),
            "/data is at feature level 2, and --feature-level-max is 1: there is no way back; give "
            "a higher one, or leave it out");
  Result<std::unique_ptr<DataDirectory>> opened = open(2);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_EQ((*opened)->feature_level(), 2u);
}

TEST_F(DirectoryTest, ANewOneIsOfTheLevelThatItsNodeCan) {
  Result<std::unique_ptr<DataDirectory>> opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_EQ((*opened)->feature_level(), kFeatureLevel);
  EXPECT_EQ((*opened)->founding_level(), kFeatureLevel);
}

// Of a cluster of three, whose plan names this directory as node 2's.
class FoundingDirectoryTest : public DirectoryTest {
 protected:
  Result<std::unique_ptr<DataDirectory>> OpenOneOfSeveral(uint64_t node = 2, uint64_t cluster = 0,
                                                          uint32_t groups = 0) {
    return DataDirectory::Open(loop_.disk(), "/data",
                               {.group_count_wanted = groups,
                                .id_if_new = 12,
                                .node_id_wanted = node,
                                .cluster_id_wanted = cluster,
                                .one_of_several = true});
  }
  DirectoryPlan Plan(uint64_t cluster = 21) {
    return {.cluster_id = cluster,
            .history_id = 22,
            .group_count = 6,
            .founders = {{1, 11}, {2, 12}, {5, 15}}};
  }
};

TEST_F(FoundingDirectoryTest, ItsLevelIsItsPlans) {
  Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_EQ((*opened)->feature_level(), 1u);
  DirectoryPlan plan = Plan();
  plan.feature_level = 2;
  ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), plan).ok());
  EXPECT_EQ((*opened)->feature_level(), 2u);
  EXPECT_EQ((*opened)->founding_level(), 2u);
  // Dropped for one of a lower level: nothing is in the directory yet.
  ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), Plan(20)).ok());
  EXPECT_EQ((*opened)->feature_level(), 1u);
  EXPECT_EQ((*opened)->founding_level(), 1u);
}

TEST_F(FoundingDirectoryTest, OneOfAPlanThatItsNodeCannotMayBeEmptied) {
  DirectoryPlan plan = Plan();
  plan.feature_level = 2;
  for (const bool member : {false, true}) {
    {
      Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
      ASSERT_TRUE(opened.ok()) << opened.status().ToString();
      ASSERT_TRUE((member ? (*opened)->BecomeMember(loop_.disk())
                          : (*opened)->BecomeFounding(loop_.disk(), plan))
                      .ok());
    }
    Result<std::unique_ptr<DataDirectory>> lower = DataDirectory::Open(
        loop_.disk(), "/data", {.one_of_several = true, .feature_level_max = 1});
    ASSERT_FALSE(lower.ok());
    EXPECT_NE(lower.status().message().find("/data is at feature level 2"), std::string::npos);
    EXPECT_EQ(lower.status().message().find("or empty the directory") == std::string::npos, member)
        << lower.status().message();
  }
}

TEST_F(FoundingDirectoryTest, ItBeginsWithoutAPlanAndKeepsEachStepThroughACrash) {
  for (int opening = 0; opening < 2; ++opening) {
    Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ((*opened)->state(), DirectoryState::kFounding);
    EXPECT_FALSE((*opened)->has_plan());
    EXPECT_EQ((*opened)->node_id(), 2u);
    EXPECT_EQ((*opened)->id(), 12u);
    if (opening == 1) {
      ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), Plan(20)).ok());
      ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), Plan()).ok());
    }
    disk_.Crash();
  }
  for (int opening = 0; opening < 2; ++opening) {
    Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ((*opened)->state(),
              opening == 0 ? DirectoryState::kFounding : DirectoryState::kMember);
    EXPECT_EQ((*opened)->cluster_id(), 21u);
    EXPECT_EQ((*opened)->history_id(), 22u);
    EXPECT_EQ((*opened)->group_count(), 6u);
    EXPECT_EQ((*opened)->replica_id(), ReplicaId{2});
    EXPECT_EQ((*opened)->founding_voters(),
              (std::vector<ReplicaId>{ReplicaId{1}, ReplicaId{2}, ReplicaId{5}}));
    EXPECT_EQ((*opened)->founders(), Plan().founders);
    if (opening == 0) {
      ASSERT_TRUE((*opened)->BecomeMember(loop_.disk()).ok());
    }
    disk_.Crash();
  }
}

// What watches over a directory has to know which META is its own.
TEST_F(FoundingDirectoryTest, ItsPlacesAreThoseOfItsNewestMeta) {
  Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
  ASSERT_TRUE(opened.ok());
  ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), Plan()).ok());
  const auto places = (*opened)->places();
  for (const DataDirectory::Place& place : *places) {
    EXPECT_EQ(*place.identity, **loop_.disk().Hold(place.path)) << place.path;
  }
}

// As another core's watch over the directory does.
TEST_F(FoundingDirectoryTest, ItsPlacesAreReadOnOtherThreadsWhileMetaIsReplaced) {
  Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
  ASSERT_TRUE(opened.ok());
  DataDirectory& directory = **opened;
  std::atomic<uint64_t> seen = 0;
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      const auto places = directory.places();
      if (places != nullptr) seen += places->size();  // None while META is replaced.
    }
  });
  while (seen == 0) std::this_thread::yield();
  for (uint64_t round = 0; round < 2000; ++round) {
    EXPECT_TRUE(directory.BecomeFounding(loop_.disk(), Plan(21 + round % 2)).ok());
  }
  done = true;
  other.join();
}

TEST_F(FoundingDirectoryTest, ARecoveryHoldsFromTheNextOpeningOn) {
  DirectoryPlan plan = Plan(31);
  plan.founders = {{1, 11}, {2, 12}};
  plan.replicas = {ReplicaId{65537}, ReplicaId{65538}};
  plan.recovery = {
      .number = 1, .term = Term{9}, .history_id = 41, .cluster_before = 21, .lost = {5}};
  {
    Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), Plan()).ok());
    ASSERT_TRUE((*opened)->BecomeMember(loop_.disk()).ok());
    disk_.faults().capacity_bytes = 0;
    EXPECT_EQ((*opened)->Recover(loop_.disk(), plan).code(), StatusCode::kStorageFull);
    EXPECT_EQ((*opened)->to_be(), nullptr);
    disk_.faults().capacity_bytes = 1 << 20;
    ASSERT_TRUE((*opened)->Recover(loop_.disk(), plan).ok());
    ASSERT_NE((*opened)->to_be(), nullptr);
    EXPECT_EQ((*opened)->to_be()->recovery, plan.recovery);
    EXPECT_EQ((*opened)->cluster_id(), 21u);
    EXPECT_EQ((*opened)->replica_id(), ReplicaId{2});
    EXPECT_EQ((*opened)->recovery().number, 0u);
    ASSERT_TRUE((*opened)->RaiseFeatureLevel(loop_.disk(), 2).ok());  // The plan stays.
    const auto places = (*opened)->places();
    for (const DataDirectory::Place& place : *places) {
      EXPECT_EQ(*place.identity, **loop_.disk().Hold(place.path)) << place.path;
    }
    disk_.Crash();
  }
  // Its former cluster's id still finds it.
  for (uint64_t cluster : {0, 21, 31}) {
    Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral(2, cluster);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ((*opened)->to_be(), nullptr);
    EXPECT_EQ((*opened)->state(), DirectoryState::kMember);
    EXPECT_EQ((*opened)->cluster_id(), 31u);
    EXPECT_EQ((*opened)->replica_id(), ReplicaId{65538});
    EXPECT_EQ((*opened)->founding_voters(), plan.replicas);
    EXPECT_EQ((*opened)->founders(), plan.founders);
    EXPECT_EQ((*opened)->recovery(), plan.recovery);
    EXPECT_EQ((*opened)->history_id(), 22u);
    EXPECT_EQ((*opened)->feature_level(), 2u);
    EXPECT_EQ((*opened)->founding_level(), 1u);
  }
  EXPECT_FALSE(OpenOneOfSeveral(2, 20).ok());
}

// Other threads read it meanwhile.
TEST_F(FoundingDirectoryTest, WhoMustRejoinKeepsAllElseWhereItIs) {
  Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), Plan()).ok());
  ASSERT_TRUE((*opened)->BecomeMember(loop_.disk()).ok());
  const FoundingDirectory* founders = (*opened)->founders().data();
  ASSERT_TRUE((*opened)->MustRejoin(loop_.disk()).ok());
  EXPECT_EQ((*opened)->state(), DirectoryState::kMustRejoin);
  EXPECT_EQ((*opened)->founders().data(), founders);
  opened->reset();
  opened = OpenOneOfSeveral();
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_EQ((*opened)->state(), DirectoryState::kMustRejoin);
}

TEST_F(FoundingDirectoryTest, AStepThatFindsNoRoomChangesNothing) {
  Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
  ASSERT_TRUE(opened.ok());
  disk_.faults().capacity_bytes = 0;
  EXPECT_EQ((*opened)->BecomeFounding(loop_.disk(), Plan()).code(), StatusCode::kStorageFull);
  EXPECT_FALSE((*opened)->has_plan());
  opened->reset();
  disk_.faults().capacity_bytes = 1 << 20;
  opened = OpenOneOfSeveral();
  ASSERT_TRUE(opened.ok());
  EXPECT_FALSE((*opened)->has_plan());
}

TEST_F(FoundingDirectoryTest, AnotherNodesOrClustersIsRefusedAndStaysAsItIs) {
  const auto refusal = [&](uint64_t node, uint64_t cluster, uint32_t groups) {
    Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral(node, cluster, groups);
    return opened.ok() ? std::string("taken") : opened.status().message();
  };
  EXPECT_EQ(refusal(2, 9, 3), "taken");  // Without a plan there is nothing to compare.
  EXPECT_EQ(refusal(3, 0, 0),
            "/data is node 2's, not node 3's; give this node its own directory, or an empty one");
  {
    Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral();
    ASSERT_TRUE(opened.ok());
    ASSERT_TRUE((*opened)->BecomeFounding(loop_.disk(), Plan()).ok());
    ASSERT_TRUE((*opened)->BecomeMember(loop_.disk()).ok());
  }
  EXPECT_EQ(refusal(2, 9, 0),
            "/data is of cluster 0000000000000015, not 0000000000000009; give this node its own "
            "directory, or an empty one");
  EXPECT_NE(refusal(2, 21, 3).find("group_count 6, not 3"), std::string::npos);
  Result<std::unique_ptr<DataDirectory>> opened = OpenOneOfSeveral(2, 21, 6);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->generation(), 3u);
}

TEST_F(DirectoryTest, TheGenerationSurvivesACrash) {
  uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    Result<std::unique_ptr<DataDirectory>> opened = Open();
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_GT((*opened)->generation(), last);
    last = (*opened)->generation();
    disk_.Crash();
  }
}

TEST_F(DirectoryTest, OneInUseIsRefused) {
  Result<std::unique_ptr<DataDirectory>> opened = Open();
  ASSERT_TRUE(opened.ok());
  Status refused = Refusal();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("in use"), std::string::npos) << refused.message();
  opened->reset();
  EXPECT_TRUE(Refusal().ok());
}

TEST_F(DirectoryTest, AnotherGroupCountIsRefusedAndChangesNothing) {
  ASSERT_TRUE(Open(8).ok());
  Status refused = Refusal(16);
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("group_count 8, not 16"), std::string::npos)
      << refused.message();
  Result<std::unique_ptr<DataDirectory>> opened = Open(8);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->generation(), 2u);
}

TEST_F(DirectoryTest, AnotherFormatVersionIsRefusedByItsNumber) {
  ASSERT_TRUE(Open().ok());
  disk_.Overwrite("/data/META", 8, std::string("\x09\0\0\0", 4));
  Status refused = Refusal();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("version 9"), std::string::npos) << refused.message();
}

TEST_F(DirectoryTest, EachFlippedBitOfMetaIsRefused) {
  ASSERT_TRUE(Open().ok());
  const std::string pristine = disk_.Content("/data/META");
  for (uint64_t bit = 0; bit < pristine.size() * 8; ++bit) {
    disk_.FlipBit("/data/META", bit);
    EXPECT_EQ(Refusal().code(), StatusCode::kFailedPrecondition) << "bit " << bit;
    disk_.Overwrite("/data/META", 0, pristine);
  }
  disk_.Truncate("/data/META", 20);
  EXPECT_EQ(Refusal().code(), StatusCode::kFailedPrecondition);
}

// As a restore of META alone does it: no number is given out again, so no file is met that is
// there.
TEST_F(DirectoryTest, AnOlderMetaGoesOnFromTheNewestOpeningsFiles) {
  for (const std::string& file : {std::string("wal/0000000000030001-00000000.wal"),
                                  std::string("payload/000000000003-0001-00000001.pay")}) {
    testing::FaultDisk disk(5);
    testing::ManualLoop loop(&disk);
    auto open = [&] { return DataDirectory::Open(loop.disk(), "/data", {.id_if_new = 1}); };
    Result<std::unique_ptr<DataDirectory>> first = open();
    ASSERT_TRUE(first.ok());
    EXPECT_EQ((*first)->notice(), "");
    first->reset();
    const std::string meta = disk.Content("/data/META");
    ASSERT_TRUE(open().ok());
    ASSERT_TRUE(open().ok());
    ASSERT_TRUE(loop.disk().Open("/data/" + file, {.create = true, .write = true}).ok());
    disk.Truncate("/data/META", 0);
    disk.Overwrite("/data/META", 0, meta);
    Result<std::unique_ptr<DataDirectory>> opened = open();
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ((*opened)->generation(), 4u) << file;
    EXPECT_NE((*opened)->notice().find("an older META"), std::string::npos) << file;
    opened->reset();
    opened = open();
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ((*opened)->generation(), 5u);
    EXPECT_EQ((*opened)->notice(), "");
  }
}

TEST_F(DirectoryTest, DataWithoutMetaIsNotStartedAfresh) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(loop_.disk().Open("/data/wal/something", {.create = true}).ok());
  ASSERT_TRUE(loop_.disk().RemoveNow("/data/META").ok());
  Status refused = Refusal();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("no META"), std::string::npos) << refused.message();
}

}  // namespace
}  // namespace ursula::storage
