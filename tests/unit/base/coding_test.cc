#include "lib/base/coding.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace ursula {
namespace {

TEST(CodingTest, FixedIntegersAreLittleEndian) {
  std::string out;
  PutFixed<uint32_t>(&out, 0x01020304);
  EXPECT_EQ(out, std::string("\x04\x03\x02\x01", 4));
  StoreFixed<uint16_t>(out.data(), 0xabcd);
  EXPECT_EQ(LoadFixed<uint16_t>(out.data()), 0xabcd);
  EXPECT_EQ(out[2], '\x02');
}

TEST(CodingTest, EveryVarintReadsBackInItsLength) {
  for (unsigned bits = 0; bits < 64; ++bits) {
    for (uint64_t value : {uint64_t{1} << bits, (uint64_t{1} << bits) - 1}) {
      std::string out;
      PutVarint(&out, value);
      Reader reader(out);
      EXPECT_EQ(reader.Varint(), value);
      EXPECT_TRUE(reader.AtEnd());
      std::size_t significant =
          value == 0 ? 1 : static_cast<std::size_t>(64 - __builtin_clzll(value));
      EXPECT_EQ(out.size(), (significant + 6) / 7);
    }
  }
}

TEST(CodingTest, ReaderTakesBackWhatWasPut) {
  std::string out;
  PutString(&out, "hello");
  PutFixed<uint64_t>(&out, 7);
  PutString(&out, "");
  Reader reader(out);
  EXPECT_EQ(reader.String(), "hello");
  EXPECT_EQ(reader.Fixed<uint64_t>(), 7u);
  EXPECT_EQ(reader.String(), "");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(CodingTest, EveryTruncationIsRefused) {
  std::string out;
  PutString(&out, "hello");
  PutFixed<uint32_t>(&out, 7);
  for (std::size_t size = 0; size < out.size(); ++size) {
    Reader reader(std::string_view(out).substr(0, size));
    reader.String();
    reader.Fixed<uint32_t>();
    EXPECT_FALSE(reader.ok()) << size;
  }
}

TEST(CodingTest, VarintsBeyond64BitsAreRefused) {
  Reader too_large(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  EXPECT_EQ(too_large.Varint(), 0u);
  EXPECT_FALSE(too_large.ok());
  Reader endless(std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11));
  endless.Varint();
  EXPECT_FALSE(endless.ok());
}

TEST(CodingTest, NothingIsReadAfterAMistake) {
  std::string out("\x7f", 1);  // A string of 127 bytes that aren't there.
  out.append("rest");
  Reader reader(out);
  EXPECT_EQ(reader.String(), "");
  EXPECT_EQ(reader.Fixed<uint8_t>(), 0);
  EXPECT_TRUE(reader.rest().empty());
  EXPECT_FALSE(reader.AtEnd());
}

}  // namespace
}  // namespace ursula
