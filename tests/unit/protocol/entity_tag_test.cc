#include "server/protocol/entity_tag.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ursula::protocol {
namespace {

constexpr ContentCoding kCodings[] = {ContentCoding::kIdentity, ContentCoding::kGzip,
                                      ContentCoding::kZstd};

TEST(StateTagTest, NamesIncarnationTailAndClosed) {
  EXPECT_EQ(StateTag({0xabc, Offset{0x4d2}, false}), "\"s-0000000000000abc-4d2.t\"");
  EXPECT_EQ(StateTag({~uint64_t{0}, Offset{0}, true}), "\"s-ffffffffffffffff-0.c\"");
}

TEST(StateTagTest, IsReadBack) {
  for (uint64_t incarnation : {uint64_t{1}, uint64_t{0xabc}, ~uint64_t{0}}) {
    for (uint64_t tail : {uint64_t{0}, uint64_t{0x10}, kOffsetEnd - 1}) {
      for (bool closed : {false, true}) {
        StateMatch match = {incarnation, Offset{tail}, closed};
        EXPECT_EQ(StateNamedBy(StateTag({incarnation, Offset{tail}, closed})), match);
      }
    }
  }
}

TEST(EntityTagTest, ReadsThatEndAtTheTailNameTheStateWhateverTheirForm) {
  for (uint64_t start : {0u, 7u, 16u}) {
    for (bool ndjson : {false, true}) {
      for (ContentCoding coding : kCodings) {
        EntityRange range = {0xabc, Offset{start}, Offset{16}, RangeEnd::kTail, ndjson, start > 0};
        std::string tag = CodedEntityTag(EntityTag(range), coding);
        EXPECT_EQ(StateNamedBy(tag), (StateMatch{0xabc, Offset{16}, false})) << tag;
        range.ends_at = RangeEnd::kClosed;
        tag = CodedEntityTag(EntityTag(range), coding);
        EXPECT_EQ(StateNamedBy(tag), (StateMatch{0xabc, Offset{16}, true})) << tag;
        range.ends_at = RangeEnd::kPage;
        tag = CodedEntityTag(EntityTag(range), coding);
        EXPECT_EQ(StateNamedBy(tag), std::nullopt) << tag;
      }
    }
  }
}

TEST(EntityTagTest, OtherTagsNameNoState) {
  for (const char* tag : {"",
                          "\"",
                          "\"\"",
                          "abc-0-5.t",
                          "\"abc-0-5\"",
                          "\"abc-0-5.x\"",
                          "\"abc-0-5.tl-br\"",
                          "\"abc-0-5.t-\"",
                          "\"abc-0-5.t-gzip-zstd\"",
                          "\"abc-0-5.tll\"",
                          "\"ABC-0-5.t\"",
                          "\"0abc-0-5.t\"",
                          "\"abc-00-5.t\"",
                          "\"abc--5.t\"",
                          "\"abc-5.t\"",
                          "\"-0-5.t\"",
                          "\"12345678901234567-0-5.t\"",
                          "\"s-abc-5.t\"",
                          "\"s-0000000000000abc-5\"",
                          "\"s-0000000000000abc-5.p\"",
                          "\"s-0000000000000abc-5.t-gzip\"",
                          "\"s-0000000000000abc-05.t\"",
                          "\"s-0000000000000ABC-5.t\"",
                          "\"s-0000000000000abc5.t\"",
                          "\"s-0000000000000abc-.t\"",
                          "\"s-0000000000000abc\"",
                          "\"s-\"",
                          "\"0000000000000000_0000000000000005\""}) {
    EXPECT_EQ(StateNamedBy(tag), std::nullopt) << tag;
  }
}

TEST(EntityTagTest, TagsOfAStateAndOfAReadAreNeverEqual) {
  std::string state = StateTag({0xabc, Offset{5}, false});
  for (RangeEnd end : {RangeEnd::kPage, RangeEnd::kTail, RangeEnd::kClosed}) {
    for (ContentCoding coding : kCodings) {
      EXPECT_NE(CodedEntityTag(EntityTag({0xabc, Offset{0}, Offset{5}, end, false}), coding),
                state);
    }
  }
}

TEST(IncarnationTest, IsSixteenHexadecimalDigits) {
  EXPECT_EQ(FormatIncarnation(0xabc), "0000000000000abc");
  EXPECT_EQ(ParseIncarnation("0000000000000abc"), 0xabcu);
  EXPECT_EQ(ParseIncarnation("0000000000000ABC"), 0xabcu);
  EXPECT_EQ(ParseIncarnation("ffffffffffffffff"), ~uint64_t{0});
  for (const char* bad : {"", "abc", "0000000000000abg", "00000000000000abc", "\"000000000000abc\"",
                          "0x00000000000abc", "000000000000 abc", "-000000000000abc"}) {
    EXPECT_EQ(ParseIncarnation(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace ursula::protocol
