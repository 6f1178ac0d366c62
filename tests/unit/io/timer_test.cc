#include "lib/io/timer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "lib/base/random.h"

namespace ursula::io {
namespace {

struct Bell {
  explicit Bell(int n, std::vector<int>* into) : number(n), rung(into) {
    timer.Then<&Bell::OnTime>(this);
  }
  void OnTime() { rung->push_back(number); }
  int number;
  std::vector<int>* rung;
  Timer timer;
};

TEST(TimerHeapTest, FiresByDeadlineAndEqualOnesByStart) {
  TimerHeap heap;
  std::vector<int> rung;
  Bell a(1, &rung), b(2, &rung), c(3, &rung), d(4, &rung);
  heap.Start(&a.timer, 30);
  heap.Start(&b.timer, 10);
  heap.Start(&c.timer, 30);
  heap.Start(&d.timer, 20);
  EXPECT_EQ(heap.next_deadline_ns(), 10u);
  heap.Fire(9);
  EXPECT_TRUE(rung.empty());
  heap.Fire(20);
  EXPECT_EQ(rung, (std::vector<int>{2, 4}));
  heap.Fire(30);
  EXPECT_EQ(rung, (std::vector<int>{2, 4, 1, 3}));
  EXPECT_TRUE(heap.empty());
}

TEST(TimerHeapTest, RestartMovesAndCancelAndDestructionForget) {
  TimerHeap heap;
  std::vector<int> rung;
  Bell a(1, &rung), b(2, &rung);
  auto c = std::make_unique<Bell>(3, &rung);
  heap.Start(&a.timer, 10);
  heap.Start(&b.timer, 10);
  heap.Start(&c->timer, 10);
  heap.Start(&a.timer, 20);
  TimerHeap::Cancel(&b.timer);
  TimerHeap::Cancel(&b.timer);
  EXPECT_FALSE(b.timer.running());
  c.reset();
  heap.Fire(15);
  EXPECT_TRUE(rung.empty());
  heap.Fire(20);
  EXPECT_EQ(rung, (std::vector<int>{1}));
}

// Restarts itself for the very time it fires at.
struct Restless {
  explicit Restless(TimerHeap* h) : heap(h) { timer.Then<&Restless::OnTime>(this); }
  void OnTime() {
    ++count;
    heap->Start(&timer, 5);
  }
  TimerHeap* heap;
  int count = 0;
  Timer timer;
};

TEST(TimerHeapTest, FireEndsThoughACallbackRestartsForNow) {
  TimerHeap heap;
  Restless restless(&heap);
  heap.Start(&restless.timer, 5);
  heap.Fire(5);
  EXPECT_EQ(restless.count, 1);
  heap.Fire(5);
  EXPECT_EQ(restless.count, 1);
  heap.Fire(6);
  EXPECT_EQ(restless.count, 2);
}

// Cancels another that is due at the same time.
struct Killer {
  explicit Killer(Timer* v) : victim(v) { timer.Then<&Killer::OnTime>(this); }
  void OnTime() { TimerHeap::Cancel(victim); }
  Timer* victim;
  Timer timer;
};

TEST(TimerHeapTest, ACallbackMayCancelWhatIsDueWithIt) {
  TimerHeap heap;
  std::vector<int> rung;
  Bell bell(1, &rung);
  Killer killer(&bell.timer);
  heap.Start(&killer.timer, 10);
  heap.Start(&bell.timer, 10);
  heap.Fire(10);
  EXPECT_TRUE(rung.empty());
  EXPECT_TRUE(heap.empty());
}

TEST(TimerHeapTest, AgreesWithSortingUnderRandomUse) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    TimerHeap heap;
    std::vector<int> rung;
    std::vector<std::unique_ptr<Bell>> bells;
    for (int i = 0; i < 200; ++i) bells.push_back(std::make_unique<Bell>(i, &rung));
    std::vector<std::pair<uint64_t, int>> expected;
    std::vector<uint64_t> deadlines(bells.size());
    for (int step = 0; step < 1000; ++step) {
      std::size_t i = random.Below(bells.size());
      deadlines[i] = random.OneIn(3) ? 0 : 1 + random.Below(1'000'000);
      if (deadlines[i] == 0) {
        TimerHeap::Cancel(&bells[i]->timer);
      } else {
        heap.Start(&bells[i]->timer, deadlines[i]);
      }
    }
    for (std::size_t i = 0; i < bells.size(); ++i) {
      if (deadlines[i] != 0) expected.emplace_back(deadlines[i], static_cast<int>(i));
    }
    std::sort(expected.begin(), expected.end());
    heap.Fire(2'000'000);
    std::vector<int> order;
    for (const auto& [deadline, number] : expected) order.push_back(number);
    EXPECT_EQ(rung, order);
  }
}

}  // namespace
}  // namespace ursula::io
