#include <gtest/gtest.h>

#include <string>

#include "tests/unit/engine/test_engine.h"

namespace ursula {
namespace {

using testing_support::TestDirectory;
using testing_support::TestEngine;

TEST(RestartTest, EverythingIsThereAgainWithAnyCoreCount) {
  TestDirectory directory;
  std::string expected;
  for (int round_cores : {1, 2, 1, 3, 1}) {
    uint16_t cores = static_cast<uint16_t>(round_cores);
    TestEngine engine({.cores = cores, .groups = 5, .data_dir = directory.data()});
    ASSERT_TRUE(engine.status.ok()) << engine.status.ToString();
    for (int i = 0; i < 10; ++i) {
      std::string name = "s" + std::to_string(i);
      if (expected.empty()) {
        ASSERT_EQ(engine.Create(name)->outcome, Outcome::kOk);
      } else {
        EXPECT_EQ(engine.Text(name), expected);
      }
      ASSERT_EQ(engine.Append(name, {"round of " + std::to_string(cores) + "; "})->outcome,
                Outcome::kOk);
    }
    expected += "round of " + std::to_string(cores) + "; ";
  }
}

TEST(RestartTest, AnotherGroupCountIsRefused) {
  TestDirectory directory;
  { TestEngine engine({.groups = 5, .data_dir = directory.data()}); }
  TestEngine engine({.groups = 6, .data_dir = directory.data()});
  EXPECT_EQ(engine.status.code(), StatusCode::kFailedPrecondition);
}

TEST(RestartTest, DirectoryInUseIsRefused) {
  TestDirectory directory;
  TestEngine first({.groups = 5, .data_dir = directory.data()});
  TestEngine second({.groups = 5, .data_dir = directory.data()});
  EXPECT_TRUE(first.status.ok());
  EXPECT_EQ(second.status.code(), StatusCode::kFailedPrecondition);
}

TEST(RestartTest, DataLargerThanMemoryIsReadFromDisk) {
  TestDirectory directory;
  constexpr uint64_t kAppends = 64;
  constexpr uint64_t kBytes = 256 << 10;
  for (int round = 0; round < 2; ++round) {
    TestEngine engine(
        {.cores = 2, .groups = 4, .data_dir = directory.data(), .hot_bytes_max = 2 << 20});
    ASSERT_TRUE(engine.status.ok()) << engine.status.ToString();
    if (round == 0) {
      ASSERT_EQ(engine.Create("big")->outcome, Outcome::kOk);
      for (uint64_t i = 0; i < kAppends; ++i) {
        Result<AppendReply> appended = Status(StatusCode::kResourceExhausted, "");
        while (appended.status().code() == StatusCode::kResourceExhausted) {
          appended = engine.Append("big", {std::string(kBytes, static_cast<char>('a' + i % 26))});
        }
        ASSERT_TRUE(appended.ok()) << appended.status().ToString();
      }
    }
    std::string text = engine.Text("big");
    ASSERT_EQ(text.size(), kAppends * kBytes);
    for (uint64_t i = 0; i < kAppends; ++i) {
      ASSERT_EQ(text[i * kBytes], static_cast<char>('a' + i % 26));
      ASSERT_EQ(text[(i + 1) * kBytes - 1], static_cast<char>('a' + i % 26));
    }
  }
}

}  // namespace
}  // namespace ursula
