// tests/bench/main.cc
//
// ursula-bench: see --help.

#include <sys/resource.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <optional>
#include <span>
#include <string>

#include "lib/base/random.h"
#include "tests/bench/options.h"
#include "tests/bench/report.h"
#include "tests/bench/runner.h"
#include "tests/bench/workloads.h"

namespace ursula::bench {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

void Say(std::FILE* to, const std::string& text) { std::fwrite(text.data(), 1, text.size(), to); }

std::string NewRunId() {
  timespec time = {};
  clock_gettime(CLOCK_REALTIME, &time);
  Random random(static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 +
                static_cast<uint64_t>(time.tv_nsec));
  std::array<char, 17> text = {};
  std::snprintf(text.data(), text.size(), "%08llx",
                static_cast<unsigned long long>(random.Next() & 0xffffffff));
  return text.data();
}

void RaiseOpenFilesLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

bool WriteJson(const std::string& path, const std::string& text) {
  if (path == "-") {
    Say(stdout, text);
    return true;
  }
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return false;
  bool good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fclose(file) == 0 && good;
}

int Execute(Options options) {
  std::optional<Address> server = Resolve(options.url);
  if (!server.has_value()) {
    Say(stderr, "ursula-bench: --url: " + options.url.host + " has no address\n");
    return kExitUsage;
  }
  for (const Url& url : options.reader_urls) {
    const std::optional<Address> address = Resolve(url);
    if (!address.has_value()) {
      Say(stderr, "ursula-bench: --readers-at: " + url.host + " has no address\n");
      return kExitUsage;
    }
    options.reader_addresses.push_back(*address);
  }
  if (options.run_id.empty()) options.run_id = NewRunId();
  RaiseOpenFilesLimit();
  Runner runner(&options, *server);
  if (!runner.Run(StagesOf(options))) {
    Say(stderr, "ursula-bench: " + runner.error() + "\n");
    return kExitFailed;
  }
  if (options.json != "-") Say(stdout, Table(options, runner.results()));
  if (!options.json.empty() && !WriteJson(options.json, Json(options, runner.results()))) {
    Say(stderr, "ursula-bench: --json: " + options.json + " can't be written\n");
    return kExitFailed;
  }
  return ErrorCount(runner.results()) == 0 ? 0 : kExitFailed;
}

int Main(std::span<const char* const> arguments) {
  ParsedOptions parsed = ParseOptions(arguments);
  if (parsed.action == ParsedOptions::Action::kHelp) {
    Say(stdout, HelpText());
    return 0;
  }
  for (const std::string& mistake : parsed.mistakes) {
    Say(stderr, "ursula-bench: " + mistake + " (see --help)\n");
  }
  return parsed.mistakes.empty() ? Execute(std::move(parsed.options)) : kExitUsage;
}

}  // namespace
}  // namespace ursula::bench

int main(int argc, char** argv) {
  std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
  return ursula::bench::Main(arguments.empty() ? arguments : arguments.subspan(1));
}
