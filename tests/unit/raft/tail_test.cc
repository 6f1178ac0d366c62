#include "lib/raft/tail.h"

#include "gtest/gtest.h"
#include "lib/base/random.h"

namespace ursula::raft {
namespace {

std::vector<Entry> Entries(uint64_t from, uint64_t count, uint64_t term) {
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < count; ++i) {
    entries.push_back({Term{term}, Index{from + i}, EntryKind::kNormal, {}});
  }
  return entries;
}

TEST(TailTest, HandsEachEntryOutOnce) {
  Tail tail(Index{5});
  tail.Append(Entries(5, 3, 1));
  EXPECT_EQ(tail.NotHandedOut().size(), 3u);
  tail.HandOut();
  EXPECT_TRUE(tail.NotHandedOut().empty());
  tail.Append(Entries(8, 1, 1));
  ASSERT_EQ(tail.NotHandedOut().size(), 1u);
  EXPECT_EQ(tail.NotHandedOut()[0].index, Index{8});
}

TEST(TailTest, OverwrittenEntriesAreHandedOutAgain) {
  Tail tail(Index{5});
  tail.Append(Entries(5, 4, 1));
  tail.HandOut();
  tail.Append(Entries(7, 1, 2));
  EXPECT_EQ(tail.end(), Index{8});
  ASSERT_EQ(tail.NotHandedOut().size(), 1u);
  EXPECT_EQ(tail.NotHandedOut()[0].term, Term{2});
  tail.Append(Entries(3, 2, 3));
  EXPECT_EQ(tail.offset(), Index{3}) << "durable ones are overwritten too";
  EXPECT_EQ(tail.NotHandedOut().size(), 2u);
}

TEST(TailTest, AnAnswerForAnOverwrittenEntryCountsForNothing) {
  Tail tail(Index{5});
  tail.Append(Entries(5, 2, 1));
  tail.HandOut();
  tail.Append(Entries(6, 1, 2));
  tail.HandOut();
  tail.StableTo(Index{6}, Term{1});
  EXPECT_EQ(tail.offset(), Index{5});
  tail.StableTo(Index{6}, Term{2});
  EXPECT_EQ(tail.offset(), Index{7});
}

TEST(TailTest, WhatWasNotHandedOutCanNotBeDurable) {
  Tail tail(Index{5});
  tail.Append(Entries(5, 2, 1));
  tail.StableTo(Index{6}, Term{1});
  EXPECT_EQ(tail.offset(), Index{5});
}

TEST(TailTest, ASnapshotReplacesEverything) {
  Tail tail(Index{5});
  tail.Append(Entries(5, 2, 1));
  Snapshot snapshot;
  snapshot.meta.index = Index{20};
  snapshot.meta.term = Term{3};
  tail.Restore(snapshot);
  EXPECT_EQ(tail.offset(), Index{21});
  EXPECT_TRUE(tail.entries().empty());
  EXPECT_EQ(tail.TermAt(Index{20}), Term{3});
  EXPECT_EQ(tail.TermAt(Index{19}), std::nullopt);
  EXPECT_TRUE(tail.SnapshotToHandOut());
  tail.HandOut();
  EXPECT_FALSE(tail.SnapshotToHandOut());
  tail.SnapshotStable(Index{19});
  EXPECT_TRUE(tail.snapshot().has_value());
  tail.SnapshotStable(Index{20});
  EXPECT_FALSE(tail.snapshot().has_value());
}

// Against a plain map of index to term.
TEST(TailTest, AgreesWithAModelOverRandomHistories) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Tail tail(Index{1});
    std::vector<uint64_t> terms;  // Of the whole log, index 1 first.
    uint64_t stable = 0;
    uint64_t handed = 0;
    for (uint64_t step = 1; step < 200; ++step) {
      switch (random.Below(3)) {
        case 0: {
          const uint64_t from =
              random.OneIn(4) ? 1 + random.Below(terms.size() + 1) : terms.size() + 1;
          const uint64_t count = 1 + random.Below(4);
          tail.Append(Entries(from, count, step));
          terms.resize(from - 1);
          terms.insert(terms.end(), count, step);
          stable = std::min(stable, from - 1);
          handed = std::min(handed, from - 1);
          break;
        }
        case 1:
          tail.HandOut();
          handed = terms.size();
          break;
        default:
          if (handed > stable) {
            stable += 1 + random.Below(handed - stable);
            tail.StableTo(Index{stable}, Term{terms[stable - 1]});
          }
      }
      ASSERT_EQ(tail.offset(), Index{stable + 1}) << "seed " << seed;
      ASSERT_EQ(tail.end(), Index{terms.size() + 1}) << "seed " << seed;
      ASSERT_EQ(tail.NotHandedOut().size(), terms.size() - handed) << "seed " << seed;
      for (uint64_t index = stable + 1; index <= terms.size(); ++index) {
        ASSERT_EQ(tail.TermAt(Index{index}), Term{terms[index - 1]}) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace ursula::raft
