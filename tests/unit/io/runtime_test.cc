#include "lib/io/runtime.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/io/port_lock.h"
#include "lib/io/uring/loop.h"
#include "lib/io/uring/poll_pace.h"
#include "lib/io/uring/ring.h"
#include "tests/unit/io/real_loops.h"
#include "ursula/sync.h"

namespace ursula::io {
namespace {

TEST(RuntimeTest, RefusesOptionsOutOfBounds) {
  EXPECT_EQ(NewRuntime({.core_count = 60'000}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(NewRuntime({.ring_entries = 1}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(NewRuntime({.busy_poll_us = 10'001}).status().code(), StatusCode::kInvalidArgument);
}

TEST(RuntimeTest, ZeroCoresMeansOneForEachCpu) {
  RealLoops loops(0);
  EXPECT_GE(loops.runtime().core_count(), 1);
  EXPECT_LE(loops.runtime().core_count(), std::thread::hardware_concurrency());
}

// What a host has closed of 0 to 2 is no place for a file: its next print would go into it.
TEST(RuntimeTest, StandardDescriptorsThatAreClosedStayClosed) {
  const int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  close(STDIN_FILENO);
  const std::string directory = testing::TempDir();
  const std::string path = directory + "/one";
  {
    RealLoops loops;
    Disk& disk = loops.loop(0).disk();
    auto file = disk.Open(path, {.create = true, .write = true, .direct = true});
    EXPECT_TRUE(file.ok());
    auto lock = disk.Lock(directory);
    EXPECT_TRUE(lock.ok());
    auto port = PortLock::Take("127.0.0.1", 0);
    EXPECT_TRUE(port.ok());
    std::unique_ptr<File> other;
    Waiter opened;
    loops.Run([&] { disk.Open(path, {}, &other, opened.Armed()); });
    opened.done.Wait();
    EXPECT_EQ(opened.result, 0);
    EXPECT_EQ(fcntl(STDIN_FILENO, F_GETFD), -1);
    loops.Run([&] { other.reset(); });
  }
  dup2(kept, STDIN_FILENO);
  close(kept);
}

TEST(RuntimeDeathTest, WaitOnACoreEndsTheProcessWithASentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        RealLoops loops;
        loops.Run([] { (void)Wait<int>([](auto done) { done(1); }); });
      },
      "Wait was called on a core of a runtime, which would wait for itself");
}

TEST(RuntimeDeathTest, RuntimeDestroyedOnItsCoreEndsTheProcessWithASentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto runtime = NewRuntime({});
        Countdown never(1);
        LoopRuntime::Of(**runtime).loop(CoreId{0}).Post([&] { runtime->reset(); });
        never.Wait();
      },
      "a runtime is destroyed on one of its cores");
}

TEST(RuntimeTest, PinnedLoopsRun) {
  auto runtime = NewRuntime({.core_count = 3, .pin_threads = true});
  ASSERT_TRUE(runtime.ok());
  Countdown done(3);
  for (uint16_t i = 0; i < 3; ++i) {
    LoopRuntime::Of(**runtime).loop(CoreId{i}).Post([&] { done.Done(); });
  }
  done.Wait();
}

TEST(RuntimeTest, EachLoopKnowsItselfAndOnlyItsOwnRuntime) {
  RealLoops loops(2), others(1);
  EXPECT_EQ(loops.runtime().Current(), nullptr);
  EXPECT_FALSE(loops.loop(0).InLoop());
  for (uint16_t core : {uint16_t{0}, uint16_t{1}}) {
    loops.Run(
        [&] {
          EXPECT_EQ(loops.runtime().Current(), &loops.loop(core));
          EXPECT_EQ(others.runtime().Current(), nullptr);
          EXPECT_TRUE(loops.loop(core).InLoop());
          EXPECT_FALSE(others.loop(0).InLoop());
          EXPECT_EQ(Raw(loops.loop(core).core()), core);
        },
        core);
  }
}

TEST(RuntimeTest, AwaitReturnsOnceItWasFinishedOnALoop) {
  RealLoops loops(2);
  std::atomic<int> steps = 0;
  loops.runtime().Await([&](Function<void()> finished) {
    loops.loop(0).Post([&, finished = std::move(finished)]() mutable {
      ++steps;
      loops.loop(1).Post([&, finished = std::move(finished)]() mutable {
        ++steps;
        finished();
      });
    });
  });
  EXPECT_EQ(steps, 2);
}

TEST(RuntimeTest, SignalsStayWithTheHost) {
  RealLoops loops(1);
  loops.Run([] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGTERM), 1);
    EXPECT_EQ(sigismember(&mask, SIGSEGV), 0);
  });
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
}

TEST(RuntimeTest, StopRunsWhatWasPostedBefore) {
  std::atomic<int> ran = 0;
  {
    RealLoops loops(2);
    for (int i = 0; i < 1000; ++i) loops.loop(static_cast<uint16_t>(i % 2)).Post([&] { ++ran; });
  }
  EXPECT_EQ(ran.load(), 1000);
}

// Two loops that answer each other: every hop needs a wake-up, as both are idle between.
struct Rally {
  Loop* sides[2];
  Countdown done;
  int left = 0;
  void Hit(int side) {
    if (left-- == 0) return done.Done();
    sides[1 - side]->Post([this, side] { Hit(1 - side); });
  }
};

TEST(LoopTest, IdleLoopsWakeEachOther) {
  RealLoops loops(2);
  Rally rally{{&loops.loop(0), &loops.loop(1)}, Countdown(), 5000};
  loops.loop(0).Post([&] { rally.Hit(0); });
  rally.done.Wait();
}

TEST(LoopTest, LoopsOfTwoRuntimesWakeEachOther) {
  RealLoops a(1), b(1);
  Rally rally{{&a.loop(), &b.loop()}, Countdown(), 2000};
  a.loop().Post([&] { rally.Hit(0); });
  rally.done.Wait();
}

TEST(LoopTest, PostsOfForeignThreadsAndOfALoopKeepTheirOrder) {
  constexpr int kEach = 20'000;
  RealLoops loops(2);
  std::vector<int> seen[3];  // Only the loop of core 0 touches it.
  Countdown done(3);
  auto send = [&](std::size_t from) {
    for (int i = 0; i < kEach; ++i) {
      loops.loop(0).Post([&seen, from, i] { seen[from].push_back(i); });
    }
    loops.loop(0).Post([&] { done.Done(); });
  };
  std::thread first([&] { send(0); });
  std::thread second([&] { send(1); });
  loops.loop(1).Post([&] { send(2); });
  done.Wait();
  first.join();
  second.join();
  loops.Run([&] {
    for (const std::vector<int>& numbers : seen) {
      ASSERT_EQ(numbers.size(), static_cast<std::size_t>(kEach));
      for (int i = 0; i < kEach; ++i) ASSERT_EQ(numbers[static_cast<std::size_t>(i)], i);
    }
  });
}

TEST(LoopTest, ForeignThreadsWakeAnIdleLoopEveryTime) {
  RealLoops loops(1);
  for (int i = 0; i < 2000; ++i) loops.Run([] {});  // It goes to sleep between.
}

TEST(LoopTest, TryPostRefusesBeyondTheLimit) {
  RealLoops loops(1);
  Countdown block, blocked;
  loops.loop().Post([&] {
    blocked.Done();
    block.Wait();
  });
  blocked.Wait();
  uint32_t taken = 0;
  std::atomic<uint32_t> ran = 0;
  while (loops.loop().TryPost([&] { ++ran; })) ++taken;
  EXPECT_EQ(taken, Loop::kMailboxMax);
  block.Done();
  loops.Run([] {});
  EXPECT_EQ(ran.load(), taken);
  EXPECT_TRUE(loops.loop().TryPost([] {}));
}

TEST(LoopTest, DeferredRunInOrderAfterTheirCaller) {
  RealLoops loops(1);
  std::string order;
  Countdown done;
  loops.loop().Post([&] {
    loops.loop().Defer([&] {
      order += 'b';
      loops.loop().Defer([&] {
        order += 'd';
        done.Done();
      });
    });
    loops.loop().Defer([&] { order += 'c'; });
    order += 'a';
  });
  done.Wait();
  EXPECT_EQ(order, "abcd");
}

struct Batch : TurnHook {
  void OnTurnEnd() override {
    ++ends;
    in_batch = collected;
    done.Done();
  }
  int collected = 0;
  int in_batch = 0;
  int ends = 0;
  Countdown done;
};

TEST(LoopTest, ATurnEndsOnceForAllThatWasScheduledInIt) {
  RealLoops loops(1);
  Batch batch;
  loops.loop().Post([&] {
    for (int i = 0; i < 10; ++i) {
      ++batch.collected;
      loops.loop().AtTurnEnd(&batch);
    }
  });
  batch.done.Wait();
  loops.Run([&] {
    EXPECT_EQ(batch.ends, 1);
    EXPECT_EQ(batch.in_batch, 10);
  });
}

struct Alarm {
  void OnTime() {
    fired_at = loop->now_ns();
    done.Done();
  }
  Loop* loop = nullptr;
  uint64_t fired_at = 0;
  Timer timer;
  Countdown done;
};

TEST(LoopTest, TimersFireInOrderAndNeverEarly) {
  RealLoops loops(1);
  Alarm early, late;
  uint64_t start = 0;
  loops.loop().Post([&] {
    early.loop = late.loop = &loops.loop();
    start = loops.loop().now_ns();
    loops.loop().StartTimer(late.timer.Then<&Alarm::OnTime>(&late), start + 6'000'000);
    loops.loop().StartTimer(early.timer.Then<&Alarm::OnTime>(&early), start + 3'000'000);
  });
  late.done.Wait();
  loops.Run([&] {
    EXPECT_GE(early.fired_at, start + 3'000'000);
    EXPECT_GE(late.fired_at, start + 6'000'000);
    EXPECT_LE(early.fired_at, late.fired_at);
  });
}

TEST(LoopTest, ACancelledTimerDoesNotFire) {
  RealLoops loops(1);
  Alarm cancelled, later;
  loops.loop().Post([&] {
    cancelled.loop = later.loop = &loops.loop();
    uint64_t now = loops.loop().now_ns();
    loops.loop().StartTimer(cancelled.timer.Then<&Alarm::OnTime>(&cancelled), now + 1'000'000);
    loops.loop().StartTimer(later.timer.Then<&Alarm::OnTime>(&later), now + 2'000'000);
    loops.loop().CancelTimer(&cancelled.timer);
  });
  later.done.Wait();
  loops.Run([&] { EXPECT_EQ(cancelled.fired_at, 0u); });
}

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

// One that ends has woken others in its last turn, and nobody else would.
TEST(LoopTest, ALoopThatEndsWakesWhomItPostedToInItsLastTurn) {
  constexpr uint64_t kWakesByItselfNs = 20'000'000'000;
  int family = 0;
  const auto first = std::make_unique<uring::UringLoop>(CoreId{0}, &family, 0);
  const auto second = std::make_unique<uring::UringLoop>(CoreId{1}, &family, 0);
  uring::UringLoop &ending = *first, &asleep = *second;
  std::array<std::thread, 2> threads;
  Countdown started(2);
  for (std::size_t i = 0; i < 2; ++i) {
    threads[i] = std::thread([&, loop = i == 0 ? &ending : &asleep] {
      URSULA_CHECK(loop->Start(64).ok());
      started.Done();
      loop->Run();
    });
  }
  started.Wait();
  Alarm alarm;
  alarm.loop = &asleep;
  Countdown armed, heard;
  uint64_t before = 0;
  asleep.Post([&] {
    before = asleep.sleeps();
    const uint64_t due = asleep.now_ns() + kWakesByItselfNs;
    asleep.StartTimer(alarm.timer.Then<&Alarm::OnTime>(&alarm), due);
    armed.Done();
  });
  armed.Wait();
  while (asleep.sleeps() <= before) std::this_thread::yield();
  // Both in one turn: while the first is held, the others arrive.
  Countdown held, go;
  ending.Post([&] {
    held.Done();
    go.Wait();
  });
  held.Wait();
  ending.Post([&] {
    asleep.Post([&] {
      EXPECT_EQ(alarm.fired_at, 0u) << "nobody woke it";
      asleep.CancelTimer(&alarm.timer);
      heard.Done();
    });
  });
  ending.Stop();
  go.Done();
  threads[0].join();
  heard.Wait();
  asleep.Stop();
  threads[1].join();
}

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

TEST(LoopTest, EntropyDiffers) {
  RealLoops loops(2);
  uint64_t a = 0, b = 0, c = 0;
  loops.Run([&] { a = loops.loop(0).Entropy(), b = loops.loop(0).Entropy(); }, 0);
  loops.Run([&] { c = loops.loop(1).Entropy(); }, 1);
  EXPECT_NE(a, b);
  EXPECT_NE(a, c);
}

TEST(RingTest, ARefusedSetupNamesTheFix) {
  auto text = [](int error, int disabled) {
    return uring::ExplainRingFailure("io_uring_setup", error, disabled, "6.0.1").ToString();
  };
  EXPECT_NE(text(EPERM, 2).find("kernel.io_uring_disabled=0"), std::string::npos);
  EXPECT_NE(text(EPERM, 0).find("seccomp"), std::string::npos);
  EXPECT_NE(text(ENOSYS, -1).find("seccomp"), std::string::npos);
  EXPECT_NE(text(EINVAL, 0).find("Linux 6.1"), std::string::npos);
  EXPECT_NE(text(EINVAL, 0).find("6.0.1"), std::string::npos);
  EXPECT_NE(text(ENOMEM, 0).find("ulimit -l"), std::string::npos);
  EXPECT_EQ(uring::ExplainRingFailure("io_uring_setup", EPERM, 2, "").code(),
            StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace ursula::io
