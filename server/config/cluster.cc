#include "server/config/cluster.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "server/config/values.h"

namespace ursula::server {
namespace {

constexpr std::size_t kHostBytesMax = 253;  // RFC 1035, 2.3.4.
constexpr std::size_t kSecretBytesMin = 16;
constexpr std::size_t kSecretBytesMax = 4096;
constexpr std::size_t kHexDigits = 16;

bool IsHostName(std::string_view text) {
  if (text.empty() || text.size() > kHostBytesMax || text.front() == '.' || text.front() == '-') {
    return false;
  }
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

std::vector<uint64_t> Nodes(const std::map<uint64_t, HostPort>& peers) {
  std::vector<uint64_t> nodes;
  for (const auto& [node, address] : peers) nodes.push_back(node);
  return nodes;
}

std::string ListOf(const std::vector<uint64_t>& nodes) {
  std::string list;
  for (uint64_t node : nodes) list += (list.empty() ? "" : ", ") + std::to_string(node);
  return list;
}

class Checker {
 public:
  using Named = Function<std::string(std::string_view option, const std::string& value)>;

  Checker(const ServerConfig& config, Named named) : config_(config), named_(std::move(named)) {}

  std::vector<std::string> Check() {
    CheckAdmin();
    CheckWaits();
    if (config_.peers.empty()) {
      CheckAlone();
      return std::move(mistakes_);
    }
    CheckSelf();
    CheckFounders();
    CheckKept();
    CheckReach();
    return std::move(mistakes_);
  }

 private:
  void Mistake(std::string text) { mistakes_.push_back(std::move(text)); }

  void CheckAlone() {
    auto needs_peers = [this](std::string_view option, const std::string& value) {
      Mistake(named_(option, value) +
              ": is for a node of a cluster; say with --peers who the others are");
    };
    if (config_.node_id != 0) needs_peers("node-id", std::to_string(config_.node_id));
    if (!config_.peer_listen.host.empty()) {
      needs_peers("peer-listen", FormatHostPort(config_.peer_listen));
    }
    if (!config_.advertise_http.host.empty()) {
      needs_peers("advertise-http", FormatHostPort(config_.advertise_http));
    }
    if (config_.cluster_id != 0) needs_peers("cluster-id", FormatClusterId(config_.cluster_id));
  }

  // Whoever reaches the address could move leaders and clocks. A server that is alone answers
  // questions there if it is told to, and changes nothing (admin/gate.h).
  void CheckAdmin() {
    if (!config_.admin || IsLoopback(config_.admin_listen)) return;
    if (!config_.cluster_secret_file.empty()) return;
    const bool alone = config_.peers.empty();
    if (alone && config_.allow_unauthenticated) return;
    Mistake(
        named_("admin-listen", FormatHostPort(config_.admin_listen)) +
        ": others than this machine reach this address; give it a --cluster-secret-file "
        "(openssl rand -hex 32 makes one), or listen on 127.0.0.1" +
        (alone ? ", or add --allow-unauthenticated: then it answers, and changes nothing" : ""));
  }

  void CheckSelf() {
    if (config_.node_id == 0) {
      Mistake("--peers: which of the nodes is this one? Say it with --node-id");
    }
    if (config_.peer_listen.host.empty()) {
      Mistake("--peers: where do the others reach this node? Say it with --peer-listen HOST:PORT");
    }
    for (auto [option, other] :
         {std::pair("listen", &config_.listen), std::pair("admin-listen", &config_.admin_listen)}) {
      if (other->port == 0 || *other != config_.peer_listen) continue;
      if (other == &config_.admin_listen && !config_.admin) continue;
      Mistake(named_("peer-listen", FormatHostPort(config_.peer_listen)) + ": is the address of " +
              named_(option, FormatHostPort(*other)) + "; they must differ");
    }
  }

  void CheckFounders() {
    if (config_.node_id == 0) return;
    const std::vector<uint64_t> founders = FoundersOf(config_);
    const std::size_t count = founders.size();
    const bool in_order = founders.front() == 1 && founders.back() == count;
    if (!config_.peers.contains(config_.node_id) && (count % 2 == 0 || !in_order)) {
      return Mistake(named_("node-id", std::to_string(config_.node_id)) +
                     ": is none of --peers, which are " + ListOf(Nodes(config_.peers)));
    }
    if (count != 1 && count != 3 && count != 5) {
      Mistake("--peers: this node and the others are " + std::to_string(count) +
              "; a cluster has 1, 3 or 5 nodes: an even number survives no more failures than the "
              "odd one below it");
    }
    if (!in_order) {
      Mistake("--peers: nodes are numbered from 1 on without a gap, these are " + ListOf(founders));
    }
    for (auto one = config_.peers.begin(); one != config_.peers.end(); ++one) {
      for (auto other = std::next(one); other != config_.peers.end(); ++other) {
        if (one->second != other->second) continue;
        Mistake("--peers: nodes " + std::to_string(one->first) + " and " +
                std::to_string(other->first) + " have one address, " + FormatHostPort(one->second));
      }
    }
  }

  void CheckKept() {
    if (config_.memory) {
      Mistake(
          named_("memory", "true") +
          ": a node of a cluster may not forget what it has promised the others; leave --memory "
          "out, or --peers");
    }
    if (config_.new_history) {
      Mistake(named_("new-history", "true") +
              ": a node of a cluster takes its history from the others; to bring up a copy, start "
              "it without --peers");
    }
  }

  void CheckWaits() {
    if (config_.append_timeout_ms >= config_.leader_timeout_ms) return;
    Mistake(
        named_("append-timeout-ms", std::to_string(config_.append_timeout_ms)) +
        ": is below --leader-timeout-ms, " + std::to_string(config_.leader_timeout_ms) +
        ", which is a part of it: a request that finds its leader late would have no time left");
  }

  // Whoever reaches the address could vote and append.
  void CheckReach() {
    if (!config_.cluster_secret_file.empty()) return;
    std::string outside;
    if (!config_.peer_listen.host.empty() && !IsLoopback(config_.peer_listen)) {
      outside = named_("peer-listen", FormatHostPort(config_.peer_listen));
    }
    for (const auto& [node, address] : config_.peers) {
      if (!outside.empty()) break;
      if (!IsLoopback(address)) outside = named_("peers", FormatHostPort(address));
    }
    if (outside.empty()) return;
    Mistake(outside +
            ": anyone who reaches this address could pass for a node and change every stream; give "
            "all nodes the same --cluster-secret-file (openssl rand -hex 32 makes one)");
  }

  const ServerConfig& config_;
  Named named_;
  std::vector<std::string> mistakes_;
};

Status NoSecret(std::string why) { return Status(StatusCode::kIoError, std::move(why)); }

Result<std::string> ReadSecret(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return NoSecret(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) return NoSecret("it is a directory");
  if ((status.st_mode & S_IROTH) != 0) {
    return NoSecret("everyone on this machine may read it: chmod o= it");
  }
  std::string text(kSecretBytesMax + 2, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return NoSecret(std::strerror(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return NoSecret("it is empty");
  if (text.size() < kSecretBytesMin) {
    return NoSecret("it has " + std::to_string(text.size()) + " bytes, a secret has at least " +
                    std::to_string(kSecretBytesMin) + ": openssl rand -hex 32 makes one");
  }
  if (text.size() > kSecretBytesMax) {
    return NoSecret("it is longer than " + std::to_string(kSecretBytesMax) + " bytes");
  }
  return text;
}

}  // namespace

std::optional<HostPort> ParsePeerAddress(std::string_view text) {
  std::optional<HostPort> address = ParseHostPort(text);
  if (!address.has_value()) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || !IsHostName(text.substr(0, colon))) return std::nullopt;
    const std::optional<uint64_t> port = ParseNumber(text.substr(colon + 1));
    if (!port.has_value() || *port > UINT16_MAX) return std::nullopt;
    address = HostPort{std::string(text.substr(0, colon)), static_cast<uint16_t>(*port)};
  }
  if (address->port == 0) return std::nullopt;
  return address;
}

std::optional<std::map<uint64_t, HostPort>> ParsePeers(std::string_view text) {
  std::optional<std::vector<std::string>> parts = ParseList(text);
  if (!parts) return std::nullopt;
  std::map<uint64_t, HostPort> peers;
  for (const std::string& part : *parts) {
    const std::string_view peer = part;
    const std::size_t equals = peer.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::optional<uint64_t> node = ParseNumber(peer.substr(0, equals));
    const std::optional<HostPort> address = ParsePeerAddress(peer.substr(equals + 1));
    if (!node || *node == 0 || *node > kNodeIdMax || !address) return std::nullopt;
    if (!peers.emplace(*node, *address).second) return std::nullopt;
  }
  return peers;
}

std::optional<uint64_t> ParseClusterId(std::string_view text) {
  if (text.size() > kHexDigits) return std::nullopt;
  uint64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (error != std::errc{} || end != text.data() + text.size() || id == 0) return std::nullopt;
  return id;
}

std::string FormatClusterId(uint64_t id) {
  std::array<char, kHexDigits> digits;
  char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), id, 16).ptr;
  const std::string text(digits.data(), end);
  return std::string(kHexDigits - text.size(), '0') + text;
}

std::vector<uint64_t> FoundersOf(const ServerConfig& config) {
  std::vector<uint64_t> founders = Nodes(config.peers);
  if (config.node_id != 0 && !config.peers.contains(config.node_id)) {
    founders.push_back(config.node_id);
  }
  std::ranges::sort(founders);
  return founders;
}

std::string HttpAddressOf(const ServerConfig& config) {
  if (!config.advertise_http.host.empty()) return FormatHostPort(config.advertise_http);
  if (config.listen.port == 0 || IsAnyAddress(config.listen)) return {};
  const bool here =
      std::ranges::all_of(config.peers, [](const auto& peer) { return IsLoopback(peer.second); });
  if (IsLoopback(config.listen) && !here) return {};
  return FormatHostPort(config.listen);
}

std::vector<std::string> ClusterMistakes(
    const ServerConfig& config,
    Function<std::string(std::string_view option, const std::string& value)> named) {
  return Checker(config, std::move(named)).Check();
}

Result<std::string> ReadSecretFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NoSecret(std::strerror(errno));
  Result<std::string> secret = ReadSecret(fd);
  close(fd);
  return secret;
}

}  // namespace ursula::server
