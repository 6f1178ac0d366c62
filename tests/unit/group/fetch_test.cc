#include "lib/group/fetch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "tests/support/manual_loop.h"

namespace ursula::group {
namespace {

constexpr stream::Incarnation kOne{7};
constexpr uint64_t kMs = 1'000'000;

// Two peers; what they are asked is answered by hand.
class FetchTest : public ::testing::Test, private FetchHost {
 protected:
  static constexpr uint64_t kAsksPerSecond = 10;

  FetchTest()
      : store_(storage::MakeMemoryPayloadStore(&loop_)),
        pace_(&loop_, Pace::Options{kAsksPerSecond * Fetch::kAskBytesMax}) {
    services_.loop = &loop_;
    services_.payload = store_.get();
    FetchHost* host = this;
    fetch_ = std::make_unique<Fetch>(services_, GroupId{0}, host);
  }

  // From here on it goes at a pace.
  void BeginPaced(uint64_t bytes) {
    services_.pace = &pace_;
    FetchHost* host = this;
    fetch_ = std::make_unique<Fetch>(services_, GroupId{0}, host);
    fetch_->Begin({{kOne, 0, bytes}}, Fetch::Why::kNew);
  }
  // All that was asked for.
  void AnswerFully() {
    Answer(std::string(std::min(Last().to - Last().from, Fetch::kAskBytesMax), 'x'));
  }
  struct Asked {
    ReplicaId to;
    PayloadAsk ask;
  };
  const PayloadAsk& Last() const { return asked_.back().ask; }
  PayloadAnswer AnswerTo(const PayloadAsk& ask, const std::string& bytes) {
    PayloadAnswer answer;
    answer.ask = ask.ask;
    answer.next = UINT64_MAX;
    answer.message_ends = {ask.from + bytes.size()};
    answer.sum = PayloadSum(ask.incarnation, ask.from, bytes);
    answer.bytes = Bytes::Copy(bytes);
    return answer;
  }
  void Answer(const std::string& bytes) {
    fetch_->OnAnswer(asked_.back().to, AnswerTo(Last(), bytes));
    loop_.RunUntilIdle();
  }
  void Pass(uint64_t ns) {
    loop_.AdvanceBy(ns);
    fetch_->Tick();
    loop_.RunUntilIdle();
  }
  uint64_t Stored(uint64_t from) { return store_->Find({GroupId{0}, Raw(kOne)}, from); }
  std::shared_ptr<std::optional<Status>> Await(uint64_t offset) {
    auto ended = std::make_shared<std::optional<Status>>();
    fetch_->Await(kOne, offset, loop_.now_ns() + Fetch::kAwaitNs,
                  [ended](Status status) { *ended = std::move(status); });
    EXPECT_FALSE(ended->has_value());
    return ended;
  }

  bool WriteLetter(ReplicaId to, Letter letter) override {
    asked_.push_back({to, std::get<PayloadAsk>(letter)});
    return true;
  }
  std::vector<ReplicaId> Sources() override { return {ReplicaId{2}, ReplicaId{3}}; }
  std::optional<stream::ReadRange> OwnRangeNow(stream::Incarnation) override {
    return stream::ReadRange{kOne, 0, 100 << 20};
  }
  void OnPayloadLost(const stream::ReadRange& range) override { lost_.push_back(range); }
  void OnPayloadRepaired(const stream::ReadRange& range) override {
    repaired_ += range.to - range.from;
  }

  testing::ManualLoop loop_;
  std::unique_ptr<storage::PayloadStore> store_;
  Pace pace_;
  Services services_;
  std::unique_ptr<Fetch> fetch_;
  std::vector<Asked> asked_;
  std::vector<stream::ReadRange> lost_;
  uint64_t repaired_ = 0;
};

TEST_F(FetchTest, BytesThatFailTheirChecksumAreNotTaken) {
  fetch_->Add({kOne, 100, 110});
  ASSERT_EQ(asked_.size(), 1u);
  PayloadAnswer wrong = AnswerTo(Last(), "0123456789");
  wrong.bytes = Bytes::Static("0123456788");
  fetch_->OnAnswer(asked_[0].to, wrong);
  // The right bytes of another place are as wrong.
  wrong = AnswerTo(Last(), "0123456789");
  wrong.sum = PayloadSum(Raw(kOne), 101, "0123456789");
  fetch_->OnAnswer(asked_[0].to, wrong);
  loop_.RunUntilIdle();
  EXPECT_EQ(Stored(100), 100u);
  EXPECT_FALSE(fetch_->whole());
  Pass(Fetch::kAnswerNs);  // The other one is asked.
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked_[1].to, ReplicaId{3});
  Answer("0123456789");
  EXPECT_EQ(Stored(100), 110u);
  EXPECT_TRUE(fetch_->whole());
  EXPECT_EQ(repaired_, 10u);
}

// From feature level 2 on the sum is of them, too; an answer of before is taken as it is.
TEST_F(FetchTest, EndsThatFailTheChecksumAreNotTaken) {
  fetch_->Add({kOne, 100, 110});
  PayloadAnswer wrong = AnswerTo(Last(), "0123456789");
  wrong.sums_ends = true;
  wrong.sum = SumOf(wrong, Raw(kOne), 100);
  const PayloadAnswer right = wrong;
  wrong.message_ends = {104, 110};
  fetch_->OnAnswer(asked_[0].to, wrong);
  loop_.RunUntilIdle();
  EXPECT_EQ(Stored(100), 100u);
  fetch_->OnAnswer(asked_[0].to, right);
  loop_.RunUntilIdle();
  EXPECT_EQ(Stored(100), 110u);
}

TEST_F(FetchTest, WhatIsMissedTwiceIsAskedForOnce) {
  fetch_->Add({kOne, 0, 100});
  fetch_->Add({kOne, 50, 150});
  fetch_->Add({kOne, 0, 150});
  EXPECT_EQ(fetch_->lacking_bytes(), 150u);
  EXPECT_TRUE(fetch_->Lacks(kOne, 149));
  EXPECT_FALSE(fetch_->Lacks(kOne, 150));
}

TEST_F(FetchTest, WhatAReadWaitsForComesFirstAndThenTheRest) {
  constexpr uint64_t kAll = 40 << 20;
  fetch_->Begin({{kOne, 0, kAll}}, Fetch::Why::kNew);
  EXPECT_EQ(Last().from, 0u);
  auto read = Await(30 << 20);
  auto behind = Await(20 << 20);
  EXPECT_EQ(Last().from, uint64_t{30} << 20);
  EXPECT_EQ(Last().to, uint64_t{31} << 20);
  EXPECT_EQ(fetch_->lacking_bytes(), kAll);
  // An answer to what isn't asked for any more.
  fetch_->OnAnswer(asked_[0].to, AnswerTo(asked_[0].ask, "x"));
  loop_.RunUntilIdle();
  EXPECT_EQ(Stored(0), 0u);
  Answer("abc");
  ASSERT_TRUE(read->has_value());
  EXPECT_TRUE((*read)->ok());
  EXPECT_FALSE(behind->has_value());
  EXPECT_EQ(Stored(30 << 20), (uint64_t{30} << 20) + 3);
  EXPECT_EQ(repaired_, 0u);  // It never was here.
  uint64_t bytes = 3;
  while (!fetch_->whole() && asked_.size() < 200) {
    const uint64_t size = std::min<uint64_t>(Last().to - Last().from, Fetch::kAskBytesMax);
    bytes += size;
    Answer(std::string(size, 'x'));
  }
  EXPECT_TRUE(behind->has_value());
  EXPECT_TRUE(fetch_->whole());
  EXPECT_EQ(bytes, kAll);
  EXPECT_EQ(Stored(0), kAll);
}

TEST_F(FetchTest, AtAPaceItAsksAsOftenAsThatAllows) {
  BeginPaced(40 << 20);
  for (uint64_t asks = 1; asks <= 30; ++asks) {
    ASSERT_EQ(asked_.size(), asks);
    AnswerFully();
    EXPECT_EQ(asked_.size(), asks);
    loop_.AdvanceBy(1000 * kMs / kAsksPerSecond + kMs);
    fetch_->Tick();
  }
  EXPECT_EQ(pace_.stats().bytes, uint64_t{31} << 20);
  // Half of what was asked for counts half.
  Answer(std::string(Fetch::kAskBytesMax / 2, 'x'));
  loop_.AdvanceBy(500 * kMs / kAsksPerSecond + kMs);
  EXPECT_EQ(asked_.size(), 32u);
}

TEST_F(FetchTest, WhatAReadWaitsForIsAskedForAtOnce) {
  BeginPaced(40 << 20);
  AnswerFully();
  ASSERT_EQ(asked_.size(), 1u);  // It waits for the pace,
  auto next = Await((1 << 20) + 10);
  ASSERT_EQ(asked_.size(), 2u);  // but not with this, which would have come next,
  EXPECT_EQ(Last().from, uint64_t{1} << 20);
  Answer("0123");
  ASSERT_EQ(asked_.size(), 3u);  // until it is here.
  AnswerFully();
  ASSERT_TRUE(next->has_value());
  EXPECT_TRUE((*next)->ok());
  ASSERT_EQ(asked_.size(), 3u);
  auto elsewhere = Await(30 << 20);
  ASSERT_EQ(asked_.size(), 4u);
  EXPECT_EQ(Last().from, uint64_t{30} << 20);
  AnswerFully();
  ASSERT_TRUE(elsewhere->has_value());
  EXPECT_EQ(asked_.size(), 4u);
  loop_.AdvanceBy(4000 * kMs / kAsksPerSecond);
  EXPECT_EQ(asked_.size(), 5u);
}

TEST_F(FetchTest, AReadThatComesWhileSomethingIsWrittenIsNext) {
  BeginPaced(40 << 20);
  fetch_->OnAnswer(asked_.back().to, AnswerTo(Last(), std::string(Fetch::kAskBytesMax, 'x')));
  auto read = Await(30 << 20);
  EXPECT_EQ(asked_.size(), 1u);
  loop_.RunUntilIdle();
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(Last().from, uint64_t{30} << 20);
}

TEST_F(FetchTest, AReadElsewhereDoesntTakeAnothersPlace) {
  BeginPaced(40 << 20);
  AnswerFully();
  auto one = Await((1 << 20) + 10);  // Of the range under way.
  ASSERT_EQ(asked_.size(), 2u);
  auto other = Await(30 << 20);
  EXPECT_EQ(asked_.size(), 2u);
  Answer("0123");
  ASSERT_EQ(asked_.size(), 3u);
  EXPECT_EQ(Last().from, (uint64_t{1} << 20) + 4);
  AnswerFully();
  EXPECT_TRUE(one->has_value());
  ASSERT_EQ(asked_.size(), 4u);
  EXPECT_EQ(Last().from, uint64_t{30} << 20);
  AnswerFully();
  EXPECT_TRUE(other->has_value());
  EXPECT_EQ(asked_.size(), 4u);
}

TEST_F(FetchTest, WhatNobodyAnswersIsHurriedAgainWhileAReadWaits) {
  BeginPaced(40 << 20);
  AnswerFully();
  pace_.Take(uint64_t{1} << 40);
  auto read = Await((1 << 20) + 10);
  ASSERT_EQ(asked_.size(), 2u);
  Pass(Fetch::kAnswerNs);
  ASSERT_EQ(asked_.size(), 3u);
  Pass(Fetch::kAnswerNs);
  ASSERT_EQ(asked_.size(), 4u);
  EXPECT_EQ(Last().from, (uint64_t{1} << 20) + 10);
  EXPECT_FALSE(read->has_value());
  Pass(Fetch::kAnswerNs);
  EXPECT_TRUE(read->has_value());
  ASSERT_EQ(asked_.size(), 5u);
  pace_.Take(uint64_t{1} << 40);
  Pass(Fetch::kAnswerNs);
  EXPECT_EQ(asked_.size(), 5u);
}

TEST_F(FetchTest, AnAskThatNobodyAnswersTakesNothing) {
  BeginPaced(40 << 20);
  EXPECT_EQ(pace_.stats().bytes, Fetch::kAskBytesMax);
  Pass(Fetch::kAnswerNs);
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(pace_.stats().bytes, Fetch::kAskBytesMax);
}

TEST_F(FetchTest, OneThatStopsOrBeginsAnewWaitsForThePaceNoMore) {
  BeginPaced(40 << 20);
  AnswerFully();
  fetch_->Begin({{kOne, 0, 100}}, Fetch::Why::kLost);
  EXPECT_EQ(asked_.size(), 1u);
  fetch_->Stop();
  loop_.AdvanceBy(60'000 * kMs);
  fetch_->Tick();
  EXPECT_EQ(asked_.size(), 1u);
  fetch_.reset();
}

TEST_F(FetchTest, AReadWaitsForItsTimeAndNotForEver) {
  fetch_->Add({kOne, 0, 100});
  auto read = Await(10);
  Pass(Fetch::kAwaitNs - kMs);
  EXPECT_FALSE(read->has_value());
  Pass(2 * kMs);
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->code(), StatusCode::kUnavailable);
  auto stopped = Await(10);
  fetch_->Stop();
  ASSERT_TRUE(stopped->has_value());
  EXPECT_EQ((*stopped)->code(), StatusCode::kUnavailable);
}

TEST_F(FetchTest, WhatAllSayTheyLackIsLostAndNobodyWaitsForIt) {
  fetch_->Add({kOne, 0, 100});
  auto read = Await(0);
  for (int peers = 0; peers < 2; ++peers) {
    fetch_->OnAnswer(asked_.back().to, {.ask = Last().ask, .next = 40});
    loop_.RunUntilIdle();
  }
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0], (stream::ReadRange{kOne, 0, 40}));
  ASSERT_TRUE(read->has_value());
  EXPECT_TRUE((*read)->ok());  // It is to look itself.
  EXPECT_EQ(Last().from, 40u);
  EXPECT_FALSE(fetch_->whole());
}

}  // namespace
}  // namespace ursula::group
