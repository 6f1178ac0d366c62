// server/ctl/main.cc
//
// ursulactl's process.

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include "server/config/cluster.h"
#include "server/ctl/admin_client.h"
#include "server/ctl/arguments.h"
#include "server/ctl/http_call.h"
#include "server/ctl/run.h"

namespace ursula::ctl {
namespace {

constexpr const char* kVersion = "0.2.0";  // As ursulad's.

// False: whoever reads it has gone.
bool Print(std::FILE* to, const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), to) == text.size() && std::fflush(to) == 0;
}

int Main(std::span<const char* const> words) {
  std::signal(SIGPIPE, SIG_IGN);
  ArgumentsInput input;
  input.words = words;
  input.environment = [](const char* name) { return std::getenv(name); };
  input.read_secret = [](const std::string& path) { return server::ReadSecretFile(path); };
  ReadArguments read = ParseArguments(std::move(input));
  for (const std::string& mistake : read.mistakes) Print(stderr, "ursulactl: " + mistake + "\n");
  if (!read.mistakes.empty()) return kExitUsage;
  const Arguments& arguments = read.arguments;
  if (arguments.command == Command::kHelp) return Print(stdout, HelpText()) ? kExitDone : kExitNo;
  if (arguments.command == Command::kVersion) {
    return Print(stdout, "ursulactl " + std::string(kVersion) + "\n") ? kExitDone : kExitNo;
  }
  const uint64_t timeout_ms = arguments.timeout_ms;
  AdminClient client(arguments.secret,
                     [timeout_ms](const server::HostPort& address, const std::string& request) {
                       return HttpCall(address, request, timeout_ms);
                     });
  Progress progress;
  if (!arguments.json) progress = [](const std::string& line) { Print(stderr, line); };
  const Printed printed = Run(arguments, &client, std::move(progress));
  Print(stderr, printed.error);
  return Print(stdout, printed.out) ? printed.exit_status : kExitNo;
}

}  // namespace
}  // namespace ursula::ctl

int main(int argc, char** argv) {
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  return ursula::ctl::Main(words.empty() ? words : words.subspan(1));
}
