// Compares the bytes of each format with formats.hex, a line "name hex" each.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/group/letter_format.h"
#include "lib/group/recovery.h"
#include "lib/meta/founding_format.h"
#include "lib/peers/beats_format.h"
#include "lib/peers/frame_format.h"
#include "lib/peers/said_beats.h"
#include "lib/storage/directory_format.h"
#include "lib/storage/payload_format.h"
#include "lib/storage/snapshot_format.h"
#include "lib/storage/wal_format.h"
#include "lib/stream/command.h"

namespace ursula {
namespace {

std::string Hex(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

class FormatsTest : public testing::Test {
 protected:
  FormatsTest() {
    std::ifstream file("tests/golden/formats/formats.hex");
    std::string name, hex;
    while (file >> name >> hex) golden_[name] = hex;
  }
  void Check(const std::string& name, std::string_view bytes) {
    EXPECT_EQ(golden_[name], Hex(bytes)) << "the line would be\n" << name << " " << Hex(bytes);
  }
  std::string Bytes(const std::string& name) {
    const std::string& hex = golden_[name];
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
  }

 private:
  std::map<std::string, std::string> golden_;
};

TEST_F(FormatsTest, Directory) {
  using namespace storage;
  DirectoryMeta meta{.id = 0x1122334455667788,
                     .group_count = 8,
                     .generation = 7,
                     .nonce = 0x2122232425262728,
                     .predecessor = 0x3132333435363738,
                     .cluster_id = 0x4142434445464748,
                     .node_id = 2,
                     .replica_id = ReplicaId{5},
                     .founding_voters = {ReplicaId{1}, ReplicaId{2}, ReplicaId{3}},
                     .history_id = 0x5152535455565758,
                     .feature_level = 1,
                     .state = DirectoryState::kMember};
  Check("directory_meta_2", EncodeDirectoryMeta(meta));
  meta.unknown = {{200, "a later field"}};
  Check("directory_meta_2_with_an_unknown_field", EncodeDirectoryMeta(meta));
  meta.unknown.clear();
  meta.founders = {{1, 0x61}, {2, 0x1122334455667788}, {3, 0x63}};
  meta.state = DirectoryState::kFounding;
  Check("directory_meta_2_of_founders", EncodeDirectoryMeta(meta));
  meta.state = DirectoryState::kMember;
  meta.founders = {{2, 0x1122334455667788}};
  meta.founding_voters = {ReplicaId{65538}};
  meta.replica_id = ReplicaId{65538};
  meta.recovery = {
      .number = 1, .term = Term{1007}, .history_id = 0x71, .cluster_before = 0x81, .lost = {1, 3}};
  Check("directory_meta_2_recovered", EncodeDirectoryMeta(meta));
  DirectoryMeta rotten = meta;
  rotten.state = DirectoryState::kMustRejoin;
  rotten.aside = {.cluster_id = rotten.cluster_id, .cluster_before = 0x81};
  Check("directory_meta_2_goes_aside", EncodeDirectoryMeta(rotten));
  Check("directory_meta_2_rejoins", EncodeDirectoryMeta({.id = 0x1122334455667788,
                                                         .generation = 1,
                                                         .nonce = 9,
                                                         .node_id = 2,
                                                         .feature_level = 1,
                                                         .state = DirectoryState::kFounding,
                                                         .aside = rotten.aside}));
  meta.recovery = {};
  meta.feature_level = 2;
  Check("directory_meta_2_raised_to_level_2", EncodeDirectoryMeta(meta));
  meta.founding_level = 2;
  Check("directory_meta_2_founded_at_level_2", EncodeDirectoryMeta(meta));
  Check("directory_meta_2_without_a_plan",
        EncodeDirectoryMeta({.id = 0x1122334455667788,
                             .generation = 1,
                             .nonce = 0x2122232425262728,
                             .node_id = 2,
                             .feature_level = 1,
                             .state = DirectoryState::kFounding}));
}

TEST_F(FormatsTest, FoundersHello) {
  using namespace meta;
  const FoundingHello hello{.from = {NodeId{2}, 0x62, 0x72},
                            .number = 9,
                            .record = {FoundingState::kFounding,
                                       {.cluster_id = 0x41,
                                        .history_id = 0x51,
                                        .group_count = 300,
                                        .founders = {{NodeId{1}, 0x61}, {NodeId{2}, 0x62}}}},
                            .wish = {{NodeId{1}, NodeId{2}}, 300, {{"message_bytes_max", 1000}}},
                            .heard = {{{NodeId{1}, 0x61, 0x71}, 4, true}}};
  Check("founding_hello", EncodeFoundingHello(hello).view());
  FoundingHello recovered = hello;
  recovered.record = {FoundingState::kMember,
                      {.cluster_id = 0x42,
                       .history_id = 0x51,
                       .group_count = 300,
                       .founders = {{NodeId{2}, 0x62}},
                       .recovery = {.number = 1,
                                    .term = 1007,
                                    .history_id = 0x71,
                                    .cluster_before = 0x41,
                                    .lives_before = {1},
                                    .lost = {NodeId{1}, NodeId{3}}}},
                      1};
  Check("founding_hello_recovered", EncodeFoundingHello(recovered).view());
  recovered.feature_level_max = 3;
  recovered.feature_level = recovered.record.plan.feature_level = 2;
  Check("founding_hello_recovered_at_level_2", EncodeFoundingHello(recovered).view());
  recovered.stored_level = 2;
  Check("founding_hello_recovered_stored_level_2", EncodeFoundingHello(recovered).view());
  FoundingHello level = hello;
  level.feature_level_max = level.record.plan.feature_level = 2;
  Check("founding_hello_at_level_2", EncodeFoundingHello(level).view());
  FoundingHello disk = hello;
  disk.disk = {.hangs = true, .full = true, .sync_p50_us = 1500};
  Check("founding_hello_of_a_disk", EncodeFoundingHello(disk).view());
}

TEST_F(FormatsTest, DirectoryOf01IsRefusedByName) {
  Result<storage::DirectoryMeta> meta = storage::DecodeDirectoryMeta(Bytes("directory_meta"));
  ASSERT_FALSE(meta.ok());
  EXPECT_EQ(meta.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(meta.status().message().find("made by 0.1"), std::string::npos)
      << meta.status().message();
}

TEST_F(FormatsTest, WriteAheadLog) {
  using namespace storage;
  BatchHeader header;
  header.format = 0;  // 0.1's.
  header.log = MakeLogId(3, 1);
  header.segment = 2;
  header.sequence = 9;
  header.attested = {1, 4096};
  header.length = kRecordHeaderBytes + 5;
  header.record_count = 1;
  std::string batch(kBatchHeaderBytes, '\0');
  StoreBatchHeader(batch.data(), header, 42);
  Check("wal_batch_header", batch);
  header.flags = kBatchSeal;
  header.length = header.record_count = 0;
  StoreBatchHeader(batch.data(), header, 42);
  Check("wal_seal", batch);
  header.segment_bytes = 32 << 20;
  StoreBatchHeader(batch.data(), header, 42);
  Check("wal_seal_in_segment", batch);
  header.flags = kBatchSummed;
  header.length = kRecordHeaderBytes + 5;
  header.record_count = 1;
  header.record_sum = 0x11223344;
  StoreBatchHeader(batch.data(), header, 42);
  Check("wal_batch_header_summed", batch);
  header.format = kWalFormat;
  StoreBatchHeader(batch.data(), header, 42);
  Check("wal_batch_header_2", batch);
  std::string record(kRecordHeaderBytes, '\0');
  StoreRecordHeader(record.data(), {GroupId{5}, RecordKind::kEntry, Index{77}, Term{4}, 5});
  record += "hello";
  SealRecord(record.data(), static_cast<uint32_t>(record.size()), BatchSeed(42, header.log, 2, 9));
  Check("wal_entry_record", record);
  record.assign(kRecordHeaderBytes, '\0');
  StoreRecordHeader(record.data(), {GroupId{5}, RecordKind::kState, Index{0}, Term{4}, 4});
  record += "vote";
  SealRecord(record.data(), static_cast<uint32_t>(record.size()), BatchSeed(42, header.log, 2, 9));
  Check("wal_state_record", record);
  record.assign(kRecordHeaderBytes, '\0');
  StoreRecordHeader(record.data(), {GroupId{5}, RecordKind::kReset, Index{77}, Term{4}, 0});
  SealRecord(record.data(), kRecordHeaderBytes, BatchSeed(42, header.log, 2, 9));
  Check("wal_reset_record", record);
  EXPECT_EQ(FormatSegmentName({MakeLogId(3, 1), 2}), "0000000000030001-00000002.wal");
}

TEST_F(FormatsTest, GroupState) {
  Check("group_state", group::EncodeState({Term{300}, ReplicaId{2}, Index{1000}}));
  raft::ConfState conf;
  conf.voters = {ReplicaId{1}, ReplicaId{2}, ReplicaId{3}};
  Check("group_snapshot_header", group::EncodeSnapshotHeader(conf));
}

TEST_F(FormatsTest, Snapshot) {
  using namespace storage;
  SnapshotFileHeader header;
  header.group = GroupId{5};
  header.number = 3;
  header.previous = 2;
  header.meta = {Index{100}, Term{4}, "own"};
  std::string file;
  uint32_t seed = SnapshotSeed(42, {GroupId{5}, 3});
  AppendSnapshotFrame(&file, SnapshotFrameKind::kHeader, EncodeSnapshotHeader(header), seed, 0);
  std::string records;
  AppendSnapshotRecord(&records, {"key", Bytes::Static("value"), false});
  AppendSnapshotRecord(&records, {"gone", {}, true});
  AppendSnapshotFrame(&file, SnapshotFrameKind::kRecords, records, seed, file.size());
  Check("snapshot_file", file);
  std::string end;
  AppendSnapshotFrame(&end, SnapshotFrameKind::kEnd, EncodeSnapshotEnd(2), seed, file.size());
  Check("snapshot_end", end);
  EXPECT_EQ(FormatSnapshotFileName({GroupId{5}, 3}), "00000005-0000000000000003.snap");
}

TEST_F(FormatsTest, Payload) {
  using namespace storage;
  PayloadBlock block;
  block.key = {GroupId{5}, 77};
  block.start = 1000;
  block.length = 300;
  block.payload_crc = 0x01020304;
  block.attested = 64;
  block.message_ends = {100, 300};
  std::string header;
  AppendPayloadHeader(&header, block, PayloadSeed(42, {3, 1, 2}), 4096);
  Check("payload_block_header", header);
  const std::vector<PayloadExtent> extents = {{{GroupId{5}, 77}, 1000, 300, 0, 67},
                                              {{GroupId{6}, 1}, 0, 200'000, 368, 65}};
  const uint32_t seed_of_file = PayloadSeed(42, {3, 1, 2});
  Check("payload_footer", EncodePayloadFooter({extents, {}}, seed_of_file, 200'448));
  Check("payload_footer_with_losses",
        EncodePayloadFooter({extents, {{300, 64, true}, {364, 90, false, {GroupId{5}, 77}, 9, 20}}},
                            seed_of_file, 200'448));
  EXPECT_EQ(FormatPayloadFileName({3, 1, 2}), "000000000003-0001-00000002.pay");
}

TEST_F(FormatsTest, Commands) {
  StreamId id{.bucket = "team", .affinity = "doc", .name = "s"};
  stream::CreateStream create;
  create.id = id;
  create.content_type = "application/json";
  create.lifetime.ttl_seconds = 60;
  create.bucket = {stream::Incarnation{9}, stream::Incarnation{12}};
  create.framing = stream::Framing::kJson;
  create.payload = Bytes::Static("1,\n");
  Check("command2_create", stream::Encode({1234567, create}).view());
  stream::Append append;
  append.id = id;
  append.content_type = "application/json";
  append.producer = Producer{"p", 1, 2};
  append.sequence = "a";
  append.framing = stream::Framing::kJson;
  append.payload = Bytes::Static("2,\n");
  Check("command2_append", stream::Encode({1234567, append}).view());
  Check("command2_delete", stream::Encode({1234567, stream::Delete{id, {}}}).view());
  Check("command2_touch",
        stream::Encode({1234567, stream::Touch{{stream::Incarnation{3}}}}).view());
  Check("command2_create_bucket", stream::Encode({1234567, stream::CreateBucket{"team"}}).view());
}

TEST_F(FormatsTest, PeerFrames) {
  raft::Message message;
  message.kind = raft::MessageKind::kAppend;
  message.from = ReplicaId{1};
  message.to = ReplicaId{300};
  message.term = Term{7};
  message.log_term = Term{6};
  message.index = Index{1000};
  message.commit = Index{998};
  message.entries.resize(2);
  message.entries[0] = {Term{6}, Index{1001}, raft::EntryKind::kNormal,
                        ursula::Bytes::Static("one")};
  message.entries[1] = {Term{7}, Index{1002}, raft::EntryKind::kNormal, {}};
  raft::Message snapshot;
  snapshot.kind = raft::MessageKind::kSnapshot;
  snapshot.from = ReplicaId{1};
  snapshot.to = ReplicaId{2};
  snapshot.term = Term{7};
  snapshot.snapshot.meta = {Index{900}, Term{5}, {.voters = {ReplicaId{1}, ReplicaId{2}}}};
  snapshot.snapshot.data = ursula::Bytes::Copy(group::EncodeShipment(77));
  const std::vector<std::pair<std::string, group::Letter>> letters = {
      {"letter_append", message},
      {"letter_snapshot", snapshot},
      {"letter_snapshot_part", group::SnapshotPart{77, 3, ursula::Bytes::Static("records")}},
      {"letter_snapshot_ack", group::SnapshotAck{77, 4, true}},
      {"letter_payload_ask", group::PayloadAsk{5, 6, 7000, 8000}},
      {"letter_payload_answer_with_sum",
       group::PayloadAnswer{5, 9, {7003, 7100}, ursula::Bytes::Static("b"), 0x01020304}},
      {"letter_lacking", group::Lacking{700}},
      {"letter_wholeness", group::Wholeness{700}},
  };
  ByteParts frame;
  for (const auto& [name, letter] : letters) {
    ByteParts parts;
    const group::AddressedLetter addressed{ReplicaId{1}, ReplicaId{131074}, letter};
    group::EncodeLetter(addressed, &parts);
    Check(name, parts.TakeJoined().view());
    group::EncodeLetter(addressed, &parts);
    peers::PutLetter(GroupId{3}, std::move(parts), &frame);
  }
  std::string joined;
  for (const ursula::Bytes& part : peers::FinishFrame(std::move(frame), 0x0102030405060708))
    joined.append(part.view());
  Check("peer_frame_head_2", joined.substr(0, 16));  // Its checksum is of all these letters.
  peers::Beats beats;
  beats.from = ReplicaId{1};
  beats.to = ReplicaId{65538};
  beats.beats = {{.group = GroupId{3}, .term = 7, .index = 998},
                 {.group = GroupId{4}, .answer = true, .term = 7},
                 {.group = GroupId{300}, .term = 8, .index = 1, .round = 5}};
  Check("beats", peers::EncodeBeats(&beats));
  peers::SaidBeats said(300);
  Check("beats_kept", said.Write(peers::EncodeBeats(&beats)));
  Check("beats_again", said.Write(peers::EncodeBeats(&beats)));
  group::PayloadAnswer answer{5, 9, {7003, 7100}, ursula::Bytes::Static("b"), 0, true};
  answer.sum = group::SumOf(answer, 6, 7000);
  ByteParts summed;
  group::EncodeLetter({ReplicaId{1}, ReplicaId{131074}, answer}, &summed);
  Check("letter_payload_answer_with_sum_of_ends", summed.TakeJoined().view());
  ByteParts news;
  group::EncodeLetter({ReplicaId{1}, ReplicaId{2}, group::TimeNews{{5, 600}, {7}}}, &news);
  Check("letter_time_news", news.TakeJoined().view());
}

TEST_F(FormatsTest, AVoteThatTellsWhatIsCommitted) {
  raft::Message vote;
  vote.kind = raft::MessageKind::kPreVoteReply;
  vote.from = ReplicaId{1};
  vote.to = ReplicaId{2};
  vote.term = Term{7};
  vote.commit = Index{998};
  vote.commit_term = Term{6};
  vote.reject = true;
  ByteParts voted;
  group::EncodeLetter({ReplicaId{1}, ReplicaId{2}, vote}, &voted);
  Check("letter_vote_with_commit", voted.TakeJoined().view());
}

}  // namespace
}  // namespace ursula
