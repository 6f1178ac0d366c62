// How many entries a second one core steps through consensus, and what each allocates.
//
// usage: raft_bench [ENTRIES [ROUNDS]]
//
// An entry stepped: proposed at the leader in a batch of 64, with 256 bytes of payload by
// reference; sent to two followers; written to the three logs, each of which answers a turn later;
// acknowledged; committed; and applied on all three replicas. It counts once.

#include <pthread.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "lib/base/check.h"
#include "tests/bench/raft/trio.h"
#include "tests/support/allocation_count.h"

namespace ursula::raft {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kPayloadBytes = 256;
constexpr std::size_t kPayloads = 4096;

struct Round {
  double entries_per_second = 0;
  double allocations_per_entry = 0;
};

// In a process with one thread, shared_ptr counts without atomic operations. A server has more.
void BecomeMultiThreaded() {
  pthread_t thread;
  URSULA_CHECK(pthread_create(
                   &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == 0);
  pthread_join(thread, nullptr);
}

void CheckAllApplied(const Trio& trio, uint64_t entries) {
  for (const auto& replica : trio.replicas()) {
    URSULA_CHECK(replica->applied_bytes() == entries * kPayloadBytes);
  }
}

Round Measure(Trio* trio, const std::vector<Bytes>& payloads, uint64_t batches) {
  testing::allocations = 0;
  testing::counting = true;
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < batches; ++i) {
    const std::size_t at = i * kBatch % kPayloads;
    URSULA_CHECK(trio->Turn(std::span(payloads).subspan(at, kBatch)));
  }
  trio->Settle();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  testing::counting = false;
  const double entries = static_cast<double>(batches * kBatch);
  return {entries / elapsed.count(), static_cast<double>(testing::allocations) / entries};
}

uint64_t Argument(int argc, char** argv, int at, uint64_t otherwise) {
  if (argc <= at) return otherwise;
  uint64_t value = 0;
  std::from_chars(argv[at], argv[at] + std::strlen(argv[at]), value);
  URSULA_CHECK(value > 0);
  return value;
}

int Main(int argc, char** argv) {
  const uint64_t batches = std::max<uint64_t>(1, Argument(argc, argv, 1, 4'000'000) / kBatch);
  const uint64_t rounds = Argument(argc, argv, 2, 5);
  BecomeMultiThreaded();
  std::vector<Bytes> payloads;
  for (std::size_t i = 0; i < kPayloads; ++i) {
    payloads.push_back(Bytes::Copy(std::string(kPayloadBytes, 'x')));
  }
  Trio trio;
  const uint64_t warm_up = 4096;
  Measure(&trio, payloads, warm_up);
  uint64_t entries = warm_up * kBatch;
  std::vector<double> speeds;
  double allocations = 0;
  for (uint64_t i = 0; i < rounds; ++i) {
    const Round round = Measure(&trio, payloads, batches);
    entries += batches * kBatch;
    CheckAllApplied(trio, entries);
    std::printf("round %llu: %.0f entries/s, %g allocations an entry\n",
                static_cast<unsigned long long>(i + 1), round.entries_per_second,
                round.allocations_per_entry);
    speeds.push_back(round.entries_per_second);
    allocations = std::max(allocations, round.allocations_per_entry);
  }
  std::sort(speeds.begin(), speeds.end());
  std::printf("%.0f %g\n", speeds[speeds.size() / 2], allocations);
  return 0;
}

}  // namespace
}  // namespace ursula::raft

int main(int argc, char** argv) { return ursula::raft::Main(argc, argv); }
