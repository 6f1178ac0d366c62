#include "lib/io/mailbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace ursula::io {
namespace {

TEST(MailboxTest, RunsInTheOrderOfOneSenderAndLeavesWhatComesMeanwhile) {
  // On the heap: AddressSanitizer does not align stack frames to cache lines.
  auto owned = std::make_unique<Mailbox>(10);
  Mailbox& mailbox = *owned;
  std::vector<int> ran;
  for (int i = 0; i < 5; ++i) mailbox.Push([&ran, i] { ran.push_back(i); });
  mailbox.Push([&] { mailbox.Push([&] { ran.push_back(99); }); });
  EXPECT_EQ(mailbox.RunWaiting(), 6u);
  EXPECT_EQ(ran, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_FALSE(mailbox.empty());
  EXPECT_EQ(mailbox.RunWaiting(), 1u);
  EXPECT_EQ(ran.back(), 99);
  EXPECT_TRUE(mailbox.empty());
}

TEST(MailboxTest, RefusesRequestsPastTheLimitButNeverAnswers) {
  auto owned = std::make_unique<Mailbox>(3);
  Mailbox& mailbox = *owned;
  int ran = 0;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(mailbox.TryPush([&] { ++ran; }));
  EXPECT_FALSE(mailbox.TryPush([&] { ++ran; }));
  mailbox.Push([&] { ++ran; });
  mailbox.RunWaiting();
  EXPECT_EQ(ran, 4);
  EXPECT_TRUE(mailbox.TryPush([&] { ++ran; }));
  mailbox.Clear();
  EXPECT_EQ(ran, 4);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(mailbox.TryPush([] {}));
}

TEST(MailboxTest, ClearDestroysWhatItHolds) {
  auto held = std::make_shared<int>(0);
  auto owned = std::make_unique<Mailbox>(3);
  Mailbox& mailbox = *owned;
  mailbox.Push([held] {});
  EXPECT_EQ(held.use_count(), 2);
  mailbox.Clear();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(MailboxTest, KeepsEachSendersOrderUnderContention) {
  constexpr int kSenders = 4;
  constexpr int kEach = 20'000;
  auto owned = std::make_unique<Mailbox>(1);
  Mailbox& mailbox = *owned;
  std::vector<int> next(kSenders, 0);
  int mistakes = 0;
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&, s] {
      for (int i = 0; i < kEach; ++i) {
        mailbox.Push(
            [&next, &mistakes, s, i] { mistakes += next[static_cast<std::size_t>(s)]++ != i; });
      }
    });
  }
  uint32_t ran = 0;
  while (ran < kSenders * kEach) {
    ran += mailbox.RunWaiting();
    std::this_thread::yield();
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(mistakes, 0);
  EXPECT_TRUE(mailbox.empty());
}

}  // namespace
}  // namespace ursula::io
