// Reads from inside an append: from its start where the caller made the offset up, else from just
// there. At every byte, from memory, from files, after a restart and across forks.

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

// A stream that a test has made: its bytes, and where its appends (of JSON: messages) end.
struct Made {
  std::string name = {};
  std::string content = {};
  std::vector<uint64_t> starts = {0};

  uint64_t tail() const { return content.size(); }
  // Where what `at` lies in begins.
  uint64_t StartOf(uint64_t at) const {
    return *std::prev(std::upper_bound(starts.begin(), starts.end(), at));
  }
  bool Begins(uint64_t at) const { return StartOf(at) == at; }
};

class AppendStartTest : public ::testing::Test {
 protected:
  void Open() { ASSERT_TRUE(world_.Open().ok()); }
  void TearDown() override { EXPECT_TRUE(!world_.open() || world_.Stop()); }

  void Append(Made* made, std::string_view bytes) {
    stream::Append append;
    append.id = NameOf(made->name);
    append.framing =
        bytes.ends_with('\n') ? stream::Framing::kJson : stream::Framing::kConcatenated;
    // The last message is ended on the way.
    append.payload = Bytes::Copy(bytes.ends_with('\n') ? bytes.substr(0, bytes.size() - 2) : bytes);
    ASSERT_TRUE(world_.Finish(world_.Propose(std::move(append))));
    made->content += bytes;
    made->starts.push_back(made->tail());
  }

  Made Create(std::string_view name, std::string_view type = "text/plain") {
    stream::CreateStream create;
    create.id = NameOf(name);
    create.content_type = type;
    EXPECT_TRUE(world_.Finish(world_.Propose(std::move(create))));
    return {.name = std::string(name)};
  }

  Made Fork(const Made& source, uint64_t at, std::string_view name) {
    stream::CreateFork fork;
    fork.stream.id = NameOf(name);
    fork.point.source = NameOf(source.name);
    fork.source = world_.replica().machine().Lookup(NameOf(source.name), 0).incarnation;
    fork.offset.bytes = at;
    EXPECT_TRUE(world_.Finish(world_.Propose(fork)));
    Made made = {.name = std::string(name), .content = source.content.substr(0, at), .starts = {}};
    for (uint64_t start : source.starts) {
      if (start < at) made.starts.push_back(start);
    }
    made.starts.push_back(at);
    return made;
  }

  ReadReply Read(const Made& made, uint64_t from, bool made_up, uint64_t bytes_max = 1 << 20) {
    ReadRequest request;
    request.stream = NameOf(made.name);
    request.from.bytes = from;
    request.from_append_start = made_up;
    request.bytes_max = bytes_max;
    AskedRead asked = world_.Read(std::move(request));
    world_.FinishRead(asked);
    EXPECT_TRUE(asked->reply && asked->reply->ok());
    return std::move((*asked->reply)->reply);
  }

  // Reads from `from`: it begins where it should, and pages of `page` bytes bring the rest, each
  // going on just where the one before has ended.
  void Check(const Made& made, uint64_t from, bool made_up, uint64_t page) {
    SCOPED_TRACE(made.name + " from " + std::to_string(from) + (made_up ? " made up" : " own") +
                 " by " + std::to_string(page));
    const uint64_t start = made_up ? made.StartOf(from) : from;
    uint64_t at = start;
    bool first = true;
    do {
      ReadReply reply = Read(made, first ? from : at, first && made_up, page);
      ASSERT_EQ(reply.outcome, Outcome::kOk);
      ASSERT_EQ(reply.start.bytes, at);
      std::string text;
      for (const Bytes& part : reply.parts) text += part.view();
      ASSERT_EQ(reply.next.bytes, at + text.size());
      ASSERT_TRUE(text == made.content.substr(at, text.size()));
      ASSERT_EQ(reply.cut, !made.Begins(reply.next.bytes));
      // Only what is larger than a page is cut.
      if (reply.cut) {
        ASSERT_EQ(made.StartOf(reply.next.bytes - 1), made.StartOf(at));
      }
      ASSERT_TRUE(!text.empty() || at == made.tail());
      at = reply.next.bytes;
      first = false;
    } while (at < made.tail());
  }
  void CheckEverywhere(const Made& made) {
    for (uint64_t from = 0; from <= made.tail(); ++from) {
      for (uint64_t page : {uint64_t{1}, uint64_t{4}, uint64_t{1} << 20}) {
        Check(made, from, true, page);
        Check(made, from, false, page);
      }
    }
  }
  void PushOut() {
    ASSERT_TRUE(world_.FlushNow());
    world_.replica().EvictTo(0);
    ASSERT_EQ(world_.replica().hot_bytes(), 0u);
  }
  void Restart() {
    world_.Crash();
    Open();
  }

  GroupWorld world_;
};

TEST_F(AppendStartTest, EachByteOfAStreamInMemoryOnDiskAndAfterARestart) {
  Open();
  Made made = Create("s");
  for (std::string_view one : {"a", "bcdef", "gh", "ijklmnopq"}) Append(&made, one);
  CheckEverywhere(made);
  Restart();
  CheckEverywhere(made);  // From the log.
  PushOut();
  CheckEverywhere(made);
  for (std::string_view one : {"rst", "u", "vwxy"}) Append(&made, one);
  CheckEverywhere(made);  // Partly in memory.
  ASSERT_TRUE(world_.CheckpointNow());
  Restart();
  PushOut();
  CheckEverywhere(made);
}

TEST_F(AppendStartTest, AnAppendThatAForkInheritsThePartOfEndsAtTheFork) {
  Open();
  Made source = Create("s");
  for (std::string_view one : {"abc", "defgh", "ij"}) Append(&source, one);
  std::vector<Made> forks;
  for (uint64_t at = 0; at <= source.tail(); ++at) {
    Made fork = Fork(source, at, "f" + std::to_string(at));
    Append(&fork, "XYZ");
    Append(&fork, "W");
    forks.push_back(Fork(fork, at + 2, "ff" + std::to_string(at)));
    Append(&forks.back(), "12");
    forks.push_back(std::move(fork));
  }
  for (const Made& fork : forks) CheckEverywhere(fork);
  CheckEverywhere(source);
  PushOut();
  for (const Made& fork : forks) CheckEverywhere(fork);
  Restart();
  PushOut();
  for (const Made& fork : forks) CheckEverywhere(fork);
}

// Of JSON the start is a message's: pages end between messages that came together.
TEST_F(AppendStartTest, OfJsonItIsTheMessage) {
  Open();
  Made made = Create("j", "application/json");
  for (std::string_view one : {"1,\n", "[2,3],\n{},\n", "\"four\",\n"}) Append(&made, one);
  made.starts.insert(made.starts.begin() + 2, 10);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t from = 0; from <= made.tail(); ++from) {
      for (uint64_t page : {uint64_t{1}, uint64_t{1} << 20}) {
        Check(made, from, true, page);
        if (made.Begins(from)) {
          Check(made, from, false, page);
        } else {
          EXPECT_EQ(Read(made, from, false).outcome, Outcome::kOffsetInvalid);
        }
      }
    }
    PushOut();
  }
}

// Larger than a block of a payload file, and than a piece that is looked through at once.
TEST_F(AppendStartTest, LargeAppendsBeginWhereTheyBegin) {
  world_.options.wal_segment_bytes = 8 << 20;
  world_.options.wal_bytes_max = 64 << 20;
  world_.options.inflight_bytes_max = 16 << 20;
  Open();
  auto large = [](std::size_t bytes, char first) {
    std::string text;
    for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(first + i % 23);
    return text;
  };
  Made bytes = Create("s");
  Made json = Create("j", "application/json");
  for (std::size_t size : {100, 70'000, 3'000'000, 300'000, 5}) {
    Append(&bytes, large(size, 'a'));
    Append(&json, '"' + large(size, 'A') + "\",\n");
  }
  for (int round = 0; round < 3; ++round) {
    for (const Made* made : {&bytes, &json}) {
      std::vector<uint64_t> cuts = {made->tail() - 1, made->tail()};
      for (uint64_t start : made->starts) {
        for (uint64_t past : {0, 1, 65'535, 65'536, 65'537, 262'144, 330'000, 1'400'000}) {
          if (start + past < made->tail()) cuts.push_back(start + past);
        }
      }
      for (uint64_t cut : cuts) {
        Check(*made, cut, true, 1 << 20);
        if (made == &bytes) Check(*made, cut, false, 1 << 20);
      }
    }
    if (round == 0) PushOut();
    if (round == 1) Restart();
  }
}

}  // namespace
}  // namespace ursula::group
