// A replica that is too far behind for the log takes over a peer's state, and fetches payload.

#include <gtest/gtest.h>

#include <string>

#include "lib/base/ids.h"
#include "tests/unit/group/behind_world.h"

namespace ursula::group {
namespace {

TEST(InstallTest, OneThatIsTooFarBehindTakesOverAPeersState) {
  Behind world;
  world.CutOff();
  world.GoOn();
  ASSERT_TRUE(world.Rejoin());
  world.ExpectAlike();
  world.Append("after");
  ASSERT_TRUE(world.cluster.AwaitEqual());
  world.ExpectAlike();
}

TEST(InstallTest, WhatTheLogStillHasNeedsNoSnapshot) {
  WorldOptions options;
  options.kept_log_bytes_max = 1 << 20;
  Behind world(1, options);
  world.CutOff();
  world.GoOn();
  ASSERT_TRUE(world.Rejoin());
  EXPECT_EQ(world.cluster.node(world.away).budget().stats.snapshots, 0u);
  world.ExpectAlike();
}

TEST(InstallTest, ItHoldsAfterARestart) {
  Behind world;
  world.CutOff();
  world.GoOn();
  ASSERT_TRUE(world.Rejoin());
  world.Append("after");
  ASSERT_TRUE(world.cluster.AwaitEqual());
  for (int i = 0; i < 2; ++i) {
    world.cluster.Crash(world.away);
    ASSERT_TRUE(world.cluster.Open(world.away).ok());
    ASSERT_TRUE(world.CaughtUp());
    world.ExpectAlike();
  }
}

// The follower had been leader: what it had written then, and nobody else, is void.
TEST(InstallTest, AnOldTailDoesNotOutliveIt) {
  Behind world;
  world.CutOffLeader(40);
  world.GoOn(5);
  ASSERT_TRUE(world.Rejoin());
  world.ExpectAlike();
  world.cluster.Crash(world.away);
  ASSERT_TRUE(world.cluster.Open(world.away).ok());
  ASSERT_TRUE(world.CaughtUp());
  world.ExpectAlike();
}

TEST(InstallTest, WhoWaitsForASkippedEntryIsToldThatNobodyKnows) {
  Behind world;
  const Asked append = world.CutOffLeader(1, 9 * kSecond).front();
  world.GoOn(5);
  EXPECT_FALSE(append->reply);
  world.cluster.network().Heal();
  ASSERT_TRUE(world.cluster.RunUntil([&] { return append->reply.has_value(); }));
  EXPECT_EQ(append->code(), StatusCode::kOutcomeUnknown);
  ASSERT_TRUE(world.CaughtUp());
  world.ExpectAlike();
}

TEST(InstallTest, AReaderThatWaitsAtTheTailGetsWhatIsNew) {
  Behind world;
  ASSERT_TRUE(world.cluster.AwaitEqual());
  ReadRequest request;
  request.stream = NameOf("s");
  request.from = {world.all.size()};
  request.wait_ms = 50'000;
  const AskedRead read = world.cluster.node(world.away).Read(request);
  world.cluster.RunFor(kSecond / 10);
  ASSERT_FALSE(read->reply);
  world.CutOff();
  world.GoOn(3, 10);
  const std::string expected = world.all.substr(7);
  ASSERT_TRUE(world.Rejoin());
  ASSERT_TRUE(world.cluster.RunUntil([&] { return read->reply.has_value(); }));
  // Its bytes may still be on their way: then it is told to ask again.
  EXPECT_TRUE(read->text() == expected || !read->reply->ok()) << read->text();
  world.ExpectAlike();
}

TEST(InstallTest, ACheckpointUnderWayEndsFirst) {
  Behind world;
  world.Append(std::string(50'000, 'x'));
  ASSERT_TRUE(world.cluster.AwaitEqual());
  world.CutOff();
  world.GoOn();
  world.cluster.network().Heal();
  for (int i = 0; i < 100; ++i) {
    world.cluster.replica(world.away).Checkpoint();
    world.cluster.replica(world.away).Flush();
    world.cluster.RunFor(kSecond / 100);
  }
  ASSERT_TRUE(world.CaughtUp());
  world.ExpectAlike();
}

TEST(InstallTest, TheLeaderMayCrashAtAnyMomentOfIt) {
  for (uint64_t after_us = 0; after_us < 4000; after_us += 100) {
    Behind world(after_us + 1);
    world.CutOff();
    world.GoOn(5);
    world.cluster.network().Heal();
    world.cluster.RunFor(kSecond / 5 + after_us * 1000);
    world.cluster.Crash(*world.cluster.Leader());
    for (uint64_t id = 1; id <= 3; ++id) {
      if (!world.cluster.node(id).open()) {
        ASSERT_TRUE(world.cluster.Open(id).ok());
      }
    }
    ASSERT_TRUE(world.CaughtUp()) << after_us;
    world.ExpectAlike();
  }
}

TEST(InstallTest, AnInstallInTurnsMayMeetBrokenConnections) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Behind world(seed);
    world.CutOff();
    world.GoOn(5);
    testing::NetworkFaults faults;
    faults.break_per_million = 50'000;
    world.cluster.network().set_faults(faults);
    world.cluster.network().Heal();
    world.cluster.RunFor(2 * kSecond);
    world.cluster.network().set_faults({});
    ASSERT_TRUE(world.CaughtUp()) << seed;
    world.ExpectAlike();
  }
}

// Of the machine, in each step of the world's: whatever was durable then is gone on from.
TEST(InstallTest, TheFollowerMayCrashBetweenAnyTwoOfItsSteps) {
  for (int bytes : {100, 20'000}) {
    uint64_t crashes = 0;
    for (bool done = false; !done; ++crashes) {
      Behind world(7);
      world.Append(std::string(2000, 'x'));
      ASSERT_TRUE(world.cluster.AwaitEqual());
      world.CutOff();
      world.GoOn(3, bytes);
      world.cluster.network().Heal();
      Replica& replica = world.cluster.replica(world.away);
      const Index behind = replica.applied();
      ASSERT_TRUE(world.cluster.RunUntil([&] { return replica.installing(); }));
      uint64_t steps = 0;
      ASSERT_TRUE(world.cluster.RunUntil([&] {
        done = replica.applied() > behind && world.Whole(world.away);
        return done || ++steps > crashes;
      }));
      world.cluster.Crash(world.away);
      ASSERT_TRUE(world.cluster.Open(world.away).ok()) << crashes;
      ASSERT_TRUE(world.CaughtUp()) << crashes;
      world.ExpectAlike();
      ASSERT_FALSE(HasFailure()) << crashes;
    }
    EXPECT_GT(crashes, 10u);
  }
}

TEST(InstallTest, AFullDiskIsWaitedFor) {
  Behind world;
  world.CutOff();
  world.GoOn();
  GroupWorld& node = world.cluster.node(world.away);
  node.disk.faults().capacity_bytes = 0;
  world.cluster.network().Heal();
  world.cluster.RunFor(5 * kSecond);
  EXPECT_LT(Raw(world.cluster.replica(world.away).applied()),
            Raw(world.cluster.replica(*world.cluster.Leader()).applied()));
  node.disk.faults().capacity_bytes = uint64_t{1} << 46;
  ASSERT_TRUE(world.CaughtUp());
  world.ExpectAlike();
}

// While one is being brought up the leader goes on and makes checkpoints of its own.
TEST(InstallTest, AFollowerCatchesUpThoughTheLeaderGoesOn) {
  WorldOptions options = KeepsNothing();
  options.shipment_part_bytes = 10;
  Behind world(1, options);
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(world.cluster.CreateNow("other" + std::to_string(i)));
  }
  world.CutOff();
  world.GoOn(5);
  testing::NetworkFaults slow;
  slow.delay_ns_min = slow.delay_ns_max = 60'000'000;
  world.cluster.network().set_faults(slow);
  world.cluster.network().Heal();
  Replica& behind = world.cluster.replica(world.away);
  bool level = false;
  for (int i = 0; i < 100 && !level; ++i) {
    world.Append("more");
    Replica& leader = world.cluster.replica(*world.cluster.Leader());
    leader.Checkpoint();
    level = Raw(behind.applied()) + 3 >= Raw(leader.applied());
  }
  EXPECT_TRUE(level);
  ASSERT_TRUE(world.CaughtUp());
  world.ExpectAlike();
}

// It holds the end of another history, and the answer to it doesn't fit into one write of the log.
TEST(InstallTest, WhatANewerLeaderCutsOffIsNeverCalledCommitted) {
  for (int steps = 0; steps < 150; ++steps) {
    WorldOptions options;
    options.wal_segment_bytes = 64 << 10;
    Behind world(3, options);
    world.away = world.leader;
    world.CutOff();
    for (int i = 0; i < 10; ++i) world.cluster.node(world.away).Append("s", "never");
    world.cluster.RunFor(kSecond / 10);
    ASSERT_TRUE(world.cluster.RunUntil(
        [&] { return world.cluster.Leader() && *world.cluster.Leader() != world.away; }));
    for (int i = 0; i < 4; ++i) world.Append(std::string(i % 2 == 0 ? 10 : 15'000, 'x'));
    const uint64_t before = world.cluster.node(world.away).disk.writes();
    world.cluster.network().Heal();
    ASSERT_TRUE(world.cluster.RunUntil(
        [&] { return world.cluster.node(world.away).disk.writes() > before; }));
    int step = 0;
    ASSERT_TRUE(world.cluster.RunUntil([&] { return step++ == steps; }));
    world.cluster.Crash(world.away);
    ASSERT_TRUE(world.cluster.Open(world.away).ok()) << steps;
    ASSERT_TRUE(world.CaughtUp()) << steps;
    world.ExpectAlike();
    ASSERT_FALSE(HasFailure()) << steps;
  }
}

TEST(FetchTest, PayloadThatIsLostOnOneComesFromAnother) {
  Behind world;
  world.GoOn(10);
  for (uint64_t id = 1; id <= 3; ++id) world.cluster.replica(id).Checkpoint();
  world.cluster.RunFor(kSecond);
  ASSERT_TRUE(world.cluster.AwaitEqual());
  world.cluster.Crash(world.away);
  RemovePayloadFiles(&world.cluster.node(world.away));
  ASSERT_TRUE(world.cluster.Open(world.away).ok());
  ASSERT_TRUE(world.CaughtUp());
  world.ExpectAlike();
}

TEST(FetchTest, WhatNobodyHasIsToldAndReadAsLost) {
  Behind world;
  world.GoOn(10);
  ASSERT_TRUE(world.cluster.AwaitEqual());
  for (uint64_t id = 1; id <= 3; ++id) world.cluster.replica(id).Checkpoint();
  world.cluster.RunFor(kSecond);
  for (uint64_t id = 1; id <= 3; ++id) world.cluster.Crash(id);
  for (uint64_t id = 1; id <= 3; ++id) {
    RemovePayloadFiles(&world.cluster.node(id));
    ASSERT_TRUE(world.cluster.Open(id).ok());
  }
  ASSERT_TRUE(world.cluster.RunUntil([&] {
    for (uint64_t id = 1; id <= 3; ++id) {
      if (!world.Whole(id) || world.cluster.node(id).budget().stats.payload_lost_bytes == 0) {
        return false;
      }
    }
    return true;
  }));
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(world.cluster.node(id).budget().stats.payload_lost_bytes, world.all.size());
    EXPECT_TRUE(world.cluster.node(id).Logged("are lost"));
    EXPECT_NE(world.cluster.Content(id, "s").find("DATA_LOSS"), std::string::npos)
        << world.cluster.Content(id, "s");
  }
}

}  // namespace
}  // namespace ursula::group
