#include "server/peer/frame_records.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/random.h"

namespace ursula::peer {
namespace {

std::string Joined(const std::vector<Bytes>& parts) {
  std::string joined;
  for (const Bytes& part : parts) joined.append(part.view());
  return joined;
}

void Push(FrameQueue* queue, const std::string& frame) {
  queue->Push({Bytes::Copy(frame)}, frame.size());
}

bool Read(FrameReader* reader, std::string_view message, std::vector<Bytes>* frames) {
  const std::vector<std::string_view> pieces = {message};
  return reader->Read(pieces, frames);
}

TEST(FrameQueueTest, SmallFramesShareAMessage) {
  FrameQueue queue;
  Push(&queue, "ab");
  Push(&queue, "");
  Push(&queue, "c");
  FrameQueue::Message message = queue.Next(1000);
  EXPECT_EQ(Joined(message.parts), std::string("\3\2ab\3\0\3\1c", 9));
  EXPECT_EQ(message.frames, 3u);
  EXPECT_EQ(message.cost, 3 + 3 * kFrameOverheadBytes);
  EXPECT_TRUE(queue.empty());
}

TEST(FrameQueueTest, ALargeFrameIsTakenApart) {
  FrameQueue queue;
  queue.Push({Bytes::Copy("abc"), Bytes(), Bytes::Copy("defgh")}, 8);
  Push(&queue, "x");
  EXPECT_EQ(Joined(queue.Next(4).parts), std::string("\1\10\4abcd", 7));
  EXPECT_EQ(Joined(queue.Next(3).parts), std::string("\0\3efg", 5));
  EXPECT_EQ(Joined(queue.Next(4).parts), std::string("\2\1h\3\1x", 6));
}

TEST(FrameQueueTest, AFrameThatFitsIsNotTakenApart) {
  FrameQueue queue;
  Push(&queue, "abc");
  Push(&queue, "defg");
  EXPECT_EQ(Joined(queue.Next(5).parts), "\3\3abc");
  EXPECT_EQ(Joined(queue.Next(5).parts), "\3\4defg");
}

TEST(FrameQueueTest, LargePartsAreShared) {
  FrameQueue queue;
  const Bytes large = Bytes::Take(std::string(10'000, 'x'));
  queue.Push({large}, large.size());
  const FrameQueue::Message message = queue.Next(1 << 20);
  ASSERT_EQ(message.parts.size(), 2u);
  EXPECT_EQ(message.parts[1].data(), large.data());
}

TEST(FrameReaderTest, WhatAQueueGivesIsWhatItWasGiven) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    FrameQueue queue;
    FrameReader reader(1 << 20);
    std::vector<std::string> sent;
    std::vector<Bytes> received;
    const uint64_t bytes_max = 1 + random.Below(300);
    for (int round = 0; round < 20; ++round) {
      for (uint64_t i = random.Below(5); i > 0; --i) {
        sent.push_back(std::string(random.Below(1000), static_cast<char>('a' + random.Below(26))));
        const Bytes whole = Bytes::Copy(sent.back());
        const std::size_t cut = random.Below(whole.size() + 1);
        queue.Push({whole.Slice(0, cut), whole.Slice(cut)}, whole.size());
      }
      while (!queue.empty() && !random.OneIn(10)) {
        const std::string message = Joined(queue.Next(bytes_max).parts);
        std::vector<std::string_view> pieces;
        for (std::string_view rest = message; !rest.empty();) {
          const std::size_t size = random.Below(rest.size() + 1);
          pieces.push_back(rest.substr(0, size));
          rest.remove_prefix(size);
        }
        ASSERT_TRUE(reader.Read(pieces, &received));
      }
    }
    while (!queue.empty()) {
      ASSERT_TRUE(Read(&reader, Joined(queue.Next(bytes_max).parts), &received));
    }
    ASSERT_EQ(received.size(), sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(received[i].view(), sent[i]);
  }
}

TEST(FrameReaderTest, WhatIsNoMessageIsRefused) {
  const auto refused = [](std::vector<std::string> messages) {
    FrameReader reader(100);
    std::vector<Bytes> frames;
    for (std::size_t i = 0; i + 1 < messages.size(); ++i) {
      EXPECT_TRUE(Read(&reader, messages[i], &frames));
    }
    return !Read(&reader, messages.back(), &frames);
  };
  EXPECT_TRUE(refused({""}));
  EXPECT_TRUE(refused({"\4"}));
  EXPECT_TRUE(refused({"\3"}));
  EXPECT_TRUE(refused({"\3\2a"}));
  EXPECT_TRUE(refused({"\3\x80"}));
  EXPECT_TRUE(refused({"\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"}));
  EXPECT_TRUE(refused({std::string("\0\1a", 3)}));            // Goes on with nothing.
  EXPECT_TRUE(refused({"\2\1a"}));                            // Ends nothing.
  EXPECT_TRUE(refused({"\1\3\1a", "\3\1b"}));                 // Begins inside of another.
  EXPECT_TRUE(refused({"\1\3\1a", std::string("\0\0", 2)}));  // A fragment of nothing.
  EXPECT_TRUE(refused({"\1\3\1a", "\2\1b"}));                 // Ends early.
  EXPECT_TRUE(refused({"\1\3\1a", "\2\3bcd"}));               // Is longer than it said.
  EXPECT_TRUE(refused({"\1\3\3abc"}));                        // Is whole, and says it isn't.
  EXPECT_TRUE(refused({"\1\x7f\1a"}));                        // Would be larger than allowed.
  EXPECT_TRUE(refused({"\3\x65" + std::string(101, 'a')}));
  EXPECT_FALSE(refused({"\3\x64" + std::string(100, 'a')}));
}

TEST(FrameReaderTest, AMessageOfTooManyFramesIsRefused) {
  FrameReader reader(100);
  std::vector<Bytes> frames;
  std::string message;
  for (int i = 0; i < 1024; ++i) message += std::string("\3\0", 2);
  EXPECT_TRUE(Read(&reader, message, &frames));
  EXPECT_FALSE(Read(&reader, message + std::string("\3\0", 2), &frames));
  FrameQueue queue;
  for (int i = 0; i < 3000; ++i) Push(&queue, "");
  while (!queue.empty()) EXPECT_TRUE(Read(&reader, Joined(queue.Next(1 << 20).parts), &frames));
}

TEST(FrameReaderTest, NoBytesMakeItFail) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    Random random(seed);
    FrameReader reader(1000);
    std::vector<Bytes> frames;
    std::string message;
    do {
      message.clear();
      for (uint64_t i = random.Below(40); i > 0; --i) {
        message.push_back(static_cast<char>(random.OneIn(3) ? random.Below(256) : random.Below(5)));
      }
    } while (Read(&reader, message, &frames));
    for (const Bytes& frame : frames) ASSERT_LE(frame.size(), 1000u);
  }
}

}  // namespace
}  // namespace ursula::peer
