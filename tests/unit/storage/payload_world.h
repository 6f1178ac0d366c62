// tests/unit/storage/payload_world.h
//
// Payload stores of some cores on one faulty disk in virtual time, opened and opened again.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/storage/payload_store.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::storage {

class PayloadWorld {
 public:
  explicit PayloadWorld(uint64_t seed = 1, const testing::FaultDisk::Faults& faults = {})
      : disk(seed, faults), seed_(seed) {
    options.file_bytes = 256 << 10;
    options.compact_dead_bytes_min = 0;
  }
  ~PayloadWorld() {
    if (!stores.empty()) Crash();
  }

  void Open(uint16_t cores = 1) {
    runtime = std::make_unique<testing::ManualRuntime>(cores, &disk, seed_++);
    io::Disk& opening = runtime->loop(CoreId{0}).disk();
    Result<std::unique_ptr<DataDirectory>> opened =
        DataDirectory::Open(opening, "/data", {.group_count_if_new = 4, .id_if_new = 9});
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    directory = std::move(*opened);
    log.clear();
    options.log = [this](LogLevel, std::string_view text) { log.emplace_back(text); };
    Result<std::shared_ptr<RecoveredPayload>> recovered = RecoverPayload(
        opening, *directory, cores, [cores](GroupId group) { return Raw(group) % cores; },
        options.log);
    ASSERT_TRUE(recovered.ok()) << recovered.status().ToString();
    found = *recovered;
    for (uint16_t core = 0; core < cores; ++core) {
      stores.push_back(
          MakePayloadStore(&runtime->loop(CoreId{core}), *directory, core, options, found.get()));
    }
  }

  void Stop() {
    std::size_t stopped = 0;
    for (auto& store : stores) store->Stop([&stopped] { ++stopped; });
    EXPECT_TRUE(runtime->RunUntil([&] { return stopped == stores.size(); }));
    stores.clear();
    directory.reset();
  }

  void Crash() {
    disk.Crash();
    runtime->Crash();
    stores.clear();
    directory.reset();
  }

  PayloadStore& store(PayloadKey key) { return *stores[Raw(key.group) % stores.size()]; }

  Status Write(PayloadKey key, uint64_t start, std::vector<std::string> messages) {
    PayloadRun run{key, start, {}};
    for (std::string& message : messages) run.messages.push_back(Bytes::Take(std::move(message)));
    std::vector<PayloadRun> runs;
    runs.push_back(std::move(run));
    std::optional<Status> result;
    store(key).Write(std::move(runs), [&](Status status) { result = std::move(status); });
    EXPECT_FALSE(result.has_value());
    EXPECT_TRUE(runtime->RunUntil([&] { return result.has_value(); }));
    return *result;
  }

  Result<PayloadSlice> Read(PayloadKey key, uint64_t from, uint64_t bytes_max = UINT64_MAX) {
    std::optional<Result<PayloadSlice>> result;
    store(key).Read(key, from, bytes_max,
                    [&](Result<PayloadSlice> slice) { result.emplace(std::move(slice)); });
    EXPECT_FALSE(result.has_value());
    EXPECT_TRUE(runtime->RunUntil([&] { return result.has_value(); }));
    return std::move(*result);
  }
  // All from `from` on, by as many reads as it takes.
  std::string ReadAll(PayloadKey key, uint64_t from) {
    std::string all;
    for (uint64_t end = store(key).Find(key, from); from < end;) {
      Result<PayloadSlice> slice = Read(key, from);
      if (!slice.ok()) return slice.status().ToString();
      all += Text(*slice);
      from = slice->next;
    }
    return all;
  }
  static std::string Text(const PayloadSlice& slice) {
    std::string text;
    for (const Bytes& part : slice.parts) text.append(part.view());
    EXPECT_EQ(text.size(), slice.next - slice.start);
    return text;
  }

  bool Logged(const std::string& part) const {
    return std::any_of(log.begin(), log.end(), [&part](const std::string& line) {
      return line.find(part) != std::string::npos;
    });
  }

  std::vector<std::string> Files() {
    return *runtime->loop(CoreId{0}).disk().List("/data/payload");
  }

  testing::FaultDisk disk;
  PayloadStoreOptions options;
  std::unique_ptr<testing::ManualRuntime> runtime;
  std::unique_ptr<DataDirectory> directory;
  std::shared_ptr<RecoveredPayload> found;
  std::vector<std::unique_ptr<PayloadStore>> stores;
  std::vector<std::string> log;

 private:
  uint64_t seed_;
};

}  // namespace ursula::storage
