#include "server/http/frame_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace ursula::http {
namespace {

FrameKey Key(uint64_t start) {
  FrameKey key;
  key.stream = {"v1", "", "s"};
  key.incarnation = 1;
  key.start = {start};
  key.next = {start + 1};
  return key;
}

TEST(FrameCacheTest, FindsOnlyWhatWasInsertedUnderTheWholeKey) {
  auto cache = std::make_unique<FrameCache>();
  cache->Insert(Key(1), {Bytes::Static("frame"), {2}, false});
  ASSERT_NE(cache->Find(Key(1)), nullptr);
  EXPECT_EQ(cache->Find(Key(1))->bytes.view(), "frame");
  EXPECT_EQ(cache->Find(Key(2)), nullptr);
  for (int field = 0; field < 8; ++field) {
    FrameKey other = Key(1);
    if (field == 0) other.stream.name = "t";
    if (field == 1) other.stream.bucket = "demo";
    if (field == 2) other.stream.affinity = "a";
    if (field == 3) other.incarnation = 2;
    if (field == 4) other.form = protocol::SseForm::kJson;
    if (field == 5) other.next = {9};
    if (field == 6) other.cursor = 7;
    if (field == 7) other.closed = true;
    EXPECT_EQ(cache->Find(other), nullptr) << field;
  }
}

TEST(FrameCacheTest, MemoryIsBounded) {
  auto cache = std::make_unique<FrameCache>();
  for (uint64_t i = 0; i < 2000; ++i) {
    cache->Insert(Key(i), {Bytes::Take(std::string(100'000, 'x')), {i + 1}, false});
    EXPECT_LE(cache->bytes(), FrameCache::kBytesMax);
    ASSERT_NE(cache->Find(Key(i)), nullptr);
  }
}

}  // namespace
}  // namespace ursula::http
