// Linked with a lib/meta that has one bug planted in it (planted/*.patch): its tests must catch it.
// A test of the tests.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "gtest/gtest.h"

namespace ursula::meta {
namespace {

bool tests_caught = false;

TEST(PlantedBugTest, IsCaught) { EXPECT_TRUE(tests_caught); }

// Whether the tests, which are linked in too, fail.
bool RunTests(int argc, char** argv) {
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("XML_OUTPUT_FILE");
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    ::testing::InitGoogleTest(&argc, argv);
    ::testing::GTEST_FLAG(filter) = "Founding*";
    ::testing::GTEST_FLAG(fail_fast) = true;
    _exit(RUN_ALL_TESTS());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace
}  // namespace ursula::meta

int main(int argc, char** argv) {
  ursula::meta::tests_caught = ursula::meta::RunTests(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  testing::GTEST_FLAG(filter) = "PlantedBugTest.*";
  return RUN_ALL_TESTS();
}
