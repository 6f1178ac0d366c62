// What a node whose directory is rotten takes for a word that its cluster would take it in again.

#include "lib/engine/rejoin_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/meta/founding_format.h"
#include "tests/support/fault_disk.h"
#include "tests/support/founded_directories.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_network.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// Node 2, which answers as it is told; nothing if it isn't.
class Member final : public FrameSink {
 public:
  explicit Member(Transport* transport) : transport_(*transport) {
    transport_.Attach(CoreId{0}, this);
  }
  ~Member() override { transport_.Detach(CoreId{0}); }

  void OnFrame(NodeId from, Channel, Bytes frame) override {
    Result<meta::FoundingHello> hello = meta::DecodeFoundingHello(frame);
    ASSERT_TRUE(hello.ok());
    ++asked;
    if (!answer) return;
    meta::FoundingHello said =
        meta::AnswerTo(*hello, {NodeId{2}, 22, 23}, hello->record, hello->wish);
    said.admission = {.directory = hello->from.directory};
    answer(&said);
    (void)transport_.Send(CoreId{0}, from, Channel::kControl, {meta::EncodeFoundingHello(said)});
  }
  void OnRoom(NodeId, Channel) override {}
  void OnLost(NodeId, bool) override {}

  Function<void(meta::FoundingHello*)> answer;
  int asked = 0;

 private:
  Transport& transport_;
};

class RejoinTaskTest : public ::testing::Test {
 protected:
  RejoinTaskTest() {
    testing::FoundDirectories({&disks_[0], &disks_[1], &disks_[2]}, "/data", 4, 1);
    for (std::size_t i = 0; i < 2; ++i) {
      runtimes_[i] = std::make_unique<testing::ManualRuntime>(1, &disks_[i], i + 1);
    }
    auto opened =
        storage::DataDirectory::Open(loop().disk(), "/data", {.nonce = 5, .node_id_wanted = 1});
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    directory_ = std::move(*opened);
    cluster_.transport = network_.Join(NodeId{1}, runtimes_[0].get());
    cluster_.node = NodeId{1};
    cluster_.founders = {NodeId{1}, NodeId{2}, NodeId{3}};
    terms_.limits = {{"message_bytes_max", 4096}};
    member_ = std::make_unique<Member>(network_.Join(NodeId{2}, runtimes_[1].get()));
  }
  ~RejoinTaskTest() override {
    opening_.Cancel();
    const bool ended = task_ == nullptr || RunUntil([&] { return end_.has_value(); });
    EXPECT_TRUE(ended);
    member_.reset();
  }

  io::Loop& loop() { return runtimes_[0]->loop(CoreId{0}); }

  void Start(bool may_be_alone = false) {
    task_ = std::make_unique<RejoinTask>(
        &loop(), directory_.get(), cluster_, terms_, may_be_alone, &opening_,
        [this](storage::LogLevel, std::string_view line) { log_.emplace_back(line); });
    task_->Start([this](Status status) { end_ = std::move(status); });
  }

  template <class Condition>
  bool RunUntil(Condition done, uint64_t ns = 10 * kSecond) {
    const uint64_t end_ns = now_ns_ + ns;
    while (!done()) {
      bool turned = false;
      uint64_t next_ns = end_ns;
      for (auto& runtime : runtimes_) {
        turned = runtime->RunTurn() || turned;
        next_ns = std::min(next_ns, runtime->NextEventNs());
      }
      if (turned) continue;
      if (next_ns >= end_ns) next_ns = end_ns;
      for (auto& runtime : runtimes_) {
        if (runtime->now_ns() < next_ns) runtime->StandStill(next_ns - runtime->now_ns());
      }
      now_ns_ = std::max(now_ns_, next_ns);
      if (now_ns_ >= end_ns) return done();
    }
    return true;
  }
  bool Ends() {
    return RunUntil([&] { return end_.has_value(); });
  }

  testing::FaultDisk disks_[3];
  testing::TestNetwork network_{1};
  std::unique_ptr<testing::ManualRuntime> runtimes_[2];
  std::unique_ptr<storage::DataDirectory> directory_;
  ClusterOptions cluster_;
  FoundingTerms terms_;
  Opening opening_;
  std::unique_ptr<Member> member_;
  std::unique_ptr<RejoinTask> task_;
  std::optional<Status> end_;
  std::vector<std::string> log_;
  uint64_t now_ns_ = kSecond;
};

TEST_F(RejoinTaskTest, AMembersYesEndsIt) {
  member_->answer = [](meta::FoundingHello*) {};
  Start();
  ASSERT_TRUE(Ends());
  EXPECT_TRUE(end_->ok()) << end_->ToString();
}

TEST_F(RejoinTaskTest, ItWaitsAsLongAsSomethingKeepsItOut) {
  member_->answer = [](meta::FoundingHello* said) { said->admission->waits = "no leaders"; };
  Start();
  EXPECT_FALSE(Ends());
  EXPECT_GT(member_->asked, 10);
  ASSERT_FALSE(log_.empty());
  EXPECT_NE(log_.back().find("node 2 says: no leaders"), std::string::npos) << log_.back();
  member_->answer = [](meta::FoundingHello*) {};
  ASSERT_TRUE(Ends());
  EXPECT_TRUE(end_->ok()) << end_->ToString();
}

// None of them is the word of a member of its cluster to this opening of this directory.
TEST_F(RejoinTaskTest, NothingElseIsTakenForAYes) {
  std::vector<Function<void(meta::FoundingHello*)>> others;
  others.emplace_back([](meta::FoundingHello* said) { ++said->record.plan.cluster_id; });
  others.emplace_back([](meta::FoundingHello* said) { said->record = {}; });
  others.emplace_back([](meta::FoundingHello* said) {
    said->record.state = meta::FoundingState::kFounding;
    said->record.lives_before = 0;
  });
  others.emplace_back([](meta::FoundingHello* said) { said->number = 1; });
  others.emplace_back([](meta::FoundingHello* said) { said->from.node = NodeId{3}; });
  others.emplace_back([](meta::FoundingHello* said) { said->admission.reset(); });
  others.emplace_back([](meta::FoundingHello* said) { ++said->admission->directory; });
  others.emplace_back([](meta::FoundingHello* said) { ++said->heard[0].from.opening; });
  others.emplace_back([](meta::FoundingHello* said) { said->heard.clear(); });
  Start();
  for (std::size_t i = 0; i < others.size(); ++i) {
    member_->answer = [&others, i](meta::FoundingHello* said) { others[i](said); };
    const int asked = member_->asked;
    EXPECT_FALSE(RunUntil([&] { return end_.has_value(); }, kSecond)) << i;
    EXPECT_GT(member_->asked, asked);
  }
  member_->answer = nullptr;
  EXPECT_FALSE(Ends());
  EXPECT_TRUE(std::ranges::any_of(log_, [](const std::string& line) {
    return line.find("node 2 says: it is a member of cluster") != std::string::npos;
  }));
}

TEST_F(RejoinTaskTest, WhoIsNoMemberAnyMoreHearsWhy) {
  member_->answer = [](meta::FoundingHello* said) {
    said->admission->refusal = "another directory has taken this one's place";
  };
  Start();
  ASSERT_TRUE(Ends());
  EXPECT_EQ(end_->code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(end_->message(), "another directory has taken this one's place");
}

// It would be refused as it joins, with its directory aside.
TEST_F(RejoinTaskTest, WithOtherLimitsThanTheOthersItIsRefusedFirst) {
  member_->answer = [](meta::FoundingHello* said) { said->wish.limits[0].value = 8192; };
  Start();
  ASSERT_TRUE(Ends());
  EXPECT_EQ(end_->code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(end_->message().find("than those of node 2: give each node the same"),
            std::string::npos)
      << end_->ToString();
}

TEST_F(RejoinTaskTest, WhoMayBeAloneWaitsForAnyAnswerAndNotForEver) {
  Start(true);
  ASSERT_TRUE(Ends());
  EXPECT_EQ(end_->code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(end_->message().find("it may be the only one of its cluster"), std::string::npos);
  EXPECT_GE(now_ns_, kSecond + RejoinTask::kAloneNs);
  end_.reset();
  member_->answer = [](meta::FoundingHello* said) { said->admission->waits = "no leaders"; };
  Start(true);
  EXPECT_FALSE(Ends());
}

TEST_F(RejoinTaskTest, TheOpeningsEndIsItsEnd) {
  Start();
  EXPECT_FALSE(Ends());
  opening_.Cancel();
  ASSERT_TRUE(Ends());
  EXPECT_EQ(end_->code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace ursula::engine
