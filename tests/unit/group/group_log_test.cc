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

}  // namespace
}  // namespace ursula::group
