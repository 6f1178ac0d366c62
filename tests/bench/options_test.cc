#include "tests/bench/options.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace ursula::bench {
namespace {

ParsedOptions Parse(std::vector<const char*> arguments) { return ParseOptions(arguments); }

std::string MistakeOf(std::vector<const char*> arguments) {
  ParsedOptions parsed = Parse(std::move(arguments));
  return parsed.mistakes.size() == 1 ? parsed.mistakes.front() : "not one mistake";
}

TEST(OptionsTest, TakesValuesAttachedOrNext) {
  ParsedOptions parsed = Parse({"append", "--connections=7", "--rate", "12.5", "--producers",
                                "--url", "http://[::1]:8080/a/b/"});
  EXPECT_TRUE(parsed.mistakes.empty());
  EXPECT_EQ(parsed.options.connections, 7u);
  EXPECT_EQ(parsed.options.rate, 12.5);
  EXPECT_TRUE(parsed.options.producers);
  EXPECT_EQ(parsed.options.url.host, "::1");
  EXPECT_EQ(parsed.options.url.port, 8080);
  EXPECT_EQ(parsed.options.url.authority, "[::1]:8080");
  EXPECT_EQ(parsed.options.url.prefix, "/a/b");
}

TEST(OptionsTest, ReadersAreSharedByNodes) {
  ParsedOptions parsed =
      Parse({"fan-out", "--rate", "50", "--readers-at", "127.0.0.1:8080,[::1]:9"});
  EXPECT_TRUE(parsed.mistakes.empty());
  ASSERT_EQ(parsed.options.reader_urls.size(), 2u);
  EXPECT_EQ(parsed.options.reader_urls[0].port, 8080);
  EXPECT_EQ(parsed.options.reader_urls[1].host, "::1");
  for (const char* wrong : {"", "a:1,", "a:1/b", "a:x"}) {
    EXPECT_EQ(MistakeOf({"fan-out", "--rate", "50", "--readers-at", wrong}),
              "--readers-at: '" + std::string(wrong) + "' is not HOST:PORT[,HOST:PORT]");
  }
}

TEST(OptionsTest, EachMistakeIsNamed) {
  EXPECT_EQ(MistakeOf({"push"}),
            "the first argument names the workload: append, fan-out, replay, create, idle, mixed, "
            "append-batch");
  EXPECT_EQ(MistakeOf({"append", "--speed=1"}), "--speed is not an option");
  EXPECT_EQ(MistakeOf({"append", "--connections"}), "--connections needs a value: N");
  EXPECT_EQ(MistakeOf({"append", "--connections", "0"}),
            "--connections: '0' is not a number from 1 to 100000");
  EXPECT_EQ(MistakeOf({"append", "--connections", "4x"}),
            "--connections: '4x' is not a number from 1 to 100000");
  EXPECT_EQ(MistakeOf({"append", "--duration", "nan"}),
            "--duration: 'nan' is not a number from 0 to 86400");
  EXPECT_EQ(MistakeOf({"append", "--producers=1"}), "--producers takes no value");
  EXPECT_EQ(MistakeOf({"append", "--tails", "5"}), "--tails means nothing to append");
  EXPECT_EQ(MistakeOf({"append", "--url", "https://x"}),
            "--url: 'https://x' is not http://HOST[:PORT]/PREFIX");
  EXPECT_EQ(MistakeOf({"fan-out"}), "--rate: fan-out needs one, such as 50");
  EXPECT_EQ(MistakeOf({"fan-out", "--rate", "5", "--payload", "4"}),
            "--payload: at least 18 bytes, which hold the time of sending");
}

TEST(OptionsTest, NumbersComeFromAFile) {
  const std::string path = ::testing::TempDir() + "/numbers";
  std::ofstream(path) << "7 12\n30\n";
  const std::string argument = "--numbers=" + path;
  ParsedOptions parsed = Parse({"append", argument.c_str()});
  EXPECT_TRUE(parsed.mistakes.empty());
  EXPECT_EQ(*parsed.options.numbers, (std::vector<uint64_t>{7, 12, 30}));
  EXPECT_EQ(parsed.options.streams, 3u);
  EXPECT_EQ(MistakeOf({"append", argument.c_str(), "--streams", "4"}),
            "--streams: --numbers says how many there are");
  std::ofstream(path) << "7 twelve";
  EXPECT_EQ(MistakeOf({"append", argument.c_str()}),
            "--numbers: '" + path + "' is not a file of numbers");
  EXPECT_EQ(MistakeOf({"append", "--numbers", "/nowhere"}),
            "--numbers: '/nowhere' is not a file of numbers");
}

TEST(OptionsTest, HelpNamesEveryWorkloadAndFitsATerminal) {
  EXPECT_EQ(Parse({"append", "--help"}).action, ParsedOptions::Action::kHelp);
  std::string help = HelpText();
  for (const char* word :
       {"append", "fan-out", "replay", "create", "idle", "mixed", "append-batch", "--json"}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
  std::size_t begin = 0;
  for (std::size_t end = help.find('\n'); end != std::string::npos; end = help.find('\n', begin)) {
    EXPECT_LE(end - begin, 110u) << help.substr(begin, end - begin);
    begin = end + 1;
  }
}

TEST(UrlTest, RefusesWhatItCannotUse) {
  for (const char* text : {"", "http://", "http:///x", "ftp://a", "http://a:0", "http://a:99999",
                           "http://a:x", "http://a/b?c", "http://u@a/", "http://a b/"}) {
    EXPECT_FALSE(ParseUrl(text).has_value()) << text;
  }
  EXPECT_EQ(ParseUrl("http://a")->port, 80);
  EXPECT_EQ(ParseUrl("http://a")->prefix, "");
}

}  // namespace
}  // namespace ursula::bench
