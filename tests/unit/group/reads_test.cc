// Reads: behind the barrier, waiting, from memory and from files, and how they end.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;

testing::FaultDisk::Faults Slow() { return {.latency_min_ns = kMs, .latency_max_ns = kMs}; }

ReadRequest From(std::string_view name, uint64_t from, uint64_t wait_ms = 0) {
  ReadRequest request;
  request.stream = NameOf(name);
  request.from.bytes = from;
  request.wait_ms = wait_ms;
  return request;
}

StatusCode CodeOf(const AskedRead& read) {
  return !read->reply || read->reply->ok() ? StatusCode::kOk : read->reply->status().code();
}

// A world with the streams "s" and, with bytes on disk and none in memory, "t".
class ReplicaReadsTest : public ::testing::Test {
 protected:
  ReplicaReadsTest() : world(1, Slow()) {}
  void SetUp() override {
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s"));
    ASSERT_TRUE(world.CreateNow("t"));
    ASSERT_TRUE(world.AppendNow("t", kStored));
    ASSERT_TRUE(world.FlushNow());
    world.replica().EvictTo(0);
    ASSERT_EQ(world.replica().hot_bytes(), 0u);
  }
  void TearDown() override {
    EXPECT_TRUE(!world.open() || world.Stop());
    EXPECT_EQ(world.budget().stats.waiters, 0u);
  }

  static constexpr const char* kStored = "stored,";
  GroupWorld world;
};

TEST_F(ReplicaReadsTest, SeeWhatIsAcknowledgedAndNotWhatIsOnItsWay) {
  ASSERT_TRUE(world.AppendNow("s", "a"));
  Asked under_way = world.Append("s", "b");
  AskedRead before = world.Read(From("s", 0));
  EXPECT_FALSE(before->reply);
  world.runtime().RunUntilIdle();
  EXPECT_EQ(before->text(), "a");
  EXPECT_FALSE(under_way->reply);
  ASSERT_TRUE(world.Finish(under_way));
  AskedRead after = world.Read(From("s", 0));
  world.runtime().RunUntilIdle();
  EXPECT_EQ(after->text(), "ab");
}

TEST_F(ReplicaReadsTest, OneThatWaitsOverACheckpointAndAnEvictionGetsWhatComes) {
  ASSERT_TRUE(world.AppendNow("s", "a,"));
  AskedRead hot = world.Read(From("s", 2, 60'000));
  AskedRead cold = world.Read(From("t", 7, 60'000));
  world.runtime().RunUntilIdle();
  EXPECT_EQ(world.replica().waiting_reads(), 2u);
  ASSERT_TRUE(world.CheckpointNow());
  world.replica().EvictTo(0);
  EXPECT_FALSE(hot->reply || cold->reply);
  ASSERT_TRUE(world.AppendNow("s", "b,"));
  EXPECT_EQ(hot->text(), "b,");
  EXPECT_FALSE(cold->reply);
  // Woken while a checkpoint is under way.
  Asked append = world.Append("t", "c,");
  world.replica().Checkpoint();
  ASSERT_TRUE(world.Finish(append));
  EXPECT_EQ(cold->text(), "c,");
  EXPECT_EQ(world.replica().waiting_reads(), 0u);
}

TEST_F(ReplicaReadsTest, AWaitEndsWithItsTimeOrItsStream) {
  uint64_t start_ns = world.loop().now_ns();
  AskedRead timed = world.Read(From("s", 0, 300));
  AskedRead deleted = world.Read(From("t", 7, 60'000));
  EXPECT_EQ(world.FinishRead(timed), "");
  EXPECT_TRUE((*timed->reply)->reply.up_to_date);
  EXPECT_EQ(world.loop().now_ns() - start_ns, 300 * kMs);
  ASSERT_TRUE(world.Finish(world.Propose(stream::Delete{NameOf("t")})));
  EXPECT_EQ(deleted->text(), "outcome " + std::to_string(static_cast<int>(Outcome::kNotFound)));
  AskedRead closed = world.Read(From("s", 0, 60'000));
  world.runtime().RunUntilIdle();
  stream::Append close;
  close.id = NameOf("s");
  close.close = true;
  ASSERT_TRUE(world.Finish(world.Propose(std::move(close))));
  ASSERT_TRUE(closed->reply && closed->reply->ok());
  EXPECT_TRUE((*closed->reply)->reply.info.closed);
}

TEST_F(ReplicaReadsTest, PagesAcrossFilesAndMemoryAreWholeWhateverTheirSize) {
  std::string content = kStored;
  std::vector<uint64_t> ends = {content.size()};
  for (int i = 0; i < 12; ++i) {
    std::string piece(static_cast<std::size_t>(1 + i * 3), static_cast<char>('a' + i));
    ASSERT_TRUE(world.AppendNow("t", piece));
    content += piece;
    ends.push_back(content.size());
    ASSERT_TRUE(i != 3 || world.FlushNow());
    if (i == 5) world.replica().EvictTo(0);
    ASSERT_TRUE(i != 9 || world.FlushNow());
  }
  for (uint64_t page : {1, 2, 3, 7, 10, 50, 1000}) {
    SCOPED_TRACE(page);
    std::string read;
    std::vector<uint64_t> seen;
    while (read.size() < content.size()) {
      ReadRequest request = From("t", read.size());
      request.bytes_max = page;
      request.boundaries = true;
      AskedRead asked = world.Read(std::move(request));
      std::string text = world.FinishRead(asked);
      ASSERT_TRUE(asked->reply->ok() && !text.empty() && text.size() <= page);
      for (Offset end : (*asked->reply)->reply.message_ends) {
        if (seen.empty() || seen.back() < end.bytes) seen.push_back(end.bytes);
      }
      read += text;
    }
    EXPECT_EQ(read, content);
    EXPECT_EQ(seen, ends);
  }
}

// The file that a read is at work on stays until it is done, though nobody else needs it.
TEST_F(ReplicaReadsTest, AStreamDeletedUnderAReadGivesItsBytesOrIsGone) {
  std::string content(600 << 10, 'x');
  for (uint64_t at = 0; at < 16; ++at) {
    SCOPED_TRACE(at);
    ASSERT_TRUE(world.CreateNow("u"));
    for (std::size_t piece = 0; piece < content.size(); piece += 20 << 10) {
      ASSERT_TRUE(world.AppendNow("u", content.substr(piece, 20 << 10)));
    }
    ASSERT_TRUE(world.FlushNow());
    world.replica().EvictTo(0);
    Asked deleted = world.Propose(stream::Delete{NameOf("u")});
    world.runtime().AdvanceBy(at * kMs / 8);
    AskedRead read = world.Read(From("u", 0));
    std::string text = world.FinishRead(read);
    bool gone = text == "outcome " + std::to_string(static_cast<int>(Outcome::kNotFound));
    EXPECT_TRUE(gone || text == content) << text.substr(0, 100);
    ASSERT_TRUE(world.Finish(deleted));
  }
}

TEST_F(ReplicaReadsTest, CancelEndsAWaitAtOnceAndAGatheringWhenItComesBack) {
  AskedRead waiting = world.Read(From("s", 0, 60'000), 5);
  AskedRead gathering = world.Read(From("t", 0), 6);
  world.runtime().RunUntilIdle();
  EXPECT_TRUE(world.replica().CancelRead(5));
  EXPECT_EQ(CodeOf(waiting), StatusCode::kCancelled);
  EXPECT_FALSE(world.replica().CancelRead(5));
  EXPECT_TRUE(world.replica().CancelRead(6));
  EXPECT_FALSE(gathering->reply);
  world.FinishRead(gathering);
  EXPECT_EQ(CodeOf(gathering), StatusCode::kCancelled);
  // Before it has passed the barrier.
  AskedRead fresh = world.Read(From("t", 0), 7);
  EXPECT_TRUE(world.replica().CancelRead(7));
  world.runtime().RunUntilIdle();
  EXPECT_EQ(CodeOf(fresh), StatusCode::kCancelled);
}

TEST_F(ReplicaReadsTest, StopEndsThemAllThoughTheEndOfOneCancelsTheNext) {
  constexpr uint64_t kReads = 8;
  std::vector<StatusCode> ends;
  for (uint64_t id = 1; id <= kReads; ++id) {
    world.replica().Read(From("s", 0, 60'000), id, [&](Result<GroupReadReply> reply) {
      ends.push_back(reply.status().code());
      for (uint64_t other = 1; other <= kReads; ++other) world.replica().CancelRead(other);
    });
  }
  AskedRead gathering = world.Read(From("t", 0));
  world.runtime().RunUntilIdle();
  EXPECT_EQ(world.replica().waiting_reads(), kReads);
  AskedRead fresh = world.Read(From("s", 0, 60'000));
  EXPECT_TRUE(world.Stop());
  EXPECT_EQ(ends, std::vector<StatusCode>(kReads, StatusCode::kCancelled));
  EXPECT_EQ(CodeOf(gathering), StatusCode::kCancelled);
  EXPECT_EQ(CodeOf(fresh), StatusCode::kCancelled);
}

TEST_F(ReplicaReadsTest, TooManyThatWaitAreRefused) {
  world.budget().waiters_max = 1;
  AskedRead first = world.Read(From("s", 0, 60'000));
  AskedRead second = world.Read(From("s", 0, 60'000));
  world.runtime().RunUntilIdle();
  EXPECT_FALSE(first->reply);
  EXPECT_EQ(CodeOf(second), StatusCode::kResourceExhausted);
  EXPECT_EQ(world.budget().stats.refused_waiters, 1u);
  ASSERT_TRUE(world.AppendNow("s", "a"));
  EXPECT_EQ(first->text(), "a");
}

TEST_F(ReplicaReadsTest, AnExpiredStreamIsExpiredByACommandBeforeItIsSaidToBeGone) {
  Lifetime lifetime;
  lifetime.ttl_seconds = 1;
  ASSERT_TRUE(world.Finish(world.Create("brief", lifetime)));
  ASSERT_TRUE(world.AppendNow("brief", "a"));
  // Not by the tick, which would come first.
  world.runtime().AdvanceBy(900 * kMs);
  Index applied = world.replica().applied();
  int64_t deadline_ms = *world.replica().machine().NextDeadline();
  world.runtime().AdvanceBy(static_cast<uint64_t>(deadline_ms - world.replica().NowMs()) * kMs);
  AskedRead read = world.Read(From("brief", 0));
  EXPECT_EQ(world.FinishRead(read),
            "outcome " + std::to_string(static_cast<int>(Outcome::kNotFound)));
  EXPECT_GT(world.replica().applied(), applied);
  EXPECT_EQ(world.replica().machine().Lookup(NameOf("brief"), 0).kind,
            stream::LookupResult::Kind::kNotFound);
}

TEST_F(ReplicaReadsTest, WaitingReadersKeepASlidingStreamAlive) {
  Lifetime lifetime;
  lifetime.ttl_seconds = 1;
  ASSERT_TRUE(world.Finish(world.Create("brief", lifetime)));
  AskedRead waiting = world.Read(From("brief", 0, 60'000));
  world.runtime().AdvanceBy(5'000 * kMs);
  EXPECT_FALSE(waiting->reply);
  ASSERT_TRUE(world.AppendNow("brief", "a"));
  EXPECT_EQ(waiting->text(), "a");
  world.runtime().AdvanceBy(2'000 * kMs);
  EXPECT_EQ(world.replica().machine().Lookup(NameOf("brief"), 0).kind,
            stream::LookupResult::Kind::kNotFound);
}

// However soon it comes after the last renewal.
TEST_F(ReplicaReadsTest, AReadRenewsTheWholeOfASlidingTime) {
  for (uint64_t ttl_ms : {1'000, 8'000, 60'000}) {
    for (uint64_t after_ms : {0, 1, 60, 124, 126, 500, 900}) {
      SCOPED_TRACE(std::to_string(ttl_ms) + " " + std::to_string(after_ms));
      const std::string name = "b" + std::to_string(ttl_ms) + "-" + std::to_string(after_ms);
      Lifetime lifetime;
      lifetime.ttl_seconds = ttl_ms / 1'000;
      ASSERT_TRUE(world.Finish(world.Create(name, lifetime)));
      world.runtime().AdvanceBy(after_ms * kMs);
      const int64_t read_ms = world.replica().NowMs();
      EXPECT_EQ(world.FinishRead(world.Read(From(name, 0))), "");
      const uint64_t applied = Raw(world.replica().applied());
      world.runtime().AdvanceBy((ttl_ms - 1) * kMs);
      const int64_t left_ms = read_ms + static_cast<int64_t>(ttl_ms) - world.replica().NowMs() - 1;
      if (left_ms > 0) world.runtime().AdvanceBy(static_cast<uint64_t>(left_ms) * kMs);
      const int64_t now_ms = read_ms + static_cast<int64_t>(ttl_ms) - 1;
      EXPECT_EQ(world.replica().machine().Lookup(NameOf(name), now_ms).kind,
                stream::LookupResult::Kind::kFound);
      EXPECT_LE(Raw(world.replica().applied()), applied + 1);  // One renewal, if any.
      world.runtime().AdvanceBy(1'100 * kMs);
      EXPECT_EQ(world.replica().machine().Lookup(NameOf(name), 0).kind,
                stream::LookupResult::Kind::kNotFound);
    }
  }
}

TEST_F(ReplicaReadsTest, TheLongestWaitWaits) {
  AskedRead waiting = world.Read(From("s", 0, UINT64_MAX));
  world.runtime().AdvanceBy(60'000 * kMs);
  EXPECT_FALSE(waiting->reply);
  ASSERT_TRUE(world.AppendNow("s", "a"));
  EXPECT_EQ(waiting->text(), "a");
}

// The tick that would have renewed it in time didn't come, and something else comes first.
class StalledReadersTest : public ReplicaReadsTest {
 protected:
  void SetUp() override {
    ReplicaReadsTest::SetUp();
    Lifetime lifetime;
    lifetime.ttl_seconds = 1;
    ASSERT_TRUE(world.Finish(world.Create("brief", lifetime)));
    waiting = world.Read(From("brief", 0, 60'000), kWaiting);
    world.runtime().AdvanceBy(200 * kMs);
    world.runtime().StandStill(5'000 * kMs);
  }

  static constexpr uint64_t kWaiting = 7;
  AskedRead waiting;
};

TEST_F(StalledReadersTest, TicksThatComeLateRenewTheStream) {
  for (int stall = 0; stall < 3; ++stall) {
    world.runtime().AdvanceBy(300 * kMs);
    EXPECT_FALSE(waiting->reply);
    world.runtime().StandStill(5'000 * kMs);
  }
  EXPECT_FALSE(waiting->reply);
}

TEST_F(StalledReadersTest, AnAppendFindsTheStream) {
  ASSERT_TRUE(world.AppendNow("brief", "a"));
  EXPECT_EQ(waiting->text(), "a");
}

TEST_F(StalledReadersTest, BehindTheBarrierTheStreamIsThere) {
  std::size_t listed = 0;
  Outcome created = Outcome::kOk;
  bool asked = false;
  world.replica().AfterBarrier([&](Status status) {
    ASSERT_TRUE(status.ok());
    const int64_t now_ms = world.replica().NowMs();
    ListRequest request{.bucket = NameOf("brief").bucket, .prefix = "brief"};
    listed = world.replica().machine().List(request, now_ms).streams.size();
    stream::Command create;
    create.now_ms = now_ms;
    create.body = stream::CreateStream{.id = NameOf("brief"), .content_type = "text/html"};
    created = world.replica().machine().Preview(create, now_ms).outcome;
    asked = true;
  });
  ASSERT_TRUE(world.RunUntil([&] { return asked; }));
  EXPECT_EQ(listed, 1u);
  EXPECT_EQ(created, Outcome::kConflict);
  EXPECT_FALSE(waiting->reply);
}

TEST_F(StalledReadersTest, AForkOfItIsMade) {
  stream::CreateFork fork;
  fork.stream.id = NameOf("fork");
  fork.point.source = NameOf("brief");
  fork.source = world.replica().machine().Lookup(NameOf("brief"), 0).incarnation;
  fork.at_tail = true;
  Asked made = world.Propose(fork);
  EXPECT_TRUE(world.Finish(made));
  EXPECT_FALSE(waiting->reply);
}

TEST_F(StalledReadersTest, AReadWhoseTimeIsOverMeanwhileFindsItsStream) {
  world.runtime().AdvanceBy(300 * kMs);
  AskedRead brief = world.Read(From("brief", 0, 1'000));
  world.runtime().AdvanceBy(300 * kMs);
  ASSERT_TRUE(world.replica().CancelRead(kWaiting));
  world.runtime().StandStill(5'000 * kMs);
  EXPECT_EQ(world.FinishRead(brief), "");
  EXPECT_TRUE((*brief->reply)->reply.up_to_date);
}

TEST_F(ReplicaReadsTest, AForkPointInsideBytesOnDiskIsResolved) {
  stream::Incarnation source = world.replica().machine().Lookup(NameOf("t"), 0).incarnation;
  ForkPoint point;
  point.source = NameOf("t");
  point.offset = Offset{0};
  point.sub_offset = 3;
  std::vector<ResolvedFork> resolved;
  auto ask = [&] {
    world.replica().ResolveForkPoint(source, point, [&](Result<ResolvedFork> fork) {
      ASSERT_TRUE(fork.ok());
      resolved.push_back(*fork);
    });
    std::size_t count = resolved.size();
    EXPECT_TRUE(world.RunUntil([&] { return resolved.size() > count; }));
  };
  ask();
  point.sub_offset = 8;  // Across the append's end.
  ask();
  ASSERT_EQ(resolved.size(), 2u);
  EXPECT_EQ(resolved[0].outcome, Outcome::kOk);
  EXPECT_EQ(resolved[0].offset.bytes, 3u);
  EXPECT_EQ(resolved[1].outcome, Outcome::kForkOffsetInvalid);
}

// Whenever the deletion is applied: before the point's bytes are asked for, while they come, after.
TEST_F(ReplicaReadsTest, AForkPointWhoseSourceIsFreedUnderItIsRefused) {
  for (uint64_t at = 0; at < 24; ++at) {
    SCOPED_TRACE(at);
    ASSERT_TRUE(world.CreateNow("u"));
    ASSERT_TRUE(world.AppendNow("u", kStored));
    ASSERT_TRUE(world.FlushNow());
    world.replica().EvictTo(0);
    stream::Incarnation source = world.replica().machine().Lookup(NameOf("u"), 0).incarnation;
    ForkPoint point{.source = NameOf("u"), .offset = Offset{0}, .sub_offset = 3};
    std::optional<Result<ResolvedFork>> resolved;
    Asked deleted = world.Propose(stream::Delete{NameOf("u")});
    world.runtime().AdvanceBy(at * kMs / 8);
    world.replica().ResolveForkPoint(
        source, point, [&](Result<ResolvedFork> fork) { resolved.emplace(std::move(fork)); });
    ASSERT_TRUE(world.RunUntil([&] { return resolved.has_value(); }));
    ASSERT_TRUE(resolved->ok());
    Outcome outcome = (*resolved)->outcome;
    EXPECT_TRUE(outcome == Outcome::kOk || outcome == Outcome::kForkSourceNotFound);
    ASSERT_TRUE(world.Finish(deleted));
  }
}

TEST_F(ReplicaReadsTest, AStreamSoftDeletedUnderAReadGivesItsBytesOrIsSaidToBeSo) {
  for (uint64_t at = 0; at < 24; ++at) {
    SCOPED_TRACE(at);
    const std::string name = "u" + std::to_string(at);
    ASSERT_TRUE(world.CreateNow(name));
    ASSERT_TRUE(world.AppendNow(name, kStored));
    ASSERT_TRUE(world.FlushNow());
    world.replica().EvictTo(0);
    stream::CreateFork fork;
    fork.stream.id = NameOf(name + "-fork");
    fork.point.source = NameOf(name);
    fork.source = world.replica().machine().Lookup(NameOf(name), 0).incarnation;
    fork.at_tail = true;
    ASSERT_TRUE(world.Finish(world.Propose(fork)));
    Asked deleted = world.Propose(stream::Delete{NameOf(name)});
    world.runtime().AdvanceBy(at * kMs / 8);
    std::string text = world.FinishRead(world.Read(From(name, 0)));
    bool soft = text == "outcome " + std::to_string(static_cast<int>(Outcome::kSoftDeleted));
    EXPECT_TRUE(soft || text == kStored) << text;
    ASSERT_TRUE(world.Finish(deleted));
  }
}

}  // namespace
}  // namespace ursula::group
