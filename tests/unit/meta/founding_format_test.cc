#include "lib/meta/founding_format.h"

#include <gtest/gtest.h>

#include <string>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/base/random.h"
#include "lib/peers/frame_format.h"

namespace ursula::meta {
namespace {

FoundingHello Hello() {
  return {.from = {NodeId{2}, 12, 22},
          .number = 5,
          .record = {FoundingState::kFounding,
                     {.cluster_id = 7,
                      .history_id = 8,
                      .group_count = 4,
                      .founders = {{NodeId{1}, 11}, {NodeId{2}, 12}, {NodeId{300}, 13}}}},
          .wish = {{NodeId{1}, NodeId{2}, NodeId{300}}, 4, {{"message_bytes_max", 1 << 20}}},
          .heard = {{{NodeId{1}, 11, 21}, 3, true}, {{NodeId{300}, 13, 23}, 1, false}}};
}

// The frame with these fields and a checksum that is right.
Bytes WithFields(const std::string& fields, uint8_t version = kFoundingVersion) {
  std::string frame;
  PutFixed<uint8_t>(&frame, kFoundingFrame);
  PutFixed<uint8_t>(&frame, version);
  PutFixed<uint32_t>(&frame, Crc32c(0, fields));
  return Bytes::Take(frame + fields);
}

std::string FieldsOf(const FoundingHello& hello) {
  return std::string(EncodeFoundingHello(hello).view().substr(6));
}

TEST(FoundingFormatTest, ReadsBackWhatWasWritten) {
  FoundingHello hello = Hello();
  for (FoundingState state :
       {FoundingState::kFounding, FoundingState::kMember, FoundingState::kEmpty}) {
    hello.record.state = state;
    if (state == FoundingState::kEmpty) hello.record.plan = {};
    Result<FoundingHello> read = DecodeFoundingHello(EncodeFoundingHello(hello));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, hello);
  }
}

TEST(FoundingFormatTest, ReadsBackARecoveredClusters) {
  FoundingHello hello = Hello();
  hello.record.state = FoundingState::kMember;
  hello.record.plan.recovery = {.number = 1,
                                .term = 300,
                                .history_id = 9,
                                .cluster_before = 6,
                                .lives_before = {1, 2, 1},
                                .lost = {NodeId{4}, NodeId{5}}};
  Result<FoundingHello> read = DecodeFoundingHello(EncodeFoundingHello(hello));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, hello);
  for (int wrong = 0; wrong < 4; ++wrong) {
    FoundingHello other = hello;
    if (wrong == 0) other.record.plan.recovery.term = 0;
    if (wrong == 1) other.record.plan.recovery.lives_before.pop_back();
    if (wrong == 2) other.record.plan.recovery.lives_before[1] = UINT64_MAX;
    for (uint64_t more = 301; wrong == 3 && other.record.plan.founders.size() < 5; ++more) {
      other.record.plan.founders.push_back({NodeId{more}, 9});
      other.record.plan.recovery.lives_before.push_back(1);
    }
    read = DecodeFoundingHello(EncodeFoundingHello(other));
    EXPECT_FALSE(read.ok() && *read == other) << wrong;
  }
}

TEST(FoundingFormatTest, ReadsBackFeatureLevels) {
  FoundingHello hello = Hello();
  for (uint32_t level_max : {1u, 2u, 300u}) {
    for (uint32_t level : {1u, 2u}) {
      for (uint32_t founded : {1u, 2u}) {
        hello.feature_level_max = level_max;
        hello.feature_level = level;
        hello.record.plan.feature_level = founded;
        hello.stored_level = level_max;
        Result<FoundingHello> read = DecodeFoundingHello(EncodeFoundingHello(hello));
        ASSERT_TRUE(read.ok()) << read.status().ToString();
        EXPECT_EQ(*read, hello);
      }
    }
  }
  for (const std::string& levels :
       {std::string(), std::string("\1"), std::string("\0\1", 2), std::string("\1\1\1")}) {
    std::string fields = FieldsOf(Hello());
    PutVarint(&fields, 7);
    PutString(&fields, levels);
    EXPECT_FALSE(DecodeFoundingHello(WithFields(fields)).ok());
  }
  for (const std::string& stored : {std::string(), std::string(1, '\0'), std::string("\2\2")}) {
    std::string fields = FieldsOf(Hello());
    PutVarint(&fields, 8);
    PutString(&fields, stored);
    EXPECT_FALSE(DecodeFoundingHello(WithFields(fields)).ok());
  }
}

TEST(FoundingFormatTest, ReadsBackAReportOfADisk) {
  FoundingHello hello = Hello();
  for (const DiskReport& disk :
       {DiskReport{.hangs = true}, DiskReport{.full = true}, DiskReport{.sync_p50_us = 141},
        DiskReport{.hangs = true, .full = true, .sync_p50_us = 1'000'000}}) {
    hello.disk = disk;
    Result<FoundingHello> read = DecodeFoundingHello(EncodeFoundingHello(hello));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, hello);
  }
  // Who has nothing to say says nothing, as releases do that don't know of it.
  hello.disk = {};
  EXPECT_EQ(EncodeFoundingHello(hello), EncodeFoundingHello(Hello()));
  for (const std::string& disk : {std::string(), std::string("\1"), std::string("\1\1\1")}) {
    std::string fields = FieldsOf(Hello());
    PutVarint(&fields, 11);
    PutString(&fields, disk);
    EXPECT_FALSE(DecodeFoundingHello(WithFields(fields)).ok());
  }
}

TEST(FoundingFormatTest, IsNoFrameOfLettersAndTheOtherWayRound) {
  const Bytes hello = EncodeFoundingHello(Hello());
  EXPECT_TRUE(IsFoundingFrame(hello));
  EXPECT_FALSE(peers::ParseFrame(hello, 0).has_value());
  EXPECT_FALSE(IsFoundingFrame(peers::FinishFrame({}, 0).front()));
  EXPECT_FALSE(IsFoundingFrame({}));
}

TEST(FoundingFormatTest, ALaterReleasesFieldIsPassedOver) {
  std::string fields = FieldsOf(Hello());
  PutVarint(&fields, 9);
  PutString(&fields, "later");
  Result<FoundingHello> read = DecodeFoundingHello(WithFields(fields));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, Hello());
}

TEST(FoundingFormatTest, AnotherVersionIsRefusedByItsNumber) {
  Result<FoundingHello> read = DecodeFoundingHello(WithFields(FieldsOf(Hello()), 2));
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.status().message().find("version 2"), std::string::npos);
}

TEST(FoundingFormatTest, EachFlippedBitAndEachCutIsRefused) {
  const Bytes hello = EncodeFoundingHello(Hello());
  for (std::size_t i = 0; i < hello.size() * 8; ++i) {
    std::string bytes(hello.view());
    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(DecodeFoundingHello(Bytes::Take(std::move(bytes))).ok()) << i;
  }
  const std::string fields = FieldsOf(Hello());
  for (std::size_t size = 0; size < fields.size(); ++size) {
    EXPECT_FALSE(DecodeFoundingHello(WithFields(fields.substr(0, size))).ok()) << size;
  }
}

TEST(FoundingFormatTest, ValuesOutOfRangeAreRefused) {
  FoundingHello hello = Hello();
  hello.record.plan.group_count = kFoundingGroupsMax + 1;
  EXPECT_FALSE(DecodeFoundingHello(EncodeFoundingHello(hello)).ok());
  hello = Hello();
  hello.record.plan.group_count = 0;
  EXPECT_FALSE(DecodeFoundingHello(EncodeFoundingHello(hello)).ok());
  hello = Hello();
  hello.record.plan.founders.pop_back();
  hello.record.plan.founders.push_back({NodeId{2}, 1});
  EXPECT_FALSE(DecodeFoundingHello(EncodeFoundingHello(hello)).ok());
  hello = Hello();
  hello.heard.resize(kFoundingNodesMax + 1);
  EXPECT_FALSE(DecodeFoundingHello(EncodeFoundingHello(hello)).ok());
  hello = Hello();
  hello.record.state = FoundingState{9};
  EXPECT_FALSE(DecodeFoundingHello(EncodeFoundingHello(hello)).ok());
}

// With a checksum that is right: no byte may break more than the hello.
TEST(FoundingFormatTest, GarbledFieldsAreRefusedOrRead) {
  Random random(3);
  for (int i = 0; i < 200000; ++i) {
    std::string fields = FieldsOf(Hello());
    for (uint64_t k = random.Below(4); k-- > 0;) {
      fields[random.Below(fields.size())] = static_cast<char>(random.Next());
    }
    Result<FoundingHello> read = DecodeFoundingHello(WithFields(fields));
    if (!read.ok()) continue;
    EXPECT_EQ(*DecodeFoundingHello(EncodeFoundingHello(*read)), *read);
  }
}

}  // namespace
}  // namespace ursula::meta
