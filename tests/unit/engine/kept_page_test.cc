// Reads of who has the page already: ReadRequest::kept.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/engine/test_engine.h"

namespace ursula {
namespace {

using testing_support::TestEngine;

class KeptPageTest : public testing::Test {
 protected:
  static KeptPage PlaceOf(const ReadReply& reply) {
    return {reply.info.incarnation, reply.start, reply.next, reply.cut, reply.up_to_date};
  }
  ReadRequest Request(std::string name, uint64_t from = 0, uint64_t bytes_max = 1 << 20) {
    ReadRequest request;
    request.stream = TestEngine::Id(std::move(name));
    request.from.bytes = from;
    request.from_append_start = true;
    request.bytes_max = bytes_max;
    return request;
  }
  ReadReply Read(ReadRequest request) {
    Result<ReadReply> reply = engine_.Read(std::move(request));
    EXPECT_TRUE(reply.ok());
    return reply.ok() ? *reply : ReadReply{};
  }
  void Create(std::string name) {
    Result<CreateReply> reply = engine_.Create(std::move(name));
    EXPECT_TRUE(reply.ok() && reply->outcome == Outcome::kOk);
  }
  void Append(std::string name, std::vector<std::string> messages) {
    Result<AppendReply> reply = engine_.Append(std::move(name), std::move(messages));
    EXPECT_TRUE(reply.ok() && reply->outcome == Outcome::kOk);
  }
  static std::string TextOf(const ReadReply& reply) {
    std::string text;
    for (const Bytes& part : reply.parts) text += part.view();
    return text;
  }

  TestEngine engine_{{.cores = 2}};
};

TEST_F(KeptPageTest, AReplyIsAsItWouldBeButForTheData) {
  Create("s");
  for (int i = 0; i < 4; ++i) Append("s", {"12345678"});
  for (uint64_t from : {0, 16}) {  // A page, and the tail.
    ReadRequest request = Request("s", from, 20);
    const ReadReply read = Read(request);
    EXPECT_FALSE(read.kept);
    request.kept = PlaceOf(read);
    const ReadReply kept = Read(request);
    EXPECT_TRUE(kept.kept);
    EXPECT_TRUE(kept.parts.empty());
    EXPECT_EQ(kept.start, read.start);
    EXPECT_EQ(kept.next, read.next);
    EXPECT_EQ(kept.cut, read.cut);
    EXPECT_EQ(kept.up_to_date, from == 16);
    EXPECT_EQ(kept.info.incarnation, read.info.incarnation);
    EXPECT_EQ(kept.info.content_type, "text/plain");
    EXPECT_EQ(kept.info.tail, Offset{32});
  }
}

TEST_F(KeptPageTest, APageInsideAnAppendIsCutAsBefore) {
  Create("s");
  Append("s", {std::string(100, 'x')});
  ReadRequest request = Request("s", 0, 64);
  const ReadReply read = Read(request);
  ASSERT_TRUE(read.cut);
  request.kept = PlaceOf(read);
  EXPECT_TRUE(Read(request).kept);
  EXPECT_TRUE(Read(request).cut);
  // Somebody who comes by an offset inside it is led to where it begins.
  request.from.bytes = 10;
  const ReadReply inside = Read(request);
  EXPECT_FALSE(inside.kept);
  EXPECT_EQ(inside.start, Offset{0});
  EXPECT_EQ(TextOf(inside), std::string(64, 'x'));
}

TEST_F(KeptPageTest, AnotherLifeUnderTheNameIsReadAnew) {
  Create("s");
  Append("s", {"old bytes"});
  ReadRequest request = Request("s");
  request.kept = PlaceOf(Read(request));
  ASSERT_EQ(engine_.Delete("s")->outcome, Outcome::kOk);
  EXPECT_EQ(Read(request).outcome, Outcome::kNotFound);
  Create("s");
  const ReadReply empty = Read(request);
  EXPECT_FALSE(empty.kept);
  EXPECT_EQ(empty.next, Offset{0});
  Append("s", {"new bytes"});
  const ReadReply reply = Read(request);
  EXPECT_FALSE(reply.kept);
  EXPECT_EQ(TextOf(reply), "new bytes");
}

TEST_F(KeptPageTest, ATailThatMovedIsReadAnewAndAFullPageIsNot) {
  Create("s");
  Append("s", {"one "});
  ReadRequest tail = Request("s");
  tail.kept = PlaceOf(Read(tail));
  ReadRequest page = Request("s", 0, 4);
  Append("s", {"two "});
  page.kept = PlaceOf(Read(page));
  const ReadReply grown = Read(tail);
  EXPECT_FALSE(grown.kept);
  EXPECT_EQ(TextOf(grown), "one two ");
  const ReadReply kept = Read(page);
  EXPECT_TRUE(kept.kept);
  EXPECT_FALSE(kept.up_to_date);
  EXPECT_EQ(kept.info.tail, Offset{8});
}

TEST_F(KeptPageTest, AClosedStreamSaysSo) {
  Create("s");
  Append("s", {"all"});
  ReadRequest request = Request("s");
  request.kept = PlaceOf(Read(request));
  EXPECT_FALSE(Read(request).info.closed);
  AppendRequest close;
  close.stream = TestEngine::Id("s");
  close.close = true;
  ASSERT_EQ(engine_.Append(close)->outcome, Outcome::kOk);
  const ReadReply reply = Read(request);
  EXPECT_TRUE(reply.kept);
  EXPECT_TRUE(reply.up_to_date);
  EXPECT_TRUE(reply.info.closed);
}

TEST_F(KeptPageTest, WhatACallerMadeUpIsNotTaken) {
  Create("s");
  Append("s", {"12345678"});
  ReadRequest request = Request("s");
  const KeptPage place = PlaceOf(Read(request));
  auto taken = [&](KeptPage kept) {
    request.kept = kept;
    return Read(request).kept;
  };
  EXPECT_TRUE(taken(place));
  KeptPage other = place;
  other.incarnation ^= 1;
  EXPECT_FALSE(taken(other));
  other = place;
  other.start.bytes = 4;
  EXPECT_FALSE(taken(other));
  other = place;
  other.next.bytes = 9;  // Past the tail.
  EXPECT_FALSE(taken(other));
  other.up_to_date = false;
  EXPECT_FALSE(taken(other));
  other.next.bytes = 0;
  EXPECT_FALSE(taken(other));
  request.boundaries = true;
  EXPECT_FALSE(taken(place));
}

TEST_F(KeptPageTest, AForkHasPagesOfItsOwnAndASourceThatIsDeletedHasNone) {
  Create("source");
  Append("source", {"shared "});
  Append("source", {"its own"});
  ReadRequest request = Request("source");
  request.kept = PlaceOf(Read(request));
  CreateRequest fork;
  fork.stream = TestEngine::Id("fork");
  fork.fork = ForkPoint{TestEngine::Id("source"), Offset{7}};
  fork.messages = {Bytes::Static("another")};
  ASSERT_EQ(engine_.Create(fork)->outcome, Outcome::kOk);
  ReadRequest of_fork = Request("fork");
  of_fork.kept = request.kept;
  const ReadReply reply = Read(of_fork);
  EXPECT_FALSE(reply.kept);
  EXPECT_EQ(TextOf(reply), "shared another");
  of_fork.kept = PlaceOf(reply);
  ASSERT_EQ(engine_.Delete("source")->outcome, Outcome::kOk);
  EXPECT_EQ(Read(request).outcome, Outcome::kSoftDeleted);
  EXPECT_TRUE(Read(of_fork).kept);
}

TEST_F(KeptPageTest, OneWhoWaitsIsToldWhatCame) {
  Create("s");
  Append("s", {"first"});
  ReadRequest request = Request("s");
  request.kept = PlaceOf(Read(request));
  request.from.bytes = 5;
  request.wait_ms = 600'000;
  Result<ReadReply> waited = Wait<ReadReply>([&](auto done) {
    engine_->Read(request, std::move(done));
    Append("s", {"second"});
  });
  ASSERT_TRUE(waited.ok());
  EXPECT_FALSE(waited->kept);
  EXPECT_EQ(TextOf(*waited), "second");
}

}  // namespace
}  // namespace ursula
