#include "server/config/load.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>

#include "server/config/cluster.h"
#include "server/config/options.h"
#include "server/config/values.h"
#include "ursula/engine.h"

namespace ursula::server {
namespace {

class ConfigLoader {
 public:
  explicit ConfigLoader(ConfigInput input) : input_(std::move(input)) {}

  LoadedConfig Load() {
    ReadFlags();
    if (loaded_.action != LoadedConfig::Action::kRun) return std::move(loaded_);
    ApplyFile();
    ApplyEnvironment();
    ApplyFlags();
    if (loaded_.config.core_count == 0) loaded_.config.core_count = input_.cpu_count;
    FitToMemory();
    ReadSecret();
    CheckTogether();
    for (std::string& mistake :
         ClusterMistakes(loaded_.config, [this](std::string_view option, const std::string&value) {
           return Named(option, value);
         })) {
      Mistake(std::move(mistake));
    }
    return std::move(loaded_);
  }

 private:
  struct Flag {
    const Option* option = nullptr;
    std::string_view value = {};
  };

  void Mistake(std::string text) { loaded_.mistakes.push_back(std::move(text)); }

  // `source` is how the user named it: "--data-dir", "URSULA_DATA_DIR", "ursula.toml: data_dir".
  void Apply(const Option& option, const std::string& source, std::string_view value) {
    given_[option.name] = source;
    std::string wanted = option.apply(&loaded_.config, value);
    if (wanted.empty()) return;
    Mistake(source + ": '" + std::string(value) + "' is not " + wanted);
  }

  void ReadFlags() {
    for (std::size_t i = 0; i < input_.flags.size(); ++i) {
      std::string_view argument = input_.flags[i];
      if (argument == "-h" || argument == "--help") {
        loaded_.action = LoadedConfig::Action::kHelp;
        return;
      }
      if (argument == "--version") {
        loaded_.action = LoadedConfig::Action::kVersion;
        return;
      }
      i += ReadFlag(argument, i);
    }
  }

  // Returns how many further arguments it took.
  std::size_t ReadFlag(std::string_view argument, std::size_t at) {
    if (!argument.starts_with("--")) {
      Mistake("'" + std::string(argument) + "' is not an option (see --help)");
      return 0;
    }
    std::size_t equals = argument.find('=');
    bool attached = equals != std::string_view::npos;
    std::string_view name = argument.substr(2, attached ? equals - 2 : equals);
    std::string_view value = attached ? argument.substr(equals + 1) : std::string_view();
    const Option* option = FindOption(name);
    if (option == nullptr && name != "config") {
      Mistake("--" + std::string(name) + " is not an option (see --help)");
      return 0;
    }
    bool is_switch = option != nullptr && option->value.empty();
    std::size_t taken = 0;
    if (!attached && is_switch) {
      value = "true";
    } else if (!attached) {
      if (at + 1 >= input_.flags.size()) {
        Mistake("--" + std::string(name) + " needs a value");
        return 0;
      }
      value = input_.flags[at + 1];
      taken = 1;
    }
    if (option == nullptr) {
      file_ = std::string(value);
    } else {
      flags_.push_back({option, value});
    }
    return taken;
  }

  void ApplyFile() {
    if (!file_.has_value()) {
      const char* named = input_.environment("URSULA_CONFIG");
      if (named == nullptr || *named == '\0') return;
      file_ = named;
    }
    Result<std::string> text = input_.read_file(*file_);
    if (!text.ok()) return Mistake("--config " + *file_ + ": " + text.status().message());
    auto pairs = ParseToml(*text);
    if (!pairs.ok()) return Mistake(*file_ + ": " + pairs.status().message());
    for (const auto& [key, value] : *pairs) ApplyKey(key, value);
  }

  // "data_dir", or as the flag is written: "data-dir".
  void ApplyKey(const std::string& key, const std::string& value) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    const Option* option = FindOption(name);
    if (option == nullptr) return Mistake(*file_ + ": " + key + " is not an option (see --help)");
    auto [before, first] = keys_.emplace(option->name, key);
    if (!first) return Mistake(*file_ + ": " + before->second + " and " + key + " are one option");
    Apply(*option, *file_ + ": " + key, value);
  }

  void ApplyEnvironment() {
    for (const OptionGroup& group : OptionGroups()) {
      for (const Option& option : group.options) {
        std::string name = EnvironmentName(option);
        const char* value = input_.environment(name.c_str());
        if (value != nullptr && *value != '\0') Apply(option, name, value);
      }
    }
    for (const std::string& name : input_.environment_names) {
      if (name == "URSULA_CONFIG" || FindByEnvironmentName(name) != nullptr) continue;
      const char* value = input_.environment(name.c_str());
      if (IsServiceLink(name, value == nullptr ? "" : value)) continue;
      Mistake(name + " is not an option (see --help); names that begin with URSULA_ are ursulad's");
    }
  }

  // As the user wrote it, or as a flag; with its value.
  std::string Named(std::string_view option, const std::string& value) const {
    auto given = given_.find(option);
    if (given != given_.end()) return given->second + " " + value;
    return "--" + std::string(option) + " " + value + " (its default)";
  }

  void ApplyFlags() {
    for (const Flag& flag : flags_) {
      Apply(*flag.option, "--" + std::string(flag.option->name), flag.value);
    }
  }

  // Budgets beside buffers, the log, the metadata of streams and the kernel's page cache. A body on
  // its way to disk costs several times its size. Were the budget of bodies not larger than one
  // body, a few bytes of others would keep the largest out for good.
  void FitToMemory() {
    constexpr uint64_t kShareMin = 1 << 20;
    ServerConfig& config = loaded_.config;
    const uint64_t share = std::max(input_.memory_bytes / 8, kShareMin);
    auto fit = [&](std::string_view option, uint64_t* value, uint64_t most, uint64_t least) {
      if (!given_.contains(option)) *value = std::max(std::min(*value, most), least);
    };
    // A core keeps no page that is larger than a quarter of its share.
    if (!given_.contains("kept-pages-bytes-max")) {
      config.kept_pages_bytes_max =
          std::max(config.kept_pages_bytes_max, config.core_count * (uint64_t{8} << 20));
    }
    fit("hot-bytes-max", &config.hot_bytes_max, share, 0);
    fit("inflight-read-bytes-max", &config.inflight_read_bytes_max, share, 0);
    fit("kept-pages-bytes-max", &config.kept_pages_bytes_max, share / 8, 0);
    fit("body-bytes-max", &config.body_bytes_max, share / 4, 0);
    fit("inflight-body-bytes-max", &config.inflight_body_bytes_max, share,
        2 * config.body_bytes_max);
  }

  void ReadSecret() {
    ServerConfig& config = loaded_.config;
    if (config.cluster_secret_file.empty()) return;
    Result<std::string> secret = input_.read_secret(config.cluster_secret_file);
    if (secret.ok()) {
      config.cluster_secret = std::move(*secret);
    } else {
      Mistake(Named("cluster-secret-file", config.cluster_secret_file) + ": " +
              secret.status().message());
    }
  }

  void CheckTogether() {
    const ServerConfig& config = loaded_.config;
    if (!IsLoopback(config.listen) && !config.allow_unauthenticated) {
      Mistake(Named("listen", FormatHostPort(config.listen)) +
              ": anyone who reaches this address could read, write and delete every stream; "
              "listen on 127.0.0.1, or add --allow-unauthenticated");
    }
    if (config.admin && config.listen.port != 0 && config.listen == config.admin_listen) {
      Mistake(Named("admin-listen", FormatHostPort(config.admin_listen)) + ": is the address of " +
              Named("listen", FormatHostPort(config.listen)) + "; they must differ");
    }
    if (config.memory && given_.contains("data-dir")) {
      Mistake(Named("memory", "true") + ": keeps nothing, but " +
              Named("data-dir", config.data_dir) + " says where to; leave one of them out");
    }
    if (config.body_timeout_ms < config.request_timeout_ms) {
      Mistake(Named("body-timeout-ms", std::to_string(config.body_timeout_ms)) + ": is less than " +
              Named("request-timeout-ms", std::to_string(config.request_timeout_ms)) +
              ", which one pause may take");
    }
    const uint64_t cores = std::max<uint64_t>(config.core_count, 1);
    const uint64_t wal_bytes_min = WalBytesMin(cores, config.message_bytes_max());
    if (!config.memory && config.wal_bytes_max != 0 && config.wal_bytes_max < wal_bytes_min) {
      Mistake(Named("wal-bytes-max", FormatSize(config.wal_bytes_max)) + ": is less than " +
              FormatSize(wal_bytes_min) + ", which " + Named("core-count", std::to_string(cores)) +
              " and " + Named("body-bytes-max", FormatSize(config.body_bytes_max)) + " need");
    }
    if (config.inflight_body_bytes_max < config.body_bytes_max) {
      Mistake(Named("inflight-body-bytes-max", FormatSize(config.inflight_body_bytes_max)) +
              ": is less than " + Named("body-bytes-max", FormatSize(config.body_bytes_max)));
    }
  }

  ConfigInput input_;
  LoadedConfig loaded_;
  std::vector<Flag> flags_;
  std::optional<std::string> file_;
  std::map<std::string_view, std::string> given_;  // Options that a source sets; the last one.
  std::map<std::string_view, std::string> keys_;   // Options of the file, as written there.
};

}  // namespace

LoadedConfig LoadConfig(ConfigInput input) { return ConfigLoader(std::move(input)).Load(); }

}  // namespace ursula::server
