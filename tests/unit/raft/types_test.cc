#include "lib/raft/types.h"

#include "gtest/gtest.h"

namespace ursula::raft {
namespace {

ConfChange Sample() {
  ConfChange change;
  change.transition = Transition::kExplicit;
  change.steps = {{ConfChangeOp::kAddVoter, ReplicaId{1}},
                  {ConfChangeOp::kRemove, ReplicaId{300}},
                  {ConfChangeOp::kUpdate, ReplicaId{2}},
                  {ConfChangeOp::kAddLearner, ReplicaId{UINT64_MAX}}};
  return change;
}

TEST(ConfChangeTest, DecodesWhatItEncodes) {
  for (Transition transition : {Transition::kAuto, Transition::kImplicit, Transition::kExplicit}) {
    ConfChange change = Sample();
    change.transition = transition;
    Result<ConfChange> decoded =
        DecodeConfChange(EntryKind::kConfChangeSet, EncodeConfChange(change).view());
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, change);
  }
  ConfChange simple;
  simple.simple_form = true;
  simple.steps = {{ConfChangeOp::kAddLearner, ReplicaId{7}}};
  Result<ConfChange> decoded =
      DecodeConfChange(EntryKind::kConfChange, EncodeConfChange(simple).view());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, simple);
}

TEST(ConfChangeTest, LeavingAJointConfigurationIsTheEmptyPayload) {
  EXPECT_TRUE(EncodeConfChange(ConfChange()).empty());
  Result<ConfChange> decoded = DecodeConfChange(EntryKind::kConfChangeSet, {});
  ASSERT_TRUE(decoded.ok());
  EXPECT_TRUE(decoded->leaves_joint());
}

TEST(ConfChangeTest, TheFormatIsPinned) {
  const Bytes bytes = EncodeConfChange(Sample());
  const std::string_view expected(
      "\x02\x04\x00\x01\x01\xac\x02\x02\x02\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 20);
  EXPECT_EQ(bytes.view(), expected);
}

TEST(ConfChangeTest, EveryTruncationAndTrailingByteIsRefused) {
  const std::string whole(EncodeConfChange(Sample()).view());
  for (std::size_t size = 1; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChangeSet, whole.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChangeSet, whole + "x").ok());
}

TEST(ConfChangeTest, WhatEncodeCanNotHaveWrittenIsRefused) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChange, ""sv).ok());
  EXPECT_FALSE(DecodeConfChange(EntryKind::kNormal, "\x00\x01\x00\x01"sv).ok());
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChangeSet, "\x00\x00"sv).ok());
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChangeSet, "\x03\x01\x00\x01"sv).ok());
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChangeSet, "\x00\x01\x04\x01"sv).ok());
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChange, "\x00\x02\x00\x01\x00\x02"sv).ok());
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChange, "\x01\x01\x00\x01"sv).ok());
  EXPECT_FALSE(DecodeConfChange(EntryKind::kConfChangeSet, "\x00\xff\xff\x7f"sv).ok());
}

}  // namespace
}  // namespace ursula::raft
