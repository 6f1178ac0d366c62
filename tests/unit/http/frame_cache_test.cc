#include "server/http/frame_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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
  cache->Insert(Key(1), {Chunk::Of("frame"), {2}, false});
  ASSERT_NE(cache->Find(Key(1)), nullptr);
  EXPECT_EQ(cache->Find(Key(1))->chunk.plain().view(), "frame");
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
    cache->Insert(Key(i), {Chunk::Of(std::string(100'000, 'x')), {i + 1}, false});
    EXPECT_LE(cache->bytes(), FrameCache::kBytesMax);
    ASSERT_NE(cache->Find(Key(i)), nullptr);
  }
}

TEST(ChunkTest, IsThePieceWithAndWithoutTheChunkedCoding) {
  Chunk chunk = Chunk::Of(std::string(26, 'x'));
  EXPECT_EQ(chunk.coded().view(), "1a\r\n" + std::string(26, 'x') + "\r\n");
  EXPECT_EQ(chunk.plain().view(), std::string(26, 'x'));
  EXPECT_TRUE(Chunk::Of("").empty());
  EXPECT_TRUE(Chunk::Of("").coded().empty());
}

TEST(SharedFramesTest, OneOfManyThreadsEncodesAFrame) {
  SharedFrames frames;
  std::atomic<int> encoded = 0;
  std::atomic<int> found_count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < 200; ++i) {
        bool found = false;
        Frame frame = frames.FindOrEncode(
            Key(i),
            [&] {
              ++encoded;
              return SharedFrames::Encoded{{Chunk::Of(std::to_string(i)), {i + 1}, false}, true};
            },
            &found);
        found_count += found;
        EXPECT_EQ(frame.chunk.plain().view(), std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(encoded, 200);
  EXPECT_EQ(found_count, 600);
}

TEST(SharedFramesTest, AFrameThatDependsOnMoreThanItsKeyIsNotKept) {
  SharedFrames frames;
  for (int i = 0; i < 2; ++i) {
    bool found = true;
    frames.FindOrEncode(
        Key(1),
        [] {
          return SharedFrames::Encoded{{Chunk::Of("x"), {2}, false}, false};
        },
        &found);
    EXPECT_FALSE(found);
  }
}

}  // namespace
}  // namespace ursula::http
