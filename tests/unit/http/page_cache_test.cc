#include "server/http/page_cache.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/manual_loop.h"

namespace ursula::http {
namespace {

using protocol::ContentCoding;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kBytesMax = 256 * kKiB;

class Reader final : public PageReader {
 public:
  explicit Reader(PageCache* cache) : cache_(*cache) {}
  ~Reader() override { cache_.Drop(this); }

  const PagePtr& held() const { return page(); }
  std::string text() const {
    std::string text;
    for (const Bytes& part : page()->body()) text += part.view();
    return text;
  }
  bool told = false;

 private:
  void OnPageMade() override { told = true; }
  PageCache& cache_;
};

std::string TextOf(std::size_t bytes, char c = 'a') {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += c + std::to_string(i) + "\n";
  text.resize(bytes);
  return text;
}

class PageCacheTest : public ::testing::Test {
 protected:
  PageCacheTest() {
    cache_.SetCounters(&counters_);
    cache_.SetBytesMax(kBytesMax);
  }

  static PageKey Key(std::string name, uint64_t start = 0,
                     ContentCoding coding = ContentCoding::kIdentity) {
    return {{"demo", "", std::move(name)}, {start}, PageKey::Form::kBody, coding};
  }
  static ReadReply Reply(uint64_t start, uint64_t next, uint64_t incarnation = 1,
                         bool up_to_date = false) {
    ReadReply reply;
    reply.start = {start};
    reply.next = {next};
    reply.up_to_date = up_to_date;
    reply.info.incarnation = incarnation;
    return reply;
  }
  // A page that is a body of its own, as JSON is.
  void Add(std::string name, std::size_t bytes, uint64_t incarnation = 1) {
    cache_.Add(Key(std::move(name)), request_, Reply(0, bytes, incarnation),
               {Bytes::Take(TextOf(bytes))}, false);
  }
  bool Has(std::string name) {
    Reader reader(&cache_);
    return cache_.Hold(&reader, Key(std::move(name)), request_);
  }
  // Somebody gets it.
  void Use(std::string name) {
    Reader reader(&cache_);
    ASSERT_TRUE(cache_.Hold(&reader, Key(std::move(name)), request_));
    cache_.Used(&reader);
  }
  void Turn() {
    ++loop_.clock().now_ns;
    loop_.RunTurn();
  }

  testing::ManualLoop loop_;
  CoreCounters counters_;
  CompressQueue queue_{&loop_};
  PageCache cache_{&loop_, &queue_};
  ReadRequest request_ = {.bytes_max = 4 * kKiB};
};

TEST_F(PageCacheTest, APageIsGivenOutAgainByReference) {
  Add("s", 8 * kKiB);
  Reader one(&cache_), two(&cache_);
  ASSERT_TRUE(cache_.Hold(&one, Key("s"), request_));
  ASSERT_TRUE(cache_.Hold(&two, Key("s"), request_));
  EXPECT_EQ(one.held()->body()[0].data(), two.held()->body()[0].data());
  EXPECT_EQ(one.text(), TextOf(8 * kKiB));
  EXPECT_EQ(one.held()->place().next, Offset{8 * kKiB});
  EXPECT_EQ(counters_.page_misses.Get(), 1u);
  EXPECT_EQ(counters_.page_hits.Get(), 0u);  // Offered to the engine, and not said to be right yet.
  cache_.Used(&one);
  EXPECT_EQ(counters_.page_hits.Get(), 1u);
}

TEST_F(PageCacheTest, EachPartOfAKeyTellsPagesApart) {
  Add("s", 8 * kKiB);
  PageKey bucket = Key("s"), affinity = Key("s"), start = Key("s", 1), lines = Key("s"),
          event = Key("s"), offsets = Key("s"), coding = Key("s", 0, ContentCoding::kGzip);
  bucket.stream.bucket = "other";
  affinity.stream.affinity = "a";
  lines.form = PageKey::Form::kLines;
  event.form = PageKey::Form::kEvent;
  offsets.state_offsets = true;
  for (const PageKey& key : {bucket, affinity, start, lines, event, offsets, coding, Key("t")}) {
    Reader reader(&cache_);
    EXPECT_FALSE(cache_.Hold(&reader, key, request_));
    EXPECT_EQ(reader.held(), nullptr);
  }
}

TEST_F(PageCacheTest, AnotherLifeOrAnotherEndIsAnotherPage) {
  Add("s", 8 * kKiB);
  Reader reader(&cache_);
  EXPECT_FALSE(cache_.HoldSame(&reader, Key("s"), request_, Reply(0, 8 * kKiB, 2)));
  EXPECT_FALSE(cache_.HoldSame(&reader, Key("s"), request_, Reply(0, 8 * kKiB + 1)));
  EXPECT_TRUE(cache_.HoldSame(&reader, Key("s"), request_, Reply(0, 8 * kKiB)));
  cache_.Drop(&reader);
  Add("s", 9 * kKiB, 2);  // Takes its place.
  ASSERT_TRUE(cache_.Hold(&reader, Key("s"), request_));
  EXPECT_EQ(reader.held()->place().incarnation, 2u);
  EXPECT_LT(cache_.bytes(), 12 * kKiB);
}

TEST_F(PageCacheTest, WhatWasReadFromJustThereIsNotForWhoWantsAnAppendsStart) {
  Add("s", 8 * kKiB);
  request_.from_append_start = true;
  EXPECT_FALSE(Has("s"));
  Add("s", 8 * kKiB);
  EXPECT_TRUE(Has("s"));
  request_.from_append_start = false;
  EXPECT_TRUE(Has("s"));
}

TEST_F(PageCacheTest, MemoryStaysBelowItsBudgetAndTheOldestGoesFirst) {
  for (int i = 0; i < 40; ++i) {
    Add(std::to_string(i), 30 * kKiB);
    EXPECT_LE(cache_.bytes(), kBytesMax);
    EXPECT_EQ(counters_.page_bytes.Get(), cache_.bytes());
  }
  EXPECT_TRUE(Has("39"));
  EXPECT_TRUE(Has("33"));
  EXPECT_FALSE(Has("20"));
  EXPECT_EQ(counters_.page_evictions.Get(), 32u);
}

TEST_F(PageCacheTest, WhatIsReadAgainOutlivesWhatIsReadOnce) {
  Add("again", 30 * kKiB);
  Use("again");
  for (int i = 0; i < 40; ++i) Add(std::to_string(i), 30 * kKiB);
  EXPECT_TRUE(Has("again"));
  // But what is used again isn't all that there is.
  for (int i = 0; i < 40; ++i) {
    Add(std::to_string(i), 30 * kKiB);
    Use(std::to_string(i));
  }
  EXPECT_FALSE(Has("again"));
  EXPECT_TRUE(Has("39"));
  EXPECT_LE(cache_.bytes(), kBytesMax);
}

TEST_F(PageCacheTest, TooLargeTooSmallAndCutShortPagesAreNotKept) {
  Add("large", kBytesMax / 4);
  Add("small", PageCache::kPageBytesMin - 1);
  request_.bytes_max = 64 * kKiB;
  Add("short", 15 * kKiB);  // Less than a page, and it doesn't end at the tail.
  for (const char* name : {"large", "small", "short"}) EXPECT_FALSE(Has(name)) << name;
  EXPECT_EQ(cache_.bytes(), 0u);
  cache_.Add(Key("tail"), request_, Reply(0, 15 * kKiB, 1, true), {Bytes::Take(TextOf(15 * kKiB))},
             false);
  EXPECT_TRUE(Has("tail"));
}

// A copy that isn't kept is counted by nobody.
TEST_F(PageCacheTest, WhatDoesNotFitIsNotCopiedHoweverManyReadIt) {
  const Bytes large = Bytes::Take(TextOf(kBytesMax / 4));
  const std::vector<Bytes> many(100, Bytes::Take(TextOf(kBytesMax / 100)));
  for (int i = 0; i < 3; ++i) {
    const ReadReply reply = Reply(0, kBytesMax / 4);
    EXPECT_EQ(cache_.Add(Key("large"), request_, reply, {large}, true)[0].data(), large.data());
    EXPECT_EQ(cache_.Add(Key("many"), request_, reply, many, true).size(), 100u);
    cache_.AddEvent(Key("event"), request_, reply, large.view());
  }
  EXPECT_EQ(cache_.bytes(), 0u);
}

TEST_F(PageCacheTest, AShortPageAtATailIsNoPageOnceTheTailHasMoved) {
  request_.bytes_max = 64 * kKiB;
  cache_.Add(Key("s"), request_, Reply(0, 15 * kKiB, 1, true), {Bytes::Take(TextOf(15 * kKiB))},
             false);
  Reader reader(&cache_);
  EXPECT_FALSE(cache_.HoldSame(&reader, Key("s"), request_, Reply(0, 15 * kKiB)));
  ASSERT_TRUE(cache_.Hold(&reader, Key("s"), request_));
  EXPECT_TRUE(reader.held()->place().up_to_date);
}

TEST_F(PageCacheTest, WhoFindsThatItBeginsAnAppendTellsAllWhoWantThat) {
  Add("s", 8 * kKiB);
  request_.from_append_start = true;
  EXPECT_FALSE(Has("s"));
  {
    Reader reader(&cache_);
    EXPECT_TRUE(cache_.HoldSame(&reader, Key("s"), request_, Reply(0, 8 * kKiB)));
  }
  EXPECT_TRUE(Has("s"));
}

TEST_F(PageCacheTest, ABudgetOfNothingKeepsNothing) {
  cache_.SetBytesMax(0);
  Add("s", 8 * kKiB);
  Add("s", 8 * kKiB);
  EXPECT_FALSE(Has("s"));
  Reader reader(&cache_);
  cache_.Compress(&reader, Key("s", 0, ContentCoding::kGzip), request_, Reply(0, 16 * kKiB),
                  {Bytes::Take(TextOf(16 * kKiB))});
  EXPECT_TRUE(reader.held()->made());
  EXPECT_TRUE(reader.held()->coded());
  Reader other(&cache_);
  EXPECT_FALSE(cache_.Hold(&other, Key("s", 0, ContentCoding::kGzip), request_));
}

TEST_F(PageCacheTest, SharedMemoryIsCopiedTheSecondTimeThatItIsRead) {
  const Bytes block = Bytes::Take(TextOf(64 * kKiB));
  auto add = [&] {
    return cache_.Add(Key("s"), request_, Reply(0, 8 * kKiB), {block.Slice(0, 8 * kKiB)}, true);
  };
  EXPECT_EQ(add()[0].data(), block.data());
  EXPECT_FALSE(Has("s"));
  std::vector<Bytes> second = add();
  EXPECT_NE(second[0].data(), block.data());
  EXPECT_EQ(second[0], block.Slice(0, 8 * kKiB));
  EXPECT_TRUE(Has("s"));
}

TEST_F(PageCacheTest, ManyPiecesBecomeOneTheFirstTime) {
  std::vector<Bytes> pieces;
  for (int i = 0; i < 100; ++i) pieces.push_back(Bytes::Copy(std::string(100, 'x')));
  std::vector<Bytes> body = cache_.Add(Key("s"), request_, Reply(0, 10'000), pieces, true);
  ASSERT_EQ(body.size(), 1u);
  EXPECT_EQ(body[0].view(), std::string(10'000, 'x'));
  EXPECT_TRUE(Has("s"));
}

TEST_F(PageCacheTest, WhoComesWhileAPageIsCompressedWaitsForIt) {
  const PageKey key = Key("s", 0, ContentCoding::kGzip);
  Reader first(&cache_), second(&cache_), third(&cache_);
  cache_.Compress(&first, key, request_, Reply(0, 128 * kKiB), {Bytes::Take(TextOf(128 * kKiB))});
  ASSERT_FALSE(first.held()->made());
  cache_.Await(&first);
  ASSERT_TRUE(cache_.Hold(&second, key, request_));
  cache_.Used(&second);
  cache_.Await(&second);
  ASSERT_TRUE(
      cache_.HoldSame(&third, key, request_, Reply(0, 128 * kKiB)));  // It doesn't wait yet.
  cache_.Drop(&first);                                                // Its client goes.
  for (int i = 0; i < 10 && !second.told; ++i) Turn();
  EXPECT_FALSE(first.told);
  ASSERT_TRUE(second.told);
  EXPECT_FALSE(third.told);
  ASSERT_TRUE(third.held()->made());
  EXPECT_TRUE(third.held()->coded());
  EXPECT_EQ(second.text(), third.text());
  EXPECT_LT(second.text().size(), 64 * kKiB);
  EXPECT_EQ(counters_.page_misses.Get(), 1u);
  EXPECT_EQ(counters_.page_hits.Get(), 2u);
  Reader fourth(&cache_);
  ASSERT_TRUE(cache_.Hold(&fourth, key, request_));
  EXPECT_TRUE(fourth.held()->made());
}

TEST_F(PageCacheTest, WhatNobodyWaitsForAnyMoreIsNotCompressed) {
  const PageKey key = Key("s", 0, ContentCoding::kZstd);
  auto first = std::make_unique<Reader>(&cache_);
  cache_.Compress(first.get(), key, request_, Reply(0, 256 * kKiB),
                  {Bytes::Take(TextOf(256 * kKiB))});
  cache_.Await(first.get());
  first.reset();
  Reader second(&cache_);
  EXPECT_FALSE(cache_.Hold(&second, key, request_));
  for (int i = 0; i < 10; ++i) Turn();
  EXPECT_FALSE(cache_.Hold(&second, key, request_));
  EXPECT_EQ(cache_.bytes(), 0u);
}

TEST_F(PageCacheTest, APageThatTookAnothersPlaceLeavesItsReadersTheirs) {
  const PageKey key = Key("s", 0, ContentCoding::kGzip);
  Reader old(&cache_), now(&cache_);
  const std::string before = TextOf(128 * kKiB, 'b'), after = TextOf(120 * kKiB, 'c');
  cache_.Compress(&old, key, request_, Reply(0, 128 * kKiB, 1), {Bytes::Copy(before)});
  cache_.Compress(&now, key, request_, Reply(0, 120 * kKiB, 2), {Bytes::Copy(after)});
  cache_.Await(&old);
  cache_.Await(&now);
  for (int i = 0; i < 20 && !(old.told && now.told); ++i) Turn();
  EXPECT_EQ(old.held()->place().incarnation, 1u);
  EXPECT_EQ(now.held()->place().incarnation, 2u);
  EXPECT_NE(old.text(), now.text());
  Reader next(&cache_);
  ASSERT_TRUE(cache_.Hold(&next, key, request_));
  EXPECT_EQ(next.held(), now.held());
}

TEST_F(PageCacheTest, ManyWhoWaitAreToldAFewInEachTurn) {
  const PageKey key = Key("s", 0, ContentCoding::kGzip);
  std::vector<std::unique_ptr<Reader>> readers;
  for (std::size_t i = 0; i < 3 * PageCache::kTurnReadersMax; ++i) {
    readers.push_back(std::make_unique<Reader>(&cache_));
    if (i == 0) {
      cache_.Compress(readers[0].get(), key, request_, Reply(0, 128 * kKiB),
                      {Bytes::Take(TextOf(128 * kKiB))});
    } else {
      ASSERT_TRUE(cache_.Hold(readers.back().get(), key, request_));
    }
    cache_.Await(readers.back().get());
  }
  auto told = [&] {
    std::size_t count = 0;
    for (const auto& reader : readers) count += reader->told ? 1 : 0;
    return count;
  };
  while (told() == 0) Turn();
  EXPECT_LE(told(), PageCache::kTurnReadersMax);
  readers.back().reset();  // Goes before its turn.
  readers.pop_back();
  for (std::size_t before = told(); told() < readers.size(); before = told()) {
    Turn();
    EXPECT_LE(told() - before, PageCache::kTurnReadersMax);
    ASSERT_GT(told(), before);
  }
}

TEST_F(PageCacheTest, WhatGetsNoSmallerIsKeptAsItIs) {
  std::string noise(16 * kKiB, '\0');
  uint64_t state = 1;
  for (char& c : noise) {
    state = state * 6364136223846793005 + 1442695040888963407;
    c = static_cast<char>(state >> 56);
  }
  const Bytes block = Bytes::Take(std::string(noise) + std::string(kKiB, 'x'));
  const PageKey key = Key("s", 0, ContentCoding::kGzip);
  Reader reader(&cache_), next(&cache_);
  cache_.Compress(&reader, key, request_, Reply(0, noise.size()), {block.Slice(0, noise.size())});
  ASSERT_TRUE(reader.held()->made());
  EXPECT_FALSE(reader.held()->coded());
  ASSERT_TRUE(cache_.Hold(&next, key, request_));
  EXPECT_EQ(next.text(), noise);
  EXPECT_NE(next.held()->body()[0].data(), block.data());
}

TEST_F(PageCacheTest, APageThatEndedAtTheTailAndIsFullByNowGoesOnBeingOne) {
  cache_.Add(Key("s"), request_, Reply(0, 8 * kKiB, 1, true), {Bytes::Take(TextOf(8 * kKiB))},
             false);
  Reader reader(&cache_);
  ASSERT_TRUE(cache_.Hold(&reader, Key("s"), request_));
  EXPECT_TRUE(reader.held()->place().up_to_date);
  cache_.Drop(&reader);
  ASSERT_TRUE(cache_.HoldSame(&reader, Key("s"), request_, Reply(0, 8 * kKiB)));
  EXPECT_FALSE(reader.held()->place().up_to_date);
}

}  // namespace
}  // namespace ursula::http
