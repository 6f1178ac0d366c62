#include "lib/peers/said_beats.h"

#include <gtest/gtest.h>

#include <string>

namespace ursula::peers {
namespace {

using Heard = HeardBeats::Heard;

std::string Record(uint64_t index, std::size_t groups = 3) {
  Beats record{ReplicaId{1}, ReplicaId{2}, {}};
  for (uint32_t i = 0; i < groups; ++i) {
    record.beats.push_back({.group = GroupId{i}, .term = 5, .index = index});
  }
  return EncodeBeats(&record);
}

class SaidBeatsTest : public ::testing::Test {
 protected:
  Heard Read(const std::string& letter) {
    read_ = {};
    return heard_.Read(letter, &read_);
  }
  // Sent and heard, as what it was.
  void Say(const std::string& record) {
    ASSERT_EQ(Read(said_.Write(record)), Heard::kRecord);
    EXPECT_EQ(EncodeBeats(&read_), record);
  }

  SaidBeats said_{77};
  HeardBeats heard_;
  Beats read_;
};

TEST_F(SaidBeatsTest, WhatIsSaidAgainTakesAFewBytes) {
  const std::string record = Record(1000, 100);
  EXPECT_GT(said_.Write(record).size(), record.size());
  for (uint32_t i = 0; i < kBeatsAgainMax; ++i) EXPECT_EQ(said_.Write(record).size(), 3u);
  EXPECT_GT(said_.Write(record).size(), record.size());
}

TEST_F(SaidBeatsTest, IsHeardAsItWasWhateverIsSaidBetween) {
  for (int round = 0; round < 40; ++round) {
    Say(Record(1));
    if (round % 3 == 0) Say(Record(2));
    if (round % 5 == 0) Say(Record(100 + round));
  }
}

TEST_F(SaidBeatsTest, WhatIsTooLargeIsAlwaysWhole) {
  const std::string large = Record(1'000'000'000, 8000);
  ASSERT_GT(large.size(), kKeptBeatsBytesMax);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(said_.Write(large), large);
  Say(large);
}

TEST_F(SaidBeatsTest, ALostOneIsMissedForAWhileAndNoOtherTakenForIt) {
  Say(Record(1));
  (void)said_.Write(Record(2));  // Lost.
  Say(Record(1));
  for (uint32_t i = 0; i < kBeatsAgainMax; ++i) {
    EXPECT_EQ(Read(said_.Write(Record(2))), Heard::kUnknown);
  }
  Say(Record(2));
  Say(Record(2));
}

TEST_F(SaidBeatsTest, WhoHasForgottenSaysItWholeAndNeverUnderAnOldNumber) {
  Say(Record(1));
  const std::string again = said_.Write(Record(1));
  said_.Forget();
  Say(Record(2));
  EXPECT_EQ(Read(again), Heard::kRecord);
  EXPECT_EQ(EncodeBeats(&read_), Record(1));  // Late, and still what was said.
  heard_.Forget();
  EXPECT_EQ(Read(again), Heard::kUnknown);
}

TEST_F(SaidBeatsTest, EachCoreOfAPeerHasALineAndTooManyAreForgotten) {
  SaidBeats other(78);
  Say(Record(1));
  ASSERT_EQ(Read(other.Write(Record(2))), Heard::kRecord);
  Say(Record(1));
  for (uint64_t line = 100; line < 100 + kBeatsLinesMax; ++line) {
    SaidBeats one(line);
    ASSERT_EQ(Read(one.Write(Record(line))), Heard::kRecord);
  }
  EXPECT_EQ(Read(said_.Write(Record(1))), Heard::kUnknown);
}

TEST_F(SaidBeatsTest, WhatIsMalformedIsNeitherHeardNorKept) {
  const std::string kept = said_.Write(Record(1));
  const std::string again = said_.Write(Record(1));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(Read(kept.substr(0, i)), Heard::kMalformed) << i;
  EXPECT_EQ(Read(kept + "\x06"), Heard::kMalformed);  // A beat whose term is cut off.
  EXPECT_EQ(Read(again), Heard::kUnknown);
  EXPECT_EQ(Read(again + "x"), Heard::kMalformed);
  EXPECT_EQ(Read("\x04" + kept.substr(1)), Heard::kMalformed);
}

}  // namespace
}  // namespace ursula::peers
