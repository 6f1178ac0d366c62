// Every single fault of a kind, each in turn: bits of a closed log, places where it ends, sectors
// of a last batch that no sync has reached.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

constexpr uint32_t kSegmentBytes = 64 << 10;
constexpr uint64_t kSectorBytes = testing::FaultDisk::kSectorBytes;

// Every place, but for builds and tests of tests that would take too long: prime, so that it comes
// by every bit of a byte.
uint64_t Stride() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 41;
#else
  return std::getenv("PLANTED_BUG") != nullptr ? 13 : 1;
#endif
}

struct Expected {
  uint32_t group;
  RecordKind kind;
  uint64_t index;
  std::string payload;
  friend bool operator==(const Expected&, const Expected&) = default;
};

// Where each batch of a segment is, and what of it is no padding.
struct Place {
  uint32_t offset = 0;
  uint32_t content_end = 0;
  uint32_t end = 0;
  std::vector<uint32_t> records = {};  // Offsets.
};

std::vector<Place> Walk(const std::string& segment, uint64_t directory_id,
                        const SegmentName& name) {
  std::vector<Place> places;
  for (uint32_t at = 0; at < segment.size();) {
    const std::string_view rest = std::string_view(segment).substr(at);
    const auto header = ParseBatchHeader(rest, directory_id, name.log, name.segment);
    if (!header.has_value()) break;
    Place& place = places.emplace_back();
    place.offset = at;
    place.content_end = at + kBatchHeaderBytes + header->length;
    place.end = at + header->padded_bytes();
    for (uint32_t record = at + kBatchHeaderBytes; record < place.content_end;) {
      place.records.push_back(record);
      record += kRecordHeaderBytes + LoadRecordHeader(segment.data() + record).length;
    }
    at = place.end;
  }
  return places;
}

class ExhaustiveTest : public ::testing::Test {
 protected:
  ExhaustiveTest() {
    world_.options.segment_bytes = kSegmentBytes;
    world_.options.batch_bytes_max = kSegmentBytes / 2;
  }

  void Append(uint32_t group, std::size_t size) {
    expected_.push_back({group, RecordKind::kEntry, ++index_, Payload(size)});
    world_.AppendEntry(group, index_, expected_.back().payload);
  }
  std::string Payload(std::size_t size) {
    std::string payload(size, '\0');
    for (char& byte : payload) byte = static_cast<char>(random_.Next());
    return payload;
  }
  void Sync() {
    const std::string state = Payload(20);
    expected_.push_back({0, RecordKind::kState, 0, state});
    ASSERT_TRUE(world_.RunUntilDurable(world_.AppendState(0, state)));
  }

  // Fills the first segment to its last block, which the seal takes, and stops. The second segment
  // is there, prepared.
  void MakeClosedLog() {
    ASSERT_TRUE(world_.Open().ok());
    world_.runtime->RunUntilIdle();
    for (uint32_t blocks : {1, 2, 1, 3, 1, 1, 2, 1, 2, 1}) {
      // The batch: its header, two small entries, one that fills it but for some padding, a state.
      Append(1, 30);
      Append(2, 0);
      Append(1 + blocks % 3, blocks * kWalBlockBytes - kBatchHeaderBytes - 4 * kRecordHeaderBytes -
                                 30 - 20 - 7 * blocks);
      Sync();
    }
    world_.Stop();
    ASSERT_EQ(world_.Segments().size(), 2u);
    name_ = world_.Segments().front();
    path_ = "/data/wal/" + name_;
    pristine_ = world_.disk.Content(path_);
    ASSERT_EQ(pristine_.size(), kSegmentBytes);
    Reopen();
    places_ = Walk(pristine_, world_.directory->id(), *ParseSegmentName(name_));
    ASSERT_EQ(places_.size(), 11u);
    ASSERT_EQ(places_.back().end, kSegmentBytes);
    ASSERT_TRUE(places_.back().records.empty());
  }
  void Reopen() { ASSERT_TRUE(world_.OpenDirectory().ok()); }

  Status Recover() {
    world_.recorder.records.clear();
    return RecoverLogs(world_.runtime->loop(CoreId{0}).disk(), *world_.directory, &world_.recorder,
                       {})
        .status();
  }
  // The first `count` of what was appended, and nothing else, byte for byte.
  bool GivesExactly(std::size_t count) const {
    const std::vector<RecoveredRecord>& records = world_.recorder.records;
    if (records.size() != count) return false;
    for (std::size_t i = 0; i < count; ++i) {
      const Expected& wanted = expected_[i];
      if (Raw(records[i].group) != wanted.group || records[i].kind != wanted.kind ||
          Raw(records[i].index) != wanted.index || records[i].payload.view() != wanted.payload) {
        return false;
      }
    }
    return true;
  }
  std::string Refusal(uint32_t offset) const {
    return path_ + ": damaged at offset " + std::to_string(offset) + ",";
  }

  WalWorld world_;
  Random random_{17};
  uint64_t index_ = 0;
  std::vector<Expected> expected_;
  std::string name_;
  std::string path_;
  std::string pristine_;
  std::vector<Place> places_;
};

// The record or header that the byte belongs to; nothing: it is padding.
std::optional<uint32_t> PartAt(const Place& place, uint32_t byte) {
  if (byte >= place.content_end) return std::nullopt;
  uint32_t part = place.offset;
  for (uint32_t record : place.records) {
    if (record <= byte) part = record;
  }
  return part;
}

TEST_F(ExhaustiveTest, EveryFlippedBitOfAClosedLogIsRefusedOrChangesNothing) {
  MakeClosedLog();
  ASSERT_FALSE(HasFatalFailure());
  uint64_t refused = 0;
  uint64_t harmless = 0;
  uint64_t wanted_refused = 0;
  std::size_t at = 0;
  for (uint64_t bit = 0; bit < uint64_t{kSegmentBytes} * 8; bit += Stride()) {
    const uint32_t byte = static_cast<uint32_t>(bit / 8);
    while (byte >= places_[at].end) ++at;
    const bool seal = at + 1 == places_.size();  // Nothing attests it, and nothing is in it.
    const std::optional<uint32_t> part = PartAt(places_[at], byte);
    world_.disk.FlipBit(path_, bit);
    const Status status = Recover();
    if (part.has_value() && !seal) {
      ++wanted_refused;
      ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "bit " << bit << ": " << status.ToString();
      ASSERT_NE(status.message().find(Refusal(*part)), std::string::npos)
          << "bit " << bit << " of the part at " << *part << ": " << status.message();
      ++refused;
    } else {
      ASSERT_TRUE(status.ok()) << "bit " << bit << ": " << status.ToString();
      ASSERT_TRUE(GivesExactly(expected_.size())) << "bit " << bit;
      ++harmless;
    }
    world_.disk.FlipBit(path_, bit);
    if (seal) world_.disk.Overwrite(path_, 0, pristine_);  // It was sealed again.
  }
  EXPECT_EQ(refused, wanted_refused);
  std::printf("%llu bits flipped: %llu refused with file and offset, %llu in padding or the seal\n",
              static_cast<unsigned long long>(refused + harmless),
              static_cast<unsigned long long>(refused), static_cast<unsigned long long>(harmless));
}

// What only a newer release understands is neither damage nor a torn end, wherever it is.
TEST_F(ExhaustiveTest, EveryUnknownKindFlagAndFormatIsRefusedAsANewerReleases) {
  MakeClosedLog();
  ASSERT_FALSE(HasFatalFailure());
  const SegmentName name = *ParseSegmentName(name_);
  const uint64_t id = world_.directory->id();
  auto refused = [&](const std::string& segment, uint32_t at) {
    // In the middle of the log, and where nothing attests it.
    for (bool last : {false, true}) {
      std::string bytes = segment;
      for (const Place& place : places_) {
        if (last && place.offset > at)
          bytes.replace(place.offset, kWalBlockBytes, kWalBlockBytes, '\0');
      }
      world_.disk.Overwrite(path_, 0, bytes);
      const Status status = Recover();
      ASSERT_EQ(status.code(), StatusCode::kFailedPrecondition) << at << ": " << status.ToString();
      ASSERT_NE(status.message().find("offset " + std::to_string(at) + ": a newer release"),
                std::string::npos)
          << status.message();
      ASSERT_EQ(world_.disk.Content(path_), bytes);  // Nothing was cut, nothing sealed.
    }
  };
  for (const Place& place : places_) {
    const std::string_view at = std::string_view(pristine_).substr(place.offset);
    const BatchHeader header = *ParseBatchHeader(at, id, name.log, name.segment);
    for (uint32_t flag = 4; flag != 0; flag <<= 1) {
      BatchHeader later = header;
      later.flags |= flag;
      std::string segment = pristine_;
      StoreBatchHeader(segment.data() + place.offset, later, id);
      ASSERT_NO_FATAL_FAILURE(refused(segment, place.offset));
    }
    BatchHeader later = header;
    later.format = kWalFormat + 1;
    std::string segment = pristine_;
    StoreBatchHeader(segment.data() + place.offset, later, id);
    ASSERT_NO_FATAL_FAILURE(refused(segment, place.offset));
    const uint32_t seed = BatchSeed(id, name.log, name.segment, header.sequence);
    for (uint32_t changed : place.records) {
      for (uint32_t kind : {0u, 4u, 0x101u, 0xffffffffu}) {
        segment = pristine_;
        uint32_t sum = seed;
        for (uint32_t offset : place.records) {
          char* record = segment.data() + offset;
          RecordHeader of = LoadRecordHeader(record);
          if (offset == changed) of.kind = RecordKind{kind};
          StoreRecordHeader(record, of);
          SealRecord(record, kRecordHeaderBytes + of.length, seed);
          sum = AddToRecordSum(sum, record);
        }
        BatchHeader summed = header;
        summed.record_sum = sum;
        StoreBatchHeader(segment.data() + place.offset, summed, id);
        ASSERT_NO_FATAL_FAILURE(refused(segment, changed));
      }
    }
  }
}

TEST_F(ExhaustiveTest, EveryTruncationOfAClosedLogIsRefused) {
  MakeClosedLog();
  ASSERT_FALSE(HasFatalFailure());
  for (uint64_t size = 0; size < kSegmentBytes; size += Stride()) {
    world_.disk.Truncate(path_, size);
    const Status status = Recover();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << size << ": " << status.ToString();
    ASSERT_NE(status.message().find(path_ + ": ends at offset " + std::to_string(size) + " of "),
              std::string::npos)
        << status.message();
    world_.disk.Overwrite(path_, 0, pristine_);
  }
  ASSERT_TRUE(Recover().ok());
  ASSERT_TRUE(GivesExactly(expected_.size()));
}

// The last batch has twelve sectors, and each of its records but the first begins with one: what an
// earlier use of the segment left there is whole records too.
class LastBatchTest : public ExhaustiveTest {
 protected:
  static constexpr uint32_t kSectors = 12;
  static constexpr uint32_t kBatchBytes = 2 * kWalBlockBytes;

  void AppendBatch() {
    const std::size_t first = kSectorBytes - kBatchHeaderBytes - kRecordHeaderBytes;
    for (uint32_t i = 0; i < kSectors; ++i) {
      const std::string payload = Payload(i == 0 ? first : kSectorBytes - kRecordHeaderBytes);
      lsn_ = world_.AppendEntry(1, ++index_, payload);
    }
    ASSERT_TRUE(world_.RunUntilDurable(lsn_));
  }
  std::vector<std::string> Contents() {
    std::vector<std::string> contents;
    for (const std::string& name : world_.Segments()) {
      contents.push_back(world_.disk.Content("/data/wal/" + name));
    }
    return contents;
  }
  // Appends one more batch, and finds where it went and what was there before.
  void AppendLast() {
    const std::vector<std::string> names = world_.Segments();
    const std::vector<std::string> before = Contents();
    AppendBatch();
    const std::vector<std::string> after = Contents();
    ASSERT_EQ(world_.Segments(), names);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto [old_byte, new_byte] =
          std::mismatch(before[i].begin(), before[i].end(), after[i].begin());
      if (old_byte == before[i].end()) continue;
      offset_ =
          static_cast<uint32_t>(old_byte - before[i].begin()) / kWalBlockBytes * kWalBlockBytes;
      path_ = "/data/wal/" + names[i];
      old_ = before[i].substr(offset_, kBatchBytes);
      new_ = after[i].substr(offset_, kBatchBytes);
      pristine_ = before[i];
      return;
    }
    FAIL() << "nothing was written";
  }
  // The records that are there before the last batch, and with it.
  void TryEverySubset() {
    world_.Crash();
    Reopen();
    ASSERT_TRUE(Recover().ok());
    const std::vector<std::string> with = world_.recorder.Texts();
    Put(0);
    ASSERT_TRUE(Recover().ok());
    const std::vector<std::string> without = world_.recorder.Texts();
    ASSERT_EQ(with.size(), without.size() + kSectors);
    ASSERT_TRUE(std::equal(without.begin(), without.end(), with.begin()));
    constexpr uint32_t kAll = (1 << kSectors) - 1;
    for (uint32_t kept = 0; kept <= kAll; ++kept) {
      Put(kept);
      const Status status = Recover();
      ASSERT_TRUE(status.ok()) << "sectors " << kept << ": " << status.ToString();
      ASSERT_EQ(world_.recorder.Texts(), kept == kAll ? with : without) << "sectors " << kept;
    }
  }
  void Put(uint32_t kept) {
    std::string segment = pristine_;
    for (uint32_t sector = 0; sector < kSectors; ++sector) {
      if ((kept >> sector & 1) == 0) continue;
      segment.replace(offset_ + sector * kSectorBytes, kSectorBytes, new_, sector * kSectorBytes,
                      kSectorBytes);
    }
    world_.disk.Overwrite(path_, 0, segment);
  }

  uint64_t lsn_ = 0;
  uint32_t offset_ = 0;
  std::string old_;
  std::string new_;
};

TEST_F(LastBatchTest, EverySubsetOfItsSectorsGivesItWholeOrNotAtAll) {
  ASSERT_TRUE(world_.Open().ok());
  for (int i = 0; i < 3; ++i) AppendBatch();
  AppendLast();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_EQ(old_, std::string(kBatchBytes, '\0'));
  TryEverySubset();
}

TEST_F(LastBatchTest, EverySubsetOnARecycledSegmentGivesItWholeOrNotAtAll) {
  ASSERT_TRUE(world_.Open().ok());
  const std::string zeros(kBatchBytes, '\0');
  do {
    ASSERT_LT(index_, 10'000u) << "no segment is used again";
    for (int i = 0; i < 3; ++i) AppendBatch();
    world_.wal().Release(GroupId{1}, Index{index_});
    world_.runtime->RunUntilIdle();
    AppendLast();
    ASSERT_FALSE(HasFatalFailure());
  } while (old_ == zeros || offset_ == 0);
  TryEverySubset();
}

}  // namespace
}  // namespace ursula::storage
