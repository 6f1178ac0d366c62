#include "lib/group/proposals.h"

#include <deque>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace ursula::group {
namespace {

Proposals::Waiter At(uint64_t index, uint64_t term) {
  Proposals::Waiter waiter;
  waiter.index = Index{index};
  waiter.term = Term{term};
  return waiter;
}

// "index.term+" for one that was applied, "-" for one that is lost.
std::string Resolve(Proposals* proposals, uint64_t index, uint64_t term) {
  std::string said;
  auto say = [&said](const Proposals::Waiter& waiter, char how) {
    said += std::to_string(Raw(waiter.index)) + "." + std::to_string(Raw(waiter.term)) + how;
  };
  proposals->Resolve(
      Index{index}, Term{term}, [&](Proposals::Waiter& waiter) { say(waiter, '+'); },
      [&](Proposals::Waiter& waiter) { say(waiter, '-'); });
  return said;
}

TEST(ProposalsTest, EachEndsWhenItsIndexIsApplied) {
  Proposals proposals;
  for (uint64_t index : {3, 4, 6}) proposals.Add(At(index, 2));
  EXPECT_EQ(Resolve(&proposals, 2, 2), "");
  EXPECT_EQ(Resolve(&proposals, 3, 2), "3.2+");
  EXPECT_EQ(Resolve(&proposals, 4, 3), "4.2-");
  EXPECT_EQ(Resolve(&proposals, 5, 3), "");
  EXPECT_EQ(proposals.size(), 1u);
  EXPECT_EQ(Resolve(&proposals, 6, 3), "6.2-");
}

TEST(ProposalsTest, KnowsTheNextEntryAsItsOwnByIndexAndTerm) {
  Proposals proposals;
  EXPECT_FALSE(proposals.IsOwn(Index{3}, Term{2}));
  proposals.Add(At(3, 2));
  EXPECT_TRUE(proposals.IsOwn(Index{3}, Term{2}));
  EXPECT_FALSE(proposals.IsOwn(Index{3}, Term{3}));
  EXPECT_FALSE(proposals.IsOwn(Index{2}, Term{2}));
  EXPECT_EQ(Resolve(&proposals, 3, 3), "3.2-");
}

// Led in term 2 up to index 10; another led in term 3 and wrote 7; led again in term 4 from 8 on.
TEST(ProposalsTest, SlotsThatAreGivenOutAgainBelowThoseOfAnEarlierTerm) {
  Proposals proposals;
  for (uint64_t index : {8, 9, 10}) proposals.Add(At(index, 2));
  EXPECT_EQ(Resolve(&proposals, 7, 3), "");
  for (uint64_t index : {9, 10, 11}) proposals.Add(At(index, 4));
  EXPECT_EQ(Resolve(&proposals, 8, 4), "8.2-");
  EXPECT_EQ(Resolve(&proposals, 9, 4), "9.2-9.4+");
  EXPECT_EQ(Resolve(&proposals, 10, 4), "10.2-10.4+");
  EXPECT_EQ(Resolve(&proposals, 11, 4), "11.4+");
  EXPECT_TRUE(proposals.empty());
}

// The later term's entries reached nobody, and one who has the earlier term's leads on.
TEST(ProposalsTest, TheEarlierTermsEntryMayStillBeTheOneThatIsCommitted) {
  Proposals proposals;
  for (uint64_t index : {9, 10}) proposals.Add(At(index, 2));
  proposals.Add(At(9, 4));
  EXPECT_EQ(Resolve(&proposals, 9, 2), "9.2+9.4-");
  EXPECT_EQ(Resolve(&proposals, 10, 2), "10.2+");
}

// A snapshot took the place of entries up to 10.
TEST(ProposalsTest, WhatWasSkippedIsToldApartFromWhatIsLost) {
  Proposals proposals;
  for (uint64_t index : {8, 10, 11, 12}) proposals.Add(At(index, 2));
  std::deque<Proposals::Waiter> skipped = proposals.TakeSkipped(Index{10});
  ASSERT_EQ(skipped.size(), 2u);
  EXPECT_EQ(skipped[0].index, Index{8});
  EXPECT_EQ(skipped[1].index, Index{10});
  EXPECT_EQ(Resolve(&proposals, 11, 3), "11.2-");
  EXPECT_EQ(Resolve(&proposals, 12, 2), "12.2+");
}

TEST(ProposalsTest, ThoseThatHaveWaitedTooLongAreTaken) {
  Proposals proposals;
  for (uint64_t index : {3, 4, 5}) {
    Proposals::Waiter waiter = At(index, 2);
    waiter.start_ns = index * 100;
    proposals.Add(std::move(waiter));
  }
  EXPECT_EQ(proposals.TakeOlder(299).size(), 0u);
  EXPECT_EQ(proposals.TakeOlder(400).size(), 2u);
  EXPECT_EQ(proposals.size(), 1u);
  EXPECT_EQ(Resolve(&proposals, 5, 2), "5.2+");
}

TEST(ProposalsTest, TakeAllLeavesNone) {
  Proposals proposals;
  proposals.Add(At(3, 2));
  EXPECT_EQ(proposals.TakeAll().size(), 1u);
  EXPECT_TRUE(proposals.empty());
}

}  // namespace
}  // namespace ursula::group
