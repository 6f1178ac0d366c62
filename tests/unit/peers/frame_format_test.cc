#include "lib/peers/frame_format.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace ursula::peers {
namespace {

constexpr uint64_t kCluster = 77;

Bytes Frame(const std::vector<std::pair<uint32_t, std::string>>& letters) {
  ByteParts all;
  for (const auto& [group, text] : letters) {
    ByteParts letter;
    letter.Put(Bytes::Copy(text));
    PutLetter(GroupId{group}, std::move(letter), &all);
  }
  std::string joined;
  for (const Bytes& part : FinishFrame(std::move(all), kCluster)) joined.append(part.view());
  return Bytes::Take(std::move(joined));
}

TEST(FrameFormatTest, LettersComeOutAsTheyWentIn) {
  const std::string large(10'000, 'x');
  const Bytes frame = Frame({{0, "first"}, {16383, ""}, {7, large}});
  std::optional<std::vector<Letter>> letters = ParseFrame(frame, kCluster);
  ASSERT_TRUE(letters);
  ASSERT_EQ(letters->size(), 3u);
  EXPECT_EQ((*letters)[0].body.view(), "first");
  EXPECT_EQ((*letters)[1].group, GroupId{16383});
  EXPECT_TRUE((*letters)[1].body.empty());
  EXPECT_EQ((*letters)[2].body.view(), large);
}

TEST(FrameFormatTest, AnyFlippedBitAndAnyCutIsNoticed) {
  const Bytes frame = Frame({{3, "some bytes"}, {4, "and more"}});
  for (std::size_t i = 0; i < frame.size(); ++i) {
    EXPECT_FALSE(ParseFrame(frame.Slice(0, i), kCluster)) << i;
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged(frame.view());
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_FALSE(ParseFrame(Bytes::Take(std::move(damaged)), kCluster)) << i << " " << bit;
    }
  }
}

TEST(FrameFormatTest, AnotherClustersFrameIsNotRead) {
  const Bytes frame = Frame({{3, "some bytes"}});
  EXPECT_TRUE(ParseFrame(frame, kCluster));
  EXPECT_FALSE(ParseFrame(frame, kCluster + 1));
  EXPECT_FALSE(ParseFrame(frame, 0));
}

}  // namespace
}  // namespace ursula::peers
