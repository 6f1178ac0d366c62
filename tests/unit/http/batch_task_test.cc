#include "server/http/batch_task.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tests/unit/http/stream_handler_rig.h"

namespace ursula::http {
namespace {

class BatchTaskTest : public StreamHandlerTest {
 protected:
  static constexpr std::string_view kBatch = "/v1/stream/__batch";

  static std::string Item(std::string_view data, std::string_view stream = "s") {
    return R"({"stream":")" + std::string(stream) + R"(","content_type":"text/plain","data":")" +
           std::string(data) + "\"}\n";
  }
  static std::string Repeat(std::string_view text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  }
  static void SendBatch(FakePeer* peer, std::string_view body,
                        std::string_view version = "HTTP/1.1") {
    peer->Write("POST " + std::string(kBatch) + " " + std::string(version) +
                "\r\nHost: h\r\nContent-Type: application/x-ndjson\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  std::string Batch(std::string_view body) {
    auto peer = rig().Connect();
    SendBatch(peer.get(), body);
    return peer->TakeReceived();
  }
  std::string Text() {
    std::string text;
    std::string from = "-1";
    for (;;) {
      const std::string page = Ask("GET", std::string(kStream) + "?offset=" + from);
      text += BodyOf(page);
      if (page.find("Stream-Up-To-Date: true") != std::string::npos) return text;
      constexpr std::string_view kNext = "Stream-Next-Offset: ";
      const std::size_t at = page.find(kNext) + kNext.size();
      from = page.substr(at, page.find('\r', at) - at);
    }
  }
};

TEST_F(BatchTaskTest, AFewItemsAreOneAnswerWithALineForEach) {
  CreateText(kStream);
  const std::string answer = Batch(Item("a") + Item("x", "none") + "{}\n" + Item("b"));
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_NE(answer.find("Content-Type: application/x-ndjson\r\n"), std::string::npos);
  EXPECT_NE(answer.find("Cache-Control: no-store\r\n"), std::string::npos);
  EXPECT_NE(answer.find("Content-Length: "), std::string::npos);
  const std::string body = BodyOf(answer);
  EXPECT_EQ(CountOf(body, "\n"), 4u);
  std::size_t at = 0;
  for (
      std::string_view line :
      {R"({"index":0,"status":204,"outcome":"applied","next_offset":"0000000000000000_0000000000000007")",
       R"({"index":1,"status":404,"outcome":"refused","error":{"code":"STREAM_NOT_FOUND")",
       R"({"index":2,"status":400,"outcome":"refused","error":{"code":"INVALID_ITEM")",
       R"({"index":3,"status":204,"outcome":"applied","next_offset":"0000000000000000_0000000000000008")"}) {
    EXPECT_EQ(body.find(line), at) << body;
    at = body.find('\n', at) + 1;
  }
  EXPECT_EQ(engine_->batches, 1u);
  EXPECT_EQ(Text(), "first ab");
}

TEST_F(BatchTaskTest, WhatHoldsNothingThatCouldBeJudgedIsRefusedWhole) {
  const std::string empty = Batch("\n\n");
  EXPECT_EQ(StatusOf(empty), 400);
  EXPECT_NE(BodyOf(empty).find("EMPTY_BATCH"), std::string::npos);
  EXPECT_NE(BodyOf(Batch("")).find("EMPTY_BATCH"), std::string::npos);
  const std::string broken = Batch("[1]\n" + Item("a"));
  EXPECT_EQ(StatusOf(broken), 400);
  EXPECT_NE(BodyOf(broken).find("MALFORMED_BATCH"), std::string::npos);
  EXPECT_EQ(engine_->batches, 0u);
}

TEST_F(BatchTaskTest, WhatStandsBeforeABreakIsCarriedOutAndTheRestIsTold) {
  CreateText(kStream);
  const std::string body = BodyOf(Batch(Item("a") + Item("b") + "nonsense\n" + Item("c")));
  EXPECT_EQ(CountOf(body, "\n"), 3u);
  EXPECT_NE(
      body.find("\n{\"index\":2,\"rest\":true,\"status\":400,\"outcome\":\"refused\",\"error\":"
                "{\"code\":\"MALFORMED_BATCH\""),
      std::string::npos)
      << body;
  EXPECT_EQ(Text(), "first ab");
  config_.batch_items_max = 1;
  const std::string many = BodyOf(Batch(Item("d") + Item("e")));
  EXPECT_NE(many.find("{\"index\":1,\"rest\":true,\"status\":413,\"outcome\":\"refused\",\"error\":"
                      "{\"code\":\"TOO_MANY_ITEMS\""),
            std::string::npos)
      << many;
  EXPECT_EQ(Text(), "first abd");
}

TEST_F(BatchTaskTest, ManyItemsGoInSlicesAndTheirLinesInPieces) {
  CreateText(kStream);
  const int count = 3 * static_cast<int>(BatchTask::kSliceItemsMax);
  for (std::string_view version : {"HTTP/1.1", "HTTP/1.0"}) {
    engine_->batches = 0;
    auto peer = rig().Connect();
    SendBatch(peer.get(), Repeat(Item("x"), count), version);
    const std::string answer = peer->TakeReceived();
    EXPECT_EQ(engine_->batches, 3u);
    EXPECT_EQ(CountOf(answer, "\"outcome\":\"applied\""), static_cast<std::size_t>(count));
    const bool chunked = version == "HTTP/1.1";
    EXPECT_EQ(answer.find("Transfer-Encoding: chunked\r\n") != std::string::npos, chunked);
    EXPECT_EQ(answer.ends_with("0\r\n\r\n"), chunked);
    EXPECT_EQ(peer->got_end(), !chunked);
  }
  // Large ones are fewer at once.
  engine_->batches = 0;
  Batch(Repeat(Item(std::string(BatchTask::kSliceBytesMax / 2, 'x')), 4));
  EXPECT_EQ(engine_->batches, 2u);
  // Slices of which nothing is asked are turns all the same.
  const std::string refused = Batch(Repeat("{}\n", count));
  EXPECT_EQ(CountOf(refused, "INVALID_ITEM"), static_cast<std::size_t>(count));
}

TEST_F(BatchTaskTest, AClientThatReadsNothingIsNotWrittenForWithoutEnd) {
  CreateText(kStream);
  auto peer = rig().Connect();
  peer->Stall();
  const int count = 9000;
  SendBatch(peer.get(), Repeat(Item("x"), count));
  const uint64_t slices = engine_->batches;
  EXPECT_GE(slices, 2u);
  EXPECT_LT(slices, 12u);  // Some 300 bytes a line.
  rig().AdvanceMs(1000);
  EXPECT_EQ(engine_->batches, slices);
  peer->Unstall();
  rig().AdvanceMs(1);
  EXPECT_EQ(CountOf(peer->TakeReceived(), "\"outcome\":\"applied\""),
            static_cast<std::size_t>(count));
  EXPECT_EQ(Text().size(), 6u + count);
  // One that never takes any is cut off, and nothing more is begun for it.
  auto other = rig().Connect();
  other->Stall();
  SendBatch(other.get(), Repeat(Item("y"), count));
  engine_->batches = 0;
  rig().AdvanceMs(60'000);
  EXPECT_TRUE(other->closed());
  EXPECT_EQ(engine_->batches, 0u);
  EXPECT_LT(Text().size(), 6u + 2 * count);
}

TEST_F(BatchTaskTest, WhenTheClientGoesWhatWasBegunEndsAndNoMoreBegins) {
  CreateText(kStream);
  auto peer = rig().Connect();
  engine_->Hold();
  SendBatch(peer.get(), Repeat(Item("x"), 1000));
  EXPECT_EQ(engine_->batches, 1u);
  peer->Break(ECONNRESET);
  engine_->Release();
  rig().AdvanceMs(100);
  EXPECT_EQ(engine_->batches, 1u);
  EXPECT_EQ(Text().size(), 6u + BatchTask::kSliceItemsMax);
}

TEST_F(BatchTaskTest, AServerThatStopsSaysWhatItHasNotBegun) {
  CreateText(kStream);
  auto peer = rig().Connect();
  SendBatch(peer.get(), Item("x"));
  peer->TakeReceived();
  engine_->Hold();
  SendBatch(peer.get(), Repeat(Item("x"), 1000));
  rig().Stop();
  engine_->Release();
  rig().AdvanceMs(100);
  const std::string answer = peer->TakeReceived();
  EXPECT_EQ(CountOf(answer, "\"outcome\":\"applied\""), BatchTask::kSliceItemsMax);
  EXPECT_NE(answer.find("{\"index\":256,\"rest\":true,\"status\":503,\"outcome\":\"not-proposed\","
                        "\"retry_after\":1,\"error\":{\"code\":\"STOPPING\""),
            std::string::npos)
      << answer.substr(answer.size() - 400);
  EXPECT_TRUE(answer.ends_with("0\r\n\r\n"));
}

// Of one stream, whichever slices its items are in.
TEST_F(BatchTaskTest, NothingIsBegunBehindWhatMayStillCome) {
  for (StatusCode code : {StatusCode::kUnavailable, StatusCode::kOutcomeUnknown,
                          StatusCode::kResourceExhausted, StatusCode::kFailedPrecondition}) {
    CreateText("/v1/stream/s" + std::to_string(static_cast<int>(code)));
    CreateText("/v1/stream/t" + std::to_string(static_cast<int>(code)));
    const std::string s = "s" + std::to_string(static_cast<int>(code));
    const std::string t = "t" + std::to_string(static_cast<int>(code));
    engine_->appends = 0;
    engine_->append_ends = {{BatchTask::kSliceItemsMax, Status(code, "x")}};
    const int rest = 300;
    const std::string answer = Batch(Repeat(Item("a", s), BatchTask::kSliceItemsMax) +
                                     Repeat(Item("b", s) + Item("c", t), rest));
    EXPECT_EQ(engine_->appends, BatchTask::kSliceItemsMax + rest);
    EXPECT_EQ(CountOf(answer, "\"outcome\":\"applied\""), BatchTask::kSliceItemsMax - 1 + rest);
    EXPECT_GE(CountOf(answer, "\"status\":503,\"outcome\":\"not-proposed\""), rest + 0u);
    EXPECT_EQ(CountOf(answer, "\"index\":"), BatchTask::kSliceItemsMax + 2u * rest);
    EXPECT_EQ(BodyOf(Ask("GET", "/v1/stream/" + s + "?offset=-1")).find('b'), std::string::npos);
  }
  // What a stream decides, or would have, holds nothing back.
  CreateText(kStream);
  engine_->appends = 0;
  engine_->append_ends = {{1, Status(StatusCode::kInvalidArgument, "x")}};
  EXPECT_EQ(CountOf(Batch(Repeat(Item("a"), 300)), "\"outcome\":\"applied\""), 299u);
}

TEST_F(BatchTaskTest, AnEngineThatIsSlowEachTimeEndsItToo) {
  CreateText(kStream);
  auto peer = rig().Connect();
  engine_->Hold();
  SendBatch(peer.get(), Repeat(Item("x"), 3000));
  for (int i = 0; i < 12; ++i) {
    rig().AdvanceMs(12'000);
    engine_->Release();
    engine_->Hold();
    rig().AdvanceMs(1);
  }
  engine_->Release();
  rig().AdvanceMs(1);
  const std::string answer = peer->TakeReceived();
  EXPECT_NE(answer.find("BATCH_TIMEOUT"), std::string::npos);
  EXPECT_LT(CountOf(answer, "\"outcome\":\"applied\""), 3000u);
}

TEST_F(BatchTaskTest, AServerThatStopsEndsABatchThatWaitsForItsClient) {
  CreateText(kStream);
  auto peer = rig().Connect();
  peer->Stall();
  SendBatch(peer.get(), Repeat(Item("x"), 9000));
  const uint64_t slices = engine_->batches;
  rig().Stop();
  EXPECT_EQ(rig().shared.body_bytes.load(), 0u);
  EXPECT_EQ(engine_->batches, slices);
  peer->Unstall();
  rig().AdvanceMs(1);
  const std::string answer = peer->TakeReceived();
  EXPECT_NE(answer.find("\"rest\":true,\"status\":503,\"outcome\":\"not-proposed\","
                        "\"retry_after\":1,\"error\":{\"code\":\"STOPPING\""),
            std::string::npos);
  EXPECT_TRUE(answer.ends_with("0\r\n\r\n"));
}

// A turn has no more of them than it would have of items.
TEST_F(BatchTaskTest, EmptyLinesAreTurnsToo) {
  CreateText(kStream);
  const std::string empty(5 * BatchTask::kSliceBytesMax, '\n');
  const std::string answer = Batch(empty + Item("a") + empty + Item("b"));
  EXPECT_EQ(CountOf(answer, "\"outcome\":\"applied\""), 2u);
  EXPECT_EQ(engine_->batches, 2u);
  EXPECT_EQ(StatusOf(Batch(empty)), 400);
  const std::string broken = Batch(empty + "x");
  EXPECT_EQ(StatusOf(broken), 400);
  EXPECT_NE(broken.find("MALFORMED_BATCH"), std::string::npos);
}

// An exchange that outlives its end, as that of a connection that waits for its next request.
class KeptExchange final : public Exchange {
 public:
  KeptExchange(io::Loop* loop, Bytes body) : loop_(loop) { request_.body = std::move(body); }

  protocol::Request& request() override { return request_; }
  io::Loop& loop() override { return *loop_; }
  bool stopping() const override { return false; }
  bool gone() const override { return is_gone; }
  void Own(std::unique_ptr<Task> task) override { task_ = std::move(task); }
  void ServedOn(CoreId) override {}
  void Reply(protocol::Response) override { ++ends; }
  void StartStream(protocol::Response) override {}
  void Send(const Chunk& piece) override { sent += piece.plain().view(); }
  std::size_t unsent_bytes() const override { return unsent; }
  void EndStream() override { ++ends; }
  void Abort() override {}
  void Abandon() override { ++ends; }
  Task& task() { return *task_; }

  int ends = 0;
  bool is_gone = false;
  std::string sent;
  std::size_t unsent = 0;

 private:
  io::Loop* const loop_;
  protocol::Request request_;
  std::unique_ptr<Task> task_;
};

class BatchBodyTest : public ::testing::Test {
 protected:
  BatchBodyTest() {
    context_.engine = &engine_;
    context_.config = &config_;
  }
  // The batch, at its end unless it waits for its client.
  std::unique_ptr<KeptExchange> Run(std::string body, std::size_t unsent = 0) {
    auto owner = std::make_shared<const std::string>(std::move(body));
    body_ = owner;
    const std::string_view view = *owner;
    auto exchange = std::make_unique<KeptExchange>(&loop_, Bytes(std::move(owner), view));
    exchange->unsent = unsent;
    auto task = std::make_unique<BatchTask>(&context_, exchange.get(),
                                            protocol::AppendBatchAction{.bucket = kUpstreamBucket});
    BatchTask* const started = task.get();
    exchange->Own(std::move(task));
    started->Start();
    loop_.RunUntilIdle();
    return exchange;
  }

  testing::ManualLoop loop_;
  FakeEngine engine_{&loop_};
  protocol::ProtocolConfig config_;
  StreamContext context_{&loop_};
  std::weak_ptr<const std::string> body_;
};

TEST_F(BatchBodyTest, IsLetGoOfWithTheAnswerAndNotWithTheConnection) {
  std::string items;
  for (int i = 0; i < 600; ++i)
    items += R"({"stream":"s","content_type":"a/b","data":"x"})"
             "\n";
  for (const std::string& body :
       {items, items + "broken", std::string("{}\n"), std::string("[\n"), std::string("\n\n")}) {
    auto exchange = Run(body);
    EXPECT_EQ(exchange->ends, 1);
    EXPECT_TRUE(body_.expired());
  }
  for (bool gone : {false, true}) {  // While it waits for its client.
    auto exchange = Run(items, BatchTask::kUnsentBytesMax + 1);
    EXPECT_EQ(exchange->ends, 0);
    EXPECT_FALSE(body_.expired());
    exchange->is_gone = gone;
    gone ? exchange->task().OnGone() : exchange->task().OnStopping();
    EXPECT_EQ(exchange->ends, 1);
    EXPECT_TRUE(body_.expired());
  }
}

// Each write is taken in time; all of them would take hours.
TEST_F(BatchBodyTest, IsNotKeptForAClientThatTakesALittleNowAndThen) {
  std::string items;
  for (int i = 0; i < 9000; ++i) items += "{}\n";
  auto exchange = Run(items, BatchTask::kUnsentBytesMax + 1);
  int takes = 0;
  while (exchange->ends == 0 && takes < 30) {
    loop_.AdvanceBy(29'000 * kMs);
    if (exchange->ends > 0) break;
    ++takes;
    exchange->task().OnDrained();
    loop_.RunUntilIdle();
  }
  EXPECT_GE(takes, 2);
  EXPECT_LE(takes, 4);
  EXPECT_TRUE(body_.expired());
  const std::size_t told = (1 + static_cast<std::size_t>(takes)) * BatchTask::kSliceItemsMax;
  EXPECT_EQ(CountOf(exchange->sent, "INVALID_ITEM"), told);
  EXPECT_NE(exchange->sent.find("{\"index\":" + std::to_string(told) +
                                ",\"rest\":true,\"status\":503,\"outcome\":\"not-proposed\","
                                "\"retry_after\":1,\"error\":{\"code\":\"BATCH_TIMEOUT\""),
            std::string::npos)
      << exchange->sent.substr(exchange->sent.size() - 300);
}

// One that takes it all, if slowly, gets it all.
TEST_F(BatchBodyTest, IsKeptForAClientAsLongAsItKeepsThePace) {
  std::string items;
  for (int i = 0; i < 9000; ++i) items += "{}\n";
  auto exchange = Run(items, BatchTask::kUnsentBytesMax + 1);
  std::size_t taken = 0;
  while (exchange->ends == 0) {
    const uint64_t bytes = exchange->sent.size() - taken;
    taken = exchange->sent.size();
    loop_.AdvanceBy(bytes * 1'000'000'000 / BatchTask::kAnswerBytesPerSecondMin);
    ASSERT_EQ(exchange->ends, 0);
    exchange->task().OnDrained();
    loop_.RunUntilIdle();
  }
  EXPECT_EQ(CountOf(exchange->sent, "INVALID_ITEM"), 9000u);
  EXPECT_GT(loop_.now_ns(), BatchTask::kTimeNs);
}

TEST_F(BatchTaskTest, TheConnectionServesTheNextRequestAfterwards) {
  CreateText(kStream);
  auto peer = rig().Connect();
  for (int i = 0; i < 3; ++i) {
    SendBatch(peer.get(), Repeat(Item("x"), 400));
    const std::string answer = peer->TakeReceived();
    EXPECT_EQ(CountOf(answer, "\"outcome\":\"applied\""), 400u);
  }
  Send(peer.get(), "HEAD", kStream);
  EXPECT_EQ(StatusOf(peer->TakeReceived()), 200);
}

}  // namespace
}  // namespace ursula::http
