#include "server/http/compress_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/manual_loop.h"

namespace ursula::http {
namespace {

using protocol::Compression;
using protocol::ContentCoding;

constexpr std::size_t kKiB = 1024;

class CompressQueueTest : public ::testing::Test {
 protected:
  // Starts to compress `bytes` of text; `done_` gets its name when it is.
  CompressJob* Start(int name, std::size_t bytes, ContentCoding coding = ContentCoding::kGzip) {
    protocol::Response response;
    response.headers.Add("Content-Type", "text/plain");
    std::string text;
    for (int i = 0; text.size() < bytes; ++i) text += "line " + std::to_string(i) + "\n";
    text.resize(bytes);
    response.body = {Bytes::Take(std::move(text))};
    jobs_.push_back(std::make_unique<CompressJob>(&queue_, Compression(std::move(response), coding),
                                                  [this, name] { done_.push_back(name); }));
    CompressJob* job = jobs_.back().get();
    job->Start();
    return job;
  }
  // The next turn of a loop whose clock has moved on.
  void Turn() {
    ++loop_.clock().now_ns;
    loop_.RunTurn();
  }
  int TurnsUntilDone(std::size_t count) {
    int turns = 0;
    for (; done_.size() < count && turns < 10'000; ++turns) Turn();
    return turns;
  }

  testing::ManualLoop loop_;
  CompressQueue queue_{&loop_};
  std::vector<std::unique_ptr<CompressJob>> jobs_;
  std::vector<int> done_;
};

TEST_F(CompressQueueTest, SmallAnswerIsDoneAtOnce) {
  CompressJob* job = Start(1, 4 * kKiB);
  EXPECT_EQ(done_, (std::vector<int>{1}));
  protocol::Response response = job->TakeResponse();
  EXPECT_TRUE(response.headers.Find("Content-Encoding").has_value());
  EXPECT_LT(response.body_bytes(), 4 * kKiB);
}

TEST_F(CompressQueueTest, NoTurnTakesMoreThanItsShareOfALargeAnswer) {
  for (ContentCoding coding : {ContentCoding::kGzip, ContentCoding::kZstd}) {
    done_.clear();
    Turn();
    Start(1, 1024 * kKiB, coding);
    // The first turn is the one it came in.
    EXPECT_EQ(TurnsUntilDone(1), static_cast<int>(1024 * kKiB / CompressQueue::kTurnBytesMax) - 1);
  }
}

TEST_F(CompressQueueTest, NoTurnTakesMoreThanItsShareOfManyAnswers) {
  for (int i = 0; i < 64; ++i) Start(i, 16 * kKiB);
  EXPECT_EQ(done_.size(), CompressQueue::kTurnBytesMax / (16 * kKiB));
  EXPECT_EQ(TurnsUntilDone(64),
            static_cast<int>(64 * 16 * kKiB / CompressQueue::kTurnBytesMax) - 1);
}

TEST_F(CompressQueueTest, SmallAnswerPassesLargeOnes) {
  for (int i = 0; i < 20; ++i) Start(i, 512 * kKiB);
  Start(100, 4 * kKiB);
  // One slice of each active one, and it.
  TurnsUntilDone(1);
  EXPECT_EQ(done_, (std::vector<int>{100}));
  EXPECT_LE(loop_.now_ns(), 1'000'000'000 + CompressQueue::kLargeActiveMax);
  TurnsUntilDone(21);
  EXPECT_EQ(done_.size(), 21u);
}

TEST_F(CompressQueueTest, JobThatIsDestroyedMakesRoomForAnother) {
  for (int i = 0; i < 10; ++i) Start(i, 256 * kKiB);
  jobs_[9].reset();                              // Waiting;
  for (int i = 0; i < 8; ++i) jobs_[i].reset();  // active.
  TurnsUntilDone(1);
  EXPECT_EQ(done_, (std::vector<int>{8}));
  jobs_.clear();
  Turn();
  Start(11, 4 * kKiB);
  EXPECT_EQ(done_.back(), 11);
}

}  // namespace
}  // namespace ursula::http
