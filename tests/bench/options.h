// tests/bench/options.h
//
// What a run is told on the command line. A value that ParseOptions returned is within its bounds.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/url.h"

namespace ursula::bench {

enum class Workload : uint8_t { kAppend, kFanOut, kReplay, kCreate, kIdle, kMixed, kBatch };

std::string_view WorkloadName(Workload workload);

constexpr uint32_t kStampedBytesMin = 18;  // Of a payload that holds the time of sending.

using SharedNumbers = std::shared_ptr<const std::vector<uint64_t>>;

struct Options {
  Workload workload = Workload::kAppend;
  Url url = {};

  // How hard.
  uint32_t threads = 1;
  uint32_t connections = 64;
  double rate = 0;  // Operations a second, all connections together; 0: as fast as answers come.
  double warmup_s = 2;
  double duration_s = 10;
  double patience_s = 30;  // For what is under way at the end, and for setting up.

  // What.
  uint32_t streams = 64;
  uint32_t payload_bytes = 256;
  uint32_t items = 100;  // Of each batch.
  std::string content_type = "text/plain";
  bool producers = false;
  uint32_t messages = 200;
  uint32_t readers = 100;
  uint32_t slow_readers = 0;
  std::vector<Url> reader_urls = {};           // Of further servers that readers are spread over,
  std::vector<Address> reader_addresses = {};  // and where they are.
  uint32_t tails = 0;
  bool filled = false;  // Idle streams hold one append.
  uint32_t replayers = 4;
  uint32_t rounds = 0;         // Replays of each client; 0: until the time is over.
  bool gzip = false;           // Of replays.
  bool reconnect = false;      // A connection of its own for each replay.
  bool no_create = false;      // Whatever answers to POST: nothing is created first.
  SharedNumbers numbers = {};  // As many as streams, or none: their own.
  std::string run_id = {};     // Begins the names of streams; random if empty.

  // What to watch and where to report.
  int server_pid = 0;     // 0: none.
  std::string disk = {};  // As /proc/diskstats names it.
  std::string json = {};  // A file, or "-".
  bool quiet = false;     // No progress.
};

struct ParsedOptions {
  enum class Action : uint8_t { kRun, kHelp };
  Action action = Action::kRun;
  Options options = {};
  std::vector<std::string> mistakes = {};  // None: `options` may be run.
};

// `arguments` without the program's name.
ParsedOptions ParseOptions(std::span<const char* const> arguments);

std::string HelpText();

}  // namespace ursula::bench
