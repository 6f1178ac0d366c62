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

TEST(LoopTest, PollsWhileAnotherLoopWorksForIt) {
  int family = 0;
  const auto asker = std::make_unique<LoopThread>(0, &family, kLongerThanATestNs);
  const auto other = std::make_unique<LoopThread>(1, &family, 0);
  Countdown asked, go, answered;
  uint64_t before = 0, after = 0;
  asker->Run([&] {
    before = asker->loop().sleeps();
    EXPECT_TRUE(other->loop().TryPost([&] {
      asked.Done();
      go.Wait();
      asker->loop().Post([&] {
        after = asker->loop().sleeps();
        answered.Done();
      });
    }));
  });
  asked.Wait();
  for (int i = 0; i < 200; ++i) asker->Run([] {});
  go.Done();
  answered.Wait();
  EXPECT_EQ(after, before);
  EXPECT_EQ(other->loop().polls(), 0u);
}

TEST(LoopTest, PollsForALimitedTimeWhileAnotherLoopWorksForIt) {
  int family = 0;
  const auto asker = std::make_unique<LoopThread>(0, &family, 1'000'000);
  const auto other = std::make_unique<LoopThread>(1, &family, 0);
  Countdown go;
  uint64_t before = 0;
  asker->Run([&] {
    before = asker->loop().sleeps();
    EXPECT_TRUE(other->loop().TryPost([&] { go.Wait(); }));
  });
  asker->AwaitSleep(before);
  EXPECT_GE(asker->loop().polls(), 1u);
  go.Done();
}

TEST(LoopTest, ToTellAnotherLoopIsNothingToPollFor) {
  int family = 0;
  const auto teller = std::make_unique<LoopThread>(0, &family, kLongerThanATestNs);
  const auto other = std::make_unique<LoopThread>(1, &family, 0);
  Countdown told;
  uint64_t before = 0;
  teller->Run([&] {
    before = teller->loop().sleeps();
    other->loop().Post([&] { told.Done(); });
  });
  teller->AwaitSleep(before);
  EXPECT_EQ(teller->loop().polls(), 0u);
  told.Wait();
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
