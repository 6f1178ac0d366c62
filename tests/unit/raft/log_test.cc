#include "lib/raft/log.h"

#include "gtest/gtest.h"
#include "tests/unit/raft/replica.h"

namespace ursula::raft {
namespace {

constexpr uint64_t kMax = UINT64_MAX;

// Entries 1 to 5 of terms 1 1 2 2 3 durable, 6 and 7 of term 4 not yet.
class LogTest : public testing::Test {
 protected:
  LogTest() {
    StorageAppend append;
    append.entries = EntriesOfTerms({1, 1, 2, 2, 3});
    storage_.Persist(append);
    log_.emplace(&storage_, kMax);
    log_->Append(std::vector<Entry>{{Term{4}, Index{6}, EntryKind::kNormal, {}},
                                    {Term{4}, Index{7}, EntryKind::kNormal, {}}});
  }

  MemoryLog storage_;
  std::optional<Log> log_;
};

TEST_F(LogTest, JoinsTheDurablePartAndTheTail) {
  EXPECT_EQ(log_->FirstIndex(), Index{1});
  EXPECT_EQ(log_->LastIndex(), Index{7});
  const uint64_t kTerms[] = {0, 1, 1, 2, 2, 3, 4, 4};
  for (uint64_t index = 0; index <= 7; ++index) {
    EXPECT_EQ(log_->TermAt(Index{index}), Term{kTerms[index]}) << index;
  }
  EXPECT_EQ(log_->TermAt(Index{8}), std::nullopt);
  std::vector<Entry> all;
  EXPECT_TRUE(log_->Slice(Index{1}, Index{8}, kMax, &all));
  ASSERT_EQ(all.size(), 7u);
  for (uint64_t i = 0; i < 7; ++i) EXPECT_EQ(all[i].index, Index{i + 1});
}

TEST_F(LogTest, ASliceHoldsAtLeastOneEntryAndOtherwiseWhatFits) {
  for (uint64_t low = 1; low <= 7; ++low) {
    for (uint64_t fits = 0; fits <= 8; ++fits) {
      std::vector<Entry> slice;
      ASSERT_TRUE(log_->Slice(Index{low}, Index{8}, fits * kEntryOverheadBytes, &slice));
      EXPECT_EQ(slice.size(), std::clamp<uint64_t>(fits, 1, 8 - low)) << low << " " << fits;
      EXPECT_EQ(slice[0].index, Index{low});
    }
  }
}

TEST_F(LogTest, KnowsWhichLogIsMoreUpToDate) {
  EXPECT_TRUE(log_->UpToDate({Term{4}, Index{7}}));
  EXPECT_TRUE(log_->UpToDate({Term{5}, Index{1}}));
  EXPECT_TRUE(log_->UpToDate({Term{4}, Index{8}}));
  EXPECT_FALSE(log_->UpToDate({Term{4}, Index{6}}));
  EXPECT_FALSE(log_->UpToDate({Term{3}, Index{9}}));
}

TEST_F(LogTest, SkipsWholeTermsWhenLookingForAgreement) {
  EXPECT_EQ(log_->LastNotAfter(Index{7}, Term{2}), (LogPosition{Term{2}, Index{4}}));
  EXPECT_EQ(log_->LastNotAfter(Index{3}, Term{9}), (LogPosition{Term{2}, Index{3}}));
  EXPECT_EQ(log_->LastNotAfter(Index{7}, Term{0}), (LogPosition{Term{0}, Index{0}}));
}

TEST_F(LogTest, FirstNewIsWhereTheLogsPart) {
  std::vector<Entry> entries;
  ASSERT_TRUE(log_->Slice(Index{4}, Index{8}, kMax, &entries));
  EXPECT_EQ(log_->FirstNew(entries), Index{0});
  entries[2].term = Term{5};
  EXPECT_EQ(log_->FirstNew(entries), Index{6});
  entries.push_back({Term{5}, Index{8}, EntryKind::kNormal, {}});
  entries[2].term = Term{4};
  EXPECT_EQ(log_->FirstNew(entries), Index{8});
}

TEST_F(LogTest, OnlyWhatIsDurableIsAppliedUnlessSaidOtherwise) {
  EXPECT_TRUE(log_->CommitTo(Index{6}));
  std::vector<Entry> out;
  log_->CommittedToApply(false, &out);
  EXPECT_EQ(out.size(), 5u);
  out.clear();
  log_->CommittedToApply(true, &out);
  EXPECT_EQ(out.size(), 6u);
}

TEST_F(LogTest, CommitsOnlyAPositionThatStandsInTheLog) {
  EXPECT_FALSE(log_->MaybeCommit({Term{4}, Index{5}}));
  EXPECT_FALSE(log_->MaybeCommit({Term{0}, Index{0}}));
  EXPECT_TRUE(log_->MaybeCommit({Term{4}, Index{7}}));
  EXPECT_FALSE(log_->MaybeCommit({Term{2}, Index{4}})) << "the commit index never falls";
  EXPECT_EQ(log_->committed(), Index{7});
}

TEST(LogLimitTest, HandsOutNoMoreThanMayBeAppliedAtOnce) {
  MemoryLog storage;
  StorageAppend append;
  append.entries = EntriesOfTerms({1, 1, 1, 1, 1});
  storage.Persist(append);
  Log log(&storage, 2 * kEntryOverheadBytes);
  log.StartAt(Index{5}, Index{});
  std::vector<Entry> out;
  log.CommittedToApply(false, &out);
  ASSERT_EQ(out.size(), 2u);
  log.AcceptApplying(Index{2}, 2 * kEntryOverheadBytes, false);
  EXPECT_FALSE(log.HasCommittedToApply(false));
  log.AppliedTo(Index{2}, 2 * kEntryOverheadBytes);
  EXPECT_TRUE(log.HasCommittedToApply(false));
}

TEST(LogLimitTest, EntriesThatAreNotAtHandAreSaidToBeSo) {
  MemoryLog storage;
  StorageAppend append;
  append.entries = EntriesOfTerms({1, 1, 1});
  storage.Persist(append);
  storage.Compact(Index{2}, Voters(1));
  Log log(&storage, kMax);
  std::vector<Entry> out;
  EXPECT_FALSE(log.EntriesFrom(Index{2}, kMax, &out));
  EXPECT_TRUE(log.EntriesFrom(Index{3}, kMax, &out));
  storage.set_resident(false);
  EXPECT_FALSE(log.EntriesFrom(Index{3}, kMax, &out));
  EXPECT_EQ(log.TermAt(Index{2}), Term{1});
  EXPECT_EQ(log.TermAt(Index{1}), std::nullopt);
}

}  // namespace
}  // namespace ursula::raft
