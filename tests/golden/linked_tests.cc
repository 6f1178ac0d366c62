#include "tests/golden/linked_tests.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "gtest/gtest.h"

namespace ursula::golden {
namespace {

std::string ContentOf(int descriptor) {
  std::string content;
  char piece[4096];
  lseek(descriptor, 0, SEEK_SET);
  for (ssize_t size; (size = read(descriptor, piece, sizeof(piece))) > 0;) {
    content.append(piece, static_cast<std::size_t>(size));
  }
  return content;
}

std::string NameAfter(const std::string& output, std::size_t at, std::string_view word) {
  const std::size_t from = at + word.size();
  return output.substr(from, output.find_first_of(" \n,", from) - from);
}

// The first that had failed, as GoogleTest says it; where it stopped the process, the last that had
// begun.
std::string Failing(const std::string& output) {
  static constexpr std::string_view kFailed = "[  FAILED  ] ";
  static constexpr std::string_view kBegun = "[ RUN      ] ";
  const std::size_t failed = output.find(kFailed);
  if (failed != std::string::npos) return NameAfter(output, failed, kFailed);
  const std::size_t begun = output.rfind(kBegun);
  return begun == std::string::npos ? "none had begun" : NameAfter(output, begun, kBegun);
}

}  // namespace

std::string FailingTest(int argc, char** argv, const char* filter) {
  const int output = memfd_create("tests", MFD_CLOEXEC);
  if (output < 0) return "no room for what the tests say";
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("XML_OUTPUT_FILE");
    dup2(output, STDOUT_FILENO);
    ::testing::InitGoogleTest(&argc, argv);
    ::testing::GTEST_FLAG(filter) = filter;
    ::testing::GTEST_FLAG(fail_fast) = true;
    const int failed = RUN_ALL_TESTS();
    std::fflush(nullptr);
    _exit(failed);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const std::string said = ContentOf(output);
  close(output);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return Failing(said);
}

}  // namespace ursula::golden
