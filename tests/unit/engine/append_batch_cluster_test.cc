// Batches to any node of a cluster, whose appends are led elsewhere, and whose leaders fall.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;

constexpr int kStreams = 12;

class AppendBatchClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(cluster_.AwaitLeaders());
    for (int i = 0; i < kStreams; ++i) {
      CreateRequest request;
      request.stream = Id(i);
      auto made = cluster_.Await<CreateReply>(
          [&](auto done) { cluster_.node(1).Create(request, std::move(done)); });
      ASSERT_TRUE(made.ok()) << made.status().ToString();
    }
  }

  static StreamId Id(int stream) {
    return {.bucket = kUpstreamBucket, .name = "s" + std::to_string(stream)};
  }

  // `rounds` of an append to each stream; of round n the text is n. With a producer its sequence.
  static std::vector<AppendRequest> Items(int first, int rounds, bool producer) {
    std::vector<AppendRequest> items;
    for (int round = first; round < first + rounds; ++round) {
      for (int stream = 0; stream < kStreams; ++stream) {
        AppendRequest request;
        request.stream = Id(stream);
        request.messages.push_back(Bytes::Copy(std::to_string(round) + ","));
        if (producer) request.producer = Producer{"p", 0, static_cast<uint64_t>(round)};
        items.push_back(std::move(request));
      }
    }
    return items;
  }
  static std::string Text(int rounds) {
    std::string text;
    for (int round = 0; round < rounds; ++round) text += std::to_string(round) + ",";
    return text;
  }

  using Answer = std::shared_ptr<std::optional<Result<AppendBatchReply>>>;
  Answer Begin(uint64_t node, std::vector<AppendRequest> items) {
    auto answer = std::make_shared<std::optional<Result<AppendBatchReply>>>();
    cluster_.node(node).AppendBatch(std::move(items), [answer](Result<AppendBatchReply> reply) {
      answer->emplace(std::move(reply));
    });
    return answer;
  }
  Result<AppendBatchReply> Batch(uint64_t node, std::vector<AppendRequest> items) {
    Answer answer = Begin(node, std::move(items));
    if (!cluster_.RunUntil([&] { return answer->has_value(); })) {
      return Status(StatusCode::kInternal, "no answer within a minute");
    }
    return **answer;
  }
  std::string Read(uint64_t node, int stream) {
    ReadRequest request;
    request.stream = Id(stream);
    auto reply = cluster_.Await<ReadReply>(
        [&](auto done) { cluster_.node(node).Read(request, std::move(done)); });
    if (!reply.ok()) return reply.status().ToString();
    std::string text;
    for (const Bytes& part : reply->parts) text += part.view();
    return text;
  }

  TestCluster cluster_{{.cores = {1, 2, 3}}};
};

TEST_F(AppendBatchClusterTest, AnyNodeTakesABatchForStreamsThatAreLedAnywhere) {
  for (uint64_t node = 1; node <= 3; ++node) {
    const int first = static_cast<int>(node - 1) * 5;
    auto reply = Batch(node, Items(first, 5, true));
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    for (const auto& item : reply->items) {
      ASSERT_TRUE(item.ok()) << item.status().ToString();
      EXPECT_EQ(item->outcome, Outcome::kOk);
    }
    for (int stream = 0; stream < kStreams; ++stream) {
      EXPECT_EQ(Read(1 + node % 3, stream), Text(first + 5));
    }
  }
}

// Whatever falls in the middle of it: each append's outcome is told, none is there twice or out of
// order, and what is sent again lands once.
TEST_F(AppendBatchClusterTest, ABatchWhoseLeadersFallIsToldAndLandsOnce) {
  int sequence = 0;
  std::size_t undecided = 0;
  for (uint64_t round = 0; round < 12; ++round) {
    const uint64_t taker = 1 + round % 3;
    const uint64_t falls = 1 + (round + 1) % 3;
    std::vector<AppendRequest> items = Items(sequence, 6, true);
    Answer answer = Begin(taker, items);
    // Somewhere in its life, which is some milliseconds.
    cluster_.RunUntil([&] { return false; }, 1 + round / 3);
    if (round % 2 == 0) {
      cluster_.Kill(falls);
    } else {
      cluster_.Crash(falls);
    }
    ASSERT_TRUE(cluster_.RunUntil([&] { return answer->has_value(); }, 30'000));
    ASSERT_TRUE((*answer)->ok());
    const std::vector<Result<AppendReply>>& told = (**answer)->items;
    ASSERT_EQ(told.size(), items.size());
    std::map<std::string, bool> stopped;  // By stream: something wasn't decided.
    for (std::size_t i = 0; i < told.size(); ++i) {
      bool& stop = stopped[items[i].stream.name];
      EXPECT_FALSE(told[i].ok() && stop) << "something was begun behind what may still come";
      if (told[i].ok()) continue;
      ++undecided;
      EXPECT_TRUE(told[i].status().code() == StatusCode::kUnavailable ||
                  told[i].status().code() == StatusCode::kOutcomeUnknown)
          << told[i].status().ToString();
      stop = true;
    }
    ASSERT_TRUE(cluster_.Open(falls).ok());
    ASSERT_TRUE(cluster_.AwaitLeaders());
    // As a producer does it: all of it again.
    auto again = Batch(taker, items);
    ASSERT_TRUE(again.ok());
    for (std::size_t i = 0; i < items.size(); ++i) {
      ASSERT_TRUE(again->items[i].ok()) << again->items[i].status().ToString();
      const Outcome outcome = again->items[i]->outcome;
      EXPECT_TRUE(outcome == Outcome::kOk || outcome == Outcome::kDuplicate)
          << static_cast<int>(outcome);
      if (told[i].ok() && told[i]->outcome == Outcome::kOk) {
        EXPECT_EQ(outcome, Outcome::kDuplicate) << "what was acknowledged is gone";
      }
      if (told[i].status().code() == StatusCode::kUnavailable) {
        EXPECT_EQ(outcome, Outcome::kOk) << "what was not to be there is";
      }
    }
    sequence += 6;
    for (int stream = 0; stream < kStreams; ++stream) {
      EXPECT_EQ(Read(1 + round % 3, stream), Text(sequence)) << round;
    }
  }
  EXPECT_GT(undecided, 0u);  // Else nothing fell while it mattered.
}

// Plain appends, without producers: what is told unavailable isn't there, what is there is in the
// request's order.
TEST_F(AppendBatchClusterTest, WithoutProducersTheOrderHoldsThroughAChangeOfLeaders) {
  for (uint64_t round = 0; round < 9; ++round) {
    const uint64_t taker = 1 + round % 3;
    Answer answer = Begin(taker, Items(static_cast<int>(round) * 20, 20, false));
    cluster_.RunUntil([&] { return false; }, 1 + round / 3);
    for (uint32_t group = 0; group < 4; ++group) {
      const std::optional<uint64_t> leader = cluster_.LeaderOf(GroupId{group});
      if (!leader) continue;
      cluster_.node(*leader).TransferLeader(GroupId{group}, NodeId{1 + *leader % 3},
                                            [](Result<TransferReply>) {});
    }
    ASSERT_TRUE(cluster_.RunUntil([&] { return answer->has_value(); }, 30'000));
    ASSERT_TRUE((*answer)->ok());
  }
  for (int stream = 0; stream < kStreams; ++stream) {
    std::vector<int> numbers;
    const std::string text = Read(1, stream);
    for (std::size_t at = 0; at < text.size(); at = text.find(',', at) + 1) {
      numbers.push_back(std::stoi(text.substr(at)));
    }
    EXPECT_TRUE(std::ranges::is_sorted(numbers)) << text;
    EXPECT_EQ(std::ranges::adjacent_find(numbers), numbers.end()) << text;
    EXPECT_EQ(numbers.size(), 180u);  // A change of leaders loses none of a caller that waits.
  }
}

// A stream without a leader doesn't hold its caller for as long as it has appends.
TEST_F(AppendBatchClusterTest, WithoutAMajorityAllHaveEndedSoon) {
  cluster_.Crash(2);
  cluster_.Crash(3);
  const uint64_t begun_ns = cluster_.now_ns();
  auto reply = Batch(1, Items(0, 80, false));
  ASSERT_TRUE(reply.ok());
  for (const auto& item : reply->items) EXPECT_FALSE(item.ok());
  EXPECT_LE(cluster_.now_ns() - begun_ns, 16'000'000'000u);
}

// As each is told alone.
TEST_F(AppendBatchClusterTest, WhatAStopCutsOffIsToldToBeThat) {
  cluster_.Crash(2);
  cluster_.Crash(3);
  cluster_.RunUntil([&] { return false; }, 6000);  // Nobody leads.
  Answer answer = Begin(1, Items(0, 2, false));
  auto stopped = std::make_shared<bool>(false);
  cluster_.RunUntil([&] { return false; }, 100);
  ASSERT_FALSE(answer->has_value());
  cluster_.node(1).Stop([stopped](Result<Stopped>) { *stopped = true; });
  ASSERT_TRUE(cluster_.RunUntil([&] { return *stopped; }));
  ASSERT_TRUE(answer->has_value());
  ASSERT_TRUE((*answer)->ok());
  for (const auto& item : (**answer)->items) {
    EXPECT_EQ(item.status().code(), StatusCode::kFailedPrecondition) << item.status().ToString();
  }
}

// That is where the speed comes from.
TEST(AppendBatchLogTest, WhatOneCoreGetsGoesIntoItsLogTogether) {
  TestCluster cluster({.nodes = 1, .groups = 4});
  ASSERT_TRUE(cluster.AwaitLeaders());
  std::vector<AppendRequest> items;
  for (int i = 0; i < 100; ++i) {
    AppendRequest append;
    append.stream = {.bucket = kUpstreamBucket, .name = "s" + std::to_string(i % 64)};
    append.messages.push_back(Bytes::Static("x"));
    items.push_back(append);
    if (i >= 64) continue;
    CreateRequest create;
    create.stream = append.stream;
    ASSERT_TRUE(
        cluster
            .Await<CreateReply>([&](auto done) { cluster.node(1).Create(create, std::move(done)); })
            .ok());
  }
  cluster.Advance(1000);  // The idle log is sealed, figures are published.
  const uint64_t before = cluster.node(1).Stats().wal_batches;
  auto reply = cluster.Await<AppendBatchReply>(
      [&](auto done) { cluster.node(1).AppendBatch(std::move(items), std::move(done)); });
  ASSERT_TRUE(reply.ok());
  for (const auto& item : reply->items) EXPECT_TRUE(item.ok() && item->outcome == Outcome::kOk);
  cluster.Advance(1000);
  EXPECT_LE(cluster.node(1).Stats().wal_batches - before, 3u);  // With the seal.
}

}  // namespace
}  // namespace ursula::engine
