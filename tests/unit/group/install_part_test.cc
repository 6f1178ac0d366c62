// What a replica makes of a peer's parts, one by one.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/group/install.h"
#include "lib/storage/snapshot_format.h"
#include "lib/stream/machine.h"
#include "tests/support/manual_loop.h"

namespace ursula::group {
namespace {

class InstallPartTest : public ::testing::Test, private InstallHost {
 protected:
  InstallPartTest() {
    services_.loop = &loop_;
    InstallHost* host = this;
    install_ = std::make_unique<Install>(services_, GroupId{0}, host);
  }
  void Part(uint64_t shipment, uint64_t number, const std::string& records) {
    install_->OnPart(ReplicaId{2}, {shipment, number, Bytes::Copy(records)});
  }
  // Of a state with one stream: its records, and its own key's end.
  static std::string Records(bool ended) {
    stream::Machine machine(GroupId{0}, 1);
    stream::CreateStream create;
    create.id = {kUpstreamBucket, "", "s"};
    machine.Apply(Index{1}, {1, create});
    std::vector<storage::SnapshotRecord> all;
    machine.CollectChanges(true, [&](std::string_view key, std::optional<std::string_view> value) {
      all.push_back({std::string(key), Bytes::Copy(*value), false});
    });
    machine.Apply(Index{2}, {2, stream::Delete{create.id, {}}});
    machine.CollectChanges(false, [&](std::string_view key, std::optional<std::string_view> value) {
      if (ended && !value) all.push_back({std::string(key), {}, true});
    });
    std::string text;
    bool tombstone = false;
    for (const storage::SnapshotRecord& record : all) {
      tombstone |= record.tombstone;
      storage::AppendSnapshotRecord(&text, record);
    }
    EXPECT_EQ(tombstone, ended);
    return text;
  }

  std::vector<SnapshotAck> acks_;
  std::unique_ptr<Install> install_;

 private:
  bool WriteLetter(ReplicaId, Letter letter) override {
    acks_.push_back(std::get<SnapshotAck>(letter));
    return true;
  }
  uint64_t HistoryOfGroup() override { return 1; }
  void DrainCheckpoint(Function<void()>) override {}
  void OnInstallWritten(const raft::SnapshotMeta&) override {}
  void OnInstallFailed(Status) override {}

  testing::ManualLoop loop_;
  Services services_;
};

// Collected in steps, it tells of what was deleted meanwhile.
TEST_F(InstallPartTest, ABaseMayEndWhatItHadBegunWith) {
  Part(7, 0, Records(true));
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_FALSE(acks_[0].refused);
  EXPECT_EQ(acks_[0].next, 1u);
}

TEST_F(InstallPartTest, PartsAreTakenInOrderAndOnce) {
  Part(7, 1, Records(false));  // Of nothing that has begun.
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_TRUE(acks_[0].refused);
  Part(7, 0, Records(false));
  Part(7, 0, Records(false));  // Again: not loaded twice.
  Part(7, 2, "");              // One is missing before it.
  ASSERT_EQ(acks_.size(), 3u);
  EXPECT_EQ(acks_[1].next, 1u);
  EXPECT_EQ(acks_[2].next, 1u);
  EXPECT_FALSE(acks_[2].refused);
}

TEST_F(InstallPartTest, MalformedRecordsAreRefusedAndForgotten) {
  Part(7, 0, "no record");
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_TRUE(acks_[0].refused);
  EXPECT_EQ(install_->state(), Install::State::kIdle);
}

}  // namespace
}  // namespace ursula::group
