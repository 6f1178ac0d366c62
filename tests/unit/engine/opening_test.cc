// An engine's opening as others see it: how far it is, and its end when somebody ends it. On a
// simulated disk, in virtual time.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "lib/engine/engine.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "ursula/engine.h"

namespace ursula {
namespace {

constexpr uint16_t kCores = 2;
constexpr int kStreams = 12;

class OpeningTest : public ::testing::Test {
 protected:
  ~OpeningTest() override { Close(); }

  Status Open(Opening* opening, int cancel_in_turns = -1) {
    runtime_ = std::make_unique<testing::ManualRuntime>(kCores, disk_.get());
    runtime_->StandStill(away_ns_);
    if (cancel_in_turns >= 0) CancelIn(cancel_in_turns, opening);
    EngineOptions options;
    options.runtime = runtime_.get();
    options.data_dir = "/data";
    options.group_count = 5;
    options.wal_bytes_max = kCores * (uint64_t{8} << 20);
    options.message_bytes_max = 64 << 10;
    options.opening = opening;
    auto opened = StreamEngine::Open(std::move(options));
    cancelling_ = nullptr;  // It may not outlive this.
    if (opened.ok()) engine_ = std::move(*opened);
    return opened.status();
  }

  // Turns of the first core, which has none before recovery has read everything.
  void CancelIn(int turns, Opening* opening) {
    cancelling_ = opening;
    runtime_->loop(CoreId{0}).Post([this, turns, opening] {
      if (cancelling_ != opening) return;
      if (opening->Progress().step == OpeningStep::kDone) return;
      runtime_->StandStill(turn_ns_);
      if (turns > 0) return CancelIn(turns - 1, opening);
      at_cancel_ = opening->Progress();
      opening->Cancel();
      if (turns_go_on_) PassTime(opening);
    });
  }

  void PassTime(Opening* opening) {
    runtime_->loop(CoreId{0}).Post([this, opening] {
      if (cancelling_ != opening) return;
      runtime_->StandStill(turn_ns_);
      PassTime(opening);
    });
  }

  void Close() {
    disk_->SetWatcher(nullptr);
    engine_.reset();
    runtime_.reset();
    disk_->Crash();
  }

  // As a process that is killed ends.
  void Crash() {
    disk_->Crash();
    runtime_->Crash();
    static_cast<engine::Engine&>(*engine_).Abandon();
    engine_.reset();
    runtime_.reset();
  }

  template <class Reply, class Start>
  Result<Reply> Call(Start start) {
    std::optional<Result<Reply>> answer;
    start([&](Result<Reply> result) { answer.emplace(std::move(result)); });
    EXPECT_TRUE(runtime_->RunUntil([&] { return answer.has_value(); }));
    return std::move(*answer);
  }

  static StreamId Id(int i) { return {.bucket = kUpstreamBucket, .name = "s" + std::to_string(i)}; }

  // Some of it in snapshots and payload files, some in the logs, and nothing sealed.
  void Fill(int expiring = 0) {
    ASSERT_TRUE(Open(nullptr).ok());
    for (int i = 0; i < kStreams + expiring; ++i) {
      CreateRequest create;
      create.stream = Id(i);
      create.content_type = "text/plain";
      if (i >= kStreams) create.lifetime.ttl_seconds = 60;
      ASSERT_TRUE(
          Call<CreateReply>([&](auto done) { engine_->Create(create, std::move(done)); }).ok());
    }
    AppendAll("first;");
    Close();  // A clean stop; the next opening replays and writes snapshots.
    ASSERT_TRUE(Open(nullptr).ok());
    runtime_->AdvanceBy(2'000'000'000);
    AppendAll("second;");
    Crash();
  }

  void AppendAll(const std::string& text) {
    for (int i = 0; i < kStreams; ++i) {
      AppendRequest append;
      append.stream = Id(i);
      append.messages = {Bytes::Copy(text)};
      auto reply = Call<AppendReply>([&](auto done) { engine_->Append(append, std::move(done)); });
      ASSERT_TRUE(reply.ok()) << reply.status().ToString();
      ASSERT_EQ(reply->outcome, Outcome::kOk);
    }
    expected_ += text;
  }

  // From here on the disk is one like that which Fill left.
  void TakeCopy() {
    Close();
    if (filled_ == nullptr) filled_ = std::move(disk_);
    disk_ = filled_->Clone(1);
  }

  void ExpectAllAfterReopening() {
    const Status status = Open(nullptr);
    ASSERT_TRUE(status.ok()) << status.ToString();
    ExpectEverything();
    Close();
  }

  void ExpectEverything() {
    for (int i = 0; i < kStreams; ++i) {
      ReadRequest read;
      read.stream = Id(i);
      auto reply = Call<ReadReply>([&](auto done) { engine_->Read(read, std::move(done)); });
      ASSERT_TRUE(reply.ok()) << reply.status().ToString();
      std::string text;
      for (const Bytes& part : reply->parts) text += part.view();
      EXPECT_EQ(text, expected_);
    }
  }

  std::unique_ptr<testing::FaultDisk> disk_ = std::make_unique<testing::FaultDisk>(1);
  std::unique_ptr<testing::FaultDisk> filled_;
  std::unique_ptr<testing::ManualRuntime> runtime_;
  std::unique_ptr<StreamEngine> engine_;
  std::string expected_;
  uint64_t away_ns_ = 0;      // Before each opening,
  uint64_t turn_ns_ = 0;      // and for how long each turn takes until it is cancelled.
  bool turns_go_on_ = false;  // They take as long afterwards.
  OpeningProgress at_cancel_;
  Opening* cancelling_ = nullptr;  // The one under way.
};

TEST_F(OpeningTest, TellsEachStepInOrderAndNeverMoreThanThereIs) {
  Fill();
  Opening opening;
  EXPECT_EQ(opening.Progress().step, OpeningStep::kBegun);
  std::set<OpeningStep> seen;
  OpeningProgress before;
  bool moved = false;
  disk_->SetWatcher([&] {
    const OpeningProgress now = opening.Progress();
    EXPECT_GE(now.step, before.step);
    EXPECT_LE(now.done, now.total);
    if (now.step == before.step) {
      EXPECT_GE(now.done, before.done);
      moved |= now.done > before.done;
    } else if (before.step != OpeningStep::kBegun) {
      EXPECT_GT(before.total, 0u);
    }
    seen.insert(now.step);
    before = now;
  });
  ASSERT_TRUE(Open(&opening).ok());
  EXPECT_EQ(seen, (std::set<OpeningStep>{OpeningStep::kBegun, OpeningStep::kSnapshots,
                                         OpeningStep::kLog, OpeningStep::kPayload}));
  EXPECT_TRUE(moved);
  EXPECT_EQ(opening.Progress().step, OpeningStep::kDone);
  ExpectEverything();
}

// At every file that recovery opens and every read of it: what was ended left everything as it was.
TEST_F(OpeningTest, CancelledAnywhereItEndsAndTheNextHasEverything) {
  Fill();
  int cancelled = 0;
  for (int at = 1;; ++at) {
    TakeCopy();
    Opening opening;
    int calls = 0;
    disk_->SetWatcher([&] {
      if (++calls != at) return;
      at_cancel_ = opening.Progress();
      opening.Cancel();
    });
    const Status status = Open(&opening);
    disk_->SetWatcher(nullptr);
    if (calls < at) {
      ASSERT_TRUE(status.ok()) << status.ToString();
      break;
    }
    ASSERT_EQ(status.code(), StatusCode::kCancelled) << "at " << at;
    // A small snapshot takes twelve. The directory itself, and how much there is of a step, are
    // looked at in one go.
    if (at_cancel_.done > 0) {
      EXPECT_LE(calls, at + 12) << "at " << at;
    }
    EXPECT_NE(opening.Progress().step, OpeningStep::kDone);
    ++cancelled;
    Close();
    if (at % 5 == 0) ExpectAllAfterReopening();
  }
  EXPECT_GT(cancelled, 20);
}

TEST_F(OpeningTest, CancelledWhileGroupsStartItEndsAndTheNextHasEverything) {
  Fill();
  int halfway = 0;
  for (int turns = 0;; ++turns) {
    TakeCopy();
    Opening opening;
    at_cancel_ = {};
    const Status status = Open(&opening, turns);
    if (!opening.cancelled()) {
      ASSERT_TRUE(status.ok()) << status.ToString();
      break;
    }
    ASSERT_EQ(status.code(), StatusCode::kCancelled) << "after " << turns;
    EXPECT_EQ(at_cancel_.step, OpeningStep::kGroups);
    EXPECT_EQ(at_cancel_.total, 5u);
    // What wasn't begun when it was cancelled was left.
    EXPECT_LE(opening.Progress().done, at_cancel_.done + kCores);
    if (at_cancel_.done > 0 && at_cancel_.done < at_cancel_.total) ++halfway;
    Close();
    ExpectAllAfterReopening();
  }
  EXPECT_GT(halfway, 0);
}

// However long one group's log is, its core has turns for others meanwhile.
TEST_F(OpeningTest, CancelledWhileOneGroupAppliesALongLogItEnds) {
  ASSERT_TRUE(Open(nullptr).ok());
  CreateRequest create;
  create.stream = Id(0);
  create.content_type = "text/plain";
  ASSERT_TRUE(Call<CreateReply>([&](auto done) { engine_->Create(create, std::move(done)); }).ok());
  constexpr int kAppends = 20'000;
  int appended = 0;
  for (int i = 0; i < kAppends; ++i) {
    AppendRequest append;
    append.stream = Id(0);
    append.messages = {Bytes::Static("x")};
    engine_->Append(append, [&](Result<AppendReply> reply) { appended += reply.ok() ? 1 : 0; });
  }
  ASSERT_TRUE(runtime_->RunUntil([&] { return appended == kAppends; }));
  Crash();
  turn_ns_ = 100'000'000;
  turns_go_on_ = true;
  int cancelled = 0;
  for (int turns = 0;; ++turns) {
    TakeCopy();
    Opening opening;
    at_cancel_ = {};
    const Status status = Open(&opening, turns);
    if (!opening.cancelled()) break;
    ASSERT_EQ(status.code(), StatusCode::kCancelled) << "after " << turns;
    if (opening.Progress().done == 4) ++cancelled;  // Of five groups four had nothing to apply.
    Close();
  }
  EXPECT_GE(cancelled, 3);
  away_ns_ = turn_ns_ = 0;
  TakeCopy();
  ASSERT_TRUE(Open(nullptr).ok());
  ReadRequest read;
  read.stream = Id(0);
  auto reply = Call<ReadReply>([&](auto done) { engine_->Read(read, std::move(done)); });
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->info.tail.bytes, uint64_t{kAppends});
}

// Groups that are there already have proposed something, as the expiry of what was due meanwhile.
TEST_F(OpeningTest, CancelledWhileOthersWorkAlreadyItEnds) {
  Fill(60);
  away_ns_ = 3'600'000'000'000;
  turn_ns_ = 100'000'000;
  int halfway = 0;
  for (int turns = 0;; ++turns) {
    TakeCopy();
    Opening opening;
    at_cancel_ = {};
    const Status status = Open(&opening, turns);
    if (!opening.cancelled()) break;
    ASSERT_EQ(status.code(), StatusCode::kCancelled) << "after " << turns;
    if (at_cancel_.done > 0 && at_cancel_.done < at_cancel_.total) ++halfway;
    Close();
  }
  EXPECT_GT(halfway, 0);
}

}  // namespace
}  // namespace ursula
