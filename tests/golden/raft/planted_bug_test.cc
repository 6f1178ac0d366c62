// Linked with a core that has one bug planted in it (planted/*.patch): the recordings must notice.
// A test of the oracle, not of the core: a bug that goes unnoticed here is one that could come in.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/golden/raft/archive.h"
#include "tests/golden/raft/commands.h"
#include "tests/golden/raft/script.h"

namespace ursula::raft::golden {
namespace {

std::vector<std::string> archive_paths;

constexpr int kNoticedEnough = 5;  // Of an archive.

bool Differs(const std::string& text) {
  ClusterScript script;
  for (const ScriptStep& step : ParseScript(text)) {
    if (script.Run(step) != step.expected) return true;
  }
  return false;
}

// In a process of its own: a broken core may well break an invariant and stop.
bool Notices(const std::string& text) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    _exit(Differs(text) ? 1 : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

TEST(PlantedBugTest, IsNoticed) {
  ASSERT_FALSE(archive_paths.empty());
  int noticed = 0;
  for (const std::string& path : archive_paths) {
    const std::vector<ArchivedFile> files = ReadArchive(path);
    ASSERT_FALSE(files.empty()) << path;
    int of_these = 0;
    for (const ArchivedFile& file : files) {
      if (!Notices(file.text)) continue;
      std::printf("noticed by %s\n", file.name.c_str());
      if (++of_these == kNoticedEnough) break;
    }
    noticed += of_these;
  }
  EXPECT_GT(noticed, 0);
}

}  // namespace
}  // namespace ursula::raft::golden

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::raft::golden::archive_paths.assign(argv + 1, argv + argc);
  return RUN_ALL_TESTS();
}
