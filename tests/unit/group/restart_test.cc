// A crash after every prefix of what the disk did: what was acknowledged is there, in order, and
// nothing that wasn't asked for; and again after a crash while recovering.

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;

// Appends to one stream, each of its own bytes, pipelined; now and then a checkpoint, a flush, an
// eviction.
class Writer {
 public:
  Writer(GroupWorld* world, uint64_t seed) : world_(*world), random_(seed) {}

  void Step() {
    if (!world_.started() || !world_.start_status().ok()) return;
    if (!created_) {
      created_ = world_.Create("s");
    }
    if (asked_.size() < answered() + 4) Append();
    if (random_.OneIn(6)) world_.replica().Checkpoint();
    if (random_.OneIn(8)) world_.replica().Flush();
    if (random_.OneIn(5)) world_.replica().EvictTo(0);
  }

  // After a restart: compares, and goes on from what is there.
  void Check() {
    std::string content = world_.Content("s");
    if (!created_ || (!created_->ok() && content.starts_with("outcome"))) {
      EXPECT_TRUE(proposed_.empty() || !created_->ok());
      created_ = nullptr;
      content.clear();
      EXPECT_EQ(acknowledged(), 0u);
    }
    EXPECT_GE(content.size(), acknowledged());
    EXPECT_TRUE(proposed_.starts_with(content))
        << content.size() << " bytes, of " << proposed_.size();
    bool whole = content.empty();
    for (uint64_t end : ends_) whole |= content.size() == end;
    EXPECT_TRUE(whole) << "an append is there in part";
    proposed_ = content;
    kept_ = content.size();
    ends_.clear();
    asked_.clear();
    if (kept_ > 0) ends_.push_back(kept_);
    if (created_) *created_ = Answer{.reply = stream::Reply()};
  }

  std::size_t answered() const {
    std::size_t count = 0;
    while (count < asked_.size() && asked_[count]->reply) ++count;
    return count;
  }
  // The end of the last append that was acknowledged.
  uint64_t acknowledged() const {
    uint64_t end = kept_;
    for (std::size_t i = 0; i < asked_.size(); ++i) {
      if (asked_[i]->ok()) end = ends_[ends_.size() - asked_.size() + i];
    }
    return end;
  }

 private:
  void Append() {
    std::string bytes = std::to_string(++last_) + ":";
    bytes.append(random_.Below(3000), static_cast<char>('a' + last_ % 26));
    asked_.push_back(world_.Append("s", bytes));
    proposed_ += bytes;
    ends_.push_back(proposed_.size());
  }

  GroupWorld& world_;
  Random random_;
  Asked created_;
  std::vector<Asked> asked_;    // Since the last restart.
  std::vector<uint64_t> ends_;  // Of what was kept then, and of each of asked_.
  std::string proposed_;
  uint64_t kept_ = 0;
  uint64_t last_ = 0;
};

enum class End { kCrash, kKill };

// Runs for `steps` half-milliseconds in which the disk finishes what takes it one, then ends.
void Run(GroupWorld* world, Writer* writer, uint64_t steps, End end) {
  for (uint64_t step = 0; step < steps; ++step) {
    if (step % 2 == 0) writer->Step();
    world->runtime().AdvanceBy(kMs / 2);
  }
  end == End::kCrash ? world->Crash() : world->Kill();
}

void RestartAt(uint64_t steps, uint64_t steps_again, uint64_t seed, bool direct, End end) {
  testing::FaultDisk::Faults faults;
  faults.latency_min_ns = kMs;
  faults.latency_max_ns = seed % 2 == 0 ? kMs : 3 * kMs;
  faults.direct = direct;
  GroupWorld world(seed, faults);
  world.options.wal_segment_bytes = 32 << 10;
  world.options.wal_bytes_max = 512 << 10;
  Writer writer(&world, seed);
  ASSERT_TRUE(world.Begin().ok());
  Run(&world, &writer, steps, end);
  Status status = world.Begin();  // Crashes again before, while or after it has started.
  ASSERT_TRUE(status.ok()) << status.ToString();
  world.runtime().AdvanceBy(steps_again * kMs / 2);
  end == End::kCrash ? world.Crash() : world.Kill();
  for (int round = 0; round < 2; ++round) {
    status = world.Open();
    ASSERT_TRUE(status.ok()) << status.ToString();
    writer.Check();
    Run(&world, &writer, 20, round == 0 ? end : End::kCrash);
  }
  status = world.Open();
  ASSERT_TRUE(status.ok()) << status.ToString();
  writer.Check();
  EXPECT_TRUE(world.Stop());
}

void RestartAtEach(bool direct, End end) {
  for (uint64_t steps = 1; steps <= 60; ++steps) {
    SCOPED_TRACE("steps=" + std::to_string(steps));
    // Two histories, cut at every second moment; the second restart is cut elsewhere each time.
    RestartAt(steps, steps * 7 % 40, 2 + steps / 2 % 2, direct, end);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(ReplicaRestartTest, AfterACrashAtEachMoment) { RestartAtEach(true, End::kCrash); }
TEST(ReplicaRestartTest, AfterACrashAtEachMomentThroughThePageCache) {
  RestartAtEach(false, End::kCrash);
}
TEST(ReplicaRestartTest, AfterTheEndOfTheProcessAtEachMoment) { RestartAtEach(true, End::kKill); }
TEST(ReplicaRestartTest, AfterTheEndOfTheProcessThroughThePageCache) {
  RestartAtEach(false, End::kKill);
}

}  // namespace
}  // namespace ursula::group
