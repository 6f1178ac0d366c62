#include "lib/group/group_log.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ursula::group {
namespace {

std::vector<raft::Entry> Entries(uint64_t first, uint64_t term, std::size_t count) {
  std::vector<raft::Entry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    raft::Entry& entry = entries.emplace_back();
    entry.index = Index{first + i};
    entry.term = Term{term};
    entry.payload = Bytes::Static("12345");
  }
  return entries;
}

raft::SnapshotMeta Meta(uint64_t index, uint64_t term) {
  raft::SnapshotMeta meta;
  meta.index = Index{index};
  meta.term = Term{term};
  return meta;
}

// "index.term " of [low, high).
std::string Read(const GroupLog& log, uint64_t low, uint64_t high, uint64_t bytes_max = 1 << 20) {
  std::vector<raft::Entry> entries;
  EXPECT_TRUE(log.Entries(Index{low}, Index{high}, bytes_max, &entries));
  std::string said;
  for (const raft::Entry& entry : entries) {
    said += std::to_string(Raw(entry.index)) + "." + std::to_string(Raw(entry.term)) + " ";
  }
  return said;
}

TEST(GroupLogTest, BeginsAfterWhatIsCompacted) {
  GroupLog log(Meta(4, 2));
  EXPECT_EQ(log.first(), Index{5});
  EXPECT_EQ(log.last(), Index{4});
  EXPECT_EQ(log.TermAt(Index{4}), Term{2});
  log.Append(Entries(5, 3, 2));
  EXPECT_EQ(log.last(), Index{6});
  EXPECT_EQ(Read(log, 5, 7), "5.3 6.3 ");
}

TEST(GroupLogTest, WhatIsWrittenAgainTakesThePlaceOfAllFromThereOn) {
  GroupLog log(Meta(0, 0));
  log.Append(Entries(1, 1, 5));
  uint64_t bytes = log.bytes();
  log.Append(Entries(3, 2, 1));
  EXPECT_EQ(log.last(), Index{3});
  EXPECT_EQ(Read(log, 1, 4), "1.1 2.1 3.2 ");
  EXPECT_EQ(log.bytes() * 5, bytes * 3);
  log.Append({});
  EXPECT_EQ(log.last(), Index{3});
}

TEST(GroupLogTest, CompactForgetsUpToTheIndexAndKeepsItsTerm) {
  GroupLog log(Meta(0, 0));
  EXPECT_FALSE(log.NewestSnapshot());
  log.Append(Entries(1, 1, 3));
  log.Append(Entries(4, 2, 2));
  log.Compact(Meta(4, 2));
  EXPECT_EQ(log.first(), Index{5});
  EXPECT_EQ(log.TermAt(Index{4}), Term{2});
  EXPECT_EQ(Read(log, 5, 6), "5.2 ");
  ASSERT_TRUE(log.NewestSnapshot());
  EXPECT_EQ(log.NewestSnapshot()->meta.index, Index{4});
  log.Compact(Meta(5, 2));
  EXPECT_EQ(log.bytes(), 0u);
  EXPECT_EQ(log.last(), Index{5});
}

TEST(GroupLogTest, EntriesGivesAtLeastOneAndStopsAtTheLimit) {
  GroupLog log(Meta(0, 0));
  log.Append(Entries(1, 1, 4));
  uint64_t one = log.bytes() / 4;
  EXPECT_EQ(Read(log, 1, 5, 0), "1.1 ");
  EXPECT_EQ(Read(log, 1, 5, 2 * one), "1.1 2.1 ");
  EXPECT_EQ(Read(log, 2, 5, 3 * one - 1), "2.1 3.1 ");
}

// Entries 1 to 10 of three terms; memory begins behind the 8th, the window with the 3rd.
GroupLog Windowed() {
  GroupLog log(Meta(0, 0));
  log.Append(Entries(1, 1, 3));
  log.Append(Entries(4, 2, 3));
  log.Append(Entries(7, 4, 4));
  log.Compact(Meta(8, 4), 0, Index{3});
  return log;
}

TEST(GroupLogTest, TheWindowBeginsWhereItIsWantedAndKnowsItsTerms) {
  GroupLog log = Windowed();
  EXPECT_TRUE(log.has_window());
  EXPECT_EQ(log.first(), Index{3});
  EXPECT_EQ(log.first_in_memory(), Index{9});
  const std::vector<uint64_t> terms = {1, 1, 2, 2, 2, 4, 4, 4, 4};
  for (uint64_t index = 2; index <= 10; ++index) {
    EXPECT_EQ(log.TermAt(Index{index}), Term{terms[index - 2]}) << index;
  }
  log.Compact(Meta(10, 4), 0, Index{1});  // It goes on, and never back.
  EXPECT_EQ(log.first(), Index{3});
  EXPECT_EQ(log.first_in_memory(), Index{11});
  EXPECT_EQ(log.TermAt(Index{10}), Term{4});
}

TEST(GroupLogTest, WhatIsMissedInTheWindowIsFilledIn) {
  GroupLog log = Windowed();
  std::vector<raft::Entry> entries;
  EXPECT_FALSE(log.Entries(Index{5}, Index{11}, 1 << 20, &entries));
  EXPECT_FALSE(log.Entries(Index{4}, Index{11}, 1 << 20, &entries));
  EXPECT_FALSE(log.Entries(Index{6}, Index{11}, 1 << 20, &entries));
  EXPECT_TRUE(entries.empty());
  EXPECT_EQ(log.TakeMissed(), Index{4});
  EXPECT_EQ(log.TakeMissed(), Index{UINT64_MAX});
  // As the log has them: what was replaced is there, too.
  std::vector<raft::Entry> read = Entries(4, 1, 2);
  for (raft::Entry& entry : Entries(4, 2, 3)) read.push_back(entry);
  for (raft::Entry& entry : Entries(7, 3, 1)) read.push_back(entry);
  for (raft::Entry& entry : Entries(7, 4, 4)) read.push_back(entry);
  EXPECT_TRUE(log.Fill(Index{4}, std::move(read)));
  EXPECT_EQ(Read(log, 4, 11), "4.2 5.2 6.2 7.4 8.4 ");  // What is in memory comes next time.
  EXPECT_EQ(Read(log, 6, 8), "6.2 7.4 ");
  EXPECT_EQ(Read(log, 9, 11), "9.4 10.4 ");
  EXPECT_EQ(Read(log, 4, 11, 1), "4.2 ");
  EXPECT_FALSE(log.Entries(Index{3}, Index{11}, 1 << 20, &entries));
  EXPECT_EQ(log.TakeMissed(), Index{3});
}

TEST(GroupLogTest, WhatDoesNotBelongThereFillsNothing) {
  GroupLog log = Windowed();
  EXPECT_FALSE(log.Fill(Index{4}, Entries(4, 1, 3)));
  EXPECT_FALSE(log.Fill(Index{4}, Entries(5, 2, 2)));
  EXPECT_FALSE(log.Fill(Index{2}, Entries(2, 1, 2)));
  EXPECT_FALSE(log.Fill(Index{4}, {}));
  std::vector<raft::Entry> entries;
  EXPECT_FALSE(log.Entries(Index{4}, Index{11}, 1 << 20, &entries));
}

TEST(GroupLogTest, TheWindowNarrowsAndCloses) {
  GroupLog log = Windowed();
  log.NarrowWindow(Index{2});
  EXPECT_EQ(log.first(), Index{3});
  log.NarrowWindow(Index{7});
  EXPECT_EQ(log.first(), Index{7});
  EXPECT_EQ(log.TermAt(Index{6}), Term{2});
  EXPECT_FALSE(log.Fill(Index{6}, Entries(6, 2, 1)));
  EXPECT_TRUE(log.Fill(Index{7}, Entries(7, 4, 2)));
  log.NarrowWindow(Index{9});
  EXPECT_FALSE(log.has_window());
  EXPECT_EQ(log.first(), Index{9});
  EXPECT_EQ(log.TermAt(Index{8}), Term{4});
}

TEST(GroupLogTest, AnotherSnapshotEndsTheWindow) {
  GroupLog log = Windowed();
  log.Reset(Meta(20, 5));
  EXPECT_FALSE(log.has_window());
  EXPECT_EQ(log.first(), Index{21});
  EXPECT_EQ(log.TermAt(Index{20}), Term{5});
}

}  // namespace
}  // namespace ursula::group
