// When a loop polls instead of sleeping, and lets others run (docs/decisions/0010 and 0040).

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/io/uring/loop.h"
#include "lib/io/uring/poll_pace.h"
#include "tests/unit/io/real_loops.h"
#include "ursula/sync.h"

namespace ursula::io {
namespace {

// A loop of its own with a read under way, which ends when the test writes: a disk at work.
// On the heap, as every loop here: g++ 12 with AddressSanitizer aligns stacks to less than one
// wants.
class LoopWithSlowDisk {
 public:
  LoopWithSlowDisk(uint64_t poll_ns, uint64_t long_yield_ns)
      : loop_(CoreId{0}, this, poll_ns, uring::PollPace(long_yield_ns)) {
    const std::string path = testing::TempDir() + "/fifo" + std::to_string(getpid());
    unlink(path.c_str());
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    Countdown started;
    thread_ = std::thread([&] {
      URSULA_CHECK(loop_.Start(64).ok());
      started.Done();
      loop_.Run();
    });
    started.Wait();
    Run([&] {
      Result<std::unique_ptr<File>> file = loop_.disk().Open(path, {.write = true});
      URSULA_CHECK(file.ok());
      file_ = std::move(*file);
      file_->Read(0, std::span<char>(bytes_), read_.Armed());
      sleeps_before_read_ = loop_.sleeps();
    });
    writer_ = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(writer_, 0);
    unlink(path.c_str());
  }
  LoopWithSlowDisk(const LoopWithSlowDisk&) = delete;
  LoopWithSlowDisk& operator=(const LoopWithSlowDisk&) = delete;
  ~LoopWithSlowDisk() {
    loop_.Stop();
    thread_.join();
    close(writer_);
  }

  uring::UringLoop& loop() { return loop_; }
  uint64_t sleeps_before_read() const { return sleeps_before_read_; }
  template <class F>
  void Run(F function) {
    Countdown done;
    loop_.Post([&] {
      function();
      done.Done();
    });
    done.Wait();
  }
  void EndRead() {
    EXPECT_EQ(write(writer_, "x", 1), 1);
    read_.done.Wait();
    EXPECT_EQ(read_.result, 1);
  }
  void AwaitSleep(uint64_t after) {
    while (loop_.sleeps() <= after) std::this_thread::yield();
  }

 private:
  std::array<char, 1> bytes_ = {};
  Waiter read_;
  uint64_t sleeps_before_read_ = 0;
  uring::UringLoop loop_;
  std::unique_ptr<File> file_;
  std::thread thread_;
  int writer_ = -1;
};

constexpr uint64_t kLongerThanATestNs = 3'600'000'000'000;

TEST(LoopTest, PollsWhileTheDiskWorks) {
  const auto made = std::make_unique<LoopWithSlowDisk>(kLongerThanATestNs, kLongerThanATestNs);
  LoopWithSlowDisk& slow = *made;
  const uint64_t before = slow.loop().sleeps();
  for (int i = 0; i < 200; ++i) slow.Run([] {});  // It hears of what is posted ...
  Alarm alarm;                                    // ... of what is due ...
  slow.Run([&] {
    alarm.loop = &slow.loop();
    const uint64_t due = slow.loop().now_ns() + 2'000'000;
    slow.loop().StartTimer(alarm.timer.Then<&Alarm::OnTime>(&alarm), due);
  });
  alarm.done.Wait();
  EXPECT_EQ(slow.loop().sleeps(), before);
  slow.EndRead();  // ... and of what has completed.
  slow.AwaitSleep(before);
}

TEST(LoopTest, PollsForALimitedTime) {
  const auto made = std::make_unique<LoopWithSlowDisk>(1'000'000, kLongerThanATestNs);
  LoopWithSlowDisk& slow = *made;
  for (int i = 0; i < 20; ++i) {
    const uint64_t before = slow.loop().sleeps();
    slow.Run([] {});
    slow.AwaitSleep(before);
  }
  slow.EndRead();
}

TEST(LoopTest, ALongYieldPutsItToSleep) {
  const auto made = std::make_unique<LoopWithSlowDisk>(kLongerThanATestNs, 0);
  LoopWithSlowDisk& slow = *made;
  slow.AwaitSleep(slow.sleeps_before_read());  // Nothing else ends its first poll.
  EXPECT_EQ(slow.loop().polls(), 1u);
  slow.EndRead();
}

TEST(LoopTest, SleepsAtOnceIfToldTo) {
  const auto made = std::make_unique<LoopWithSlowDisk>(0, kLongerThanATestNs);
  LoopWithSlowDisk& slow = *made;
  for (int i = 0; i < 20; ++i) {
    const uint64_t before = slow.loop().sleeps();
    slow.Run([] {});
    slow.AwaitSleep(before);
  }
  EXPECT_EQ(slow.loop().polls(), 0u);
  slow.EndRead();
}

// A loop of `family` and its thread.
class LoopThread {
 public:
  LoopThread(uint16_t core, const int* family, uint64_t poll_ns)
      : loop_(CoreId{core}, family, poll_ns, uring::PollPace(kLongerThanATestNs)) {
    Countdown started;
    thread_ = std::thread([&] {
      URSULA_CHECK(loop_.Start(64).ok());
      started.Done();
      loop_.Run();
    });
    started.Wait();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  ~LoopThread() {
    loop_.Stop();
    thread_.join();
  }

  uring::UringLoop& loop() { return loop_; }
  void Run(Function<void()> function) {
    Countdown done;
    loop_.Post([&] {
      function();
      done.Done();
    });
    done.Wait();
  }
  void AwaitSleep(uint64_t after) {
    while (loop_.sleeps() <= after) std::this_thread::yield();
  }

 private:
  uring::UringLoop loop_;
  std::thread thread_;
};

class TwoLoopsTest : public ::testing::Test {
 protected:
  void Open(uint64_t poll_ns) {
    asker_ = std::make_unique<LoopThread>(0, &family_, poll_ns);
    other_ = std::make_unique<LoopThread>(1, &family_, 0);
  }
  // What follows is done in the turn that asks.
  void Ask(Function<void()> question) {
    asker_->Run([&] {
      before_ = asker_->loop().sleeps();
      EXPECT_TRUE(other_->loop().TryPost(std::move(question)));
    });
  }

  const int family_ = 0;
  uint64_t before_ = 0;      // How often the asker had slept.
  Countdown go_, answered_;  // Outlive both loops.
  std::unique_ptr<LoopThread> asker_, other_;
};

TEST_F(TwoLoopsTest, PollsUntilTheOtherOneHasAnswered) {
  Open(kLongerThanATestNs);
  uint64_t after = 0, polls = 0;
  Ask([&] {
    go_.Wait();
    asker_->loop().Post([&] {
      after = asker_->loop().sleeps();
      polls = asker_->loop().polls();
      answered_.Done();
    });
  });
  for (int i = 0; i < 200; ++i) asker_->Run([] {});  // It hears of what others post.
  go_.Done();
  answered_.Wait();
  EXPECT_EQ(after, before_);
  EXPECT_GE(polls, 1u);
  asker_->AwaitSleep(after);
  EXPECT_EQ(asker_->loop().polls(), polls);
}

TEST_F(TwoLoopsTest, PollsForALimitedTime) {
  Open(1'000'000);
  Ask([&] { go_.Wait(); });
  asker_->AwaitSleep(before_);
  EXPECT_GE(asker_->loop().polls(), 1u);
  // By then it has been too long.
  Alarm alarm;
  asker_->Run([&] {
    alarm.loop = &asker_->loop();
    asker_->loop().StartTimer(alarm.timer.Then<&Alarm::OnTime>(&alarm),
                              asker_->loop().now_ns() + 4'000'000);
  });
  alarm.done.Wait();
  uint64_t sleeps = 0, polls = 0;
  asker_->Run([&] {
    sleeps = asker_->loop().sleeps();
    polls = asker_->loop().polls();
  });
  asker_->AwaitSleep(sleeps);
  EXPECT_EQ(asker_->loop().polls(), polls);
  go_.Done();
}

TEST_F(TwoLoopsTest, ToTellIsNothingToPollFor) {
  Open(kLongerThanATestNs);
  asker_->Run([&] {
    before_ = asker_->loop().sleeps();
    other_->loop().Post([&] { answered_.Done(); });
  });
  asker_->AwaitSleep(before_);
  EXPECT_EQ(asker_->loop().polls(), 0u);
  answered_.Wait();
}

TEST(LoopTest, LetsOthersRunBetweenTwoTurnsWhenItIsAskedTo) {
  RealLoops loops(1);
  auto& loop = static_cast<uring::UringLoop&>(loops.loop());
  loops.Run([] {});
  EXPECT_EQ(loop.gave_way(), 0u);
  while (loop.gave_way() < 3) loops.Run([&] { loop.LetOthersRun(); });
  const uint64_t before = loop.gave_way();
  for (int i = 0; i < 10; ++i) loops.Run([] {});
  EXPECT_LE(loop.gave_way(), before + 1);  // Asked in the turn that was seen last.
}

TEST(WayPaceTest, LongYieldsTakeATenthOfTheTime) {
  using uring::WayPace;
  WayPace pace;
  const uint64_t begin = 1'000'000'000;
  EXPECT_TRUE(pace.may_yield(begin));
  pace.Yielded(begin, begin + WayPace::kLongYieldNs - 1);
  uint64_t now = begin + WayPace::kLongYieldNs;
  EXPECT_TRUE(pace.may_yield(now));
  const uint64_t took = 4'000'000;
  pace.Yielded(now, now + took);
  now += took;
  EXPECT_FALSE(pace.may_yield(now + 10 * took - 1));
  EXPECT_TRUE(pace.may_yield(now + 10 * took));
}

TEST(PollPaceTest, ALongYieldBeginsAPauseThatDoubles) {
  using uring::PollPace;
  PollPace pace;
  uint64_t now = 1'000'000'000;
  EXPECT_TRUE(pace.may_poll(now));
  EXPECT_TRUE(pace.Yielded(now, now + PollPace::kLongYieldNs - 1));
  EXPECT_TRUE(pace.may_poll(now));
  uint64_t pause = PollPace::kPauseMinNs;
  for (int i = 0; i < 20; ++i) {
    now += PollPace::kLongYieldNs;
    EXPECT_FALSE(pace.Yielded(now - PollPace::kLongYieldNs, now));
    EXPECT_FALSE(pace.may_poll(now + pause - 1));
    EXPECT_TRUE(pace.may_poll(now + pause));
    now += pause;
    pause = std::min(2 * pause, PollPace::kPauseMaxNs);
  }
  EXPECT_EQ(pause, PollPace::kPauseMaxNs);
}

TEST(PollPaceTest, ShortYieldsEndTheDoubling) {
  using uring::PollPace;
  PollPace pace;
  uint64_t now = 0;
  auto long_yield = [&] {
    now += PollPace::kLongYieldNs;
    EXPECT_FALSE(pace.Yielded(now - PollPace::kLongYieldNs, now));
  };
  for (int i = 0; i < 5; ++i) long_yield();
  for (uint32_t i = 1; i < PollPace::kShortYieldsMin; ++i) pace.Yielded(now, now + 1000);
  long_yield();  // One short of enough.
  EXPECT_FALSE(pace.may_poll(now + 32 * PollPace::kPauseMinNs - 1));
  EXPECT_TRUE(pace.may_poll(now + 32 * PollPace::kPauseMinNs));
  for (uint32_t i = 0; i < PollPace::kShortYieldsMin; ++i) pace.Yielded(now, now + 1000);
  long_yield();
  EXPECT_TRUE(pace.may_poll(now + PollPace::kPauseMinNs));
}

}  // namespace
}  // namespace ursula::io
