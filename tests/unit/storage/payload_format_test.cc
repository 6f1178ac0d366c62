#include "lib/storage/payload_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ursula::storage {
namespace {

constexpr PayloadFileName kFile{3, 1, 2};

TEST(PayloadFormatTest, AHeaderReadsBackAtItsPlaceAndNowhereElse) {
  const uint32_t seed = PayloadSeed(42, kFile);
  const PayloadBlock block{.key = {GroupId{7}, 300},
                           .start = 1000,
                           .length = 700,
                           .payload_crc = 0x1234,
                           .attested = 2048,
                           .message_ends = {6, 500, 700}};
  std::string bytes;
  const uint32_t header_bytes = AppendPayloadHeader(&bytes, block, seed, 4096);
  EXPECT_EQ(header_bytes, bytes.size());
  bytes.append("payload follows");
  std::optional<PayloadBlock> parsed = ParsePayloadHeader(bytes, seed, 4096);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->key, block.key);
  EXPECT_EQ(parsed->start, block.start);
  EXPECT_EQ(parsed->length, block.length);
  EXPECT_EQ(parsed->header_bytes, header_bytes);
  EXPECT_EQ(parsed->payload_crc, block.payload_crc);
  EXPECT_EQ(parsed->attested, block.attested);
  EXPECT_EQ(parsed->message_ends, block.message_ends);
  EXPECT_FALSE(ParsePayloadHeader(bytes, seed, 4112).has_value());
  EXPECT_FALSE(ParsePayloadHeader(bytes, PayloadSeed(43, kFile), 4096).has_value());
  EXPECT_FALSE(ParsePayloadHeader(bytes, PayloadSeed(42, {3, 1, 3}), 4096).has_value());
  for (uint32_t bit = 0; bit < header_bytes * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(ParsePayloadHeader(damaged, seed, 4096).has_value()) << "bit " << bit;
  }
  for (uint32_t size = 0; size < header_bytes; ++size) {
    EXPECT_FALSE(ParsePayloadHeader(bytes.substr(0, size), seed, 4096).has_value());
  }
}

TEST(PayloadFormatTest, AFooterReadsBackAndNoDamagedOneDoes) {
  const uint32_t seed = PayloadSeed(42, kFile);
  const PayloadFooter footer = {
      {{{GroupId{7}, 300}, 1000, 11, 0, 66}, {{GroupId{8}, 1}, 0, 200'000, 80, 65}},
      {{200'160, 64, true}, {200'224, 16, false, {GroupId{7}, 300}, 1011, 5}}};
  const std::string bytes = EncodePayloadFooter(footer, seed, 200'240);
  auto read = [seed](std::string_view all) -> std::optional<PayloadFooter> {
    std::optional<PayloadTrailer> trailer =
        ParsePayloadTrailer(all.substr(all.size() - kPayloadTrailerBytes), seed);
    if (!trailer.has_value() || trailer->footer_offset != 200'240) return std::nullopt;
    return ParsePayloadFooter(all.substr(0, trailer->footer_bytes), *trailer, seed);
  };
  EXPECT_EQ(read(bytes), footer);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(read(damaged).has_value()) << "bit " << bit;
  }
}

// Whose checksums hold, but which no writer made: sizes are taken from them, and sums of sizes.
TEST(PayloadFormatTest, NumbersBeyondWhatABlockHoldsAreRefused) {
  const uint32_t seed = PayloadSeed(42, kFile);
  auto header_reads = [seed](uint64_t start, uint32_t length) {
    std::string bytes;
    AppendPayloadHeader(&bytes, {.key = {GroupId{7}, 1}, .start = start, .length = length}, seed,
                        0);
    return ParsePayloadHeader(bytes, seed, 0).has_value();
  };
  EXPECT_TRUE(header_reads(kOffsetEnd - 10, 10));
  EXPECT_FALSE(header_reads(kOffsetEnd - 10, 11));
  EXPECT_FALSE(header_reads(UINT64_MAX - 10, 11));
  EXPECT_TRUE(header_reads(0, kPayloadBlockBytesMax));
  EXPECT_FALSE(header_reads(0, kPayloadBlockBytesMax + 1));

  auto footer_reads = [seed](uint64_t start, uint32_t length, uint32_t offset,
                             uint32_t header_bytes) {
    const std::string bytes = EncodePayloadFooter(
        {{{{GroupId{7}, 1}, start, length, offset, header_bytes}}, {}}, seed, 4096);
    const std::string_view all = bytes;
    std::optional<PayloadTrailer> trailer =
        ParsePayloadTrailer(all.substr(all.size() - kPayloadTrailerBytes), seed);
    return ParsePayloadFooter(all.substr(0, trailer->footer_bytes), *trailer, seed).has_value();
  };
  EXPECT_TRUE(footer_reads(0, 4000, 32, 64));
  EXPECT_FALSE(footer_reads(0, 4001, 32, 64)) << "past the blocks";
  EXPECT_FALSE(footer_reads(0, 10, 4097, 64)) << "behind the blocks";
  EXPECT_FALSE(footer_reads(0, 10, 0, 63)) << "no room for a header";
  EXPECT_FALSE(footer_reads(0, 10, 0, UINT32_MAX - 5)) << "a sum that overflows";
  EXPECT_FALSE(footer_reads(UINT64_MAX - 5, 10, 0, 64));

  auto loss_reads = [seed](const PayloadLoss& loss) {
    const std::string bytes = EncodePayloadFooter({{}, {loss}}, seed, 4096);
    const std::string_view all = bytes;
    std::optional<PayloadTrailer> trailer =
        ParsePayloadTrailer(all.substr(all.size() - kPayloadTrailerBytes), seed);
    return ParsePayloadFooter(all.substr(0, trailer->footer_bytes), *trailer, seed).has_value();
  };
  EXPECT_TRUE(loss_reads({96, 4000, true}));
  EXPECT_FALSE(loss_reads({96, 4001, true})) << "past the blocks";
  EXPECT_FALSE(loss_reads({4097, 0, true})) << "behind the blocks";
  EXPECT_FALSE(loss_reads({0, 10, true, {GroupId{7}, 1}, 0, kPayloadBlockBytesMax + 1}));
}

TEST(PayloadFormatTest, FileNamesSortByGeneration) {
  EXPECT_EQ(FormatPayloadFileName(kFile), "000000000003-0001-00000002.pay");
  EXPECT_EQ(ParsePayloadFileName("000000000003-0001-00000002.pay"), kFile);
  EXPECT_LT(FormatPayloadFileName({9, 5, 5}), FormatPayloadFileName({16, 0, 0}));
  for (const char* other : {"", "000000000003-0001-00000002.wal", "000000000003-0001-0000000g.pay",
                            "000000000003-0001-00000002.pay.tmp"}) {
    EXPECT_FALSE(ParsePayloadFileName(other).has_value()) << other;
  }
}

}  // namespace
}  // namespace ursula::storage
