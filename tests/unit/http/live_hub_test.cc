#include "server/http/live_hub.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/fake_engine.h"
#include "tests/support/manual_loop.h"

namespace ursula::http {
namespace {

StreamId Named(std::string_view name) { return {kUpstreamBucket, "", std::string(name)}; }

// Writes down what it is told: "data" of news, "<" when it is behind, "!" at the end.
class Member final : public LiveMember {
 public:
  explicit Member(LiveHub* hub) : hub_(hub) {}

  bool Join(const StreamId& stream, uint64_t incarnation, uint64_t from) {
    ReadRequest request;
    request.stream = stream;
    request.incarnation = incarnation;
    request.from.bytes = from;
    return in_ = hub_->Join(this, request);
  }
  void Leave() {
    hub_->Leave(this);
    in_ = false;
  }
  bool in() const { return in_; }

  std::string told;
  bool leaves = false;     // With the next news.
  std::size_t weighs = 0;  // Of the frame that it makes.

 private:
  void OnNews(LiveNews* news) override {
    for (const Bytes& part : news->read->parts) told += part.view();
    if (weighs > 0) news->frame = Frame{Chunk::Of(std::string(weighs, '#')), {}, false};
    if (leaves || news->read->info.closed) Leave();
  }
  void OnBehind() override {
    told += "<";
    in_ = false;
  }
  void OnReadEnded(const Result<ReadReply>& read) override {
    told += read.ok() ? "!" : "?";
    in_ = false;
  }

  LiveHub* const hub_;
  bool in_ = false;
};

class LiveHubTest : public ::testing::Test {
 protected:
  LiveHubTest() { hub_->SetEngine(&engine_); }
  ~LiveHubTest() override {
    for (auto& member : members_) {
      if (member->in()) member->Leave();
    }
    hub_.reset();
    loop_.RunUntilIdle();
    EXPECT_EQ(engine_.waiting(), 0u);
  }

  // The stream's incarnation.
  uint64_t Create(std::string_view name) {
    uint64_t incarnation = 0;
    CreateRequest request;
    request.stream = Named(name);
    engine_.Create(std::move(request),
                   [&](Result<CreateReply> reply) { incarnation = reply->info.incarnation; });
    loop_.RunUntilIdle();
    return incarnation;
  }
  void Append(std::string_view name, std::string_view text, bool close = false) {
    AppendRequest request;
    request.stream = Named(name);
    if (!text.empty()) request.messages = {Bytes::Copy(text)};
    request.close = close;
    engine_.Append(std::move(request), [this](Result<AppendReply>) { answered_ = true; });
  }
  Member* Add(std::string_view name, uint64_t incarnation, uint64_t from) {
    members_.push_back(std::make_unique<Member>(hub_.get()));
    EXPECT_TRUE(members_.back()->Join(Named(name), incarnation, from));
    return members_.back().get();
  }
  // A turn of a loop whose clock moves on.
  bool Turn() {
    ++loop_.clock().now_ns;
    return loop_.RunTurn();
  }
  void RunAll() {
    while (Turn()) {
    }
  }
  std::size_t Told() const {
    return static_cast<std::size_t>(std::count_if(
        members_.begin(), members_.end(), [](auto& member) { return !member->told.empty(); }));
  }

  testing::ManualLoop loop_;
  testing::FakeEngine engine_{&loop_};
  std::unique_ptr<LiveHub> hub_ = std::make_unique<LiveHub>(&loop_);
  std::vector<std::unique_ptr<Member>> members_;
  bool answered_ = false;
};

TEST_F(LiveHubTest, OneReadServesAllMembersOfAStream) {
  const uint64_t life = Create("s");
  for (int i = 0; i < 300; ++i) Add("s", life, 0);
  EXPECT_EQ(engine_.reads, 1u);
  Append("s", "one ");
  RunAll();
  Append("s", "two");
  RunAll();
  for (const auto& member : members_) EXPECT_EQ(member->told, "one two");
  EXPECT_EQ(engine_.reads, 3u);  // The third waits.
  EXPECT_EQ(engine_.waiting(), 1u);
}

TEST_F(LiveHubTest, ATurnTellsFewAndOthersGoInBetween) {
  const uint64_t life = Create("s");
  for (std::size_t i = 0; i < 5 * LiveHub::kTurnMembersMax; ++i) Add("s", life, 0);
  Append("s", "x");
  std::size_t before = 0;
  std::size_t turns = 0;
  std::size_t others = 0;
  while (before < members_.size() && turns < 1000) {
    loop_.Post([&others] { ++others; });
    Turn();
    EXPECT_LE(Told() - before, LiveHub::kTurnMembersMax);
    before = Told();
    ++turns;
  }
  EXPECT_GE(turns, 5u);
  EXPECT_EQ(others, turns);
}

TEST_F(LiveHubTest, TheWriterHasItsAnswerATurnBeforeAnyNews) {
  const uint64_t life = Create("s");
  Add("s", life, 0);
  Append("s", "x");
  while (Told() == 0) {
    const bool answered = answered_;
    ASSERT_TRUE(Turn());
    EXPECT_TRUE(answered || Told() == 0);
  }
}

TEST_F(LiveHubTest, OthersMayRunBetweenTheTurnsOfManyMembers) {
  const uint64_t life = Create("s");
  for (std::size_t i = 0; i < LiveHub::kTurnMembersMax; ++i) Add("s", life, 0);
  Append("s", "x");
  RunAll();
  EXPECT_EQ(loop_.gave_way(), 0u);  // All in one turn.
  for (std::size_t i = 0; i < 2 * LiveHub::kTurnMembersMax; ++i) Add("s", life, 1);
  Append("s", "y");
  while (loop_.gave_way() == 0) ASSERT_TRUE(Turn());
  EXPECT_EQ(members_.back()->told + members_.front()->told, "x");  // First of all the writer.
  RunAll();
  EXPECT_EQ(loop_.gave_way(), 3u);
}

TEST_F(LiveHubTest, LargeFramesMakeATurnShort) {
  const uint64_t life = Create("s");
  for (int i = 0; i < 20; ++i) Add("s", life, 0)->weighs = LiveHub::kTurnBytesMax / 2;
  Append("s", "x");
  std::size_t before = 0;
  while (before < members_.size()) {
    ASSERT_TRUE(Turn());
    EXPECT_LE(Told() - before, 2u);
    before = Told();
  }
}

TEST_F(LiveHubTest, AStreamOfManyMembersDoesNotHoldUpAnother) {
  const uint64_t life = Create("s");
  for (int i = 0; i < 1000; ++i) Add("s", life, 0);
  Member* other = Add("t", Create("t"), 0);
  Append("s", "x");
  Append("t", "y");
  while (other->told.empty()) ASSERT_TRUE(Turn());
  EXPECT_LE(Told(), LiveHub::kTurnMembersMax);
  RunAll();
  EXPECT_EQ(Told(), members_.size());
}

// A stream with live readers doesn't expire: one of them waits in the engine, however long it takes
// to tell the others.
TEST_F(LiveHubTest, TheNextReadWaitsWhileNewsAreTold) {
  const uint64_t life = Create("s");
  for (int i = 0; i < 200; ++i) Add("s", life, 0);
  Append("s", "a");
  while (Told() == 0) ASSERT_TRUE(Turn());
  EXPECT_LT(Told(), members_.size());
  EXPECT_EQ(engine_.waiting(), 1u);
  // What comes meanwhile is kept for the next round, and no more than that is read ahead.
  Append("s", "b");
  Turn();
  EXPECT_LT(Told(), members_.size());
  const uint64_t reads = engine_.reads;
  Append("s", "c");
  Turn();
  EXPECT_EQ(engine_.reads, reads);
  RunAll();
  for (const auto& member : members_) EXPECT_EQ(member->told, "abc");
}

TEST_F(LiveHubTest, AMemberThatLeavesAndComesAgainMissesNothing) {
  const uint64_t life = Create("s");
  Member* stays = Add("s", life, 0);
  Member* slow = Add("s", life, 0);
  slow->leaves = true;
  Append("s", "a");
  RunAll();
  EXPECT_EQ(slow->told, "a");
  Append("s", "b");
  RunAll();
  EXPECT_FALSE(slow->Join(Named("s"), life, 1));  // It has to read what it missed.
  slow->leaves = false;
  EXPECT_TRUE(slow->Join(Named("s"), life, 2));
  Append("s", "c");
  RunAll();
  EXPECT_EQ(slow->told, "ac");
  EXPECT_EQ(stays->told, "abc");
}

TEST_F(LiveHubTest, WhoIsAheadIsToldWhatFollowsAndWhoIsInTheMiddleReadsItself) {
  const uint64_t life = Create("s");
  Member* first = Add("s", life, 0);
  Append("s", "ab");  // The hub's read isn't back yet.
  Member* ahead = Add("s", life, 2);
  Member* middle = Add("s", life, 1);
  RunAll();
  EXPECT_EQ(first->told, "ab");
  EXPECT_EQ(ahead->told, "");
  EXPECT_EQ(middle->told, "<");
  Append("s", "c");
  RunAll();
  EXPECT_EQ(first->told, "abc");
  EXPECT_EQ(ahead->told, "c");
  EXPECT_EQ(middle->told, "<");
}

TEST_F(LiveHubTest, TheEndOfAClosedStreamIsToldAndWhoIsAheadLooksForIt) {
  const uint64_t life = Create("s");
  Member* first = Add("s", life, 0);
  Append("s", "ab", true);
  Member* ahead = Add("s", life, 2);
  RunAll();
  EXPECT_EQ(first->told, "ab");
  EXPECT_EQ(ahead->told, "<");
  EXPECT_EQ(engine_.waiting(), 0u);
}

TEST_F(LiveHubTest, AllLearnThatTheStreamIsGone) {
  const uint64_t life = Create("s");
  for (int i = 0; i < 100; ++i) Add("s", life, 0);
  DeleteRequest request;
  request.stream = Named("s");
  engine_.Delete(std::move(request), [](Result<DeleteReply>) {});
  RunAll();
  for (const auto& member : members_) EXPECT_EQ(member->told, "!");
  // Another life of the name is another stream.
  const uint64_t next = Create("s");
  Member* later = Add("s", next, 0);
  Append("s", "x");
  RunAll();
  EXPECT_EQ(later->told, "x");
}

TEST_F(LiveHubTest, AnErrorEndsTheReadForAllAndTheNextBeginsAnew) {
  const uint64_t life = Create("s");
  Member* member = Add("s", life, 0);
  engine_.Stop([](Result<Stopped>) {});
  RunAll();
  EXPECT_EQ(member->told, "?");
  Member* later = Add("s", life, 0);
  Append("s", "x");
  RunAll();
  EXPECT_EQ(later->told, "x");
}

TEST_F(LiveHubTest, TheLastToLeaveEndsTheRead) {
  const uint64_t life = Create("s");
  Member* first = Add("s", life, 0);
  Member* second = Add("s", life, 0);
  first->Leave();
  EXPECT_EQ(engine_.waiting(), 1u);
  second->Leave();
  EXPECT_EQ(engine_.waiting(), 0u);
  EXPECT_EQ(engine_.cancelled, 1u);
  RunAll();
  EXPECT_EQ(Told(), 0u);
}

TEST_F(LiveHubTest, AllMayLeaveAndTheHubMayGoWhileNewsWait) {
  const uint64_t life = Create("s");
  for (int i = 0; i < 200; ++i) Add("s", life, 0);
  Append("s", "a");
  while (Told() == 0) ASSERT_TRUE(Turn());
  Append("s", "b");
  Turn();
  for (const auto& member : members_) member->Leave();
  hub_.reset();
  RunAll();
  EXPECT_LT(Told(), members_.size());
}

TEST_F(LiveHubTest, AReadWhoseTimeIsOverIsAskedAgainAndNobodyIsTold) {
  const uint64_t life = Create("s");
  Member* member = Add("s", life, 0);
  loop_.AdvanceBy(uint64_t{100} * 1'000'000'000);
  EXPECT_EQ(member->told, "");
  EXPECT_GT(engine_.reads, 2u);
  EXPECT_EQ(engine_.waiting(), 1u);
  Append("s", "x");
  RunAll();
  EXPECT_EQ(member->told, "x");
}

TEST_F(LiveHubTest, KnowsWhoseNewsWait) {
  const uint64_t life = Create("s");
  for (int i = 0; i < 200; ++i) Add("s", life, 0);
  EXPECT_FALSE(LiveHub::HasNews(*members_.back()));
  Append("s", "a");
  while (Told() == 0) ASSERT_TRUE(Turn());
  EXPECT_FALSE(LiveHub::HasNews(*members_.front()));
  EXPECT_TRUE(LiveHub::HasNews(*members_.back()));
  RunAll();
  EXPECT_FALSE(LiveHub::HasNews(*members_.back()));
}

}  // namespace
}  // namespace ursula::http
