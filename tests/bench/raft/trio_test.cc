// With storage that answers late and several batches on the way, nothing is allocated either.

#include "tests/bench/raft/trio.h"

#include "gtest/gtest.h"
#include "tests/support/allocation_count.h"

namespace ursula::raft {
namespace {

using testing::allocations;
using testing::counting;

constexpr std::size_t kBatch = 64;

TEST(TrioTest, EveryReplicaAppliesEveryEntryAndNothingIsAllocatedInTheSteadyState) {
  const std::vector<Bytes> batch(kBatch, Bytes::Static("payload"));
  Trio trio;
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(trio.Turn(batch));
  allocations = 0;
  counting = true;
  bool taken = true;
  for (int i = 0; i < 4000; ++i) taken = trio.Turn(batch) && taken;
  counting = false;
  EXPECT_TRUE(taken);
  EXPECT_EQ(allocations, 0u);
  trio.Settle();
  for (const auto& replica : trio.replicas()) {
    EXPECT_EQ(replica->core().applied(), Index{1 + 6000 * kBatch});
    EXPECT_EQ(replica->applied_bytes(), 6000 * kBatch * batch[0].size());
  }
}

}  // namespace
}  // namespace ursula::raft
