#include "tests/bench/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <memory>
#include <optional>
#include <type_traits>

namespace ursula::bench {
namespace {

using Text = std::string_view;

constexpr uint32_t Bit(Workload workload) { return uint32_t{1} << static_cast<int>(workload); }
constexpr uint32_t kAppend = Bit(Workload::kAppend);
constexpr uint32_t kFanOut = Bit(Workload::kFanOut);
constexpr uint32_t kReplay = Bit(Workload::kReplay);
constexpr uint32_t kCreate = Bit(Workload::kCreate);
constexpr uint32_t kIdle = Bit(Workload::kIdle);
constexpr uint32_t kMixed = Bit(Workload::kMixed);
constexpr uint32_t kBatch = Bit(Workload::kBatch);
constexpr uint32_t kAll = kAppend | kFanOut | kReplay | kCreate | kIdle | kMixed | kBatch;

struct WorkloadRow {
  Workload workload;
  Text name;
  Text what;
};

constexpr std::array<WorkloadRow, 7> kWorkloads = {{
    {Workload::kAppend, "append", "POST small payloads to --streams over --connections"},
    {Workload::kFanOut, "fan-out", "one writer at --rate, --readers SSE readers; time to delivery"},
    {Workload::kReplay, "replay",
     "--connections clients read a whole log of --messages, again and again"},
    {Workload::kCreate, "create", "PUT --streams new streams over --connections"},
    {Workload::kIdle, "idle",
     "create --streams, hold --tails SSE readers; what each costs --server-pid"},
    {Workload::kMixed, "mixed", "append, --readers SSE readers and --replayers beside each other"},
    {Workload::kBatch, "append-batch",
     "POST batches of --items appends to --streams over --connections"},
}};

// Both say what would have been right; empty: it is.
template <auto kMember, uint32_t kLow, uint32_t kHigh>
std::string Number(Options* options, Text text) {
  using Value = std::remove_reference_t<decltype(options->*kMember)>;
  Value value = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool good = error == std::errc() && stop == text.data() + text.size() &&
              value >= static_cast<Value>(kLow) && value <= static_cast<Value>(kHigh);
  if constexpr (std::is_floating_point_v<Value>) good = good && std::isfinite(value);
  if (!good) return "a number from " + std::to_string(kLow) + " to " + std::to_string(kHigh);
  options->*kMember = value;
  return {};
}

template <auto kMember>
std::string Switch(Options* options, Text) {
  options->*kMember = true;
  return {};
}

template <auto kMember>
std::string Word(Options* options, Text text) {
  if (text.empty() || text.find_first_of(" \t\r\n?#") != Text::npos) return "a word";
  options->*kMember = std::string(text);
  return {};
}

std::string ContentType(Options* options, Text text) {
  if (text != "text/plain" && text != "application/octet-stream" && text != "application/json") {
    return "text/plain, application/octet-stream or application/json";
  }
  options->content_type = std::string(text);
  return {};
}

std::string ReadersAt(Options* options, Text text) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::optional<Url> url = ParseUrl("http://" + std::string(text.substr(begin, end - begin)));
    if (!url.has_value() || !url->prefix.empty()) return "HOST:PORT[,HOST:PORT]";
    options->reader_urls.push_back(*url);
    begin = end + 1;
  }
  return {};
}

std::string UrlOption(Options* options, Text text) {
  std::optional<Url> url = ParseUrl(text);
  if (!url.has_value()) return "http://HOST[:PORT]/PREFIX";
  options->url = *url;
  return {};
}

std::string Numbers(Options* options, Text text) {
  std::ifstream file{std::string(text)};
  auto numbers = std::make_shared<std::vector<uint64_t>>();
  for (uint64_t number = 0; file >> number;) numbers->push_back(number);
  if (!file.eof() || numbers->empty()) return "a file of numbers";
  options->streams = static_cast<uint32_t>(numbers->size());
  options->numbers = std::move(numbers);
  return {};
}

struct OptionRow {
  Text name;
  Text value;  // Empty: a switch.
  uint32_t workloads;
  std::string (*set)(Options* options, Text text);
  Text help;
};

constexpr uint32_t kTimed = kAppend | kFanOut | kReplay | kMixed | kBatch;
constexpr uint32_t kManyMax = 10'000'000;

constexpr std::array kOptions = {
    OptionRow{"url", "URL", kAll, UrlOption,
              "where streams live (http://127.0.0.1:4437/v1/stream/bench)"},
    OptionRow{"connections", "N", kAppend | kReplay | kCreate | kIdle | kMixed | kBatch,
              Number<&Options::connections, 1, 100'000>, "client connections (64)"},
    OptionRow{"streams", "N", kAppend | kCreate | kIdle | kMixed | kBatch,
              Number<&Options::streams, 1, kManyMax>, "streams (64)"},
    OptionRow{"numbers", "FILE", kAppend, Numbers,
              "the numbers of its streams, of which there are as many"},
    OptionRow{"payload", "BYTES", kAll, Number<&Options::payload_bytes, 1, 32 << 20>,
              "of each append (256)"},
    OptionRow{"content-type", "TYPE", kAppend | kCreate | kReplay | kIdle | kBatch, ContentType,
              "text/plain, application/json …"},
    OptionRow{"items", "N", kBatch, Number<&Options::items, 1, 10'000>,
              "appends of each batch (100)"},
    OptionRow{"producers", "", kAppend | kMixed, Switch<&Options::producers>,
              "appends carry Producer-Id, -Epoch and -Seq"},
    OptionRow{"rate", "R", kAppend | kFanOut | kMixed, Number<&Options::rate, 0, kManyMax>,
              "open loop: appends a second (0: closed loop)"},
    OptionRow{"readers", "N", kFanOut | kMixed, Number<&Options::readers, 0, 100'000>,
              "SSE readers (100)"},
    OptionRow{"slow-readers", "N", kFanOut, Number<&Options::slow_readers, 0, 1000>,
              "further SSE readers that read nothing until the end (0)"},
    OptionRow{"readers-at", "ADDRESSES", kFanOut, ReadersAt,
              "nodes that share the readers with --url: HOST:PORT,…"},
    OptionRow{"messages", "N", kReplay | kMixed, Number<&Options::messages, 1, kManyMax>,
              "in the log that is replayed (200)"},
    OptionRow{"replayers", "N", kMixed, Number<&Options::replayers, 0, 100'000>,
              "clients that replay a log (4)"},
    OptionRow{"rounds", "N", kReplay, Number<&Options::rounds, 0, kManyMax>,
              "replays of each client, however long they take (0: until --duration)"},
    OptionRow{"gzip", "", kReplay, Switch<&Options::gzip>,
              "replays ask for gzip, and each answer must be"},
    OptionRow{"reconnect", "", kReplay, Switch<&Options::reconnect>,
              "each replay on a connection of its own"},
    OptionRow{"tails", "N", kIdle, Number<&Options::tails, 0, 1'000'000>,
              "SSE readers that are held open (0)"},
    OptionRow{"filled", "", kIdle, Switch<&Options::filled>, "one append to each stream"},
    OptionRow{"warmup", "SECONDS", kTimed, Number<&Options::warmup_s, 0, 3600>,
              "before measuring (2)"},
    OptionRow{"duration", "SECONDS", kTimed | kIdle, Number<&Options::duration_s, 0, 86400>,
              "measured, or held idle (10)"},
    OptionRow{"patience", "SECONDS", kAll, Number<&Options::patience_s, 1, 3600>,
              "before it gives up: setting up without progress, finishing (30)"},
    OptionRow{"threads", "N", kAll, Number<&Options::threads, 1, 256>, "client threads (1)"},
    OptionRow{"no-create", "", kAppend, Switch<&Options::no_create>,
              "POST without creating streams first: for servers that only answer"},
    OptionRow{"run-id", "WORD", kAll, Word<&Options::run_id>,
              "begins the names of streams (random)"},
    OptionRow{"server-pid", "PID", kAll, Number<&Options::server_pid, 1, 1 << 22>,
              "report CPU, memory and descriptors of this process"},
    OptionRow{"disk", "NAME", kAll, Word<&Options::disk>,
              "report this device of /proc/diskstats, such as vda"},
    OptionRow{"json", "FILE", kAll, Word<&Options::json>, "write the result there too (-: stdout)"},
    OptionRow{"quiet", "", kAll, Switch<&Options::quiet>, "no progress on stderr"},
};

const OptionRow* FindOption(Text name) {
  for (const OptionRow& row : kOptions) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

const WorkloadRow* FindWorkload(Text name) {
  for (const WorkloadRow& row : kWorkloads) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string WorkloadNames() {
  std::string names;
  for (const WorkloadRow& row : kWorkloads) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

// One --name=value, or --name and the next argument. Says how many further arguments it took.
std::size_t ReadOption(std::span<const char* const> arguments, ParsedOptions* parsed) {
  auto mistake = [&](std::string text) { parsed->mistakes.push_back(std::move(text)); };
  Text argument = arguments[0];
  if (!argument.starts_with("--")) {
    mistake("'" + std::string(argument) + "' is not an option");
    return 0;
  }
  std::size_t equals = argument.find('=');
  bool attached = equals != Text::npos;
  Text name = argument.substr(2, attached ? equals - 2 : equals);
  std::string shown = "--" + std::string(name);
  const OptionRow* row = FindOption(name);
  if (row == nullptr) {
    mistake(shown + " is not an option");
    return 0;
  }
  bool takes_next = !attached && !row->value.empty();
  if (takes_next && arguments.size() < 2) {
    mistake(shown + " needs a value: " + std::string(row->value));
    return 0;
  }
  Text value = attached ? argument.substr(equals + 1) : Text();
  if (takes_next) value = arguments[1];
  if (attached && row->value.empty()) {
    mistake(shown + " takes no value");
  } else if ((row->workloads & Bit(parsed->options.workload)) == 0) {
    mistake(shown + " means nothing to " + std::string(WorkloadName(parsed->options.workload)));
  } else if (std::string wanted = row->set(&parsed->options, value); !wanted.empty()) {
    mistake(shown + ": '" + std::string(value) + "' is not " + wanted);
  }
  return takes_next ? 1 : 0;
}

void CheckTogether(ParsedOptions* parsed) {
  const Options& options = parsed->options;
  auto mistake = [&](const char* text) { parsed->mistakes.emplace_back(text); };
  if (options.threads > options.connections) mistake("--threads: more than --connections");
  bool stamped = options.workload == Workload::kFanOut || options.workload == Workload::kMixed;
  if (stamped && options.payload_bytes < kStampedBytesMin) {
    mistake("--payload: at least 18 bytes, which hold the time of sending");
  }
  if (options.workload == Workload::kFanOut && options.rate == 0) {
    mistake("--rate: fan-out needs one, such as 50");
  }
  if (options.numbers != nullptr && options.numbers->size() != options.streams) {
    mistake("--streams: --numbers says how many there are");
  }
  if (options.content_type == "application/json" && options.payload_bytes < 2) {
    mistake("--payload: a JSON message has at least 2 bytes");
  }
}

}  // namespace

std::string_view WorkloadName(Workload workload) {
  return kWorkloads[static_cast<std::size_t>(workload)].name;
}

ParsedOptions ParseOptions(std::span<const char* const> arguments) {
  ParsedOptions parsed;
  for (Text argument : arguments) {
    if (argument == "--help" || argument == "-h") {
      parsed.action = ParsedOptions::Action::kHelp;
      return parsed;
    }
  }
  const WorkloadRow* workload = arguments.empty() ? nullptr : FindWorkload(arguments[0]);
  if (workload == nullptr) {
    parsed.mistakes.push_back("the first argument names the workload: " + WorkloadNames());
    return parsed;
  }
  parsed.options.workload = workload->workload;
  parsed.options.url = *ParseUrl("http://127.0.0.1:4437/v1/stream/bench");
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    i += ReadOption(arguments.subspan(i), &parsed);
  }
  if (parsed.mistakes.empty()) CheckTogether(&parsed);
  return parsed;
}

std::string HelpText() {
  std::string text =
      "usage: ursula-bench WORKLOAD [OPTION...]\n"
      "\n"
      "Makes load for a Durable Streams server and measures its answers. The exit status is 0 "
      "when\n"
      "every answer was as expected, 1 when any was not, 2 when the command line is wrong.\n"
      "\n"
      "Workloads:\n";
  auto pad = [&text](std::size_t begin, std::size_t width) {
    text.append(text.size() - begin < width ? width - (text.size() - begin) : 1, ' ');
  };
  for (const WorkloadRow& row : kWorkloads) {
    std::size_t begin = text.size();
    text.append("  ").append(row.name);
    pad(begin, 16);
    text.append(row.what).append("\n");
  }
  text += "\nOptions, with what holds without them in parentheses:\n";
  for (const OptionRow& row : kOptions) {
    std::size_t begin = text.size();
    text.append("  --").append(row.name);
    if (!row.value.empty()) text.append(" ").append(row.value);
    pad(begin, 26);
    text.append(row.help);
    if (row.workloads != kAll) {
      Text separator = "; ";
      for (const WorkloadRow& workload : kWorkloads) {
        if ((row.workloads & Bit(workload.workload)) == 0) continue;
        text.append(separator).append(workload.name);
        separator = ", ";
      }
    }
    text.append("\n");
  }
  return text;
}

}  // namespace ursula::bench
