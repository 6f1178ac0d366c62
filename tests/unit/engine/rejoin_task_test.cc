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

// Another node, which answers as it is told; nothing if it isn't.
class Member final : public FrameSink {
 public:
  Member(NodeId node, Transport* transport) : node_(node), transport_(*transport) {
    transport_.Attach(CoreId{0}, this);
  }
  ~Member() override { transport_.Detach(CoreId{0}); }

  void OnFrame(NodeId from, Channel, Bytes frame) override {
    Result<meta::FoundingHello> hello = meta::DecodeFoundingHello(frame);
    ASSERT_TRUE(hello.ok());
    ++asked;
    if (!answer) return;
    meta::FoundingHello said = meta::AnswerTo(*hello, {node_, 22, 23}, hello->record, hello->wish);
    said.admission = {.directory = hello->from.directory, .lives_before = 1};
    answer(&said);
    (void)transport_.Send(CoreId{0}, from, Channel::kControl, {meta::EncodeFoundingHello(said)});
  }
  void OnRoom(NodeId, Channel) override {}
  void OnLost(NodeId, bool) override {}

  Function<void(meta::FoundingHello*)> answer;
  int asked = 0;

 private:
  const NodeId node_;
  Transport& transport_;
};

void SaysYes(meta::FoundingHello* /*said*/) {}

class RejoinTaskTest : public ::testing::Test {
 protected:
  RejoinTaskTest() {
    testing::FoundDirectories({&disks_[0], &disks_[1], &disks_[2]}, "/data", 4, 1);
    for (std::size_t i = 0; i < 3; ++i) {
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
    member_ = std::make_unique<Member>(NodeId{2}, network_.Join(NodeId{2}, runtimes_[1].get()));
    third_ = std::make_unique<Member>(NodeId{3}, network_.Join(NodeId{3}, runtimes_[2].get()));
  }
  ~RejoinTaskTest() override {
    opening_.Cancel();
    const bool ended = task_ == nullptr || RunUntil([&] { return end_.has_value(); });
    EXPECT_TRUE(ended);
    member_.reset();
    third_.reset();
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
  bool Ends(uint64_t ns = 10 * kSecond) {
    return RunUntil([&] { return end_.has_value(); }, ns);
  }

  testing::FaultDisk disks_[3];
  testing::TestNetwork network_{1};
  std::unique_ptr<testing::ManualRuntime> runtimes_[3];
  std::unique_ptr<storage::DataDirectory> directory_;
  ClusterOptions cluster_;
  FoundingTerms terms_;
  Opening opening_;
  std::unique_ptr<Member> member_;
  std::unique_ptr<Member> third_;
  std::unique_ptr<RejoinTask> task_;
  std::optional<Status> end_;
  std::vector<std::string> log_;
  uint64_t now_ns_ = kSecond;
};

TEST_F(RejoinTaskTest, AMembersYesEndsIt) {
  member_->answer = SaysYes;
  Start();
  ASSERT_TRUE(Ends());
  EXPECT_TRUE(end_->ok()) << end_->ToString();
  EXPECT_GE(now_ns_, kSecond + RejoinTask::kSteadyNs);
}

// Who is cut off from the others knows of a leader for a while.
TEST_F(RejoinTaskTest, AYesThatDoesntLastIsNone) {
  for (int i = 0; i < 4; ++i) {
    member_->answer = SaysYes;
    if (i == 0) Start();
    EXPECT_FALSE(Ends(4 * kSecond));
    if (i % 2 == 0) {
      member_->answer = nullptr;
      EXPECT_FALSE(Ends(2 * kSecond));
    } else {
      network_.Break(NodeId{1}, NodeId{2});
    }
  }
  ASSERT_TRUE(Ends());
  EXPECT_TRUE(end_->ok()) << end_->ToString();
}

TEST_F(RejoinTaskTest, OneThatObjectsCountsForMoreThanAnotherOnesYes) {
  member_->answer = SaysYes;
  third_->answer = [](meta::FoundingHello* said) {
    said->admission->lives_before = 0;
    said->admission->waits = "it lacks payload";
  };
  Start();
  EXPECT_FALSE(Ends(20 * kSecond));
  ASSERT_FALSE(log_.empty());
  EXPECT_NE(log_.back().find("node 3 says: it lacks payload"), std::string::npos) << log_.back();
  // From when it has said so last.
  third_->answer = nullptr;
  EXPECT_FALSE(Ends(4 * kSecond));
  ASSERT_TRUE(Ends(2 * kSecond));
  EXPECT_TRUE(end_->ok()) << end_->ToString();
}

// What a member said a while ago may come from a link's buffer, and in a row.
TEST_F(RejoinTaskTest, AnAnswerToAnOldAskIsNone) {
  std::vector<meta::FoundingHeard> asks;
  member_->answer = [&asks](meta::FoundingHello* said) {
    asks.push_back(said->heard[0]);
    said->heard[0] = asks[asks.size() < 7 ? 0 : asks.size() - 7];
  };
  Start();
  EXPECT_FALSE(Ends(3 * kSecond));  // By now there are old ones only.
  EXPECT_FALSE(Ends(20 * kSecond));
  member_->answer = [&asks](meta::FoundingHello* said) { said->heard[0] = asks[0]; };
  EXPECT_FALSE(Ends(20 * kSecond));
}

TEST_F(RejoinTaskTest, ItWaitsAsLongAsSomethingKeepsItOut) {
  member_->answer = [](meta::FoundingHello* said) { said->admission->waits = "no leaders"; };
  Start();
  EXPECT_FALSE(Ends());
  EXPECT_GT(member_->asked, 10);
  ASSERT_FALSE(log_.empty());
  EXPECT_NE(log_.back().find("node 2 says: no leaders"), std::string::npos) << log_.back();
  member_->answer = SaysYes;
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
  others.emplace_back([](meta::FoundingHello* said) { ++said->heard[0].number; });
  // As a release says it that doesn't tell whether anything keeps this node out.
  others.emplace_back([](meta::FoundingHello* said) { said->admission->lives_before = 0; });
  others.emplace_back([](meta::FoundingHello* said) { said->admission->lives_before = 2; });
  Start();
  for (std::size_t i = 0; i < others.size(); ++i) {
    member_->answer = [&others, i](meta::FoundingHello* said) { others[i](said); };
    const int asked = member_->asked;
    EXPECT_FALSE(Ends(2 * RejoinTask::kSteadyNs)) << i;
    EXPECT_GT(member_->asked, asked);
  }
  member_->answer = nullptr;
  EXPECT_FALSE(Ends());
  EXPECT_TRUE(std::ranges::any_of(log_, [](const std::string& line) {
    return line.find("node 2 says: it is a member of cluster") != std::string::npos;
  }));
}

TEST_F(RejoinTaskTest, AReleaseThatDoesntTellIsNamed) {
  member_->answer = [](meta::FoundingHello* said) { said->admission->lives_before = 0; };
  Start();
  EXPECT_FALSE(Ends());
  ASSERT_FALSE(log_.empty());
  EXPECT_NE(log_.back().find("node 2 says: its release doesn't tell"), std::string::npos)
      << log_.back();
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

TEST_F(RejoinTaskTest, EachAnsweringMembersLimitsCount) {
  member_->answer = SaysYes;
  third_->answer = [](meta::FoundingHello* said) {
    said->wish.limits[0].value = 8192;
    said->admission->lives_before = 0;
  };
  Start();
  ASSERT_TRUE(Ends());
  EXPECT_EQ(end_->code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(end_->message().find("than those of node 3: give"), std::string::npos)
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
