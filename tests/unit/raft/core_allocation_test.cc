// In the steady state the core allocates nothing: entries pass through vectors that are used again.

#include "gtest/gtest.h"
#include "lib/raft/core.h"
#include "tests/support/allocation_count.h"

namespace ursula::raft {
namespace {

using testing::allocations;
using testing::counting;

constexpr std::size_t kBatch = 64;

// Keeps a window of the newest entries; what it allocates doesn't count.
class Window final : public LogStorage {
 public:
  Index first() const override { return Index{1} + gone_; }
  Index last() const override { return Index{gone_ + entries_.size()}; }
  Term TermAt(Index index) const override {
    return index < first() ? Term{gone_ == 0 ? 0u : 1u} : entries_[index - first()].term;
  }
  bool Entries(Index low, Index high, uint64_t, std::vector<Entry>* out) const override {
    const auto from = entries_.begin() + (low - first());
    out->insert(out->end(), from, from + (high - low));
    return true;
  }
  std::optional<Snapshot> NewestSnapshot() const override { return std::nullopt; }

  void Append(const std::vector<Entry>& entries) {
    entries_.insert(entries_.end(), entries.begin(), entries.end());
    if (entries_.size() < 4096) return;
    entries_.erase(entries_.begin(), entries_.begin() + 2048);
    gone_ += 2048;
  }

 private:
  uint64_t gone_ = 0;
  std::vector<Entry> entries_;
};

struct Node final : Driver {
  uint32_t Jitter(uint32_t) override { return 0; }

  StepResult Step(Message message) {
    counting = true;
    const StepResult result = core->Step(std::move(message));
    counting = false;
    return result;
  }
  // Copies out what it sends, as a driver that writes frames does.
  void Drain(std::vector<Message>* sent) {
    while (core->HasReady()) {
      counting = true;
      core->TakeReady(&ready);
      counting = false;
      sent->insert(sent->end(), ready.messages.begin(), ready.messages.end());
      if (ready.append) {
        log.Append(ready.append->entries);
        for (const Message& response : ready.append->responses) {
          if (response.to != core->self()) {
            sent->push_back(response);
          } else {
            (void)Step(response);
          }
        }
      }
      if (ready.apply) (void)Step(ready.apply->response);
    }
  }

  Window log;
  std::unique_ptr<Core> core;
  Ready ready;
};

class CoreAllocationTest : public ::testing::Test {
 protected:
  CoreAllocationTest() {
    const ConfState conf{{ReplicaId{1}, ReplicaId{2}, ReplicaId{3}}, {}, {}, {}, false};
    for (uint64_t id = 1; id <= 3; ++id) {
      Config config;
      config.self = ReplicaId{id};
      Node& node = nodes_[id - 1];
      node.core = std::move(*Core::Create(config, {{}, conf, {}}, &node.log, &node));
    }
    nodes_[0].core->Campaign();
    Run();
  }

  void Run() {
    for (bool more = true; more;) {
      std::vector<Message> sent;
      for (Node& node : nodes_) node.Drain(&sent);
      more = !sent.empty();
      for (Message& message : sent) (void)nodes_[Raw(message.to) - 1].Step(std::move(message));
    }
  }

  void ProposeBatches(int count) {
    const std::vector<Bytes> batch(kBatch, Bytes::Static("payload"));
    for (int i = 0; i < count; ++i) {
      counting = true;
      (void)nodes_[0].core->Propose(batch);
      counting = false;
      Run();
    }
  }

  Node nodes_[3];
};

TEST_F(CoreAllocationTest, NothingIsAllocatedForAnEntryInTheSteadyState) {
  ASSERT_TRUE(nodes_[0].core->is_leader());
  ProposeBatches(200);
  allocations = 0;
  ProposeBatches(200);
  EXPECT_EQ(nodes_[2].core->commit(), Index{1 + 400 * kBatch});
  EXPECT_EQ(allocations, 0u);
}

}  // namespace
}  // namespace ursula::raft
