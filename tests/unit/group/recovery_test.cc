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
  hard.vote = ReplicaId{1};
  hard.commit = Index{commit};
  storage::RecoveredRecord record;
  record.group = kGroup;
  record.kind = storage::RecordKind::kState;
  record.index = hard.commit;
  record.term = hard.term;
  record.payload = Bytes::Take(EncodeState(hard));
  return record;
}

storage::RecoveredRecord Reset(uint64_t index, uint64_t term) {
  storage::RecoveredRecord record;
  record.group = kGroup;
  record.kind = storage::RecordKind::kReset;
  record.index = Index{index};
  record.term = Term{term};
  return record;
}

// kGroup's newest snapshot.
struct Held {
  uint64_t index = 0;
  uint64_t term = 0;
};

// The first refusal, or what kGroup starts from.
Result<RecoveredGroup> Recover(std::vector<storage::RecoveredRecord> records,
                               const Held& snapshot = {}, bool* rotten = nullptr) {
  Recovery recovery(2, {.voters = {ReplicaId{1}}});
  raft::SnapshotMeta meta;
  meta.index = Index{snapshot.index};
  meta.term = Term{snapshot.term};
  meta.conf.voters = {ReplicaId{1}};
  if (snapshot.index > 0) recovery.SetSnapshot(kGroup, std::move(meta));
  for (storage::RecoveredRecord& record : records) {
    Status status = recovery.OnRecord(std::move(record));
    if (rotten != nullptr) *rotten = recovery.rotten();
    if (!status.ok()) return status;
  }
  Result<std::vector<RecoveredGroup>> groups = recovery.Finish();
  if (rotten != nullptr) *rotten = recovery.rotten();
  if (!groups.ok()) return groups.status();
  EXPECT_EQ(groups->size(), 2u);
  return std::move((*groups)[Raw(kGroup)]);
}

// After a recovery of the cluster at term 10.
RecoveredGroup Survivor(std::vector<storage::RecoveredRecord> records, const Held& snapshot = {}) {
  Recovered recovered;
  recovered.term = Term{10};
  recovered.conf.voters = {ReplicaId{65537}};
  Recovery recovery(2, {.voters = {ReplicaId{1}, ReplicaId{2}}, .recovered = recovered});
  raft::SnapshotMeta meta{.index = Index{snapshot.index}, .term = Term{snapshot.term}};
  meta.conf.voters = {ReplicaId{65537}, ReplicaId{65538}};
  if (snapshot.index > 0) recovery.SetSnapshot(kGroup, std::move(meta));
  for (storage::RecoveredRecord& record : records) {
    EXPECT_TRUE(recovery.OnRecord(std::move(record)).ok());
  }
  Result<std::vector<RecoveredGroup>> groups = recovery.Finish();
  EXPECT_TRUE(groups.ok()) << groups.status().ToString();
  return groups.ok() ? std::move((*groups)[Raw(kGroup)]) : RecoveredGroup();
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
  EXPECT_EQ(group->compacted.conf.voters, std::vector<ReplicaId>{ReplicaId{1}});
  EXPECT_EQ(Log(*group), "");
}

TEST(GroupRecoveryTest, ASurvivorIsOfThePlansTermAndMembersUntilASnapshotIsOfThatTermToo) {
  const std::vector<ReplicaId> alone = {ReplicaId{65537}};
  RecoveredGroup group = Survivor({State(3), Entry(1, 3)});
  EXPECT_EQ(group.compacted.conf.voters, alone);
  EXPECT_EQ(group.hard.term, Term{10});
  EXPECT_EQ(group.hard.vote, raft::kNoReplica);
  EXPECT_EQ(Log(group), "1.3 ");
  EXPECT_EQ(Survivor({}, {5, 9}).compacted.conf.voters, alone);
  EXPECT_EQ(Survivor({}, {5, 9}).hard.term, Term{10});
  // A vote of the plan's term or a later one is kept, and so is what was agreed upon since.
  for (uint64_t term : {10, 12}) {
    group = Survivor({State(term)});
    EXPECT_EQ(group.hard.term, Term{term});
    EXPECT_EQ(group.hard.vote, ReplicaId{1});
    EXPECT_EQ(group.compacted.conf.voters, alone);
  }
  EXPECT_EQ(Survivor({State(12)}, {5, 11}).compacted.conf.voters.size(), 2u);
}

TEST(GroupRecoveryTest, ASlotWrittenAgainEndsWhatStoodThereAndAbove) {
  Result<RecoveredGroup> group =
      Recover({State(1), Entry(1, 1), Entry(2, 1), Entry(3, 1), State(2), Entry(2, 2)});
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(Log(*group), "1.1 2.2 ");
  EXPECT_EQ(group->hard.term, Term{2});
}

// Two entries of a newer leader, then a snapshot that holds them, then a crash: the rest of the
// deposed leader's entries must not follow them.
TEST(GroupRecoveryTest, ASlotWrittenAgainBelowTheSnapshotEndsWhatStoodAbove) {
  std::vector<storage::RecoveredRecord> records = {State(1)};
  for (uint64_t index = 10; index <= 20; ++index) records.push_back(Entry(index, 1));
  records.push_back(State(2, 12));
  records.push_back(Entry(13, 2));
  records.push_back(Entry(14, 2));
  Result<RecoveredGroup> group = Recover(records, {14, 2});
  ASSERT_TRUE(group.ok()) << group.status().ToString();
  EXPECT_EQ(Log(*group), "");
  EXPECT_FALSE(group->reset_missing);
  records.push_back(Entry(15, 2));
  group = Recover(records, {14, 2});
  ASSERT_TRUE(group.ok()) << group.status().ToString();
  EXPECT_EQ(Log(*group), "15.2 ");
  // The first snapshot's place: what it holds of the log is what the log has.
  group = Recover(records, {13, 2});
  ASSERT_TRUE(group.ok()) << group.status().ToString();
  EXPECT_EQ(Log(*group), "14.2 15.2 ");
}

TEST(GroupRecoveryTest, AResetVoidsTheEntriesBeforeItAndKeepsTheVote) {
  std::vector<storage::RecoveredRecord> records = {State(3)};
  for (uint64_t index = 1; index <= 20; ++index) records.push_back(Entry(index, 1));
  records.push_back(Reset(14, 2));
  Result<RecoveredGroup> group = Recover(records, {14, 2});
  ASSERT_TRUE(group.ok()) << group.status().ToString();
  EXPECT_EQ(Log(*group), "");
  EXPECT_EQ(group->hard.term, Term{3});
  EXPECT_EQ(group->hard.vote, ReplicaId{1});
  EXPECT_EQ(group->hard.commit, Index{14});
  EXPECT_FALSE(group->reset_missing);
  for (uint64_t index = 15; index <= 18; ++index) records.push_back(Entry(index, 3));
  for (uint64_t held : {14, 16, 18}) {
    group = Recover(records, {held, held == 14 ? 2u : 3u});
    ASSERT_TRUE(group.ok()) << held << ": " << group.status().ToString();
    EXPECT_EQ(group->entries.size(), 18 - held);
  }
}

TEST(GroupRecoveryTest, AResetWithoutItsSnapshotIsRefused) {
  bool rotten = false;
  Result<RecoveredGroup> group = Recover({State(2), Entry(1, 1), Reset(14, 2)}, {1, 1}, &rotten);
  EXPECT_TRUE(rotten);
  EXPECT_EQ(group.status().code(), StatusCode::kDataLoss);
  EXPECT_NE(group.status().message().find("snapshot at entry 14"), std::string::npos)
      << group.status().message();
}

// A crash between an installed snapshot and its reset record: the log goes on in another history,
// whichever way the terms go.
TEST(GroupRecoveryTest, EntriesOfAnotherHistoryThanTheSnapshotsAreLeftOut) {
  for (uint64_t snapshot_term : {1, 3}) {
    std::vector<storage::RecoveredRecord> records = {State(3)};
    for (uint64_t index = 5; index <= 20; ++index) records.push_back(Entry(index, 2));
    const Held snapshot{14, snapshot_term};
    Result<RecoveredGroup> group = Recover(records, snapshot);
    ASSERT_TRUE(group.ok()) << group.status().ToString();
    EXPECT_EQ(Log(*group), "");
    EXPECT_TRUE(group->reset_missing);
    // The next opening wrote the reset first.
    records.push_back(Reset(14, snapshot_term));
    records.push_back(Entry(15, 3));
    group = Recover(records, snapshot);
    ASSERT_TRUE(group.ok()) << group.status().ToString();
    EXPECT_EQ(Log(*group), "15.3 ");
    EXPECT_FALSE(group->reset_missing);
  }
}

// Segments go from the front, one by one: what a crash left of void entries may begin anywhere.
TEST(GroupRecoveryTest, APieceOfVoidEntriesIsNoGap) {
  for (uint64_t first : {2, 15, 16, 19}) {
    std::vector<storage::RecoveredRecord> before = {State(2)};
    for (uint64_t index = first; index <= 20; ++index) before.push_back(Entry(index, 1));
    for (bool reset : {false, true}) {
      std::vector<storage::RecoveredRecord> records = before;
      if (reset) records.push_back(Reset(14, 2));
      records.push_back(Entry(15, 2));
      Result<RecoveredGroup> group = Recover(std::move(records), {14, first == 2 ? 1u : 2u});
      ASSERT_TRUE(group.ok()) << first << reset << ": " << group.status().ToString();
      EXPECT_EQ(Log(*group), "15.2 ");
    }
  }
}

TEST(GroupRecoveryTest, WhatWasDurableAndIsNeitherInASnapshotNorInTheLogIsMissed) {
  Result<RecoveredGroup> group = Recover({State(1, 2), Entry(1, 1), Entry(2, 1)});
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(group->hard.commit, Index{2});
  bool rotten = false;
  Status status = Recover({State(1, 3), Entry(1, 1), Entry(2, 1)}, {}, &rotten).status();
  EXPECT_TRUE(rotten);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("group 1: entry 3 was durable"), std::string::npos);
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
      {State(2), Entry(1, 2), Entry(2, 1)},  // The term falls.
      {State(1), strange_kind},
      {State(1), no_kind},
      {State(1), other_group},
      {cut_state},
  };
  for (std::size_t i = 0; i < histories.size(); ++i) {
    bool rotten = false;
    Status status = Recover(std::move(histories[i]), {}, &rotten).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << i;
    // What is missing was lost. The others hold, and say what can't be.
    EXPECT_EQ(rotten, i < 2) << i;
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

// An installed snapshot was durable, and the record of its term was not.
TEST(GroupRecoveryTest, ASnapshotsTermCountsWithoutItsStateRecord) {
  Result<RecoveredGroup> group = Recover({State(2), Entry(1, 2)}, {.index = 5, .term = 7});
  ASSERT_TRUE(group.ok()) << group.status().message();
  EXPECT_EQ(group->hard.term, Term{7});
  EXPECT_EQ(group->hard.vote, raft::kNoReplica);
  EXPECT_EQ(group->hard.commit, Index{5});
}

TEST(GroupRecoveryTest, MembershipSurvivesTheSnapshotsHeader) {
  raft::ConfState conf;
  conf.voters = {ReplicaId{1}, ReplicaId{300}};
  conf.learners = {ReplicaId{4}};
  conf.voters_outgoing = {ReplicaId{1}, ReplicaId{2}};
  conf.learners_next = {ReplicaId{2}};
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
