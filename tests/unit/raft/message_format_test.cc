#include "lib/raft/message_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/random.h"

namespace ursula::raft {
namespace {

Message Sample(MessageKind kind, Random* random) {
  Message message;
  message.kind = kind;
  message.from = ReplicaId{random->Below(9) + 1};
  message.to = ReplicaId{random->Next()};
  message.term = Term{random->Below(300)};
  message.log_term = Term{random->Below(300)};
  message.index = Index{random->Below(100'000)};
  message.commit = Index{random->Below(100'000)};
  message.reject_hint = Index{random->Below(100'000)};
  message.reject = random->OneIn(2);
  message.transfer = random->OneIn(2);
  if (OfElection(kind)) {
    message.commit_term = Term{random->Below(300)};
  } else {
    message.read_round = random->Below(1000);
  }
  if (random->OneIn(2)) message.context = Bytes::Static("a context");
  if (kind == MessageKind::kAppend || kind == MessageKind::kPropose) {
    for (uint64_t i = 0; i < random->Below(5); ++i) {
      Entry& entry = message.entries.emplace_back();
      entry.term = message.term;
      if (kind == MessageKind::kAppend) entry.index = message.index + i + 1;
      entry.kind = static_cast<EntryKind>(random->Below(3));
      entry.payload = Bytes::Take(std::string(random->Below(3) * 4000, 'p'));
    }
  }
  if (kind == MessageKind::kSnapshot) {
    message.snapshot.meta.index = Index{7};
    message.snapshot.meta.term = Term{2};
    message.snapshot.meta.conf.voters = {ReplicaId{1}, ReplicaId{300}};
    message.snapshot.meta.conf.learners = {ReplicaId{4}};
    message.snapshot.meta.conf.voters_outgoing = {ReplicaId{1}};
    message.snapshot.meta.conf.learners_next = {ReplicaId{5}};
    message.snapshot.meta.conf.auto_leave = true;
    message.snapshot.data = Bytes::Static("data");
  }
  return message;
}

bool Same(const Message& a, const Message& b) {
  return a.kind == b.kind && a.from == b.from && a.to == b.to && a.term == b.term &&
         a.log_term == b.log_term && a.index == b.index && a.commit == b.commit &&
         a.commit_term == b.commit_term && a.reject_hint == b.reject_hint && a.reject == b.reject &&
         a.transfer == b.transfer && a.read_round == b.read_round && a.context == b.context &&
         a.entries == b.entries && a.snapshot.meta == b.snapshot.meta &&
         a.snapshot.data == b.snapshot.data;
}

Bytes Encoded(const Message& message) {
  ByteParts parts;
  EncodeMessage(message, &parts);
  return parts.TakeJoined();
}

std::vector<MessageKind> Kinds() {
  std::vector<MessageKind> kinds;
  for (int kind = 1; kind <= static_cast<int>(MessageKind::kTimeoutNow); ++kind) {
    kinds.push_back(static_cast<MessageKind>(kind));
  }
  return kinds;
}

TEST(MessageFormatTest, WhatIsReadIsWhatWasWritten) {
  Random random(1);
  for (MessageKind kind : Kinds()) {
    for (int i = 0; i < 50; ++i) {
      const Message message = Sample(kind, &random);
      Result<Message> read = DecodeMessage(Encoded(message));
      ASSERT_TRUE(read.ok()) << static_cast<int>(kind);
      EXPECT_TRUE(Same(*read, message)) << static_cast<int>(kind);
    }
  }
}

// Releases that don't know of it wrote a round of reads there, which is 0 in these, and pass over
// what isn't.
TEST(MessageFormatTest, InAnElectionTheTermOfTheCommitIndexStandsForTheRoundOfReads) {
  Message vote;
  vote.kind = MessageKind::kVote;
  vote.commit = Index{3};
  vote.commit_term = Term{2};
  Message beat;
  beat.kind = MessageKind::kHeartbeat;
  beat.commit = Index{3};
  beat.read_round = 2;
  EXPECT_EQ(Encoded(vote).view().substr(1), Encoded(beat).view().substr(1));
  vote.commit_term = Term{};
  vote.read_round = 2;  // Not said.
  EXPECT_EQ(DecodeMessage(Encoded(vote))->read_round, 0u);
  EXPECT_EQ(DecodeMessage(Encoded(beat))->commit_term, Term{});
}

TEST(MessageFormatTest, PayloadIsASliceOfWhatItCameIn) {
  Message message;
  message.kind = MessageKind::kAppend;
  message.entries.emplace_back().payload = Bytes::Static("payload");
  const Bytes encoded = Encoded(message);
  Result<Message> read = DecodeMessage(encoded);
  ASSERT_TRUE(read.ok());
  const char* at = read->entries[0].payload.data();
  EXPECT_GE(at, encoded.data());
  EXPECT_LT(at, encoded.data() + encoded.size());
}

TEST(MessageFormatTest, AnyCutAndWhateverFollowsIsRefused) {
  Random random(2);
  for (MessageKind kind : Kinds()) {
    const Bytes encoded = Encoded(Sample(kind, &random));
    for (std::size_t size = 0; size < std::min<std::size_t>(encoded.size(), 300); ++size) {
      EXPECT_FALSE(DecodeMessage(encoded.Slice(0, size)).ok());
    }
    EXPECT_FALSE(DecodeMessage(Bytes::Take(std::string(encoded.view()) + "x")).ok());
  }
}

TEST(MessageFormatTest, WhatDoesNotTravelIsRefused) {
  Message message;
  message.kind = MessageKind::kHeartbeat;
  std::string encoded(Encoded(message).view());
  for (int kind : {0, 15, 20, 21, 255}) {
    encoded[0] = static_cast<char>(kind);
    EXPECT_FALSE(DecodeMessage(Bytes::Copy(encoded)).ok()) << kind;
  }
  encoded[0] = static_cast<char>(MessageKind::kHeartbeat);
  encoded[1] = 8;
  EXPECT_FALSE(DecodeMessage(Bytes::Copy(encoded)).ok());
}

TEST(MessageFormatTest, ANumberOfEntriesThatCannotBeThereTakesNoMemory) {
  Message message;
  message.kind = MessageKind::kAppend;
  std::string encoded(Encoded(message).view());
  encoded.pop_back();  // Their number.
  encoded += "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
  EXPECT_FALSE(DecodeMessage(Bytes::Take(std::move(encoded))).ok());
}

}  // namespace
}  // namespace ursula::raft
