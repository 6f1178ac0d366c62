#include "server/config/options.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "server/config/cluster.h"
#include "server/config/values.h"

namespace ursula::server {
namespace {

using Text = std::string_view;

template <auto kMember, uint64_t kLow, uint64_t kHigh>
std::string Number(ServerConfig* config, Text text) {
  std::optional<uint64_t> value = ParseNumber(text);
  if (!value.has_value() || *value < kLow || *value > kHigh) {
    return "a number from " + std::to_string(kLow) + " to " + std::to_string(kHigh);
  }
  auto& member = config->*kMember;
  member = static_cast<std::remove_reference_t<decltype(member)>>(*value);
  return {};
}

template <auto kMember, uint64_t kLow, uint64_t kHigh>
std::string Size(ServerConfig* config, Text text) {
  std::optional<uint64_t> value = ParseSize(text);
  if (!value.has_value() || *value < kLow || *value > kHigh) {
    return "a size from " + FormatSize(kLow) + " to " + FormatSize(kHigh);
  }
  config->*kMember = *value;
  return {};
}

template <auto kMember>
std::string Switch(ServerConfig* config, Text text) {
  std::optional<bool> value = ParseBool(text);
  if (!value.has_value()) return "true or false";
  config->*kMember = *value;
  return {};
}

std::string Listen(ServerConfig* config, Text text) {
  std::optional<HostPort> address = ParseHostPort(text);
  if (!address.has_value()) return "HOST:PORT with a numeric host, such as 127.0.0.1:4437";
  config->listen = *address;
  return {};
}

std::string AdminListen(ServerConfig* config, Text text) {
  config->admin = text != "none";
  if (!config->admin) return {};
  std::optional<HostPort> address = ParseHostPort(text);
  if (!address.has_value()) return "HOST:PORT with a numeric host, or none";
  config->admin_listen = *address;
  return {};
}

std::string PeerListen(ServerConfig* config, Text text) {
  std::optional<HostPort> address = ParseHostPort(text);
  if (!address.has_value() || address->port == 0) {
    return "HOST:PORT with a numeric host and a port that isn't 0";
  }
  config->peer_listen = *address;
  return {};
}

std::string AdvertiseHttp(ServerConfig* config, Text text) {
  std::optional<HostPort> address = ParsePeerAddress(text);
  if (!address || IsAnyAddress(*address)) {
    return "HOST:PORT as clients reach this node: a name or a numeric host that isn't 0.0.0.0, and "
           "a port that isn't 0";
  }
  config->advertise_http = *address;
  return {};
}

std::string Peers(ServerConfig* config, Text text) {
  std::optional<std::map<uint64_t, HostPort>> peers = ParsePeers(text);
  if (!peers) {
    return "a list such as 1=10.0.0.1:4439,2=10.0.0.2:4439,3=10.0.0.3:4439, each node once";
  }
  config->peers = std::move(*peers);
  return {};
}

std::string ClusterId(ServerConfig* config, Text text) {
  std::optional<uint64_t> id = ParseClusterId(text);
  if (!id) return "the 16 hexadecimal digits that were logged when the cluster was founded";
  config->cluster_id = *id;
  return {};
}

std::string ClusterSecretFile(ServerConfig* config, Text text) {
  if (text.empty() || text.size() > 4096 || text.find('\0') != Text::npos) return "a file";
  config->cluster_secret_file = std::string(text);
  return {};
}

std::string DataDir(ServerConfig* config, Text text) {
  if (text.empty() || text.size() > 4096 || text.find('\0') != Text::npos) return "a directory";
  config->data_dir = std::string(text);
  return {};
}

std::string PublicUrl(ServerConfig* config, Text text) {
  constexpr Text kRight = "http://HOST[:PORT] or https://HOST[:PORT], without a path";
  Text rest = text;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return std::string(kRight);
  }
  if (!rest.empty() && rest.back() == '/') {
    rest.remove_suffix(1);
    text.remove_suffix(1);
  }
  if (rest.empty() || rest.size() > 255) return std::string(kRight);
  for (char c : rest) {
    bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                Text(".-_:[]").find(c) != Text::npos;
    if (!fine) return std::string(kRight);
  }
  config->public_url = std::string(text);
  return {};
}

std::string StreamRoots(ServerConfig* config, Text text) {
  std::optional<std::vector<std::string>> roots = ParseStreamRoots(text);
  if (!roots) {
    return "up to 8 paths such as /v1/streams,/streams, none below another, none that is taken";
  }
  config->stream_roots = std::move(*roots);
  return {};
}

template <auto kMember, bool (*kFits)(Text)>
std::string List(ServerConfig* config, Text text, Text what) {
  std::optional<std::vector<std::string>> list = ParseList(text);
  if (!list || !std::ranges::all_of(*list, kFits)) return "up to 32 " + std::string(what);
  config->*kMember = std::move(*list);
  return {};
}

std::string CorsOrigins(ServerConfig* config, Text text) {
  return List<&ServerConfig::cors_origins, IsOrigin>(
      config, text, "origins such as https://app.example.com, in lower case, with commas between");
}

std::string CorsHeaders(ServerConfig* config, Text text) {
  return List<&ServerConfig::cors_headers, IsHeaderName>(config, text,
                                                         "names of headers, with commas between");
}

std::string LogLevel(ServerConfig* config, Text text) {
  for (Text level : {Text("debug"), Text("info"), Text("warning"), Text("error")}) {
    if (text != level) continue;
    config->log_level = std::string(level);
    return {};
  }
  return "debug, info, warning or error";
}

std::string ApplyLogFormat(ServerConfig* config, Text text) {
  if (text == "auto") {
    config->log_format = LogFormat::kAuto;
  } else if (text == "json") {
    config->log_format = LogFormat::kJson;
  } else if (text == "text") {
    config->log_format = LogFormat::kText;
  } else {
    return "auto, json or text";
  }
  return {};
}

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr uint64_t kTiB = 1024 * kGiB;
constexpr uint64_t kHourMs = 3'600'000;

constexpr std::array kNetwork = {
    Option{"listen", "HOST:PORT",
           "Where clients connect. Port 0: any free one, printed at start.\n"
           "[127.0.0.1:4437]",
           Listen},
    Option{"allow-unauthenticated", "",
           "Allow --listen on an address that others can reach: every client may then\n"
           "read, write and delete every stream.",
           Switch<&ServerConfig::allow_unauthenticated>},
    Option{"public-url", "URL",
           "How clients name this server; used in Location. [the request's Host]", PublicUrl},
    Option{"trust-forwarded", "",
           "Believe X-Forwarded-Proto and X-Forwarded-Host: set it behind a proxy of yours.",
           Switch<&ServerConfig::trust_forwarded>},
    Option{"stream-root", "PATHS",
           "Paths that streams live below, with commas between; /v1/stream is always one.\n"
           "No bucket has a name that one of them begins with. [/v1/stream]",
           StreamRoots},
    Option{"cors-allow-origins", "ORIGINS",
           "The origins whose pages may use this server, with credentials.\n"
           "[any, without credentials]",
           CorsOrigins},
    Option{"cors-allow-headers", "NAMES",
           "Headers that requests of other origins may have besides the protocol's.", CorsHeaders},
    Option{"cors-allow-private-network", "",
           "Pages from the internet may use this server in a private network.",
           Switch<&ServerConfig::cors_private_network>},
    Option{"admin-listen", "HOST:PORT",
           "Health, metrics and what ursulactl asks for; never for clients. On an address\n"
           "that others reach it needs --cluster-secret-file. none: no listener.\n"
           "[127.0.0.1:4438]",
           AdminListen},
};

constexpr std::array kCluster = {
    Option{"node-id", "N", "Which of the nodes this is.",
           Number<&ServerConfig::node_id, 1, kNodeIdMax>},
    Option{"peer-listen", "HOST:PORT",
           "Where the other nodes connect. They are reached without encryption: a private\n"
           "network.",
           PeerListen},
    Option{"peers", "LIST",
           "The nodes that make up the cluster or are to come, 1, 3 or 5 of them, as\n"
           "1=HOST:PORT,2=HOST:PORT,3=HOST:PORT: where each one's --peer-listen is reached.\n"
           "A new data directory waits for all of them, to found a cluster.",
           Peers},
    Option{"cluster-id", "HEX",
           "The cluster that this node belongs to: it founds no new one, and serves no other\n"
           "one's directory. [what the directory says]",
           ClusterId},
    Option{"cluster-secret-file", "FILE",
           "What the nodes know each other by, and ursulactl them; the same on each of them.\n"
           "Needed unless all are on this machine.",
           ClusterSecretFile},
    Option{"advertise-http", "HOST:PORT",
           "Where clients reach this node; told to the others and shown by ursulactl status.\n"
           "[--listen, unless that is no address that others could use]",
           AdvertiseHttp},
    Option{"peer-window-bytes-max", "SIZE",
           "What may wait for one node, for each core and channel. [16MiB]",
           Size<&ServerConfig::peer_window_bytes_max, kMiB, kGiB>},
    Option{"peer-connections-max", "N", "Connections from other nodes, two for each. [64]",
           Number<&ServerConfig::peer_connections_max, 8, 4096>},
};

constexpr std::array kStorage = {
    Option{"data-dir", "DIR", "Everything that is kept; made if missing. [./ursula-data]", DataDir},
    Option{"memory", "",
           "Keep nothing: streams end with the process. Not together with --data-dir.",
           Switch<&ServerConfig::memory>},
    Option{"new-history", "",
           "The directory is a copy, or restored from one: at this start its streams get other\n"
           "entity tags and incarnations than those of the original.",
           Switch<&ServerConfig::new_history>},
    Option{"feature-level-max", "N",
           "Take part in no higher feature level than this, so that an older release can go on\n"
           "from here; the whole cluster stays at it. What has gone on has no way back.\n"
           "[what this release knows]",
           Number<&ServerConfig::feature_level_max, 1, kFeatureLevelMax>},
    Option{"core-count", "N",
           "Threads, each with its own event loop and log. [the CPUs allowed, by quota too]",
           Number<&ServerConfig::core_count, 1, 1024>},
    Option{"raft-group-count", "N",
           "Raft groups that streams are spread over; fixed for a data directory.\n"
           "[what the directory has, else 4 for each core, 64 in a cluster]",
           Number<&ServerConfig::raft_group_count, 1, 4096>},
    Option{"pin-threads", "", "Pin each core's thread to a CPU.",
           Switch<&ServerConfig::pin_threads>},
    Option{"busy-poll-us", "N",
           "Microseconds that a core polls before it sleeps while the disk works for it;\n"
           "0: never. [200]",
           Number<&ServerConfig::busy_poll_us, 0, 10'000>},
    Option{"ring-entries", "N",
           "Submission entries of each core's io_uring; fewer where locked memory is short.\n"
           "[1024]",
           Number<&ServerConfig::ring_entries, 8, 32768>},
    Option{"hot-bytes-max", "SIZE",
           "Stream data kept in memory, as a cache.\n"
           "[256MiB, or an eighth of the memory]",
           Size<&ServerConfig::hot_bytes_max, kMiB, kTiB>},
    Option{"wal-bytes-max", "SIZE",
           "Write-ahead logs on disk, all cores together. [512MiB for each core]",
           Size<&ServerConfig::wal_bytes_max, 64 * kMiB, kTiB>},
    Option{"rejoin-bytes-per-second", "SIZE",
           "Replicas that were away are brought up at most so fast, beside what clients do;\n"
           "0: as fast as can be. [128MiB]",
           Size<&ServerConfig::rejoin_bytes_per_second, 0, kTiB>},
    Option{"scrub-bytes-per-second", "SIZE",
           "Files are read again and checked in the background, at most so fast; 0: never.\n"
           "[4MiB: 1TiB in three days]",
           Size<&ServerConfig::scrub_bytes_per_second, 0, kTiB>},
    Option{"scrub-every-seconds", "N",
           "A round over all files begins so long after the last one, or once that has ended.\n"
           "[86400]",
           Number<&ServerConfig::scrub_every_seconds, 1, 31'536'000>},
    Option{"rejoin-when-rotten", "BOOL",
           "Of a node of three or more whose log or snapshots are rotten at a start: keep what it\n"
           "has in DIR/aside, and have the other nodes fill it anew; false: refuse it. [true]",
           Switch<&ServerConfig::rejoin_when_rotten>},
};

constexpr std::array kLimits = {
    Option{"body-bytes-max", "SIZE",
           "One request's body; beyond it: 413. [32MiB, or a 32nd of the memory]",
           Size<&ServerConfig::body_bytes_max, kKiB, 64 * kMiB>},
    Option{"inflight-body-bytes-max", "SIZE",
           "Request bodies in memory, all connections together; beyond it: 503.\n"
           "[256MiB, or an eighth of the memory]",
           Size<&ServerConfig::inflight_body_bytes_max, kMiB, kTiB>},
    Option{"inflight-read-bytes-max", "SIZE",
           "Data read from disk for replies that are not sent yet, all connections together;\n"
           "beyond it: 503. [256MiB, or an eighth of the memory]",
           Size<&ServerConfig::inflight_read_bytes_max, kMiB, kTiB>},
    Option{"kept-pages-bytes-max", "SIZE",
           "Encoded pages kept for the next who read them, all cores together; 0: none.\n"
           "[32MiB, 8MiB for each core if that is more, or a 64th of the memory]",
           Size<&ServerConfig::kept_pages_bytes_max, 0, kTiB>},
    Option{"connections-max", "N", "Client connections; beyond it: 503. [100000]",
           Number<&ServerConfig::connections_max, 1, 10'000'000>},
    Option{"header-bytes-max", "SIZE", "One request's headers; beyond it: 431. [64KiB]",
           Size<&ServerConfig::header_bytes_max, kKiB, kMiB>},
    Option{"header-count-max", "N", "Header lines of one request; beyond it: 431. [100]",
           Number<&ServerConfig::header_count_max, 8, 1000>},
    Option{"batch-items-max", "N", "Appends of one batch; those beyond it: 413. [10000]",
           Number<&ServerConfig::batch_items_max, 1, 1'000'000>},
    Option{"url-bytes-max", "SIZE", "One request line; beyond it: 414. [8KiB]",
           Size<&ServerConfig::url_bytes_max, 256, 64 * kKiB>},
    Option{"read-bytes-max", "SIZE",
           "One reply's data; larger reads come in several replies. [1MiB]",
           Size<&ServerConfig::read_bytes_max, 64 * kKiB, 64 * kMiB>},
    Option{"subscriber-buffer-bytes-max", "SIZE",
           "Unsent data kept for one live reader; a slower one is cut off. [4MiB]",
           Size<&ServerConfig::subscriber_buffer_bytes_max, 64 * kKiB, kGiB>},
};

constexpr std::array kTimes = {
    Option{"long-poll-timeout-ms", "N", "How long a long poll waits for data. [25000]",
           Number<&ServerConfig::long_poll_timeout_ms, 1, kHourMs>},
    Option{"sse-heartbeat-ms", "N", "A comment is sent to idle live readers this often. [15000]",
           Number<&ServerConfig::sse_heartbeat_ms, 100, kHourMs>},
    Option{"sse-rotation-ms", "N", "Live readers are asked to reconnect about this often. [60000]",
           Number<&ServerConfig::sse_rotation_ms, 1000, 24 * kHourMs>},
    Option{"request-timeout-ms", "N",
           "For the headers of a request, and for each pause in its body. [30000]",
           Number<&ServerConfig::request_timeout_ms, 100, kHourMs>},
    Option{"body-bytes-per-second-min", "SIZE",
           "What a body must bring on average over each request-timeout-ms. 0: no minimum.\n"
           "[1KiB]",
           Size<&ServerConfig::body_bytes_per_second_min, 0, kGiB>},
    Option{"body-timeout-ms", "N",
           "For a whole body. Too slow, in any of these ways: 408. [600000]",
           Number<&ServerConfig::body_timeout_ms, 100, 24 * kHourMs>},
    Option{"idle-timeout-ms", "N", "For a connection between two requests. [75000]",
           Number<&ServerConfig::idle_timeout_ms, 100, kHourMs>},
    Option{"leader-timeout-ms", "N",
           "In a cluster: for a request's group to have a leader that takes it; then 503. [5000]",
           Number<&ServerConfig::leader_timeout_ms, 100, 600'000>},
    Option{"append-timeout-ms", "N",
           "For a write to be confirmed by a majority, the time above included; then 504.\n"
           "[10000]",
           Number<&ServerConfig::append_timeout_ms, 100, 600'000>},
    Option{"read-timeout-ms", "N",
           "For a read's group to confirm that its leader still leads; then 503. [5000]",
           Number<&ServerConfig::read_timeout_ms, 100, 600'000>},
    Option{"shutdown-timeout-ms", "N", "For requests under way when asked to stop. [10000]",
           Number<&ServerConfig::shutdown_timeout_ms, 0, kHourMs>},
};

constexpr std::array kLogs = {
    Option{"log-level", "LEVEL", "debug, info, warning or error. [info]", LogLevel},
    Option{"log-format", "FORMAT", "json, text, or auto: text on a terminal, else JSON. [auto]",
           ApplyLogFormat},
};

const std::array kGroups = {
    OptionGroup{"Network", kNetwork}, OptionGroup{"Cluster", kCluster},
    OptionGroup{"Storage", kStorage}, OptionGroup{"Limits", kLimits},
    OptionGroup{"Times", kTimes},     OptionGroup{"Logs", kLogs},
};

constexpr std::size_t kHelpColumn = 34;

void AppendOption(const Option& option, std::string* out) {
  std::string left = "  --" + std::string(option.name);
  if (!option.value.empty()) left += " " + std::string(option.value);
  if (left.size() + 2 > kHelpColumn) {
    *out += left + "\n";
    left.clear();
  }
  Text help = option.help;
  while (true) {
    std::size_t end = help.find('\n');
    left.resize(kHelpColumn, ' ');
    *out += left + std::string(help.substr(0, end)) + "\n";
    if (end == Text::npos) return;
    help.remove_prefix(end + 1);
    left.clear();
  }
}

}  // namespace

std::span<const OptionGroup> OptionGroups() { return kGroups; }

const Option* FindOption(std::string_view name) {
  for (const OptionGroup& group : kGroups) {
    for (const Option& option : group.options) {
      if (option.name == name) return &option;
    }
  }
  return nullptr;
}

const Option* FindByEnvironmentName(std::string_view name) {
  for (const OptionGroup& group : kGroups) {
    for (const Option& option : group.options) {
      if (EnvironmentName(option) == name) return &option;
    }
  }
  return nullptr;
}

std::string FileKey(const Option& option) {
  std::string key(option.name);
  for (char& c : key) c = c == '-' ? '_' : c;
  return key;
}

std::string EnvironmentName(const Option& option) {
  std::string name = "URSULA_" + FileKey(option);
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string HelpText() {
  std::string help =
      "ursulad: a durable streams server\n"
      "\n"
      "Usage: ursulad [--OPTION VALUE]...\n"
      "\n"
      "With no options it listens on 127.0.0.1:4437 and keeps its data in ./ursula-data.\n"
      "Every option can also be set in the environment (--data-dir as URSULA_DATA_DIR) and in a\n"
      "TOML file (as data_dir or data-dir). A flag wins over the environment, and that over the "
      "file.\n"
      "Sizes take KiB, MiB, GiB and TiB. Defaults stand in [brackets].\n";
  for (const OptionGroup& group : kGroups) {
    help += "\n" + std::string(group.title) + "\n";
    for (const Option& option : group.options) AppendOption(option, &help);
  }
  help += "\nOther\n";
  AppendOption({"config", "FILE", "Read options from a TOML file.", nullptr}, &help);
  AppendOption({"help", "", "Print this and exit.", nullptr}, &help);
  AppendOption({"version", "", "Print the version and exit.", nullptr}, &help);
  return help;
}

}  // namespace ursula::server
