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

SharedFrames::Encoded FrameOf(uint64_t start) {
  return {{Chunk::Of(std::to_string(start)), {start + 1}, false}, true};
}

TEST(SharedFramesTest, WhatOneCoreHasEncodedOthersFind) {
  SharedFrames frames;
  for (int core = 0; core < 4; ++core) {
    for (uint64_t i = 0; i < 200; ++i) {
      bool found = false;
      std::thread([&] {
        Frame frame = frames.FindOrEncode(
            Key(i), [i] { return FrameOf(i); }, &found);
        EXPECT_EQ(frame.chunk.plain().view(), std::to_string(i));
      }).join();
      EXPECT_EQ(found, core > 0);
    }
  }
}

TEST(SharedFramesTest, NobodyWaitsForACoreThatEncodes) {
  SharedFrames frames;
  bool first_found = true;
  std::vector<uint64_t> found_meanwhile;
  frames.FindOrEncode(
      Key(0),
      [&] {
        // Whatever shard it lies in, and the same frame too.
        std::thread([&] {
          for (uint64_t i = 0; i < 100; ++i) {
            bool found = false;
            frames.FindOrEncode(
                Key(i), [i] { return FrameOf(i); }, &found);
            if (found) found_meanwhile.push_back(i);
          }
        }).join();
        return FrameOf(0);
      },
      &first_found);
  EXPECT_FALSE(first_found);
  EXPECT_TRUE(found_meanwhile.empty());
}

TEST(SharedFramesTest, ThreadsThatLookTogetherGetTheFrameTheyAskedFor) {
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
              return FrameOf(i);
            },
            &found);
        found_count += found;
        EXPECT_EQ(frame.chunk.plain().view(), std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(encoded, 200);
  EXPECT_EQ(encoded + found_count, 800);
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
