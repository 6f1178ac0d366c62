// A node on a full disk: what needs space is refused, reads go on, what frees space still works,
// and everything resumes by itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/stream/command.h"
#include "tests/support/test_node.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class FullDiskTest : public ::testing::Test {
 protected:
  void Open(uint64_t hot_bytes_max, uint64_t wal_bytes_max, uint32_t segment_bytes = 64 << 10) {
    testing::TestNodeOptions options;
    options.groups = 1;
    options.hot_bytes_max = hot_bytes_max;
    options.wal_segment_bytes = segment_bytes;
    options.wal_bytes_max = wal_bytes_max;
    ASSERT_TRUE(node_.Open(options).ok());
    node_.runtime().AdvanceBy(kSecond);
  }

  void Full(bool full) { disk_.faults().capacity_bytes = full ? 0 : uint64_t{1} << 40; }

  static StreamId Id(const std::string& name) { return {.bucket = kUpstreamBucket, .name = name}; }

  Status Run(stream::Command::Body body, const std::string& payload = {}) {
    std::vector<Bytes> messages;
    if (!payload.empty()) messages.push_back(Bytes::Copy(payload));
    stream::Command command;
    command.body = std::move(body);
    std::optional<Status> status;
    replica().Propose(&command, messages,
                      [&](Result<stream::Reply> reply) { status = reply.status(); });
    EXPECT_TRUE(node_.runtime().RunUntil([&] { return status.has_value(); }));
    return *status;
  }

  void Create(const std::string& name) {
    stream::CreateStream create;
    create.id = Id(name);
    ASSERT_TRUE(Run(std::move(create)).ok());
    content_[name] = "";
  }

  Status Append(const std::string& name, std::size_t size) {
    stream::Append append;
    append.id = Id(name);
    const std::string payload(size, static_cast<char>('a' + ++appends_ % 26));
    Status status = Run(std::move(append), payload);
    if (status.ok()) content_[name] += payload;
    return status;
  }

  Status AppendUntilRefused(const std::string& name) {
    for (int i = 0; i < 1000; ++i) {
      Status status = Append(name, 3000);
      if (!status.ok()) return status;
    }
    return Status(StatusCode::kInternal, "never refused");
  }

  Status Delete(const std::string& name) {
    content_.erase(name);
    return Run(stream::Delete{Id(name)});
  }

  void CheckContent() {
    for (const auto& [name, content] : content_) {
      std::string found;
      for (bool up_to_date = false; !up_to_date;) {
        ReadRequest request;
        request.stream = Id(name);
        request.from.bytes = found.size();
        request.bytes_max = 64 << 10;
        std::optional<Result<group::GroupReadReply>> reply;
        replica().Read(std::move(request), ++reads_, [&](Result<group::GroupReadReply> result) {
          reply.emplace(std::move(result));
        });
        ASSERT_TRUE(node_.runtime().RunUntil([&] { return reply.has_value(); }));
        ASSERT_TRUE(reply->ok()) << reply->status().ToString();
        for (const Bytes& part : (*reply)->reply.parts) found += part.view();
        up_to_date = (*reply)->reply.up_to_date;
      }
      EXPECT_EQ(found.size(), content.size());
      EXPECT_TRUE(found == content) << name;
    }
  }

  // What probes are told, once it has been published.
  StatusCode Readiness() {
    node_.runtime().AdvanceBy(kSecond);
    return node_.shard_of(0).Ready().code();
  }

  std::string ReadinessText() {
    node_.runtime().AdvanceBy(kSecond);
    return node_.shard_of(0).Ready().message();
  }

  std::size_t LogLines(std::string_view part) const {
    return static_cast<std::size_t>(std::count_if(
        node_.log().begin(), node_.log().end(),
        [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }

  group::Replica& replica() { return node_.replica(0); }

  testing::FaultDisk disk_{1};
  testing::TestNode node_{&disk_};
  std::map<std::string, std::string> content_;
  uint64_t appends_ = 0;
  uint64_t reads_ = 0;
};

TEST_F(FullDiskTest, RefusesAtTheMemoryLimitAndResumes) {
  Open(64 << 10, 16 << 20);
  Create("s");
  ASSERT_TRUE(Append("s", 40'000).ok());
  node_.runtime().AdvanceBy(kSecond);
  Full(true);
  EXPECT_EQ(Readiness(), StatusCode::kOk);
  EXPECT_EQ(AppendUntilRefused("s").code(), StatusCode::kStorageFull);
  EXPECT_EQ(Readiness(), StatusCode::kStorageFull);
  CheckContent();
  Full(false);
  node_.runtime().AdvanceBy(3 * kSecond);
  EXPECT_EQ(Readiness(), StatusCode::kOk);
  EXPECT_TRUE(Append("s", 3000).ok());
  EXPECT_EQ(LogLines("there is space on the disk again"), 1u);
  CheckContent();
  node_.Crash();
  Open(64 << 10, 16 << 20);
  CheckContent();
}

// The log has what it needs for long; it is payload that finds no place.
TEST_F(FullDiskTest, IsNotReadyWhereTheLogAloneHasRoom) {
  Open(64 << 10, 64 << 20, 4 << 20);
  Create("s");
  ASSERT_TRUE(Append("s", 40'000).ok());
  node_.runtime().AdvanceBy(3 * kSecond);
  Full(true);
  EXPECT_EQ(Readiness(), StatusCode::kOk);
  EXPECT_EQ(AppendUntilRefused("s").code(), StatusCode::kStorageFull);
  EXPECT_EQ(Readiness(), StatusCode::kStorageFull);
  EXPECT_EQ(ReadinessText(),
            "the disk is full: payload waits for room on it; make room on the volume of "
            "/data/payload");
  EXPECT_EQ(node_.shard_of(0).Stats().disks_full, 1u);
  EXPECT_TRUE(node_.shard_of(0).Disk().full);
  Full(false);
  node_.runtime().AdvanceBy(3 * kSecond);
  EXPECT_EQ(Readiness(), StatusCode::kOk);
  EXPECT_EQ(node_.shard_of(0).Stats().disks_full, 0u);
  EXPECT_TRUE(Append("s", 3000).ok());
  CheckContent();
}

// Nothing waits any more that the disk could take, which would tell that it isn't full.
TEST_F(FullDiskTest, PayloadIsTakenAgainWhereWhatWaitedWasDeleted) {
  Open(64 << 10, 64 << 20, 4 << 20);
  Create("s");
  Create("t");
  Full(true);
  EXPECT_EQ(AppendUntilRefused("s").code(), StatusCode::kStorageFull);
  EXPECT_EQ(Append("t", 3000).code(), StatusCode::kStorageFull);
  EXPECT_TRUE(Delete("s").ok());
  EXPECT_TRUE(Append("t", 3000).ok());
  CheckContent();
}

// Else a disk with a little room would have payload taken and refused in turn.
TEST(CoreBudgetTest, PayloadIsRefusedUntilTheDiskHasTakenHalfOfIt) {
  group::CoreBudget budget;
  budget.hot_bytes_max = 100;
  budget.unflushed_bytes = 101;
  EXPECT_TRUE(budget.RefusesPayload());
  budget.unflushed_bytes = 100;
  EXPECT_FALSE(budget.RefusesPayload()) << "the disk wasn't full, only slow";
  budget.payload_full = true;
  budget.unflushed_bytes = 101;
  EXPECT_TRUE(budget.RefusesPayload());
  budget.payload_full = false;  // It takes again what it gets.
  budget.unflushed_bytes = 51;
  EXPECT_TRUE(budget.RefusesPayload());
  budget.unflushed_bytes = 50;
  EXPECT_FALSE(budget.RefusesPayload());
  budget.unflushed_bytes = 100;
  EXPECT_FALSE(budget.RefusesPayload());
}

TEST_F(FullDiskTest, RefusesWhenTheLogCanNotGrowAndResumes) {
  Open(64 << 20, 512 << 10);
  Create("s");
  for (int i = 0; i < 120; ++i) ASSERT_TRUE(Append("s", 3000).ok());
  Full(true);
  Status status = AppendUntilRefused("s");
  EXPECT_EQ(status.code(), StatusCode::kStorageFull) << status.ToString();
  EXPECT_EQ(Readiness(), StatusCode::kStorageFull);
  EXPECT_NE(ReadinessText().find("; make room on the volume of /data/"), std::string::npos)
      << ReadinessText();
  CheckContent();
  Full(false);
  node_.runtime().AdvanceBy(3 * kSecond);
  EXPECT_EQ(Readiness(), StatusCode::kOk);
  EXPECT_TRUE(Append("s", 3000).ok());
  CheckContent();
}

TEST_F(FullDiskTest, TriesAgainAtLeisureAndSaysItOnce) {
  Open(64 << 10, 16 << 20);
  Create("s");
  Full(true);
  EXPECT_EQ(AppendUntilRefused("s").code(), StatusCode::kStorageFull);
  const uint64_t writes = disk_.writes();
  node_.runtime().AdvanceBy(20 * kSecond);
  EXPECT_GE(disk_.writes(), writes + 10);
  EXPECT_LE(disk_.writes(), writes + 60);
  EXPECT_EQ(LogLines("the disk is full"), 1u);
}

TEST_F(FullDiskTest, StreamsCanBeDeletedWhereAppendsAreRefused) {
  Open(64 << 20, 256 << 10);
  for (const char* name : {"a", "b", "c"}) Create(name);
  Full(true);
  EXPECT_EQ(AppendUntilRefused("a").code(), StatusCode::kStorageFull);
  stream::CreateStream create;
  create.id = Id("d");
  EXPECT_EQ(Run(std::move(create)).code(), StatusCode::kStorageFull);
  EXPECT_TRUE(Delete("b").ok());
  EXPECT_TRUE(Delete("a").ok());
  CheckContent();
  node_.Crash();
  Full(false);
  Open(64 << 20, 256 << 10);
  CheckContent();
  EXPECT_EQ(replica().machine().stream_count(), 1u);
}

}  // namespace
}  // namespace ursula::engine
