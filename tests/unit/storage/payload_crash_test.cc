// Random writes, frees and crashes: what Write has reported is there afterwards, and nothing that
// differs from it.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "lib/base/random.h"
#include "tests/unit/storage/payload_world.h"

namespace ursula::storage {
namespace {

// The byte of a stream at an offset: every range of it is known.
char ByteAt(PayloadKey key, uint64_t offset) {
  return static_cast<char>('a' + (offset * 7 + key.incarnation * 13 + offset / 251) % 26);
}
std::string BytesOf(PayloadKey key, uint64_t start, uint64_t length) {
  std::string bytes;
  for (uint64_t i = 0; i < length; ++i) bytes.push_back(ByteAt(key, start + i));
  return bytes;
}

struct Stream {
  uint64_t written = 0;  // Asked for.
  uint64_t durable = 0;  // Reported.
  uint64_t freed_before = 0;
  uint64_t highest = 0;  // Ever asked for: some of it may have survived unreported.
};

class CrashRun {
 public:
  explicit CrashRun(uint64_t seed)
      : random_(seed),
        world_(seed, {.short_write = 0.1,
                      .latency_min_ns = 1000,
                      .latency_max_ns = 300'000,
                      .direct = seed % 2 == 0}) {
    world_.options.file_bytes = 100'000;
  }

  void Run() {
    for (int opening = 0; opening < 5; ++opening) {
      world_.Open(static_cast<uint16_t>(1 + random_.Below(3)));
      if (::testing::Test::HasFatalFailure()) return;
      Check();
      if (::testing::Test::HasFatalFailure()) return;
      for (uint64_t steps = random_.Below(120); steps > 0; --steps) Step();
      random_.OneIn(4) ? world_.Stop() : world_.Crash();
    }
  }

 private:
  void Step() {
    const PayloadKey key{GroupId{static_cast<uint32_t>(random_.Below(4))}, random_.Below(2)};
    Stream& stream = streams_[key];
    if (random_.OneIn(15)) {
      stream.freed_before = std::max(stream.freed_before, random_.Below(stream.durable + 1));
      world_.store(key).FreeBefore(key, stream.freed_before);
    } else {
      Write(key, &stream);
    }
    for (uint64_t turns = random_.Below(4); turns > 0; --turns) world_.runtime->RunTurn();
    if (random_.OneIn(2)) world_.runtime->AdvanceBy(random_.Below(400'000));
  }

  void Write(PayloadKey key, Stream* stream) {
    PayloadRun run{key, stream->written, {}};
    for (uint64_t messages = 1 + random_.Below(4); messages > 0; --messages) {
      const uint64_t length = 1 + random_.Below(random_.OneIn(10) ? 30'000 : 900);
      run.messages.push_back(Bytes::Take(BytesOf(key, stream->written, length)));
      stream->written += length;
    }
    const uint64_t end = stream->written;
    stream->highest = std::max(stream->highest, end);
    std::vector<PayloadRun> runs;
    runs.push_back(std::move(run));
    world_.store(key).Write(std::move(runs), [stream, end](Status status) {
      if (status.ok()) stream->durable = std::max(stream->durable, end);
    });
  }

  void Check() {
    for (auto& [key, stream] : streams_) {
      PayloadStore& store = world_.store(key);
      uint64_t at = store.FindNext(key, stream.freed_before);
      if (stream.freed_before < stream.durable) {
        ASSERT_EQ(at, stream.freed_before);
        ASSERT_GE(store.Find(key, at), stream.durable);
      }
      for (; at != UINT64_MAX; at = store.FindNext(key, at)) {
        const uint64_t end = store.Find(key, at);
        ASSERT_LE(end, stream.highest);
        ASSERT_EQ(world_.ReadAll(key, at), BytesOf(key, at, end - at));
        at = end;
      }
      // What wasn't reported is written again by its owner, from what was.
      stream.written = stream.durable;
    }
  }

  Random random_;
  PayloadWorld world_;
  std::map<PayloadKey, Stream> streams_;
};

TEST(PayloadCrashTest, WhatWasReportedIsThereAndNothingElseIsServed) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    CrashRun(seed).Run();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace ursula::storage
