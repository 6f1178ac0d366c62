#include "server/config/load.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "server/config/options.h"

namespace ursula::server {
namespace {

struct Sources {
  std::vector<const char*> flags = {};
  std::map<std::string, std::string> environment = {};
  std::map<std::string, std::string> files = {};
};

LoadedConfig Load(const Sources& sources) {
  ConfigInput input;
  input.flags = sources.flags;
  input.environment = [&](const char* name) -> const char* {
    auto found = sources.environment.find(name);
    return found == sources.environment.end() ? nullptr : found->second.c_str();
  };
  for (const auto& [name, value] : sources.environment) input.environment_names.push_back(name);
  input.read_file = [&](const std::string& path) -> Result<std::string> {
    auto found = sources.files.find(path);
    if (found == sources.files.end()) return Status(StatusCode::kIoError, "No such file");
    return found->second;
  };
  return LoadConfig(std::move(input));
}

TEST(LoadConfigTest, NothingSetIsTheDefaultServer) {
  LoadedConfig loaded = Load({});
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.listen, (HostPort{"127.0.0.1", 4437}));
  EXPECT_EQ(loaded.config.admin_listen, (HostPort{"127.0.0.1", 4438}));
  EXPECT_EQ(loaded.config.data_dir, "./ursula-data");
  EXPECT_FALSE(loaded.config.memory);
  EXPECT_EQ(loaded.config.body_bytes_max, uint64_t{32} << 20);
  EXPECT_EQ(loaded.config.long_poll_timeout_ms, 25'000u);
}

TEST(LoadConfigTest, FlagBeatsEnvironmentBeatsFile) {
  Sources sources;
  sources.flags = {"--config", "u.toml", "--core-count", "3"};
  sources.environment = {{"URSULA_CORE_COUNT", "2"}, {"URSULA_LONG_POLL_TIMEOUT_MS", "500"}};
  sources.files = {{"u.toml",
                    "core_count = 1\nlong_poll_timeout_ms = 100\nmemory = true\n"
                    "hot_bytes_max = '64MiB'\n"}};
  LoadedConfig loaded = Load(sources);
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.core_count, 3u);
  EXPECT_EQ(loaded.config.long_poll_timeout_ms, 500u);
  EXPECT_TRUE(loaded.config.memory);
  EXPECT_EQ(loaded.config.hot_bytes_max, uint64_t{64} << 20);
}

TEST(LoadConfigTest, BudgetsFitIntoTheMemoryUnlessTheyAreGiven) {
  auto load = [](uint64_t memory_bytes, std::vector<const char*> flags) {
    ConfigInput input;
    input.flags = flags;
    input.environment = [](const char*) { return nullptr; };
    input.memory_bytes = memory_bytes;
    LoadedConfig loaded = LoadConfig(std::move(input));
    EXPECT_TRUE(loaded.mistakes.empty());
    return loaded.config;
  };
  constexpr uint64_t kMiB = 1 << 20;
  ServerConfig large = load(4096 * kMiB, {});
  EXPECT_EQ(large.hot_bytes_max, 256 * kMiB);
  EXPECT_EQ(large.inflight_read_bytes_max, 256 * kMiB);
  EXPECT_EQ(large.inflight_body_bytes_max, 256 * kMiB);
  EXPECT_EQ(large.body_bytes_max, 32 * kMiB);
  EXPECT_EQ(large.kept_pages_bytes_max, 32 * kMiB);
  EXPECT_EQ(load(65536 * kMiB, {"--core-count", "16"}).kept_pages_bytes_max, 128 * kMiB);
  ServerConfig small = load(128 * kMiB, {});
  EXPECT_EQ(small.hot_bytes_max, 16 * kMiB);
  EXPECT_EQ(small.inflight_read_bytes_max, 16 * kMiB);
  EXPECT_EQ(small.inflight_body_bytes_max, 16 * kMiB);
  EXPECT_EQ(small.body_bytes_max, 4 * kMiB);
  EXPECT_EQ(small.kept_pages_bytes_max, 2 * kMiB);
  ServerConfig given = load(128 * kMiB, {"--hot-bytes-max", "100MiB", "--body-bytes-max", "10MiB"});
  EXPECT_EQ(given.hot_bytes_max, 100 * kMiB);
  EXPECT_EQ(given.body_bytes_max, 10 * kMiB);
  EXPECT_EQ(given.inflight_body_bytes_max, 20 * kMiB);
}

TEST(LoadConfigTest, ALogTooSmallForTheCoresAndBodiesIsToldAsItWasWritten) {
  auto mistakes = [](Sources sources, uint32_t cpus) {
    ConfigInput input;
    input.flags = sources.flags;
    input.environment = [](const char*) { return nullptr; };
    input.read_file = [&](const std::string&) { return Result<std::string>(sources.files["f"]); };
    input.cpu_count = cpus;
    return LoadConfig(std::move(input)).mistakes;
  };
  // 32 MiB and 1 MiB of separators, of names beside them: 34 MiB, four times for each core.
  EXPECT_EQ(
      mistakes({.flags = {"--wal-bytes-max", "271MiB"}}, 2),
      (std::vector<std::string>{
          "--wal-bytes-max 271MiB: is less than 272MiB, which --core-count 2 (its default) and "
          "--body-bytes-max 32MiB (its default) need"}));
  EXPECT_TRUE(mistakes({.flags = {"--wal-bytes-max", "272MiB"}}, 2).empty());
  EXPECT_EQ(mistakes({.flags = {"--config", "f", "--core-count", "3"},
                      .files = {{"f", "wal_bytes_max = \"64MiB\"\nbody-bytes-max = \"10MiB\"\n"}}},
                     1),
            (std::vector<std::string>{
                "f: wal_bytes_max 64MiB: is less than 144MiB, which --core-count 3 and "
                "f: body-bytes-max 10MiB need"}));
  EXPECT_TRUE(mistakes({.flags = {"--wal-bytes-max", "64MiB", "--memory"}}, 2).empty());
}

TEST(LoadConfigTest, EveryMistakeIsToldOnceWithItsSource) {
  Sources sources;
  sources.flags = {"--core-count=0", "--nonsense", "7", "--hot-bytes-max", "much", "--data-dir"};
  sources.environment = {{"URSULA_CONFIG", "u.toml"}, {"URSULA_LISTEN", "somewhere"}};
  sources.files = {{"u.toml", "unknown_key = 1\nbody_bytes_max = [1]\n"}};
  std::vector<std::string> mistakes = Load(sources).mistakes;
  auto told = [&](const std::string& part) {
    int count = 0;
    for (const std::string& mistake : mistakes) {
      count += mistake.find(part) != std::string::npos ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(told("--core-count: '0' is not a number from 1 to 1024"), 1);
  EXPECT_EQ(told("--nonsense is not an option"), 1);
  EXPECT_EQ(told("'7' is not an option"), 1);
  EXPECT_EQ(told("--hot-bytes-max: 'much' is not a size from 1MiB to 1TiB"), 1);
  EXPECT_EQ(told("--data-dir needs a value"), 1);
  EXPECT_EQ(told("URSULA_LISTEN: 'somewhere'"), 1);
  EXPECT_EQ(told("u.toml: line 2"), 1);
  EXPECT_EQ(mistakes.size(), 7u);
}

TEST(LoadConfigTest, UnknownNameInTheEnvironmentIsAMistake) {
  Sources sources;
  sources.environment = {
      {"URSULA_DATADIR", "/x"}, {"URSULA_CONFIG", ""}, {"URSULA_MEMORY", "true"}};
  std::vector<std::string> mistakes = Load(sources).mistakes;
  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_TRUE(mistakes[0].starts_with("URSULA_DATADIR is not an option (see --help)"));
}

TEST(LoadConfigTest, WhatAPlatformTellsOfAServiceIsNone) {
  Sources sources;
  sources.environment = {{"URSULA_SERVICE_HOST", "10.0.0.1"},
                         {"URSULA_SERVICE_PORT", "4437"},
                         {"URSULA_SERVICE_PORT_HTTP", "4437"},
                         {"URSULA_PORT", "tcp://10.0.0.1:4437"},
                         {"URSULA_PORT_4437_TCP", "tcp://10.0.0.1:4437"},
                         {"URSULA_PORT_4437_TCP_PROTO", "tcp"},
                         {"URSULA_PORT_4437_TCP_PORT", "4437"},
                         {"URSULA_PORT_4437_TCP_ADDR", "10.0.0.1"},
                         {"URSULA_ADMIN_PORT_4438_TCP_PORT", "4438"}};
  EXPECT_TRUE(Load(sources).mistakes.empty());
  sources.environment = {{"URSULA_PORT", "4437"}};
  EXPECT_EQ(Load(sources).mistakes.size(), 1u);
}

TEST(LoadConfigTest, AFilesKeysMayBeWrittenAsTheFlagsAre) {
  Sources sources;
  sources.flags = {"--config=u.toml"};
  sources.files = {{"u.toml", "data-dir = '/x'\ncore_count = 2\n"}};
  LoadedConfig loaded = Load(sources);
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.data_dir, "/x");
  EXPECT_EQ(loaded.config.core_count, 2u);
  sources.files = {{"u.toml", "data-dir = '/x'\ndata_dir = '/y'\n"}};
  ASSERT_EQ(Load(sources).mistakes.size(), 1u);
  EXPECT_EQ(Load(sources).mistakes[0], "u.toml: data-dir and data_dir are one option");
}

TEST(LoadConfigTest, OptionsAreNamedAsTheUserWroteThem) {
  Sources sources;
  sources.flags = {"--config=u.toml"};
  sources.files = {{"u.toml", "body-timeout-ms = 1000\n"}};
  sources.environment = {{"URSULA_REQUEST_TIMEOUT_MS", "2000"}};
  ASSERT_EQ(Load(sources).mistakes.size(), 1u);
  EXPECT_EQ(Load(sources).mistakes[0],
            "u.toml: body-timeout-ms 1000: is less than URSULA_REQUEST_TIMEOUT_MS 2000, which one "
            "pause may take");
  sources.environment.clear();
  EXPECT_EQ(Load(sources).mistakes[0],
            "u.toml: body-timeout-ms 1000: is less than --request-timeout-ms 30000 (its default), "
            "which one pause may take");
}

TEST(LoadConfigTest, UnknownKeyOfAFileIsAMistake) {
  Sources sources;
  sources.flags = {"--config=u.toml"};
  sources.files = {{"u.toml", "unknown_key = 1\n"}};
  std::vector<std::string> mistakes = Load(sources).mistakes;
  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_EQ(mistakes[0], "u.toml: unknown_key is not an option (see --help)");
}

TEST(LoadConfigTest, BrokenFileIsToldWithItsPlace) {
  Sources sources;
  sources.flags = {"--config=u.toml"};
  sources.files = {{"u.toml", "core_count = 1\ncore_count = = 2\n"}};
  std::vector<std::string> mistakes = Load(sources).mistakes;
  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_NE(mistakes[0].find("u.toml: line 2"), std::string::npos) << mistakes[0];
  sources.files.clear();
  EXPECT_EQ(Load(sources).mistakes.size(), 1u);
}

TEST(LoadConfigTest, AddressOthersReachNeedsConsent) {
  Sources sources;
  sources.flags = {"--listen", "0.0.0.0:4437"};
  ASSERT_EQ(Load(sources).mistakes.size(), 1u);
  EXPECT_NE(Load(sources).mistakes[0].find("--allow-unauthenticated"), std::string::npos);
  sources.flags.push_back("--allow-unauthenticated");
  EXPECT_TRUE(Load(sources).mistakes.empty());
}

TEST(LoadConfigTest, OptionsThatContradictEachOtherAreMistakes) {
  Sources same_port;
  same_port.flags = {"--listen=127.0.0.1:5000", "--admin-listen=127.0.0.1:5000"};
  EXPECT_EQ(Load(same_port).mistakes.size(), 1u);
  Sources no_room;
  no_room.flags = {"--inflight-body-bytes-max=16MiB"};
  EXPECT_EQ(Load(no_room).mistakes.size(), 1u);
  Sources nowhere;
  nowhere.flags = {"--memory"};
  nowhere.environment = {{"URSULA_DATA_DIR", "/somewhere"}};
  EXPECT_EQ(Load(nowhere).mistakes.size(), 1u);
  nowhere.flags = {"--memory=false"};
  EXPECT_TRUE(Load(nowhere).mistakes.empty());
  Sources short_whole;
  short_whole.flags = {"--body-timeout-ms=1000"};
  EXPECT_EQ(Load(short_whole).mistakes.size(), 1u);
  short_whole.flags.push_back("--request-timeout-ms=1000");
  EXPECT_TRUE(Load(short_whole).mistakes.empty());
  Sources both_kernel;
  both_kernel.flags = {"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"};
  EXPECT_TRUE(Load(both_kernel).mistakes.empty());
}

TEST(LoadConfigTest, SwitchesTakeNoArgumentButMayHaveAValue) {
  Sources sources;
  sources.flags = {"--memory", "--pin-threads=false"};
  LoadedConfig loaded = Load(sources);
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_TRUE(loaded.config.memory);
  EXPECT_FALSE(loaded.config.pin_threads);
}

TEST(LoadConfigTest, PublicUrlIsSchemeAndAuthority) {
  Sources sources;
  sources.flags = {"--public-url=https://streams.example.com/"};
  EXPECT_EQ(Load(sources).config.public_url, "https://streams.example.com");
  for (const char* wrong : {"--public-url=streams.example.com", "--public-url=https://a/b",
                            "--public-url=http://", "--public-url=http://a b"}) {
    sources.flags = {wrong};
    EXPECT_EQ(Load(sources).mistakes.size(), 1u) << wrong;
  }
}

TEST(LoadConfigTest, PagesOfOtherOriginsAreNamedInLists) {
  Sources sources;
  sources.flags = {"--stream-root=/v1/stream,/streams",
                   "--cors-allow-origins=https://a,https://b:1", "--cors-allow-headers=x-a, x-b",
                   "--cors-allow-private-network"};
  LoadedConfig loaded = Load(sources);
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.stream_roots, std::vector<std::string>{"/streams/"});
  EXPECT_EQ(loaded.config.cors_origins, (std::vector<std::string>{"https://a", "https://b:1"}));
  EXPECT_EQ(loaded.config.cors_headers, (std::vector<std::string>{"x-a", "x-b"}));
  EXPECT_TRUE(loaded.config.cors_private_network);
  for (const char* wrong : {"--stream-root=/v1", "--cors-allow-origins=*",
                            "--cors-allow-origins=", "--cors-allow-headers=a b"}) {
    sources.flags = {wrong};
    EXPECT_EQ(Load(sources).mistakes.size(), 1u) << wrong;
  }
}

TEST(LoadConfigTest, WhatIsOnIsTurnedOffByItsWord) {
  EXPECT_TRUE(Load({}).config.rejoin_when_rotten);
  Sources sources;
  sources.flags = {"--rejoin-when-rotten", "false"};
  EXPECT_FALSE(Load(sources).config.rejoin_when_rotten);
  EXPECT_TRUE(Load(sources).mistakes.empty());
  sources.flags = {"--rejoin-when-rotten", "maybe"};
  EXPECT_EQ(Load(sources).mistakes.size(), 1u);
}

TEST(LoadConfigTest, AdminListenerCanBeLeftOut) {
  Sources sources;
  sources.flags = {"--admin-listen", "none"};
  EXPECT_FALSE(Load(sources).config.admin);
}

TEST(LoadConfigTest, HelpAndVersionWinOverMistakes) {
  Sources sources;
  sources.flags = {"--core-count", "x", "--help"};
  EXPECT_EQ(Load(sources).action, LoadedConfig::Action::kHelp);
  sources.flags = {"--version"};
  EXPECT_EQ(Load(sources).action, LoadedConfig::Action::kVersion);
}

TEST(LoadConfigTest, HelpNamesEveryOptionAndFitsATerminal) {
  std::string help = HelpText();
  for (const OptionGroup& group : OptionGroups()) {
    for (const Option& option : group.options) {
      EXPECT_NE(help.find("  --" + std::string(option.name)), std::string::npos) << option.name;
    }
  }
  std::size_t start = 0;
  while (start < help.size()) {
    std::size_t end = help.find('\n', start);
    EXPECT_LE(end - start, 120u) << help.substr(start, end - start);
    start = end + 1;
  }
}

}  // namespace
}  // namespace ursula::server
