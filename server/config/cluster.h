// server/config/cluster.h
//
// The options of a node that is one of several: their values, and what they need of each other.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/server_config.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::server {

inline constexpr uint64_t kNodeIdMax = 1'000'000;

// "10.0.0.1:4439", "[::1]:4439" or "node-1.example.org:4439": a name is resolved anew with each
// attempt to connect. The port isn't 0.
std::optional<HostPort> ParsePeerAddress(std::string_view text);

// "1=10.0.0.1:4439,2=10.0.0.2:4439,3=10.0.0.3:4439". None has two addresses.
std::optional<std::map<uint64_t, HostPort>> ParsePeers(std::string_view text);

// 1 to 16 hexadecimal digits, not all 0; and 16 of them.
std::optional<uint64_t> ParseClusterId(std::string_view text);
std::string FormatClusterId(uint64_t id);

// Every node that founds the cluster, in order: `peers` and `node_id`.
std::vector<uint64_t> FoundersOf(const ServerConfig& config);

// What the node says of where clients reach it: --advertise-http, else --listen; empty where that
// is no single address, or one that only this machine reaches and not all nodes are on it.
std::string HttpAddressOf(const ServerConfig& config);

// A sentence for each thing that is wrong with the options together. `named`: an option's name as
// the user wrote it, with a value.
std::vector<std::string> ClusterMistakes(
    const ServerConfig& config,
    Function<std::string(std::string_view option, const std::string& value)> named);

// The secret in a file, without the line's end. An error if others than its owner and group may
// read it, or if it is shorter than 16 bytes, or longer than 4096.
Result<std::string> ReadSecretFile(const std::string& path);

}  // namespace ursula::server
