// What Recovery makes of the records of the logs.

#include "lib/group/recovery.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace ursula::group {
namespace {

constexpr GroupId kGroup{1};

storage::RecoveredRecord Entry(uint64_t index, uint64_t term, std::string payload = "") {
  storage::RecoveredRecord record;
  record.group = kGroup;
  record.kind = storage::RecordKind::kEntry;
  record.index = Index{index};
  record.term = Term{term};
  record.payload = Bytes::Take(std::string(1, '\0') + payload);
  return record;
}

storage::RecoveredRecord State(uint64_t term, uint64_t commit = 0) {
  raft::HardState hard;
  hard.term = Term{term};
  hard.vote = NodeId{1};
  hard.commit = Index{commit};
  storage::RecoveredRecord record;
  record.group = kGroup;
  record.kind = storage::RecordKind::kState;
  record.index = hard.commit;
  record.term = hard.term;
  record.payload = Bytes::Take(EncodeState(hard));
  return record;
}

// The first refusal, or what kGroup starts from.
Result<RecoveredGroup> Recover(std::vector<storage::RecoveredRecord> records) {
  Recovery recovery(2, {.voters = {NodeId{1}}});
  for (storage::RecoveredRecord& record : records) {
    Status status = recovery.OnRecord(std::move(record));
    if (!status.ok()) return status;
  }
  Result<std::vector<RecoveredGroup>> groups = recovery.Finish();
  if (!groups.ok()) return groups.status();
  EXPECT_EQ(groups->size(), 2u);
  return std::move((*groups)[Raw(kGroup)]);
}

std::string Log(const RecoveredGroup& group) {
  std::string said;
  for (const raft::Entry& entry : group.entries) {
    said += std::to_string(Raw(entry.index)) + "." + std::to_string(Raw(entry.term)) + " ";
  }
  return said;
}

TEST(GroupRecoveryTest, NothingIsANewGroup) {
  Result<RecoveredGroup> group = Recover({});
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(group->compacted.index, Index{0});
  EXPECT_EQ(group->compacted.conf.voters, std::vector<NodeId>{NodeId{1}});
  EXPECT_EQ(Log(*group), "");
}

TEST(GroupRecoveryTest, ASlotWrittenAgainEndsWhatStoodThereAndAbove) {
  Result<RecoveredGroup> group =
      Recover({State(1), Entry(1, 1), Entry(2, 1), Entry(3, 1), State(2), Entry(2, 2)});
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(Log(*group), "1.1 2.2 ");
  EXPECT_EQ(group->hard.term, Term{2});
}

TEST(GroupRecoveryTest, TheCommitIndexStaysWithinWhatIsThere) {
  Result<RecoveredGroup> group = Recover({State(1, 9), Entry(1, 1), Entry(2, 1)});
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(group->hard.commit, Index{2});
}

TEST(GroupRecoveryTest, WhatContradictsItselfIsRefused) {
  storage::RecoveredRecord strange_kind = Entry(1, 1);
  strange_kind.payload = Bytes::Static("\x7f");
  storage::RecoveredRecord no_kind = Entry(1, 1);
  no_kind.payload = {};
  storage::RecoveredRecord other_group = Entry(1, 1);
  other_group.group = GroupId{2};
  storage::RecoveredRecord cut_state = State(1);
  cut_state.payload = cut_state.payload.Slice(0, 2);
  std::vector<std::vector<storage::RecoveredRecord>> histories = {
      {State(1), Entry(2, 1)},               // Entry 1 is missing.
      {State(1), Entry(1, 1), Entry(3, 1)},  // Entry 2 is.
      {Entry(1, 1)},                         // No state has that term.
      {State(1), Entry(1, 1), Entry(2, 2)},  //
      {State(1), strange_kind},
      {State(1), no_kind},
      {State(1), other_group},
      {cut_state},
  };
  for (std::size_t i = 0; i < histories.size(); ++i) {
    EXPECT_EQ(Recover(std::move(histories[i])).status().code(), StatusCode::kDataLoss) << i;
  }
}

// In the order in which a replica writes them, any prefix can be opened.
TEST(GroupRecoveryTest, ALogMayEndBetweenAStateAndItsEntries) {
  std::vector<storage::RecoveredRecord> written = {State(1),    Entry(1, 1), Entry(2, 1),
                                                   State(3, 2), Entry(2, 3), Entry(3, 3)};
  for (std::size_t count = 0; count <= written.size(); ++count) {
    std::vector<storage::RecoveredRecord> prefix(
        written.begin(), written.begin() + static_cast<std::ptrdiff_t>(count));
    EXPECT_TRUE(Recover(std::move(prefix)).ok()) << count;
  }
}

TEST(GroupRecoveryTest, MembershipSurvivesTheSnapshotsHeader) {
  raft::ConfState conf;
  conf.voters = {NodeId{1}, NodeId{300}};
  conf.learners = {NodeId{4}};
  conf.voters_outgoing = {NodeId{1}, NodeId{2}};
  conf.learners_next = {NodeId{2}};
  conf.auto_leave = true;
  std::string header = EncodeSnapshotHeader(conf);
  Result<raft::ConfState> decoded = DecodeSnapshotHeader(header);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(EncodeSnapshotHeader(*decoded), header);
  EXPECT_EQ(decoded->voters_outgoing, conf.voters_outgoing);
  for (std::size_t size = 0; size < header.size(); ++size) {
    EXPECT_FALSE(DecodeSnapshotHeader(std::string_view(header).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeSnapshotHeader(header + "x").ok());
}

}  // namespace
}  // namespace ursula::group
