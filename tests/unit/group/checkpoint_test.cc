// Snapshots, what they let the log forget, and crashes in between.

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr GroupId kGroup{0};

testing::FaultDisk::Faults Slow() { return {.latency_min_ns = kMs, .latency_max_ns = kMs}; }

bool DeleteNow(GroupWorld* world, std::string_view name) {
  return world->Finish(world->Propose(stream::Delete{NameOf(name)}));
}

// What a group is to whoever asks it.
struct Seen {
  uint64_t hash = 0;
  std::map<std::string, std::string> content = {};
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen Look(GroupWorld* world) {
  Seen seen;
  seen.hash = world->replica().machine().StateHash();
  for (const char* name : {"s", "t", "u"}) seen.content[name] = world->Content(name);
  return seen;
}

TEST(CheckpointTest, ABaseAndDeltasGiveTheStateAndTheBytesBack) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s") && world.CreateNow("t"));
  ASSERT_TRUE(world.AppendNow("s", "s1,") && world.AppendNow("t", "t1,"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.AppendNow("s", "s2,") && world.CreateNow("u"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(DeleteNow(&world, "t") && world.AppendNow("u", "u1,"));
  ASSERT_TRUE(world.CheckpointNow());
  EXPECT_EQ(world.snapshots().chain(kGroup).files, 3u);
  EXPECT_EQ(world.replica().log_bytes(), 0u);
  Seen before = Look(&world);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.snapshots().chain(kGroup).files, 3u);
  EXPECT_TRUE(Look(&world) == before);
  EXPECT_EQ(world.Content("s"), "s1,s2,");
  // And goes on from there: a delta on what was loaded, entries behind it.
  ASSERT_TRUE(world.AppendNow("s", "s3,"));
  ASSERT_TRUE(world.CheckpointNow());
  EXPECT_EQ(world.snapshots().chain(kGroup).files, 4u);
  ASSERT_TRUE(world.AppendNow("s", "s4,"));
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s"), "s1,s2,s3,s4,");
  EXPECT_EQ(world.payload().stats().keys, 2u);  // Nothing of "t".
  EXPECT_TRUE(world.Stop());
}

TEST(CheckpointTest, ThereIsNoneWhereNothingWasApplied) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  ASSERT_TRUE(world.CheckpointNow());
  EXPECT_FALSE(world.CheckpointNow());
  EXPECT_EQ(world.snapshots().stats().snapshots, 1u);
  EXPECT_TRUE(world.Stop());
}

// All of it is collected, but no request holds more than some of it.
TEST(CheckpointTest, MuchPayloadIsWrittenOutInBoundedRequests) {
  constexpr uint64_t kAppend = 1 << 20;
  GroupWorld world(1, Slow());
  world.options.payload_direct = false;  // So that each request is a sync.
  world.options.wal_segment_bytes = 8 << 20;
  world.options.wal_bytes_max = 128 << 20;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s") && world.CreateNow("t") && world.CreateNow("u"));
  std::string content;
  for (uint64_t i = 0; i < 30; ++i) {
    content += std::string(kAppend, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(world.AppendNow("s", std::string_view(content).substr(i * kAppend)));
  }
  ASSERT_TRUE(world.AppendNow("t", "freed meanwhile") && world.AppendNow("u", "last"));
  uint64_t syncs = world.disk.syncs();
  world.replica().Checkpoint();
  ASSERT_TRUE(world.RunUntil([&] { return world.disk.syncs() > syncs; }));
  ASSERT_TRUE(DeleteNow(&world, "t"));
  ASSERT_TRUE(world.RunUntil([&] { return world.budget().stats.snapshots == 1; }));
  EXPECT_GE(world.disk.syncs() - syncs, 4u + 1u);  // And of the snapshot.
  EXPECT_EQ(world.replica().unflushed_bytes(), 0u);
  EXPECT_EQ(world.payload().stats().keys, 2u);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_TRUE(world.Content("s") == content);
  EXPECT_EQ(world.Content("u"), "last");
  EXPECT_TRUE(world.Stop());
}

// A checkpoint of each step: the one that was collected before comes before.
TEST(CheckpointTest, WhatIsAppendedMeanwhileIsNotLost) {
  for (uint64_t at = 0; at < 16; ++at) {
    SCOPED_TRACE(at);
    GroupWorld world(at + 1, Slow());
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "1,"));
    world.replica().Checkpoint();
    world.runtime().AdvanceBy(at * kMs / 2);
    ASSERT_TRUE(world.AppendNow("s", "2,"));
    world.replica().Checkpoint();
    ASSERT_TRUE(world.AppendNow("s", "3,"));
    ASSERT_TRUE(world.RunUntil([&] { return world.budget().stats.snapshots == 2; }));
    ASSERT_TRUE(world.AppendNow("s", "4,"));
    world.Crash();
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(world.Content("s"), "1,2,3,4,");
    EXPECT_TRUE(world.Stop());
  }
}

// Base, delta, a refused delta, a base in their place that removes them.
bool RunCheckpoints(GroupWorld* world, uint64_t stop_ns) {
  auto over = [&] { return world->loop().now_ns() >= stop_ns; };
  auto wait = [&](Function<bool()> done) {
    world->RunUntil([&] { return over() || done(); });
    return !over();
  };
  auto checkpoint = [&] {
    uint64_t before = world->budget().stats.snapshots;
    world->replica().Checkpoint();
    return wait([&, before] { return world->budget().stats.snapshots > before; });
  };
  if (!checkpoint()) return false;
  Asked deleted = world->Propose(stream::Delete{NameOf("t")});
  if (!wait([&] { return deleted->ok(); })) return false;
  Asked more = world->Append("s", "more,");
  if (!wait([&] { return more->ok(); }) || !checkpoint()) return false;
  Asked last = world->Append("u", "last,");
  if (!wait([&] { return last->ok(); })) return false;
  world->disk.FailSync(1, EIO);  // Payload is written without one.
  world->replica().Checkpoint();
  if (!wait([&] { return world->Logged("a snapshot can't be written"); })) return false;
  if (!checkpoint()) return false;
  EXPECT_EQ(world->snapshots().chain(kGroup).files, 1u);
  uint64_t idle_ns = world->loop().now_ns() + 10 * kMs;
  return wait([&] { return world->loop().now_ns() >= idle_ns; });
}

void CrashInCheckpoints(bool machine) {
  int steps = 0;
  for (bool ended = false; !ended; ++steps) {
    SCOPED_TRACE("step " + std::to_string(steps));
    GroupWorld world(static_cast<uint64_t>(steps) + 1, Slow());
    ASSERT_TRUE(world.Open().ok());
    for (const char* name : {"s", "t", "u"}) {
      ASSERT_TRUE(world.CreateNow(name));
      ASSERT_TRUE(world.AppendNow(name, std::string(name) + ","));
    }
    // Each operation of the disk takes 1 ms: this is in the midst of the next one.
    uint64_t stop_ns = world.loop().now_ns() + static_cast<uint64_t>(steps) * kMs + kMs / 2;
    ended = RunCheckpoints(&world, stop_ns);
    Seen before = Look(&world);
    machine ? world.Crash() : world.Kill();
    world.disk.PlanNothing();
    for (int again = 0; again < 2; ++again) {
      Status status = world.Open();
      ASSERT_TRUE(status.ok()) << status.ToString();
      Seen after = Look(&world);
      // What was under way at the crash may have been carried out.
      EXPECT_TRUE(after.hash != before.hash || after == before);
      EXPECT_TRUE(after.content["s"].starts_with(before.content["s"]));
      EXPECT_TRUE(after.content["u"].starts_with(before.content["u"]));
      EXPECT_TRUE(before.content["t"] == "t," || after.content["t"] == before.content["t"]);
      EXPECT_TRUE(!ended || after == before);
      before = after;
      ASSERT_TRUE(world.AppendNow("u", "again,"));
      before.content["u"] += "again,";
      before.hash = world.replica().machine().StateHash();
      ASSERT_TRUE(again > 0 || world.CheckpointNow());
      world.Crash();
    }
    ASSERT_TRUE(world.Open().ok());
    EXPECT_TRUE(Look(&world) == before);
    EXPECT_TRUE(world.Stop());
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(steps, 30);
}

TEST(CheckpointTest, ACrashAtEachOfItsStepsLosesNothing) { CrashInCheckpoints(true); }
TEST(CheckpointTest, AKilledProcessAtEachOfItsStepsLosesNothing) { CrashInCheckpoints(false); }

TEST(CheckpointTest, ARefusedSnapshotLetsNothingGoAndTheNextIsABase) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "1,"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.AppendNow("s", "2,") && world.CreateNow("t"));
  world.disk.FailSync(1, EIO);  // Payload is written without one.
  EXPECT_FALSE(world.CheckpointNow());
  EXPECT_TRUE(world.Logged("a snapshot can't be written"));
  EXPECT_GT(world.replica().log_bytes(), 0u);
  EXPECT_TRUE(world.replica().Ready().ok());
  ASSERT_TRUE(world.AppendNow("s", "3,"));
  ASSERT_TRUE(world.CheckpointNow());
  EXPECT_EQ(world.snapshots().chain(kGroup).files, 1u);
  Seen before = Look(&world);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_TRUE(Look(&world) == before);
  EXPECT_TRUE(world.Stop());
}

TEST(CheckpointTest, StopEndsTheOneUnderWay) {
  for (uint64_t at = 0; at < 12; ++at) {
    SCOPED_TRACE(at);
    GroupWorld world(at + 1, Slow());
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "1,"));
    world.replica().Checkpoint();
    world.runtime().AdvanceBy(at * kMs / 2);
    world.replica().Checkpoint();  // One more that never comes.
    EXPECT_TRUE(world.Stop());
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(world.Content("s"), "1,");
    EXPECT_TRUE(world.Stop());
  }
}

TEST(CheckpointTest, WhatIsDeletedWhileItIsWrittenOutIsGone) {
  for (uint64_t at = 0; at < 12; ++at) {
    SCOPED_TRACE(at);
    GroupWorld world(at + 1, Slow());
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "1,"));
    Asked deleted = world.Propose(stream::Delete{NameOf("s")});
    world.runtime().AdvanceBy(at * kMs / 4);
    world.replica().Checkpoint();
    ASSERT_TRUE(world.Finish(deleted));
    ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "2,"));
    ASSERT_TRUE(world.CheckpointNow());
    EXPECT_EQ(world.payload().stats().keys, 1u);
    world.Crash();
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(world.Content("s"), "2,");
    EXPECT_EQ(world.payload().stats().keys, 1u);
    EXPECT_TRUE(world.Stop());
  }
}

// ---- the log ---------------------------------------------------------------------------------

std::vector<std::string> LogFiles(GroupWorld* world) {
  return *world->loop().disk().List("/data/wal");
}

TEST(CheckpointTest, TheLogStaysWithinItsLimitWhileRunning) {
  GroupWorld world(1, Slow());
  world.options.groups = 2;
  world.options.wal_bytes_max = 512 << 10;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Finish(world.Create("idle", {}, 1)));
  ASSERT_TRUE(world.Finish(world.Append("idle", "once", 1)));
  ASSERT_TRUE(world.CreateNow("s"));
  std::string content;
  for (int i = 0; i < 300; ++i) {
    std::string piece(8000, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(world.AppendNow("s", piece)) << i;
    content += piece;
    ASSERT_LE(world.wal().stats().disk_bytes, 512u << 10);
  }
  EXPECT_LT(world.replica(0).log_bytes(), 512u << 10);
  EXPECT_EQ(world.replica(1).log_bytes(), 0u);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_TRUE(world.Content("s") == content);
  EXPECT_EQ(world.Content("idle", 1), "once");
  EXPECT_TRUE(world.Stop());
}

// Its snapshot was durable, and then came a crash: nobody applies anything that would make the next
// one, and yet the old log goes.
TEST(CheckpointTest, AnIdleGroupHoldsNoLogThatItsSnapshotReplaces) {
  GroupWorld world(1, Slow());
  world.options.groups = 2;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Finish(world.Create("idle", {}, 1)));
  ASSERT_TRUE(world.Finish(world.Append("idle", "once", 1)));
  ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "abc"));
  ASSERT_TRUE(world.CheckpointNow(1));
  std::vector<std::string> old_files = LogFiles(&world);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CheckpointNow(0));  // As an engine does with what was replayed.
  world.runtime().AdvanceBy(1000 * kMs);
  std::vector<std::string> files = LogFiles(&world);
  for (const std::string& old : old_files) {
    EXPECT_EQ(std::count(files.begin(), files.end(), old), 0) << old;
  }
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s"), "abc");
  EXPECT_EQ(world.Content("idle", 1), "once");
  EXPECT_TRUE(world.Stop());
}

}  // namespace
}  // namespace ursula::group
