#include "lib/engine/ask_format.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"

namespace ursula::engine {
namespace {

Bytes Encoded(const CallLetter& call) {
  ByteParts parts;
  EncodeCall(call, &parts);
  return parts.TakeJoined();
}

Bytes Encoded(const AnswerLetter& answer) {
  ByteParts parts;
  EncodeAnswer(answer, &parts);
  return parts.TakeJoined();
}

StreamId Id() { return {.bucket = "docs", .affinity = "a", .name = "n"}; }

ask::Append SomeAppend() {
  ask::Append ask{std::make_shared<AppendWork>()};
  stream::Append& append = ask.work->command.body.emplace<stream::Append>();
  append.id = Id();
  append.producer = Producer{"p", 3, 4};
  append.condition.any_of.push_back({.tail = Offset{7}});
  ask.work->messages = {Bytes::Static("one"), Bytes::Static(""),
                        Bytes::Copy(std::string(9000, 'x'))};
  ask.work->json_checked = true;
  return ask;
}

std::vector<ask::OfLeader> Asks() {
  ask::Fork fork;
  fork.fork.stream.id = Id();
  fork.fork.point = {.source = Id(), .offset = Offset{5}, .sub_offset = 2};
  fork.fork.source = stream::Incarnation{9};
  fork.fork.reservation = stream::Reservation{GroupId{3}, stream::Incarnation{4}};
  fork.messages = {Bytes::Static("first")};
  stream::CreateStream create;
  create.id = Id();
  create.content_type = "text/plain";
  create.lifetime.ttl_seconds = 60;
  return {ask::Propose{create, {Bytes::Static("initial")}},
          ask::Propose{stream::CreateBucket{"docs"}, {}},
          SomeAppend(),
          fork,
          ask::Delete{Id(), {.exists = true}},
          ask::Unreserve{Id(), stream::Incarnation{8}},
          ask::Home{{GroupId{1}, stream::Incarnation{2}}},
          ask::StepClock{},
          ask::DeleteBucket{"docs"},
          ask::Reconcile{{ReplicaId{1}, ReplicaId{65538}}, 300}};
}

std::vector<AnswerLetter> Answers() {
  const CallId id{0x1122334455667788, (uint64_t{2} << kCallNumberBits) + 77};
  stream::Reply reply;
  reply.outcome = Outcome::kConflict;
  reply.append = {.outcome = Outcome::kProducerGap, .tail = Offset{8}, .incarnation = 5};
  reply.append.producer_expected_sequence = 6;
  reply.info.content_type = "application/json";
  reply.info.lifetime.expires_at_ms = 5;
  reply.info.lifetime.expires_at_text = "then";
  reply.placement = stream::Placement{
      GroupId{2}, {GroupId{1}, stream::Incarnation{3}}, true, stream::Incarnation{4}, 1234};
  reply.resolution = stream::ForkResolution::kPending;
  reply.unresolved = true;
  reply.settled_through = stream::Incarnation{11};
  std::vector<AnswerLetter> answers;
  answers.push_back({id, NodeId{3}, Status(StatusCode::kUnavailable, "")});
  answers.push_back({id, NodeId{0}, Status(StatusCode::kUnavailable, "")});
  answers.push_back({id, {}, Status(StatusCode::kStorageFull, "the disk is full")});
  for (ask::LeadersAnswer answer :
       {ask::LeadersAnswer(reply), ask::LeadersAnswer(stream::Reply{}),
        ask::LeadersAnswer(stream::Incarnation{12}),
        ask::LeadersAnswer(HomeOfFork{stream::Incarnation{3}, 10'000}),
        ask::LeadersAnswer(int64_t{-5}), ask::LeadersAnswer(BucketReply{Outcome::kBucketNotEmpty}),
        ask::LeadersAnswer(
            group::MembersProgress{{NodeId{1}, NodeId{2}}, true, ReplicaId{65538}, true})}) {
    answers.push_back({id, {}, std::move(answer)});
  }
  return answers;
}

TEST(AskFormatTest, WhatIsReadIsWhatWasWritten) {
  for (const ask::OfLeader& ask : Asks()) {
    const CallLetter call{{5, 6}, 9000, ask};
    ASSERT_TRUE(IsEncodable(ask));
    Result<CallLetter> read = DecodeCall(Encoded(call));
    ASSERT_TRUE(read.ok()) << ask.index();
    EXPECT_EQ(read->id, call.id);
    EXPECT_EQ(read->time_left_ms, 9000u);
    EXPECT_EQ(read->ask.index(), ask.index());
    EXPECT_EQ(Encoded(*read), Encoded(call));
    EXPECT_EQ(PeekId(Encoded(call)), call.id);
  }
  for (const AnswerLetter& answer : Answers()) {
    Result<AnswerLetter> read = DecodeAnswer(Encoded(answer));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->id, answer.id);
    EXPECT_EQ(read->elsewhere, answer.elsewhere);
    EXPECT_EQ(read->answer.ok(), answer.answer.ok());
    EXPECT_EQ(Encoded(*read), Encoded(answer));
  }
}

TEST(AskFormatTest, AnAppendArrivesWithItsMessagesAndItsFlags) {
  Result<CallLetter> read = DecodeCall(Encoded(CallLetter{{1, 2}, 3, SomeAppend()}));
  ASSERT_TRUE(read.ok());
  AppendWork& work = *std::get<ask::Append>(read->ask).work;
  const ask::Append sent = SomeAppend();
  EXPECT_EQ(work.command, sent.work->command);
  ASSERT_EQ(work.messages.size(), 3u);
  EXPECT_EQ(work.messages[0].view(), "one");
  EXPECT_EQ(work.messages[1].view(), "");
  EXPECT_EQ(work.messages[2].size(), 9000u);
  EXPECT_TRUE(work.json_checked);
}

TEST(AskFormatTest, AnAnswerArrivesWhole) {
  const AnswerLetter sent = Answers()[3];
  Result<AnswerLetter> read = DecodeAnswer(Encoded(sent));
  ASSERT_TRUE(read.ok());
  const auto& reply = std::get<stream::Reply>(*read->answer);
  const auto& was = std::get<stream::Reply>(*sent.answer);
  EXPECT_EQ(reply.outcome, was.outcome);
  EXPECT_EQ(reply.append.producer_expected_sequence, 6u);
  EXPECT_EQ(reply.info.lifetime, was.info.lifetime);
  EXPECT_EQ(reply.placement, was.placement);
  EXPECT_TRUE(reply.unresolved);
  EXPECT_FALSE(reply.reservation_lapsed);
  Result<AnswerLetter> failed = DecodeAnswer(Encoded(Answers()[2]));
  EXPECT_EQ(failed->answer.status().code(), StatusCode::kStorageFull);
  EXPECT_EQ(failed->answer.status().message(), "the disk is full");
}

TEST(AskFormatTest, AnyCutAndWhateverFollowsIsRefused) {
  for (const ask::OfLeader& ask : Asks()) {
    const Bytes encoded = Encoded(CallLetter{{5, 6}, 9000, ask});
    for (std::size_t size = 0; size < encoded.size(); size += size < 200 ? 1 : 97) {
      EXPECT_FALSE(DecodeCall(encoded.Slice(0, size)).ok()) << ask.index() << " " << size;
    }
    EXPECT_FALSE(DecodeCall(Bytes::Take(std::string(encoded.view()) + "x")).ok());
  }
  for (const AnswerLetter& answer : Answers()) {
    const Bytes encoded = Encoded(answer);
    for (std::size_t size = 0; size < encoded.size(); ++size) {
      EXPECT_FALSE(DecodeAnswer(encoded.Slice(0, size)).ok()) << size;
    }
    EXPECT_FALSE(DecodeAnswer(Bytes::Take(std::string(encoded.view()) + "x")).ok());
  }
}

TEST(AskFormatTest, WhatNoCommandCanSayIsNotSent) {
  EXPECT_FALSE(IsEncodable(ask::Delete{{.bucket = "v1", .name = std::string("a\0b", 3)}, {}}));
  ask::Append append = SomeAppend();
  append.work->append().condition.none_of.resize(65);
  EXPECT_FALSE(IsEncodable(append));
}

}  // namespace
}  // namespace ursula::engine
