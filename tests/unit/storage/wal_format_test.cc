#include "lib/storage/wal_format.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace ursula::storage {
namespace {

TEST(WalFormatTest, ABatchHeaderReadsBackAsItWasStored) {
  const BatchHeader header{.log = MakeLogId(5, 2),
                           .segment = 9,
                           .flags = kBatchSeal,
                           .sequence = 77,
                           .attested = {8, 4096},
                           .length = 1234,
                           .record_count = 3,
                           .segment_bytes = 65536};
  std::string bytes(kBatchHeaderBytes, '\0');
  StoreBatchHeader(bytes.data(), header, 42);
  EXPECT_EQ(ParseBatchHeader(bytes, 42, MakeLogId(5, 2), 9), header);
  EXPECT_FALSE(ParseBatchHeader(bytes.substr(0, 63), 42, MakeLogId(5, 2), 9).has_value());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(ParseBatchHeader(damaged, 42, MakeLogId(5, 2), 9).has_value()) << bit;
  }
}

TEST(WalFormatTest, PaddingGoesToTheNextBlock) {
  EXPECT_EQ(BatchHeader{.length = 0}.padded_bytes(), 4096u);
  EXPECT_EQ(BatchHeader{.length = 4096 - 64}.padded_bytes(), 4096u);
  EXPECT_EQ(BatchHeader{.length = 4096 - 63}.padded_bytes(), 8192u);
}

TEST(WalFormatTest, ARecordNeedsTheSeedOfItsBatch) {
  std::string record(kRecordHeaderBytes + 5, '\0');
  StoreRecordHeader(record.data(), {GroupId{7}, RecordKind::kState, Index{8}, Term{9}, 5});
  std::memcpy(record.data() + kRecordHeaderBytes, "hello", 5);
  const uint32_t seed = BatchSeed(1, MakeLogId(1, 0), 2, 3);
  SealRecord(record.data(), static_cast<uint32_t>(record.size()), seed);
  std::string_view rest = record;
  std::optional<ParsedRecord> parsed = TakeRecord(&rest, seed);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->payload, "hello");
  EXPECT_EQ(parsed->header.group, GroupId{7});
  EXPECT_EQ(parsed->header.kind, RecordKind::kState);
  EXPECT_EQ(parsed->header.index, Index{8});
  EXPECT_EQ(parsed->header.term, Term{9});
  EXPECT_TRUE(rest.empty());
  for (uint32_t other :
       {BatchSeed(2, MakeLogId(1, 0), 2, 3), BatchSeed(1, MakeLogId(2, 0), 2, 3),
        BatchSeed(1, MakeLogId(1, 0), 3, 3), BatchSeed(1, MakeLogId(1, 0), 2, 4)}) {
    rest = record;
    EXPECT_FALSE(TakeRecord(&rest, other).has_value());
  }
  for (std::size_t size = 0; size < record.size(); ++size) {
    rest = std::string_view(record).substr(0, size);
    EXPECT_FALSE(TakeRecord(&rest, seed).has_value());
  }
}

TEST(WalFormatTest, SegmentNamesSortAsSegmentsDo) {
  const SegmentName name{MakeLogId(10, 1), 2};
  EXPECT_EQ(FormatSegmentName(name), "00000000000a0001-00000002.wal");
  EXPECT_EQ(ParseSegmentName("00000000000a0001-00000002.wal"), name);
  EXPECT_LT(FormatSegmentName(name), FormatSegmentName({MakeLogId(10, 1), 10}));
  EXPECT_LT(FormatSegmentName({MakeLogId(9, 60000), 10}), FormatSegmentName(name));
  for (const char* other : {"", "x", "00000000000a0001-00000002.tmp",
                            "00000000000A0001-00000002.wal", "00000000000a0001_00000002.wal",
                            "00000000000a000g-00000002.wal", "00000000000a0001-00000002.wal~"}) {
    EXPECT_FALSE(ParseSegmentName(other).has_value()) << other;
  }
}

}  // namespace
}  // namespace ursula::storage
