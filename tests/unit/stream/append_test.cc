#include <string>

#include "gtest/gtest.h"
#include "tests/unit/stream/machine_driver.h"
#include "ursula/outcome.h"

namespace ursula::stream {
namespace {

TEST(MachineAppendTest, PayloadPassesThroughAndThePositionsAreItsBytes) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  ApplyResult result = driver.Apply(Appending("s", "cde"));
  EXPECT_EQ(result.reply.outcome, Outcome::kOk);
  EXPECT_EQ(result.reply.append.start.bytes, 2u);
  EXPECT_EQ(result.reply.append.tail.bytes, 5u);
  ASSERT_TRUE(result.appended.has_value());
  EXPECT_EQ(result.appended->payload.view(), "cde");
  ASSERT_EQ(result.changed.size(), 1u);
  EXPECT_EQ(result.changed[0], Incarnation{1});
  EXPECT_EQ(driver.Read("s"), "abcde");
}

TEST(MachineAppendTest, MissingAndPlacedStreamsAreToldApart) {
  MachineDriver driver;
  EXPECT_EQ(driver.Do(Appending("none", "x")).outcome, Outcome::kNotFound);
  Reserve reserve;
  reserve.stream.id = Id("fork");
  reserve.target = GroupId{7};
  driver.Do(reserve);
  Reply reply = driver.Do(Appending("fork", "x"));
  EXPECT_EQ(reply.outcome, Outcome::kConflict);
  ASSERT_TRUE(reply.placement.has_value());
  EXPECT_EQ(reply.placement->target, GroupId{7});
}

TEST(MachineAppendTest, ClosedWinsOverTypeProducerAndSequence) {
  MachineDriver driver;
  driver.Do(Creating("s", "ab"));
  driver.Do(Closing("s"));
  Append append = Producing("s", "x", {"p", 0, 5});
  append.content_type = "application/json";
  append.sequence = "1";
  Reply reply = driver.Do(append);
  EXPECT_EQ(reply.outcome, Outcome::kClosed);
  EXPECT_TRUE(reply.append.closed);
  EXPECT_EQ(reply.append.tail.bytes, 2u);
}

TEST(MachineAppendTest, ClosingAgainIsFineAndChangesNothing) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  EXPECT_EQ(driver.Apply(Closing("s")).changed.size(), 1u);
  ApplyResult again = driver.Apply(Closing("s"));
  EXPECT_EQ(again.reply.outcome, Outcome::kOk);
  EXPECT_TRUE(again.reply.append.closed);
  EXPECT_TRUE(again.changed.empty());
}

TEST(MachineAppendTest, TheClosingTupleIsADuplicateAndNoOtherIs) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  driver.Do(Producing("s", "a", {"p", 1, 0}));
  Append close = Producing("s", "b", {"p", 1, 1});
  close.close = true;
  EXPECT_EQ(driver.Do(close).outcome, Outcome::kOk);
  Reply again = driver.Do(close);
  EXPECT_EQ(again.outcome, Outcome::kDuplicate);
  EXPECT_EQ(again.append.producer_sequence, 1u);
  EXPECT_EQ(driver.Do(Producing("s", "a", {"p", 1, 0})).outcome, Outcome::kClosed);
  EXPECT_EQ(driver.Do(Producing("s", "b", {"q", 1, 1})).outcome, Outcome::kClosed);
  EXPECT_EQ(driver.Read("s"), "ab");
}

TEST(MachineAppendTest, MediaTypesCompareWithoutCaseAndParameters) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  Append append = Appending("s", "x");
  append.content_type = "TEXT/plain ; charset=utf-8";
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kOk);
  append.content_type = "text/html";
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kContentTypeMismatch);
  append.payload = {};
  append.close = true;  // Closing alone doesn't look at the type.
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kOk);
}

TEST(MachineAppendTest, ProducersFollowTheTable) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  Reply reply = driver.Do(Producing("s", "x", {"p", 3, 1}));
  EXPECT_EQ(reply.outcome, Outcome::kProducerGap);
  EXPECT_EQ(reply.append.producer_expected_sequence, 0u);
  EXPECT_EQ(driver.Do(Producing("s", "0", {"p", 3, 0})).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(Producing("s", "1", {"p", 3, 1})).outcome, Outcome::kOk);
  reply = driver.Do(Producing("s", "x", {"p", 3, 0}));
  EXPECT_EQ(reply.outcome, Outcome::kDuplicate);
  EXPECT_EQ(reply.append.producer_sequence, 1u);
  EXPECT_EQ(reply.append.tail.bytes, 2u);
  reply = driver.Do(Producing("s", "x", {"p", 3, 3}));
  EXPECT_EQ(reply.outcome, Outcome::kProducerGap);
  EXPECT_EQ(reply.append.producer_expected_sequence, 2u);
  reply = driver.Do(Producing("s", "x", {"p", 2, 0}));
  EXPECT_EQ(reply.outcome, Outcome::kProducerStale);
  EXPECT_EQ(reply.append.producer_epoch, 3u);
  EXPECT_EQ(driver.Do(Producing("s", "x", {"p", 4, 1})).outcome, Outcome::kProducerEpochStart);
  EXPECT_EQ(driver.Do(Producing("s", "2", {"p", 4, 0})).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Read("s"), "012");
}

TEST(MachineAppendTest, ARefusedAppendLeavesTheProducerAsItWas) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  Append append = Producing("s", "x", {"p", 0, 0});
  append.content_type = "application/json";
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kContentTypeMismatch);
  append.content_type = "";
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kOk);
}

TEST(MachineAppendTest, DuplicatesAreFoundBeforeStreamSeqIsCompared) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  Append append = Producing("s", "x", {"p", 0, 0});
  append.sequence = "5";
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kDuplicate);
  append.producer->sequence = 1;
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kSequenceConflict);
  append.sequence = "6";
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kOk);  // Sequence 1 wasn't used up.
}

TEST(MachineAppendTest, StreamSeqComparesAsBytes) {
  MachineDriver driver;
  CreateStream create = Creating("s");
  create.sequence = "09";
  driver.Do(create);
  auto append = [&](const char* sequence) {
    Append body = Appending("s", "x");
    body.sequence = sequence;
    return driver.Do(body).outcome;
  };
  EXPECT_EQ(append("09"), Outcome::kSequenceConflict);
  EXPECT_EQ(append("10"), Outcome::kOk);
  EXPECT_EQ(append("2"), Outcome::kOk);
  EXPECT_EQ(append("10"), Outcome::kSequenceConflict);
  EXPECT_EQ(append("a"), Outcome::kOk);
  EXPECT_EQ(append("B"), Outcome::kSequenceConflict);
}

// A producer that may still retry is never pushed out: its retry would be stored twice.
TEST(MachineAppendTest, ProducersAreForgottenWhenIdleAndNotByTheirNumber) {
  Limits limits;
  limits.producers_per_stream_max = 4;
  limits.producer_idle_ms = 1000;
  MachineDriver driver(limits);
  driver.Do(Creating("s"));
  auto produce = [&](const std::string& id, uint64_t sequence) {
    return driver.Do(Producing("s", "x", {id, 0, sequence})).outcome;
  };
  for (const char* id : {"a", "b", "c", "d"}) EXPECT_EQ(produce(id, 0), Outcome::kOk);
  EXPECT_EQ(produce("new", 0), Outcome::kTooManyProducers);
  EXPECT_EQ(produce("a", 0), Outcome::kDuplicate);
  driver.Advance(999);
  EXPECT_EQ(produce("a", 1), Outcome::kOk);
  EXPECT_EQ(produce("new", 0), Outcome::kTooManyProducers);
  driver.Advance(1);
  EXPECT_EQ(produce("b", 0), Outcome::kDuplicate) << "forgotten though nobody needed the room";
  EXPECT_EQ(produce("new", 0), Outcome::kOk);
  EXPECT_EQ(produce("a", 2), Outcome::kOk);
  EXPECT_EQ(produce("b", 1), Outcome::kProducerGap) << "idle, and not forgotten";
}

// Whoever meets a limit is told its number, as it is in each new group.
TEST(MachineAppendTest, ALimitIsToldWithItsNumber) {
  const Limits limits;
  const std::string producers(Describe(Outcome::kTooManyProducers));
  EXPECT_NE(producers.find(" " + std::to_string(limits.producers_per_stream_max) + " "),
            std::string::npos);
  const uint64_t days = limits.producer_idle_ms / (24 * 3600 * 1000);
  EXPECT_NE(producers.find(" " + std::to_string(days) + " days"), std::string::npos);
  const std::string depth(Describe(Outcome::kForkTooDeep));
  EXPECT_NE(depth.find(" " + std::to_string(limits.fork_depth_max) + " "), std::string::npos);
}

TEST(MachineAppendTest, AnAppendInAnotherFormThanTheStreamsIsRefused) {
  MachineDriver driver;
  CreateStream json = Creating("j");
  json.content_type = "application/json";
  driver.Do(json);
  driver.Do(Creating("t"));
  Append append = Appending("j", "x");
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kContentTypeMismatch);
  append.framing = Framing::kJson;
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kOk);
  append.id = Id("t");
  EXPECT_EQ(driver.Do(append).outcome, Outcome::kContentTypeMismatch);
}

TEST(MachineAppendTest, PositionsEndBelowTheirSixteenDigits) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  // No memory is behind this payload: the machine looks at its size alone.
  static const char kByte = 'x';
  Append append = Appending("s", "");
  append.payload = Bytes::Static(std::string_view(&kByte, kOffsetEnd - 1));
  Machine& machine = driver.machine();
  EXPECT_EQ(machine.Apply(Index{2}, Command{0, append}).reply.outcome, Outcome::kOk);
  append.payload = Bytes::Static(std::string_view(&kByte, 1));
  EXPECT_EQ(machine.Apply(Index{3}, Command{0, append}).reply.outcome, Outcome::kTooLarge);
}

}  // namespace
}  // namespace ursula::stream
