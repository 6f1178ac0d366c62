// tests/golden/linked_tests.h
//
// Of a program that has a bug planted in it: whether the tests that it is linked with notice.

#pragma once

#include <string>

namespace ursula::golden {

// Runs those that `filter` (of GoogleTest) names, in a process of their own, until one fails or
// stops it: which one. Empty: none did. REQUIRES: before InitGoogleTest.
std::string FailingTest(int argc, char** argv, const char* filter);

}  // namespace ursula::golden
