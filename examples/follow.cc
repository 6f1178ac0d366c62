// A slow consumer that costs bounded memory: the engine delivers at most `unread_bytes_max` bytes
// ahead of what was granted back.

#include <algorithm>
#include <condition_variable>
#include <iostream>
#include <mutex>

#include "ursula/engine.h"
#include "ursula/outcome.h"
#include "ursula/sync.h"

namespace {

class Consumer final : public ursula::Follower {
 public:
  void OnData(ursula::ReadReply reply) override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const ursula::Bytes& part : reply.parts) waiting_ += part.size();
    most_ = std::max(most_, waiting_);
    changed_.notify_one();
  }
  void OnEnd(ursula::Status status, ursula::Outcome) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    status_ = std::move(status);
    changed_.notify_one();
  }

  // Takes what has come; 0 when the stream has ended and all of it was taken.
  uint64_t Take() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0 || ended_; });
    return std::exchange(waiting_, 0);
  }
  uint64_t most() const { return most_; }
  const ursula::Status& status() const { return status_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t waiting_ = 0;
  uint64_t most_ = 0;
  bool ended_ = false;
  ursula::Status status_;
};

}  // namespace

int main() {
  auto engine = ursula::StreamEngine::Open({});  // In memory.
  if (!engine.ok()) return 1;
  ursula::StreamId stream{.bucket = ursula::kUpstreamBucket, .name = "numbers"};
  ursula::CreateRequest create{.stream = stream};
  auto created = ursula::Wait<ursula::CreateReply>(
      [&](auto done) { (*engine)->Create(create, std::move(done)); });
  if (!ursula::StatusOf(created).ok()) return 1;

  Consumer consumer;
  constexpr uint64_t kUnreadMax = 64 << 10;
  ursula::FollowRequest follow{.stream = stream, .unread_bytes_max = kUnreadMax};
  ursula::Ticket ticket = (*engine)->Follow(follow, &consumer);

  constexpr uint64_t kAppends = 1000;
  constexpr uint64_t kAppendBytes = 1000;
  ursula::Bytes payload = ursula::Bytes::Take(std::string(kAppendBytes, 'x'));
  for (uint64_t i = 0; i < kAppends; ++i) {
    ursula::AppendRequest append{.stream = stream, .messages = {payload}};
    append.close = i + 1 == kAppends;
    auto appended = ursula::Wait<ursula::AppendReply>(
        [&](auto done) { (*engine)->Append(append, std::move(done)); });
    if (!ursula::StatusOf(appended).ok()) return 1;
  }

  uint64_t total = 0;
  while (uint64_t taken = consumer.Take()) {
    total += taken;
    (*engine)->Grant(ticket, taken);
  }
  std::cout << "followed " << total << " bytes, never more than " << consumer.most()
            << " unread: " << consumer.status().ToString() << "\n";
  bool bounded = consumer.most() <= kUnreadMax + kAppendBytes;
  return total == kAppends * kAppendBytes && bounded && consumer.status().ok() ? 0 : 1;
}
