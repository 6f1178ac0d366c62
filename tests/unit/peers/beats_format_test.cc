#include "lib/peers/beats_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ursula::peers {
namespace {

// Between the first two replicas of a cluster: a byte each.
Beats Record(std::vector<Beat> beats) { return {ReplicaId{1}, ReplicaId{2}, std::move(beats)}; }

TEST(BeatsFormatTest, BeatsComeOutByGroupAndThoseOfOneInTheirOrder) {
  const std::vector<Beat> sorted = {
      {.group = GroupId{0}, .term = 1, .index = 5},
      {.group = GroupId{14}, .answer = true, .term = 1},
      {.group = GroupId{14}, .term = UINT64_MAX, .index = UINT64_MAX, .round = UINT64_MAX},
      {.group = GroupId{14}, .term = 2, .round = 3},
      {.group = GroupId{29}, .answer = true, .term = 2, .round = 3},
      {.group = GroupId{16383}},
      {.group = GroupId{UINT32_MAX}, .term = 1},
  };
  Beats record =
      Record({sorted[6], sorted[1], sorted[4], sorted[2], sorted[3], sorted[0], sorted[5]});
  record.from = ReplicaId{UINT64_MAX};
  record.to = ReplicaOf(NodeId{3}, 1);
  const std::optional<Beats> read = DecodeBeats(EncodeBeats(&record));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->from, ReplicaId{UINT64_MAX});
  EXPECT_EQ(read->to, ReplicaId{65539});
  EXPECT_EQ(read->beats, sorted);
}

TEST(BeatsFormatTest, AnIdleGroupTakesAByteOrTwo) {
  Beats record = Record({});
  for (uint32_t i = 0; i < 100; ++i) {
    record.beats.push_back({.group = GroupId{3 * i}, .answer = true, .term = 9});
  }
  EXPECT_EQ(EncodeBeats(&record).size(), 104u);
  for (Beat& beat : record.beats) beat = {.group = beat.group, .term = 9, .index = 100};
  EXPECT_EQ(EncodeBeats(&record).size(), 204u);
}

TEST(BeatsFormatTest, WhatIsCutOffOrBeyondIsRefused) {
  Beats one = Record({{.group = GroupId{300}, .term = 300, .index = 300, .round = 300}});
  const std::string record = EncodeBeats(&one);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_FALSE(DecodeBeats(record.substr(0, i)));
  EXPECT_EQ(DecodeBeats(record.substr(0, 3)), Record({}));
  for (std::size_t i = 4; i < record.size(); ++i) EXPECT_FALSE(DecodeBeats(record.substr(0, i)));
  EXPECT_FALSE(DecodeBeats("\x02\x01\x02"));
  const std::string head = "\x01\x01\x02";
  EXPECT_TRUE(DecodeBeats(head + std::string(kBeatsMax, '\x10')));
  EXPECT_FALSE(DecodeBeats(head + std::string(kBeatsMax + 1, '\x10')));
  // Groups beyond 32 bits.
  EXPECT_FALSE(DecodeBeats(head + "\xF0\xFF\xFF\xFF\xFF\x0F\x10"));
  EXPECT_TRUE(DecodeBeats(head + "\xF0\xFF\xFF\xFF\xFF\x0F"));
}

}  // namespace
}  // namespace ursula::peers
