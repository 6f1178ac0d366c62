#include "lib/stream/hot_ring.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/random.h"

namespace ursula::stream {
namespace {

constexpr Incarnation kA{1};
constexpr Incarnation kB{2};
constexpr uint64_t kAll = uint64_t{1} << 40;

std::string Join(const std::vector<Bytes>& parts) {
  std::string joined;
  for (const Bytes& part : parts) joined += part.view();
  return joined;
}

TEST(HotRingTest, ReadsAcrossAppendsAndSaysWhereEachEnds) {
  HotRing ring;
  ring.Add(kA, 10, Bytes::Static("abc"));
  ring.Add(kA, 13, Bytes::Static("de"));
  HotRing::ReadResult read = ring.Read(kA, 11, 100, kAll);
  EXPECT_EQ(Join(read.parts), "bcde");
  EXPECT_EQ(read.reach, 15u);
  EXPECT_EQ(read.append_ends, (std::vector<uint64_t>{13, 15}));
  read = ring.Read(kA, 10, 100, 4);
  EXPECT_EQ(Join(read.parts), "abcd");
  EXPECT_EQ(read.reach, 14u);
  EXPECT_EQ(read.append_ends, (std::vector<uint64_t>{13, 15}));
  EXPECT_EQ(Join(ring.Read(kA, 10, 12, kAll).parts), "ab");
}

TEST(HotRingTest, WhatItLacksItDoesNotReach) {
  HotRing ring;
  ring.Add(kA, 10, Bytes::Static("abc"));
  EXPECT_EQ(ring.Read(kA, 9, 100, kAll).reach, 9u);
  EXPECT_EQ(ring.Read(kA, 13, 100, kAll).reach, 13u);
  EXPECT_EQ(ring.Read(kB, 0, 100, kAll).reach, 0u);
  EXPECT_TRUE(ring.Read(kA, 12, 11, kAll).parts.empty());
}

TEST(HotRingTest, ReadsShareTheMemoryOfTheAppend) {
  HotRing ring;
  Bytes payload = Bytes::Copy("abc");
  ring.Add(kA, 0, payload);
  EXPECT_EQ(ring.Read(kA, 1, 3, kAll).parts.at(0).data(), payload.data() + 1);
}

TEST(HotRingTest, AnAppendIsFoundByItsStart) {
  HotRing ring;
  ring.Add(kA, 10, Bytes::Static("abc"));
  ring.Add(kA, 13, Bytes::Static("de"));
  EXPECT_EQ(ring.AppendEnd(kA, 13), 15u);
  EXPECT_EQ(ring.AppendEnd(kA, 11), 0u);
  EXPECT_EQ(ring.AppendEnd(kA, 15), 0u);
  EXPECT_EQ(ring.AppendEnd(kB, 0), 0u);
}

TEST(HotRingTest, UnflushedPayloadComesLongestWaitingFirstUntilMarked) {
  HotRing ring;
  ring.Add(kB, 0, Bytes::Static("bb"));
  ring.Add(kA, 5, Bytes::Static("aa"));
  ring.Add(kB, 2, Bytes::Static("BB"));
  EXPECT_EQ(ring.UnflushedBytes(), 6u);
  for (int i = 0; i < 2; ++i) {
    std::vector<UnflushedRun> runs = ring.CollectUnflushed(kAll);
    ASSERT_EQ(runs.size(), 2u);
    EXPECT_EQ(runs[0].incarnation, kB);
    EXPECT_EQ(Join(runs[0].parts), "bbBB");
    EXPECT_EQ(runs[1].incarnation, kA);
    EXPECT_EQ(runs[1].start, 5u);
  }
  std::vector<UnflushedRun> one = ring.CollectUnflushed(1);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(Join(one[0].parts), "bb");
  ring.MarkFlushed(kB, 3);
  std::vector<UnflushedRun> rest = ring.CollectUnflushed(kAll);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].incarnation, kA);  // What is left of B waits behind it.
  EXPECT_EQ(rest[1].start, 3u);
  EXPECT_EQ(Join(rest[1].parts), "B");
  ring.MarkFlushed(kB, 100);
  ring.MarkFlushed(kA, 7);
  EXPECT_EQ(ring.UnflushedBytes(), 0u);
  EXPECT_TRUE(ring.CollectUnflushed(kAll).empty());
}

TEST(HotRingTest, OnlyFlushedChunksAreEvictedLeastRecentlyUsedFirst) {
  HotRing ring;
  ring.Add(kA, 0, Bytes::Static("aaaa"));
  ring.Add(kB, 0, Bytes::Static("bbbb"));
  ring.Evict(0);
  EXPECT_EQ(ring.Read(kA, 0, 4, kAll).reach, 4u);
  ring.MarkFlushed(kA, 4);
  ring.MarkFlushed(kB, 4);
  ring.Read(kA, 0, 1, kAll);
  ring.Evict(ring.bytes() - 1);
  EXPECT_EQ(ring.CachedTo(kB), 0u);
  EXPECT_EQ(ring.CachedTo(kA), 4u);
  ring.Evict(0);
  EXPECT_EQ(ring.bytes(), 0u);
  EXPECT_TRUE(ring.empty());
}

TEST(HotRingTest, AGapStartsTheStreamsRangeAnew) {
  HotRing ring;
  ring.Add(kA, 0, Bytes::Static("aa"));
  ring.MarkFlushed(kA, 2);
  ring.Add(kA, 5, Bytes::Static("bb"));
  EXPECT_EQ(ring.CachedFrom(kA), 5u);
  EXPECT_EQ(ring.CachedTo(kA), 7u);
}

TEST(HotRingTest, DropForgetsEvenTheUnflushed) {
  HotRing ring;
  ring.Add(kA, 0, Bytes::Static("aa"));
  ring.Add(kA, 2, Bytes::Static("aa"));
  ring.MarkFlushed(kA, 1);
  ring.Drop(kA);
  ring.Drop(kB);
  EXPECT_EQ(ring.bytes(), 0u);
  EXPECT_EQ(ring.UnflushedBytes(), 0u);
  EXPECT_TRUE(ring.CollectUnflushed(kAll).empty());
}

// Against a plain list of what was added: content, the unflushed frontier, and the byte counts.
TEST(HotRingTest, RandomUseKeepsContentAndCounts) {
  struct Plain {
    std::string content = {};
    uint64_t flushed = 0;
  };
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    Random random(seed);
    HotRing ring;
    std::map<Incarnation, Plain> plain;
    for (int i = 0; i < 2000; ++i) {
      Incarnation incarnation{1 + random.Below(5)};
      Plain& stream = plain[incarnation];
      switch (random.Below(8)) {
        default: {
          std::string payload(1 + random.Below(9), static_cast<char>('a' + i % 26));
          ring.Add(incarnation, stream.content.size(), Bytes::Copy(payload));
          stream.content += payload;
          break;
        }
        case 4:
          stream.flushed += random.Below(stream.content.size() - stream.flushed + 1);
          ring.MarkFlushed(incarnation, stream.flushed);
          break;
        case 5:
          ring.Evict(random.Below(ring.bytes() + 1));
          break;
        case 6:
          for (const UnflushedRun& run : ring.CollectUnflushed(random.Below(50))) {
            Plain& owner = plain[run.incarnation];
            ASSERT_EQ(run.start, owner.flushed);
            std::string joined = Join(run.parts);
            ASSERT_EQ(joined, owner.content.substr(run.start, joined.size()));
            owner.flushed += joined.size();
            ring.MarkFlushed(run.incarnation, owner.flushed);
          }
          break;
        case 7: {
          uint64_t from = random.Below(stream.content.size() + 1);
          uint64_t most = random.Below(40);
          HotRing::ReadResult read = ring.Read(incarnation, from, stream.content.size(), most);
          ASSERT_EQ(Join(read.parts), stream.content.substr(from, read.reach - from));
          if (from >= stream.flushed) {
            ASSERT_EQ(read.reach, from + std::min(most, stream.content.size() - from));
          }
          break;
        }
      }
      uint64_t unflushed = 0;
      for (const auto& [owner, entry] : plain) unflushed += entry.content.size() - entry.flushed;
      ASSERT_EQ(ring.UnflushedBytes(), unflushed);
    }
    for (const auto& [incarnation, stream] : plain) ring.MarkFlushed(incarnation, kAll);
    ring.Evict(0);
    EXPECT_EQ(ring.bytes(), 0u);
  }
}

}  // namespace
}  // namespace ursula::stream
