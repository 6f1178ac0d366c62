#include "lib/stream/media_type.h"

#include "gtest/gtest.h"

namespace ursula::stream {
namespace {

TEST(MediaTypeTest, ParametersBlanksAndCaseDoNotCount) {
  EXPECT_EQ(MediaType(" text/plain ; charset=utf-8"), "text/plain");
  EXPECT_TRUE(SameMediaType("TEXT/plain", "text/PLAIN;x=y"));
  EXPECT_FALSE(SameMediaType("text/plain", "text/plain2"));
  EXPECT_FALSE(SameMediaType("text/plain", ""));
}

TEST(MediaTypeTest, JsonIsTheOneTypeAlone) {
  EXPECT_TRUE(IsJson("Application/JSON; charset=utf-8"));
  EXPECT_FALSE(IsJson("application/json-seq"));
  EXPECT_FALSE(IsJson("application/x-ndjson"));
}

}  // namespace
}  // namespace ursula::stream
