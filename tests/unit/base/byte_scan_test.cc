#include "lib/base/byte_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace ursula {
namespace {

std::size_t ByteByByte(std::string_view text, unsigned char limit) {
  auto found = std::find_if(text.begin(), text.end(),
                            [&](char c) { return static_cast<unsigned char>(c) < limit; });
  return found == text.end() ? std::string_view::npos
                             : static_cast<std::size_t>(found - text.begin());
}

TEST(ByteScanTest, FindsTheFirstWhateverTheSizeThePlaceAndWhatFollows) {
  for (std::size_t size = 0; size <= 40; ++size) {
    for (std::size_t first = 0; first < size; ++first) {
      for (std::size_t second = first; second < size; ++second) {
        std::string text(size, 'x');
        text[first] = '\r';
        text[second] = '\n';
        EXPECT_EQ(FindByteBelow(text, 0x0e), first);
      }
    }
    EXPECT_EQ(FindByteBelow(std::string(size, 'x'), 0x0e), std::string_view::npos);
  }
}

TEST(ByteScanTest, JudgesEachByteByEachLimit) {
  for (unsigned limit = 1; limit <= 128; ++limit) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      for (std::size_t place : {0u, 3u, 7u, 8u, 10u}) {
        std::string text(11, '\xff');
        text[place] = static_cast<char>(byte);
        const auto bound = static_cast<unsigned char>(limit);
        EXPECT_EQ(FindByteBelow(text, bound), ByteByByte(text, bound)) << limit << " " << byte;
      }
    }
  }
}

}  // namespace
}  // namespace ursula
