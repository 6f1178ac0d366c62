#include "lib/base/byte_parts.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace ursula {
namespace {

TEST(BytePartsTest, SmallPiecesAreJoinedAndLargeOnesShared) {
  const Bytes large = Bytes::Take(std::string(ByteParts::kSharedBytesMin, 'x'));
  ByteParts parts;
  parts.PutFixed<uint8_t>(7);
  parts.PutBytes(Bytes::Static("ab"));
  parts.Put(large);
  parts.PutString("c");
  EXPECT_EQ(parts.size(), 1 + 3 + large.size() + 2);
  const std::vector<Bytes> taken = parts.Take();
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[0].view(), std::string("\x07\x02") + "ab");
  EXPECT_EQ(taken[1].data(), large.data());
  EXPECT_EQ(taken[2].view(),
            "\x01"
            "c");
  EXPECT_EQ(parts.size(), 0u);
  EXPECT_TRUE(parts.Take().empty());
}

TEST(BytePartsTest, OneIsPutIntoAnother) {
  ByteParts inner;
  inner.PutString("in");
  inner.Put(Bytes::Take(std::string(5000, 'y')));
  inner.PutString("end");
  ByteParts outer;
  outer.PutString("out");
  outer.Put(std::move(inner));
  const std::string all = std::string("\x03out\x02in") + std::string(5000, 'y') + "\x03" + "end";
  EXPECT_EQ(outer.size(), all.size());
  EXPECT_EQ(outer.TakeJoined().view(), all);
}

}  // namespace
}  // namespace ursula
