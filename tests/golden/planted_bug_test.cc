// Linked with one bug planted (NAME/planted/*.patch), and with tests that must notice it: those
// that PLANTED_TESTS names, as GoogleTest's filter. A test of the tests.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/golden/linked_tests.h"

namespace ursula::golden {
namespace {

std::string failing_test;  // Empty: none.

TEST(PlantedBugTest, IsCaught) {
  const char* name = std::getenv("PLANTED_BUG");
  std::printf("%s: tests %s\n", name != nullptr ? name : "",
              failing_test.empty() ? "none" : failing_test.c_str());
  EXPECT_FALSE(failing_test.empty());
}

}  // namespace
}  // namespace ursula::golden

int main(int argc, char** argv) {
  const char* tests = std::getenv("PLANTED_TESTS");
  ursula::golden::failing_test =
      ursula::golden::FailingTest(argc, argv, tests != nullptr ? tests : "");
  testing::InitGoogleTest(&argc, argv);
  testing::GTEST_FLAG(filter) = "PlantedBugTest.*";
  return RUN_ALL_TESTS();
}
