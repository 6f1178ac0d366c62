#include "lib/stream/collection.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/stream/machine_driver.h"

namespace ursula::stream {
namespace {

std::string Name(int i) { return "s" + std::to_string(i); }

// What the steps of a collection give, key by key.
struct Collected {
  std::map<std::string, std::optional<std::string>> records = {};
  std::vector<std::size_t> steps = {};  // Records of each.
  std::size_t bytes = 0;                // Of the last one.

  bool Step(Collection* collection) {
    std::size_t count = bytes = 0;
    Machine::Emit emit = [&](std::string_view key, std::optional<std::string_view> value) {
      ++count;
      bytes += key.size() + value.value_or("").size();
      records[std::string(key)] = value ? std::optional<std::string>(*value) : std::nullopt;
    };
    bool ended = collection->Step(&emit);
    steps.push_back(count);
    return ended;
  }

  uint64_t StateHash() const {
    Machine machine(GroupId{1});
    for (const auto& [key, value] : records) {
      std::optional<std::string_view> view =
          value ? std::optional<std::string_view>(*value) : std::nullopt;
      EXPECT_TRUE(machine.LoadRecord(key, view).ok());
    }
    EXPECT_TRUE(machine.FinishLoad().ok());
    return machine.StateHash();
  }
};

TEST(CollectionTest, NoStepEmitsMoreThanItsShareHoweverManyStreamsThereAre) {
  MachineDriver driver;
  for (int i = 0; i < 2000; ++i) driver.Do(Creating(Name(i)));
  for (bool base : {true, false, true}) {
    for (int i = 0; i < 1000; ++i) driver.Do(Appending(Name(i), "x"));
    Collection collection(&driver.machine(), base, {50, 1 << 20});
    Collected collected;
    while (!collected.Step(&collection)) {
    }
    for (std::size_t count : collected.steps) EXPECT_LE(count, 51u);  // And the header.
    EXPECT_EQ(collected.records.size(), base ? 2001u : 1001u);
    if (base) {
      EXPECT_EQ(collected.StateHash(), driver.machine().StateHash());
    }
  }
}

TEST(CollectionTest, AStepEndsAtItsBytes) {
  MachineDriver driver;
  for (int i = 0; i < 100; ++i) driver.Do(Creating(Name(i) + std::string(500, 'n')));
  Collection collection(&driver.machine(), true, {1000, 4000});
  Collected collected;
  while (!collected.Step(&collection)) EXPECT_LE(collected.bytes, 4000u + 600u);
  EXPECT_EQ(collected.records.size(), 101u);
}

TEST(CollectionTest, ItEndsThoughCommandsMarkMoreThanAStepTakes) {
  MachineDriver driver;
  for (int i = 0; i < 500; ++i) driver.Do(Creating(Name(i)));
  for (bool base : {true, false}) {
    Collection collection(&driver.machine(), base, {5, 1 << 20});
    Collected collected;
    int turns = 0;
    for (int at = 0; !collected.Step(&collection); ++turns) {
      ASSERT_LT(turns, 1000);
      for (int i = 0; i < 20; ++i) driver.Do(Appending(Name(at++ % 500), "x"));
    }
    if (base) {
      EXPECT_EQ(collected.StateHash(), driver.machine().StateHash());
    }
  }
}

TEST(CollectionTest, WhatIsMadeChangedAndFreedBehindAndAheadOfTheSweepIsInTheBase) {
  MachineDriver driver;
  for (int i = 0; i < 100; ++i) driver.Do(Creating(Name(i)));
  driver.Do(CreateBucket{"photos"});
  Collection collection(&driver.machine(), true, {10, 1 << 20});
  Collected collected;
  for (int i = 0; i < 14; ++i) ASSERT_FALSE(collected.Step(&collection));
  ASSERT_GT(collected.records.size(), 20u);
  ASSERT_LT(collected.records.size(), 80u);
  driver.Do(Delete{Id(Name(1))});   // Emitted already,
  driver.Do(Delete{Id(Name(98))});  // and not yet.
  driver.Do(Appending(Name(2), "x"));
  driver.Do(Appending(Name(97), "x"));
  driver.Do(Forking("f", Name(3)));
  driver.Do(CreateBucket{"others"});
  while (!collected.Step(&collection)) {
  }
  EXPECT_EQ(collected.StateHash(), driver.machine().StateHash());
  EXPECT_EQ(collected.records.size(), 1 + 2 + 101u);  // Two of the streams are tombstones.
}

}  // namespace
}  // namespace ursula::stream
