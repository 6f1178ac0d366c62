#include "lib/storage/directory_format.h"

#include <gtest/gtest.h>

#include <string>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"

namespace ursula::storage {
namespace {

constexpr std::size_t kFieldsAt = 16;

DirectoryMeta Meta() {
  return {.id = 11,
          .group_count = 4,
          .generation = 3,
          .nonce = 12,
          .predecessor = 13,
          .cluster_id = 14,
          .node_id = 2,
          .replica_id = ReplicaId{5},
          .founding_voters = {ReplicaId{4}, ReplicaId{5}},
          .history_id = 15,
          .feature_level = kFeatureLevel};
}

std::string Field(uint16_t tag, std::string_view value) {
  std::string field;
  PutFixed<uint16_t>(&field, tag);
  PutFixed<uint16_t>(&field, static_cast<uint16_t>(value.size()));
  return field.append(value);
}

// META with `fields` between its header and a checksum that is right.
std::string WithFields(std::string_view fields) {
  std::string bytes = EncodeDirectoryMeta(Meta()).substr(0, kFieldsAt);
  StoreFixed<uint32_t>(bytes.data() + 12, static_cast<uint32_t>(fields.size()));
  bytes.append(fields);
  PutFixed<uint32_t>(&bytes, Crc32c(0, bytes));
  return bytes;
}

std::string FieldsOf(const DirectoryMeta& meta) {
  const std::string bytes = EncodeDirectoryMeta(meta);
  return bytes.substr(kFieldsAt, bytes.size() - kFieldsAt - 4);
}

std::string Refusal(std::string_view bytes) {
  Result<DirectoryMeta> meta = DecodeDirectoryMeta(bytes);
  if (meta.ok()) return "taken";
  EXPECT_EQ(meta.status().code(), StatusCode::kFailedPrecondition);
  return std::string(meta.status().message());
}

TEST(DirectoryFormatTest, ReadsBackWhatWasWritten) {
  DirectoryMeta meta = Meta();
  for (DirectoryState state :
       {DirectoryState::kFounding, DirectoryState::kMember, DirectoryState::kMustRejoin}) {
    meta.state = state;
    Result<DirectoryMeta> read = DecodeDirectoryMeta(EncodeDirectoryMeta(meta));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, meta);
  }
}

TEST(DirectoryFormatTest, ReadsBackFoundersAndOneWithoutAPlan) {
  DirectoryMeta meta = Meta();
  meta.founders = {{2, 11}, {3, 19}};
  Result<DirectoryMeta> read = DecodeDirectoryMeta(EncodeDirectoryMeta(meta));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, meta);
  meta.founders.pop_back();
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);
  meta = {.id = 11,
          .generation = 1,
          .node_id = 2,
          .feature_level = kFeatureLevel,
          .state = DirectoryState::kFounding};
  read = DecodeDirectoryMeta(EncodeDirectoryMeta(meta));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, meta);
  meta.cluster_id = 1;
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);
}

TEST(DirectoryFormatTest, ReadsBackARecovery) {
  DirectoryMeta meta = Meta();
  meta.founders = {{2, 11}, {3, 19}};
  meta.recovery = {
      .number = 2, .term = Term{300}, .history_id = 16, .cluster_before = 13, .lost = {1, 4}};
  Result<DirectoryMeta> read = DecodeDirectoryMeta(EncodeDirectoryMeta(meta));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, meta);
  for (uint64_t survivor = 4; survivor < 7; ++survivor) {
    meta.founders.push_back({survivor, 19});
    meta.founding_voters.resize(meta.founders.size(), ReplicaId{9});
    EXPECT_EQ(DecodeDirectoryMeta(EncodeDirectoryMeta(meta)).ok(), meta.founders.size() <= 4);
  }
  meta.founders.clear();
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);
  for (const std::string& value :
       {std::string(8, '\1'), std::string(37, '\1'), std::string(32, '\0')}) {
    meta.recovery = {};
    meta.founders = {{2, 11}, {3, 19}};
    EXPECT_NE(Refusal(WithFields(FieldsOf(meta) + Field(0x800e, value))).find("damaged"),
              std::string::npos);
  }
}

TEST(DirectoryFormatTest, ReadsBackOneThatGoesAsideAndOneThatRejoins) {
  DirectoryMeta meta = Meta();
  meta.aside = {.cluster_id = 14, .cluster_before = 10};
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);  // A member's.
  meta.state = DirectoryState::kMustRejoin;
  Result<DirectoryMeta> read = DecodeDirectoryMeta(EncodeDirectoryMeta(meta));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, meta);
  // A release that doesn't know of it neither serves it nor founds with it.
  EXPECT_NE(FieldsOf(meta).find(std::string("\x0f\x80\x10\0", 4)), std::string::npos);
  meta.state = DirectoryState::kFounding;
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);  // With a plan.
  meta = {.id = 11,
          .generation = 1,
          .node_id = 2,
          .feature_level = kFeatureLevel,
          .state = DirectoryState::kFounding,
          .aside = meta.aside};
  read = DecodeDirectoryMeta(EncodeDirectoryMeta(meta));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, meta);
  for (const std::string& value :
       {std::string(8, '\1'), std::string(17, '\1'), std::string(16, '\0')}) {
    EXPECT_NE(Refusal(WithFields(FieldsOf(Meta()) + Field(0x800f, value))).find("damaged"),
              std::string::npos);
  }
}

TEST(DirectoryFormatTest, AnUnknownFieldIsKept) {
  Result<DirectoryMeta> read =
      DecodeDirectoryMeta(WithFields(FieldsOf(Meta()) + Field(300, "later")));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->history_id, 15u);
  ASSERT_EQ(read->unknown.size(), 1u);
  EXPECT_EQ(read->unknown[0], (UnknownMetaField{300, "later"}));
  EXPECT_EQ(EncodeDirectoryMeta(*read), WithFields(FieldsOf(Meta()) + Field(300, "later")));
}

TEST(DirectoryFormatTest, AnUnknownFieldThatMustBeUnderstoodIsRefusedByItsNumber) {
  const std::string refusal = Refusal(WithFields(FieldsOf(Meta()) + Field(300 | 0x8000, "later")));
  EXPECT_NE(refusal.find("a newer release wrote it (field 300)"), std::string::npos) << refusal;
}

TEST(DirectoryFormatTest, AHigherFeatureLevelIsRefusedByItsNumber) {
  DirectoryMeta meta = Meta();
  meta.feature_level = kFeatureLevel + 1;
  const std::string refusal = Refusal(EncodeDirectoryMeta(meta));
  EXPECT_NE(refusal.find("feature level " + std::to_string(kFeatureLevel + 1)), std::string::npos)
      << refusal;
}

// An older release keeps the field of the founding level, and refuses the level that it comes with.
TEST(DirectoryFormatTest, TheFoundingLevelIsSaidWhereItIsNotTheFirst) {
  DirectoryMeta meta = Meta();
  meta.feature_level = meta.founding_level = 2;
  const std::string bytes = EncodeDirectoryMeta(meta);
  Result<DirectoryMeta> read = DecodeDirectoryMeta(bytes);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, meta);
  const std::string field = Field(16, std::string("\2\0\0\0", 4));
  EXPECT_NE(bytes.find(field), std::string::npos);
  meta.founding_level = 1;
  EXPECT_EQ(FieldsOf(meta) + field, bytes.substr(16, bytes.size() - 20));
  meta.feature_level = 1;
  EXPECT_NE(Refusal(WithFields(FieldsOf(meta) + field)).find("damaged"), std::string::npos);
}

TEST(DirectoryFormatTest, EachKnownFieldMustBeThereInItsForm) {
  const std::string fields = FieldsOf(Meta());
  std::size_t count = 0;
  for (std::size_t at = 0; at < fields.size(); ++count) {
    const std::size_t size = 4 + LoadFixed<uint16_t>(fields.data() + at + 2);
    std::string without = fields;
    without.erase(at, size);
    EXPECT_NE(Refusal(WithFields(without)).find("damaged"), std::string::npos) << count;
    std::string longer = fields;
    longer.insert(at + size, "x");
    StoreFixed<uint16_t>(longer.data() + at + 2, static_cast<uint16_t>(size - 4 + 1));
    EXPECT_NE(Refusal(WithFields(longer)).find("damaged"), std::string::npos) << count;
    at += size;
  }
  EXPECT_EQ(count, 12u);
}

TEST(DirectoryFormatTest, FieldsOutOfOrderOrTwiceAreDamage) {
  const std::string fields = FieldsOf(Meta());
  for (const std::string& wrong :
       {fields + Field(12 | 0x8000, std::string("\2\0\0\0", 4)),
        fields + Field(301, "a") + Field(300, "b"), fields + Field(300, "a").substr(0, 3)}) {
    EXPECT_NE(Refusal(WithFields(wrong)).find("damaged"), std::string::npos);
  }
}

TEST(DirectoryFormatTest, ValuesThatNoReleaseWritesAreDamage) {
  DirectoryMeta meta = Meta();
  meta.group_count = 0;
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);
  meta = Meta();
  meta.generation = 0;
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);
  meta = Meta();
  meta.state = DirectoryState{4};
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);
  meta = Meta();
  meta.founding_voters.clear();
  EXPECT_NE(Refusal(EncodeDirectoryMeta(meta)).find("damaged"), std::string::npos);
}

}  // namespace
}  // namespace ursula::storage
