// Reads that may be a little old: any node answers of what it has while it can prove how old that
// is, and says so.

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/random.h"
#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;

constexpr uint64_t kNsPerMs = 1'000'000;

StreamId Id(std::string name) { return {.bucket = kUpstreamBucket, .name = std::move(name)}; }

std::string TextOf(const ReadReply& reply) {
  std::string text;
  for (const Bytes& part : reply.parts) text += part.view();
  return text;
}

ReadRequest Local(std::string name, uint64_t from = 0, uint64_t staleness_ms_max = 5000) {
  ReadRequest request;
  request.stream = Id(std::move(name));
  request.from = {from};
  request.consistency = Consistency::kLocal;
  request.staleness_ms_max = staleness_ms_max;
  return request;
}

AppendRequest Appending(std::string name, const std::string& text) {
  AppendRequest request;
  request.stream = Id(std::move(name));
  request.messages.push_back(Bytes::Copy(text));
  return request;
}

class LocalReadsTest : public ::testing::Test {
 protected:
  explicit LocalReadsTest(uint32_t nodes = 3)
      : cluster_({.nodes = nodes, .cores = {1, 2, 3}, .seed = 7}) {}

  void SetUp() override {
    ASSERT_TRUE(cluster_.AwaitLeaders());
    Create("s");
  }

  void Create(const std::string& name, std::optional<ForkPoint> fork = {}) {
    CreateRequest request;
    request.stream = Id(name);
    request.fork = std::move(fork);
    auto reply = cluster_.Await<CreateReply>(
        [&](auto done) { cluster_.node(1).Create(std::move(request), std::move(done)); });
    ASSERT_TRUE(reply.ok() && reply->outcome == Outcome::kOk) << reply.status().ToString();
  }
  void Append(uint64_t node, const std::string& name, const std::string& text) {
    auto reply = cluster_.Await<AppendReply>(
        [&](auto done) { cluster_.node(node).Append(Appending(name, text), std::move(done)); });
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  }
  Result<ReadReply> Read(uint64_t node, ReadRequest request) {
    return cluster_.Await<ReadReply>(
        [&](auto done) { cluster_.node(node).Read(std::move(request), std::move(done)); });
  }
  Result<HeadReply> Head(uint64_t node, const std::string& name) {
    HeadRequest request(Id(name));
    request.consistency = Consistency::kLocal;
    return cluster_.Await<HeadReply>(
        [&](auto done) { cluster_.node(node).Head(std::move(request), std::move(done)); });
  }
  // Cuts a node off that has just proved to be fresh, and leads nothing that others would miss.
  void CutOff(uint64_t node) {
    ASSERT_TRUE(Read(node, Local("s", 0, 0)).ok());
    cluster_.Isolate(node);
  }

  TestCluster cluster_;
};

class LocalReadsAloneTest : public LocalReadsTest {
 protected:
  LocalReadsAloneTest() : LocalReadsTest(1) {}
};

TEST_F(LocalReadsTest, ANodeThatIsCutOffAnswersUntilItsAnswerIsTooOld) {
  Append(1, "s", "old");
  CutOff(2);
  const uint64_t cut_ns = cluster_.now_ns();
  auto appended = cluster_.Await<AppendReply>(
      [&](auto done) { cluster_.node(3).Append(Appending("s", "new"), std::move(done)); });
  ASSERT_TRUE(appended.ok()) << appended.status().ToString();
  uint64_t last_ms = 0;
  uint64_t answers = 0;
  for (;;) {
    const uint64_t asked_ns = cluster_.now_ns();
    auto reply = Read(2, Local("s", 0, 8000));
    if (!reply.ok()) {
      EXPECT_EQ(reply.status().code(), StatusCode::kBehind) << reply.status().ToString();
      EXPECT_GE(asked_ns + kNsPerMs, cut_ns + 8000 * kNsPerMs);
      break;
    }
    ++answers;
    EXPECT_EQ(TextOf(*reply), "old");
    EXPECT_TRUE(reply->up_to_date);
    EXPECT_LE(reply->staleness_ms, 8000u);
    EXPECT_GE(reply->staleness_ms, (cluster_.now_ns() - cut_ns) / kNsPerMs);
    EXPECT_GE(reply->staleness_ms, last_ms);
    last_ms = reply->staleness_ms;
    auto head = Head(2, "s");
    if (last_ms < 4999) {
      ASSERT_TRUE(head.ok()) << head.status().ToString();
      EXPECT_EQ(head->info.tail.bytes, 3u);
      EXPECT_GE(head->staleness_ms, last_ms);
    } else if (!head.ok()) {
      EXPECT_EQ(head.status().code(), StatusCode::kBehind);
    }
    cluster_.Advance(200);
  }
  EXPECT_GE(answers, 5u);
  ReadRequest linearizable;
  linearizable.stream = Id("s");
  EXPECT_EQ(Read(2, linearizable).status().code(), StatusCode::kUnavailable);
  cluster_.Heal();
  auto reply = Read(2, Local("s"));
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(TextOf(*reply), "oldnew");
}

TEST_F(LocalReadsTest, WithoutAnyoneElseItGoesOnAsWell) {
  Append(1, "s", "old");
  ASSERT_TRUE(Read(1, Local("s", 0, 0)).ok());
  cluster_.Crash(2);
  cluster_.Crash(3);
  cluster_.Advance(3000);
  auto reply = Read(1, Local("s"));
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(TextOf(*reply), "old");
  EXPECT_GE(reply->staleness_ms, 3000u);
  cluster_.Advance(2000);
  EXPECT_EQ(Read(1, Local("s")).status().code(), StatusCode::kBehind);
}

TEST_F(LocalReadsTest, NothingIsDeniedForHavingComeLately) {
  CutOff(2);
  cluster_.Advance(4000);  // Others lead what it has led.
  Append(3, "s", "abcdef");
  Create("t");
  // Of node 2 neither is known: it waits for word, which comes.
  std::optional<Result<ReadReply>> past;
  std::optional<Result<ReadReply>> missing;
  std::optional<Result<HeadReply>> head;
  cluster_.node(2).Read(Local("s", 3), [&](Result<ReadReply> reply) { past = std::move(reply); });
  cluster_.node(2).Read(Local("t"), [&](Result<ReadReply> reply) { missing = std::move(reply); });
  HeadRequest request(Id("t"));
  request.consistency = Consistency::kLocal;
  cluster_.node(2).Head(request, [&](Result<HeadReply> reply) { head = std::move(reply); });
  cluster_.Advance(1000);
  EXPECT_FALSE(past || missing || head);
  cluster_.Heal();
  ASSERT_TRUE(cluster_.RunUntil([&] { return past && missing && head; }));
  ASSERT_TRUE(past->ok()) << past->status().ToString();
  EXPECT_EQ(TextOf(**past), "def");
  EXPECT_EQ((*past)->next.bytes, 6u);
  ASSERT_TRUE(missing->ok() && head->ok());
  EXPECT_EQ((*missing)->outcome, Outcome::kOk);
  EXPECT_EQ((*head)->outcome, Outcome::kOk);
}

TEST_F(LocalReadsTest, WhatIsDeniedIsDeniedOfNow) {
  Append(1, "s", "abc");
  EXPECT_EQ(Read(2, Local("nothing"))->outcome, Outcome::kNotFound);
  EXPECT_EQ(Head(2, "nothing")->outcome, Outcome::kNotFound);
  auto past = Read(2, Local("s", 100));
  ASSERT_TRUE(past.ok());
  EXPECT_EQ(past->start.bytes, 3u);  // As a linearizable read has it.
  CutOff(2);
  EXPECT_EQ(Read(2, Local("nothing")).status().code(), StatusCode::kBehind);
  EXPECT_EQ(Head(2, "nothing").status().code(), StatusCode::kBehind);
  EXPECT_EQ(Read(2, Local("s", 100)).status().code(), StatusCode::kBehind);
}

TEST_F(LocalReadsTest, WithABoundOfNothingTheyAreLinearizable) {
  std::string all;
  for (int i = 0; i < 20; ++i) {
    Append(1 + i % 3, "s", "x");
    all += "x";
    for (uint64_t node = 1; node <= 3; ++node) {
      auto reply = Read(node, Local("s", 0, 0));
      ASSERT_TRUE(reply.ok()) << reply.status().ToString();
      EXPECT_EQ(TextOf(*reply), all);
    }
  }
}

TEST_F(LocalReadsTest, ManyShareOneRound) {
  ASSERT_TRUE(Read(2, Local("s")).ok());
  cluster_.Advance(200);
  const EngineStats before = cluster_.node(2).Stats();
  for (int i = 0; i < 100; ++i) {
    auto reply = Read(2, Local("s"));
    ASSERT_TRUE(reply.ok());
    EXPECT_LE(reply->staleness_ms, 5000u);
    cluster_.Advance(100);
  }
  cluster_.Advance(200);  // Figures are published now and then.
  const EngineStats after = cluster_.node(2).Stats();
  EXPECT_EQ(after.local_reads - before.local_reads, 100u);
  EXPECT_GE(after.local_reads_waited - before.local_reads_waited, 1u);
  EXPECT_LE(after.local_reads_waited - before.local_reads_waited, 3u);  // 10 s, at 5 s each.
  EXPECT_EQ(after.local_reads_behind, 0u);
}

TEST_F(LocalReadsTest, AForkIsReadWhereItsStateIs) {
  Append(1, "s", "abc");
  for (int i = 0; i < 6; ++i) {
    const std::string fork = "fork" + std::to_string(i);
    Create(fork, ForkPoint{.source = Id("s")});
    Append(1, fork, "d");
    auto reply = Read(2, Local(fork, 0, 0));
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    EXPECT_EQ(TextOf(*reply), "abcd");
  }
  cluster_.Isolate(2);
  cluster_.Advance(500);
  for (int i = 0; i < 6; ++i) {
    auto reply = Read(2, Local("fork" + std::to_string(i)));
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    EXPECT_EQ(TextOf(*reply), "abcd");
    EXPECT_GE(reply->staleness_ms, 500u);
    auto head = Head(2, "fork" + std::to_string(i));
    ASSERT_TRUE(head.ok()) << head.status().ToString();
    EXPECT_EQ(head->info.tail.bytes, 4u);
    EXPECT_GE(head->staleness_ms, 500u);
  }
}

TEST_F(LocalReadsTest, OneThatHasWaitedAnswersOfLessThanItsBound) {
  Append(1, "s", "abc");
  ASSERT_TRUE(Read(2, Local("s", 0, 0)).ok());
  ReadRequest waiting = Local("s", 3);
  waiting.wait_ms = 20'000;
  auto reply = Read(2, waiting);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_TRUE(reply->parts.empty());
  EXPECT_TRUE(reply->up_to_date);
  EXPECT_LE(reply->staleness_ms, 100u);  // It has asked, after the wait.
  CutOff(2);
  EXPECT_EQ(Read(2, waiting).status().code(), StatusCode::kBehind);
}

// What it hadn't heard of it asks for, and waits there: that wait, too, may outlast its bound.
TEST_F(LocalReadsTest, OneThatWaitsOnlyAfterItHasAskedHoldsItsBoundAsWell) {
  EXPECT_EQ(Read(2, Local("t", 0, 0))->outcome, Outcome::kNotFound);
  CutOff(2);
  cluster_.Advance(4000);  // Others lead what it has led.
  Create("t");
  ReadRequest waiting = Local("t", 0, 15'000);
  waiting.wait_ms = 20'000;
  std::optional<Result<ReadReply>> cut_off;
  cluster_.node(2).Read(waiting, [&](Result<ReadReply> reply) { cut_off = std::move(reply); });
  cluster_.Advance(500);
  cluster_.Heal();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.node(2).Stats().waiters == 1; }));
  cluster_.Isolate(2);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cut_off.has_value(); }, 40'000));
  EXPECT_EQ(cut_off->status().code(), StatusCode::kBehind)
      << (cut_off->ok() ? (*cut_off)->staleness_ms : 0);
}

// It came to its stream's end here; but elsewhere there is one under that name all the time.
TEST_F(LocalReadsTest, OneThatMeetsAnEndAsksWhatThereIs) {
  Append(1, "s", "abc");
  ASSERT_TRUE(Read(2, Local("s", 0, 0)).ok());
  ReadRequest waiting = Local("s", 3, 60'000);
  waiting.wait_ms = 50'000;
  std::optional<Result<ReadReply>> answer;
  cluster_.node(2).Read(waiting, [&](Result<ReadReply> reply) { answer = std::move(reply); });
  cluster_.Advance(100);
  CutOff(2);
  DeleteRequest gone;
  gone.stream = Id("s");
  ASSERT_TRUE(cluster_
                  .Await<DeleteReply>([&](auto done) {
                    cluster_.node(cluster_.up(1) ? 1 : 3).Delete(gone, std::move(done));
                  })
                  .ok());
  Create("s");
  ASSERT_FALSE(answer.has_value());
  cluster_.Heal();
  ASSERT_TRUE(cluster_.RunUntil([&] { return answer.has_value(); }));
  ASSERT_TRUE(answer->ok()) << answer->status().ToString();
  EXPECT_NE((*answer)->outcome, Outcome::kNotFound);
}

TEST_F(LocalReadsTest, WhatIsWaitedForComesAsItIsApplied) {
  ReadRequest waiting = Local("s");
  waiting.from_tail = true;
  waiting.wait_ms = 20'000;
  std::optional<Result<ReadReply>> reply;
  cluster_.node(2).Read(waiting, [&](Result<ReadReply> read) { reply = std::move(read); });
  cluster_.Advance(7000);  // It is older than its bound by then.
  EXPECT_FALSE(reply);
  Append(1, "s", "abc");
  ASSERT_TRUE(cluster_.RunUntil([&] { return reply.has_value(); }, 1000));
  ASSERT_TRUE(reply->ok()) << reply->status().ToString();
  EXPECT_EQ(TextOf(**reply), "abc");
  EXPECT_LE((*reply)->staleness_ms, 5000u);
}

struct Followed final : Follower {
  void OnData(ReadReply reply) override { text += TextOf(reply); }
  void OnEnd(Status status, Outcome) override { end = std::move(status); }
  std::string text;
  std::optional<Status> end;
};

TEST_F(LocalReadsTest, AFollowerGetsWhatIsThereAtANodeThatIsCutOff) {
  Append(1, "s", "abc");
  CutOff(2);
  cluster_.Advance(2000);
  Followed local;
  Followed linearizable;
  FollowRequest request;
  request.stream = Id("s");
  cluster_.node(2).Follow(request, &linearizable);
  request.consistency = Consistency::kLocal;
  cluster_.node(2).Follow(request, &local);
  ASSERT_TRUE(cluster_.RunUntil([&] { return local.end && linearizable.end; }, 10'000));
  EXPECT_EQ(local.text, "abc");
  EXPECT_EQ(linearizable.text, "");
  EXPECT_EQ(local.end->code(), StatusCode::kUnavailable);
}

TEST_F(LocalReadsTest, ABoundHasALimit) {
  EXPECT_TRUE(Read(1, Local("s", 0, kStalenessMsMax)).ok());
  EXPECT_EQ(Read(1, Local("s", 0, kStalenessMsMax + 1)).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(LocalReadsAloneTest, ANodeThatIsAloneIsAlwaysFresh) {
  Append(1, "s", "abc");
  cluster_.Advance(60'000);
  for (uint64_t bound_ms : {0, 1, 5000}) {
    auto reply = Read(1, Local("s", 0, bound_ms));
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    EXPECT_EQ(TextOf(*reply), "abc");
    EXPECT_EQ(reply->staleness_ms, 0u);
  }
  EXPECT_EQ(Head(1, "s")->staleness_ms, 0u);
  EXPECT_EQ(Read(1, Local("nothing"))->outcome, Outcome::kNotFound);
  cluster_.Advance(200);
  EXPECT_EQ(cluster_.node(1).Stats().local_reads_waited, 0u);
}

// ---- against what was acknowledged --------------------------------------------------------------

// Appends and local reads of one stream, at any node, while nodes are cut off, stand still and
// crash. Of each answer: all that was acknowledged before it, less its staleness, is in it; a node
// never goes back; and no reader does, wherever it reads on.
class Chaos {
 public:
  explicit Chaos(uint64_t seed)
      : random_(seed), cluster_({.nodes = 3, .groups = 1, .cores = {1, 2, 1}, .seed = seed}) {}

  void Run() {
    ASSERT_TRUE(cluster_.AwaitLeaders());
    CreateRequest create;
    create.stream = Id("s");
    auto created = cluster_.Await<CreateReply>(
        [&](auto done) { cluster_.node(1).Create(std::move(create), std::move(done)); });
    ASSERT_TRUE(created.ok());
    for (int i = 0; i < 400 && !::testing::Test::HasFailure(); ++i) {
      Disturb();
      if (random_.Below(2) == 0) Append();
      for (uint64_t n = random_.Below(4); n > 0; --n) Read();
      cluster_.Advance(random_.Below(10) == 0 ? random_.Below(800) : random_.Below(40));
    }
    cluster_.Heal();
    for (uint64_t node = 1; node <= 3; ++node) {
      if (!Down(node)) continue;
      ASSERT_TRUE(cluster_.Open(node).ok());
    }
    cluster_.Advance(20'000);
    CheckContents();
  }

  uint64_t at_once = 0;  // Answered with an age.
  uint64_t behind = 0;

 private:
  struct Ack {
    uint64_t at_ns;
    uint64_t tail;
  };
  struct Reader {
    uint64_t node = 0;  // Where it reads now; 0: nowhere.
    uint64_t next = 0;
  };
  struct Piece {
    uint64_t from;
    std::string text;
  };

  bool Down(uint64_t node) { return !cluster_.up(node); }

  void Disturb() {
    const uint64_t node = 1 + random_.Below(3);
    switch (random_.Below(40)) {
      case 0:
        return cluster_.Isolate(node);
      case 1:
        return cluster_.Cut(node, 1 + node % 3);
      case 2:
      case 3:
      case 4:
        return cluster_.Heal();
      case 5:
        if (!Down(node)) cluster_.Pause(node, random_.Below(3000));
        return;
      case 6:
        if (!Down(1) && !Down(2) && !Down(3)) {
          cluster_.Crash(node);
          seen_[node] = 0;  // What it had applied it may have to learn again.
          for (Reader& reader : readers_) {
            if (reader.node == node) reader.node = 0;
          }
        }
        return;
      case 7:
      case 8:
        cluster_.Heal();
        for (uint64_t down = 1; down <= 3; ++down) {
          if (!Down(down)) continue;
          ASSERT_TRUE(cluster_.Open(down).ok());
        }
        return;
      default:
        return;
    }
  }

  void Append() {
    const uint64_t node = 1 + random_.Below(3);
    if (Down(node)) return;
    const std::string text(1 + random_.Below(5), static_cast<char>('a' + random_.Below(26)));
    cluster_.node(node).Append(Appending("s", text), [this](Result<AppendReply> reply) {
      if (reply.ok()) acks_.push_back({cluster_.now_ns(), reply->tail.bytes});
    });
  }

  void Read() {
    const uint64_t node = 1 + random_.Below(3);
    if (Down(node)) return;
    Reader& reader = readers_[random_.Below(2)];
    if (reader.node != 0) return;  // It reads on when it is answered.
    reader.node = node;
    constexpr uint64_t kBounds[] = {0, 1, 20, 300, 1000, 5000};
    const uint64_t bound_ms = kBounds[random_.Below(std::size(kBounds))];
    const uint64_t from = reader.next;
    const uint64_t asked_ns = cluster_.now_ns();
    cluster_.node(node).Read(Local("s", from, bound_ms),
                             [=, this, &reader](Result<ReadReply> reply) {
                               reader.node = 0;
                               behind += reply.status().code() == StatusCode::kBehind ? 1 : 0;
                               if (!reply.ok()) return;
                               Check(node, from, asked_ns, bound_ms, *reply);
                               reader.next = std::max(reader.next, reply->next.bytes);
                             });
  }

  void Check(uint64_t node, uint64_t from, uint64_t asked_ns, uint64_t bound_ms,
             const ReadReply& reply) {
    ASSERT_EQ(reply.outcome, Outcome::kOk);
    const uint64_t now_ns = cluster_.now_ns();
    const uint64_t tail = reply.info.tail.bytes;
    at_once += reply.staleness_ms > 0 ? 1 : 0;
    for (const Ack& ack : acks_) {
      if (ack.at_ns + reply.staleness_ms * kNsPerMs >= now_ns) continue;
      ASSERT_GE(tail, ack.tail) << "node " << node << " of " << reply.staleness_ms << " ms";
    }
    ASSERT_LE(reply.staleness_ms, std::max(bound_ms, (now_ns - asked_ns) / kNsPerMs + 1));
    ASSERT_EQ(reply.start.bytes, from);
    ASSERT_GE(reply.next.bytes, from);
    ASSERT_GE(tail, seen_[node]) << "node " << node << " went back";
    seen_[node] = tail;
    pieces_.push_back({from, TextOf(reply)});
  }

  void CheckContents() {
    ReadRequest request;
    request.stream = Id("s");
    auto reply = cluster_.Await<ReadReply>(
        [&](auto done) { cluster_.node(1).Read(std::move(request), std::move(done)); });
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    const std::string all = TextOf(*reply);
    for (const Piece& piece : pieces_) {
      ASSERT_LE(piece.from + piece.text.size(), all.size());
      ASSERT_EQ(all.substr(piece.from, piece.text.size()), piece.text) << piece.from;
    }
  }

  Random random_;
  TestCluster cluster_;
  std::vector<Ack> acks_;
  std::vector<Piece> pieces_;
  Reader readers_[2] = {};
  uint64_t seen_[4] = {};
};

TEST(LocalReadsChaosTest, AnAnswerHoldsAllThatItsAgeSays) {
  uint64_t at_once = 0;
  uint64_t behind = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    Chaos chaos(seed);
    chaos.Run();
    if (HasFailure()) return;
    at_once += chaos.at_once;
    behind += chaos.behind;
  }
  EXPECT_GE(at_once, 1000u);
  EXPECT_GE(behind, 1u);
}

}  // namespace
}  // namespace ursula::engine
