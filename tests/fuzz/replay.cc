// Runs a fuzz target without a fuzzer: each file of its corpus, then seeded mutations of them. An
// input that breaks it is printed in hex.
//
// usage: NAME_test [--mutations=N] [--seed=N] FILE...

#include <gtest/gtest.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/random.h"
#include "tests/fuzz/mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace ursula::fuzz {
namespace {

uint64_t mutations = 0;
uint64_t seed = 1;
std::vector<std::string> paths;

// What is being run, for the handler of a crash. Nothing else looks at it.
const std::string* running = nullptr;

void WriteToConsole(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void OnCrash(int signal) {
  if (running != nullptr) {
    WriteToConsole("the input (hex): ");
    for (const char c : *running) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      WriteToConsole(kDigits.substr(byte >> 4, 1));
      WriteToConsole(kDigits.substr(byte & 15, 1));
    }
    WriteToConsole("\n");
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void RunInput(const std::string& input) {
  running = &input;
  // In a buffer of its own size, so that a sanitizer sees a read past its end.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  running = nullptr;
}

std::vector<std::string> Corpus() {
  std::vector<std::string> corpus;
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file.good()) << path;
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

TEST(FuzzReplayTest, EveryInputOfTheCorpusHolds) {
  const std::vector<std::string> corpus = Corpus();
  ASSERT_FALSE(corpus.empty());
  for (const std::string& input : corpus) RunInput(input);
  RunInput("");
}

TEST(FuzzReplayTest, MutationsOfTheCorpusHold) {
  const std::vector<std::string> corpus = Corpus();
  ASSERT_FALSE(corpus.empty());
  Random random(seed);
  for (uint64_t i = 0; i < mutations; ++i) {
    const std::string& one = corpus[random.Below(corpus.size())];
    const std::string& other = corpus[random.Below(corpus.size())];
    RunInput(Mutate(one, other, &random));
  }
}

bool TakeNumber(std::string_view argument, std::string_view name, uint64_t* value) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  const auto end = std::from_chars(argument.data(), argument.data() + argument.size(), *value);
  return end.ptr == argument.data() + argument.size();
}

}  // namespace
}  // namespace ursula::fuzz

int main(int argc, char** argv) {
  using namespace ursula::fuzz;
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (TakeNumber(argv[i], "--mutations=", &mutations)) continue;
    if (TakeNumber(argv[i], "--seed=", &seed)) continue;
    paths.emplace_back(argv[i]);
  }
  for (const int signal : {SIGABRT, SIGFPE, SIGILL, SIGSEGV, SIGTRAP}) {
    std::signal(signal, OnCrash);
  }
  return RUN_ALL_TESTS();
}
