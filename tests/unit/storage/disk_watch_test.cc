// Whether a volume answers: one that is idle is asked, and one that hangs comes back by itself.

#include "lib/storage/disk_watch.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

constexpr uint64_t kTickNs = 100'000'000;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kLatencyNs = 200'000;

class DiskWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Take(kLatencyNs);
    ASSERT_TRUE(world_.OpenDirectory().ok());
    Make(true);
  }
  void TearDown() override {
    bool stopped = false;
    watch_->Stop([&] { stopped = true; });
    ASSERT_TRUE(world_.runtime->RunUntil([&] { return stopped; }));
    EXPECT_EQ(disk().in_flight(), 0u);
    EXPECT_EQ(disk().Files(), files_);
  }

  void Make(bool idle) {
    files_ = disk().Files();
    DiskWatch::Options options;
    options.idle = idle;
    options.log = [this](LogLevel, std::string_view line) { lines_.emplace_back(line); };
    watch_ = std::make_unique<DiskWatch>(&world_.runtime->loop(CoreId{0}), *world_.directory, 0,
                                         std::move(options));
  }
  testing::FaultDisk& disk() { return world_.disk; }
  // Each operation that begins from now on.
  void Take(uint64_t ns) { disk().faults().latency_min_ns = disk().faults().latency_max_ns = ns; }
  uint64_t now_ns() const { return world_.runtime->now_ns(); }

  void RunFor(uint64_t ns) {
    for (const uint64_t end = now_ns() + ns; now_ns() < end;) {
      world_.runtime->AdvanceBy(kTickNs);
      watch_->Tick(synced_);
    }
  }
  // How long it took; 0: it wasn't so in a minute.
  uint64_t Until(bool hangs) {
    const uint64_t begin_ns = now_ns();
    while (now_ns() < begin_ns + 60 * kSecond) {
      RunFor(kTickNs);
      if (watch_->Answers().ok() != hangs) return now_ns() - begin_ns;
    }
    return 0;
  }

  WalWorld world_;
  std::unique_ptr<DiskWatch> watch_;
  DiskWatch::Synced synced_;
  std::vector<std::string> files_;  // Of the directory, without it.
  std::vector<std::string> lines_;
};

TEST_F(DiskWatchTest, AnIdleVolumeIsAskedOnceASecondAndNoOtherIs) {
  RunFor(10 * kSecond);
  EXPECT_GE(disk().writes(), 8u);
  EXPECT_LE(disk().writes(), 10u);
  EXPECT_EQ(disk().opens(), 1u);
  EXPECT_EQ(watch_->probe_us().count, disk().writes());
  EXPECT_EQ(watch_->probe_us().sum, disk().writes() * kLatencyNs / 1000);
  const uint64_t writes = disk().writes();
  for (int i = 0; i < 100; ++i) {
    ++(i % 2 == 0 ? synced_.log : synced_.payload);
    RunFor(kTickNs);
  }
  EXPECT_EQ(disk().writes(), writes);
  EXPECT_TRUE(watch_->Answers().ok());
  EXPECT_EQ(watch_->hanging(), 0u);
  EXPECT_TRUE(lines_.empty());
}

// It hangs until it has been quick for a while, but who waits for it gets an answer.
TEST_F(DiskWatchTest, OneThatHungAndIsSlowSinceIsNotStuck) {
  RunFor(5 * kSecond);
  Take(20 * kSecond);
  Until(true);
  EXPECT_TRUE(watch_->log_stuck());
  Take(kSecond * 3 / 2);
  RunFor(30 * kSecond);
  EXPECT_TRUE(watch_->log_hangs());
  EXPECT_FALSE(watch_->log_stuck());
}

TEST_F(DiskWatchTest, AnIdleVolumeThatHangsIsFoundOutAndComesBackByItself) {
  RunFor(5 * kSecond);
  Take(20 * kSecond);
  const uint64_t took_ns = Until(true);
  EXPECT_GE(took_ns, DiskWatch::kHangNs);
  EXPECT_LE(took_ns, DiskWatch::kHangNs + DiskWatch::kIdleNs + 2 * kTickNs);
  EXPECT_TRUE(watch_->log_hangs());
  EXPECT_TRUE(watch_->log_stuck());
  EXPECT_EQ(watch_->hanging(), 1u);
  const Status status = watch_->Answers();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(
      status.message().find("the disk of /data/wal hasn't answered for 2 s; look at the disk"),
      std::string::npos)
      << status.message();
  RunFor(kSecond);
  EXPECT_NE(watch_->Answers().message().find("for 3 s"), std::string::npos);
  Take(kLatencyNs);
  const uint64_t back_ns = Until(false);
  EXPECT_LE(back_ns, 20 * kSecond);
  EXPECT_GE(back_ns, 15 * kSecond);
  EXPECT_FALSE(watch_->log_hangs());
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_NE(lines_[1].find("/data/wal answers again"), std::string::npos);
}

// Each answer takes longer than a healthy one, if less than one that hangs.
TEST_F(DiskWatchTest, OneThatAnswersNowAndThenIsNotBack) {
  Take(10 * kSecond);
  ASSERT_NE(Until(true), 0u);
  Take(DiskWatch::kQuickNs + kTickNs);
  EXPECT_EQ(Until(false), 0u);
  EXPECT_EQ(lines_.size(), 1u);
  Take(kLatencyNs);
  EXPECT_NE(Until(false), 0u);
}

TEST_F(DiskWatchTest, AWriteOfTheLogThatHangsIsEnough) {
  synced_.log_writing_since_ns = now_ns();
  disk().faults().write_error = 0;
  EXPECT_NE(Until(true), 0u);
  RunFor(10 * kSecond);  // Quick answers to questions don't count as long as that is so.
  EXPECT_FALSE(watch_->Answers().ok());
  synced_.log_writing_since_ns = 0;
  EXPECT_NE(Until(false), 0u);
}

TEST_F(DiskWatchTest, ACoreThatIsNotToAskGoesByItsLogUntilThatHangs) {
  TearDown();
  Make(false);
  const uint64_t writes = disk().writes();
  RunFor(10 * kSecond);
  EXPECT_EQ(disk().writes(), writes);
  synced_.log_writing_since_ns = now_ns();
  EXPECT_NE(Until(true), 0u);
  synced_.log_writing_since_ns = 0;
  EXPECT_NE(Until(false), 0u);
  EXPECT_GE(disk().writes(), writes + DiskWatch::kQuickAnswers);
}

TEST_F(DiskWatchTest, AVolumeThatTakesNoWritesHangsAndAFullOneDoesNot) {
  RunFor(2 * kSecond);
  disk().faults().write_error = 1;
  EXPECT_NE(Until(true), 0u);
  EXPECT_NE(watch_->Answers().message().find("the disk takes no writes: writing /data/wal/"),
            std::string::npos)
      << watch_->Answers().message();
  disk().faults().write_error = 0;
  EXPECT_NE(Until(false), 0u);
  disk().FailWrite(1, ENOSPC);
  disk().FailWrite(2, ENOSPC);
  EXPECT_EQ(Until(true), 0u);
}

TEST_F(DiskWatchTest, ACoreThatStoodStillTakesNoDiskForOneThatHangs) {
  RunFor(2 * kSecond);
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 1000 && disk().in_flight() == 0; ++j) RunFor(kTickNs / 10);
    ASSERT_NE(disk().in_flight(), 0u);
    world_.runtime->StandStill(5 * kSecond);
    RunFor(kTickNs);
    EXPECT_TRUE(watch_->Answers().ok());
  }
}

}  // namespace
}  // namespace ursula::storage
