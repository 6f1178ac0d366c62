#include "server/ctl/arguments.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "server/config/cluster.h"
#include "server/config/values.h"

namespace ursula::ctl {
namespace {

constexpr uint64_t kMsMax = 3'600'000;
constexpr std::size_t kAddressesMax = 64;
constexpr uint64_t kNodeMax = 65'535;

struct NamedCommand {
  std::string_view words;
  Command command;
};
constexpr std::array kCommands = {
    NamedCommand{"status", Command::kStatus},
    NamedCommand{"groups", Command::kGroups},
    NamedCommand{"leaders", Command::kLeaders},
    NamedCommand{"lag", Command::kLag},
    NamedCommand{"health", Command::kHealth},
    NamedCommand{"transfer", Command::kTransfer},
    NamedCommand{"clock step", Command::kClockStep},
    NamedCommand{"node add", Command::kNodeAdd},
    NamedCommand{"node remove", Command::kNodeRemove},
    NamedCommand{"node cordon", Command::kNodeCordon},
    NamedCommand{"node uncordon", Command::kNodeUncordon},
    NamedCommand{"node drain", Command::kNodeDrain},
    NamedCommand{"node replace", Command::kNodeReplace},
    NamedCommand{"replicas", Command::kReplicas},
    NamedCommand{"recover", Command::kRecover},
};

class ArgumentReader {
 public:
  explicit ArgumentReader(ArgumentsInput input) : input_(std::move(input)) {}

  ReadArguments Read() {
    FromEnvironment();
    for (at_ = 0; at_ < input_.words.size(); ++at_) {
      const std::string_view word = input_.words[at_];
      if (word == "-h" || word == "--help") return ReadArguments{};
      if (word == "--version") return ReadArguments{{.command = Command::kVersion}, {}};
      if (word.starts_with("--")) {
        ReadOption(word.substr(2));
      } else {
        words_.emplace_back(word);
      }
    }
    TakeAddresses();
    TakeSecret();
    TakeCommand();
    return std::move(read_);
  }

 private:
  void Mistake(std::string text) { read_.mistakes.push_back(std::move(text)); }

  void FromEnvironment() {
    auto take = [this](const char* name, std::string* source, std::string* value) {
      const char* const found = input_.environment(name);
      if (found == nullptr || *found == '\0') return;
      *source = name;
      *value = found;
    };
    take("URSULACTL_ADMIN", &addresses_source_, &addresses_);
    take("URSULACTL_SECRET_FILE", &secret_source_, &secret_file_);
  }

  void ReadOption(std::string_view option) {
    const std::size_t equals = option.find('=');
    const bool attached = equals != std::string_view::npos;
    const std::string name(option.substr(0, equals));
    if (name == "json" && !attached) {
      read_.arguments.json = true;
      return;
    }
    if (name == "yes-data-may-be-lost" && !attached) {
      read_.arguments.data_may_be_lost = true;
      return;
    }
    std::optional<std::string> value;
    if (attached) {
      value = option.substr(equals + 1);
    } else if (at_ + 1 < input_.words.size()) {
      value = input_.words[at_ + 1];
    }
    const bool known = name == "admin" || name == "cluster-secret-file" || name == "timeout-ms" ||
                       name == "wait-ms" || name == "all-from" || name == "lost";
    if (!known) return Mistake("--" + name + " is not an option (see --help)");
    if (!attached) ++at_;
    if (!value) return Mistake("--" + name + " needs a value");
    TakeValue(name, *value);
  }

  void TakeValue(const std::string& name, const std::string& value) {
    Arguments& arguments = read_.arguments;
    if (name == "admin") {
      // What is given here replaces the environment's, and may be given again.
      const bool again = addresses_source_ == "--admin" && !addresses_.empty();
      addresses_ = again ? addresses_ + "," + value : value;
      addresses_source_ = "--admin";
    } else if (name == "cluster-secret-file") {
      secret_file_ = value;
      secret_source_ = "--cluster-secret-file";
    } else if (name == "lost") {
      TakeLost(value);
    } else if (name == "all-from") {
      arguments.all = true;
      TakeNumber("--all-from", value, 1, UINT64_MAX, "a node's number", &arguments.all_from);
    } else {
      TakeNumber("--" + name, value, 1, kMsMax, "a number of milliseconds, at most an hour's",
                 name == "wait-ms" ? &arguments.wait_ms : &arguments.timeout_ms);
    }
  }

  void TakeLost(const std::string& value) {
    std::vector<uint64_t>& lost = read_.arguments.lost;
    const std::optional<std::vector<std::string>> parts = server::ParseList(value);
    for (const std::string& part : parts.value_or(std::vector<std::string>{value})) {
      TakeNumber("--lost", part, 1, kNodeMax, "a node's number", &lost.emplace_back());
    }
    std::ranges::sort(lost);
    lost.erase(std::ranges::unique(lost).begin(), lost.end());
  }

  template <class Integer>
  void TakeNumber(const std::string& what, const std::string& value, uint64_t low, uint64_t high,
                  const char* wanted, Integer* into) {
    const std::optional<uint64_t> number = server::ParseNumber(value);
    if (!number || *number < low || *number > high) {
      return Mistake(what + ": '" + value + "' is not " + wanted);
    }
    *into = static_cast<Integer>(*number);
  }

  void TakeAddresses() {
    if (addresses_source_.empty()) {
      read_.arguments.admin = {{"127.0.0.1", 4438}};
      return;
    }
    const auto wrong = [this] {
      Mistake(addresses_source_ + ": '" + addresses_ +
              "' is not HOST:PORT, or a list of those with commas between");
    };
    const std::optional<std::vector<std::string>> parts = server::ParseList(addresses_);
    if (!parts || parts->size() > kAddressesMax) return wrong();
    for (const std::string& part : *parts) {
      const std::optional<server::HostPort> address = server::ParsePeerAddress(part);
      if (!address) return wrong();
      read_.arguments.admin.push_back(*address);
    }
  }

  void TakeSecret() {
    if (secret_source_.empty()) return;
    Result<std::string> secret = input_.read_secret(secret_file_);
    if (secret.ok()) {
      read_.arguments.secret = std::move(*secret);
    } else {
      Mistake(secret_source_ + " " + secret_file_ + ": " + secret.status().message());
    }
  }

  void TakeCommand() {
    Arguments& arguments = read_.arguments;
    if (words_.empty()) return Mistake("say what to do, for example: ursulactl status");
    std::size_t used = 1;
    std::string name = words_[0];
    if ((name == "clock" || name == "node") && words_.size() > 1) name += " " + words_[used++];
    bool known = false;
    for (const NamedCommand& one : kCommands) {
      if (one.words != name) continue;
      known = true;
      arguments.command = one.command;
    }
    if (!known) return Mistake("'" + name + "' is not a command (see --help)");
    const bool transfer = arguments.command == Command::kTransfer;
    if (arguments.all && !transfer) Mistake("--all-from is for transfer");
    const bool recover = arguments.command == Command::kRecover;
    if (!recover && (!arguments.lost.empty() || arguments.data_may_be_lost)) {
      Mistake("--lost and --yes-data-may-be-lost are for recover");
    }
    if (recover && arguments.lost.empty()) {
      Mistake("recover: say with --lost which nodes are gone for ever");
    }
    if (transfer && !arguments.all) return TakeTransfer(used);
    if (arguments.command == Command::kNodeReplace) return TakeReplace(used);
    if (name.starts_with("node ")) return TakeNode(name, used);
    if (arguments.command == Command::kReplicas) return TakeReplicas(used);
    if (words_.size() > used) Mistake("'" + words_[used] + "' is too much after " + name);
    if (arguments.command == Command::kClockStep && arguments.admin.size() > 1) {
      Mistake(
          "clock step: name with --admin the one node whose clock is right; the time of all "
          "groups is set to it");
    }
  }

  void TakeTransfer(std::size_t used) {
    if (words_.size() != used + 2) {
      return Mistake(
          "transfer: say which group and to which node (transfer 3 2), or --all-from "
          "and a node");
    }
    Arguments& arguments = read_.arguments;
    TakeNumber("transfer", words_[used], 0, UINT32_MAX, "a group's number", &arguments.group);
    TakeNumber("transfer", words_[used + 1], 1, UINT64_MAX, "a node's number", &arguments.to);
  }

  void TakeNode(const std::string& name, std::size_t used) {
    if (words_.size() != used + 1) return Mistake(name + ": say which node, by its number");
    TakeNumber(name, words_[used], 1, kNodeMax, "a node's number", &read_.arguments.node);
  }

  void TakeReplace(std::size_t used) {
    if (words_.size() != used + 2) {
      return Mistake(
          "node replace: say which node goes, and which takes its place (node replace 3 4)");
    }
    Arguments& arguments = read_.arguments;
    TakeNumber("node replace", words_[used], 1, kNodeMax, "a node's number", &arguments.node);
    TakeNumber("node replace", words_[used + 1], 1, kNodeMax, "a node's number",
               &arguments.node_new);
    if (arguments.node != arguments.node_new || arguments.node == 0) return;
    Mistake(
        "node replace: a node doesn't replace itself; a machine is replaced under its number by "
        "starting the new one with an empty directory: the others fill it");
  }

  void TakeReplicas(std::size_t used) {
    uint64_t* const replicas = &read_.arguments.replicas;
    if (words_.size() == used + 1) *replicas = server::ParseNumber(words_[used]).value_or(0);
    if (*replicas == 1 || *replicas == 3 || *replicas == 5) return;
    Mistake("replicas: say how many nodes are to have all of the data: 1, 3 or 5");
  }

  ArgumentsInput input_;
  ReadArguments read_;
  std::size_t at_ = 0;
  std::vector<std::string> words_;  // That aren't options.
  std::string addresses_;
  std::string addresses_source_;  // As the user named it.
  std::string secret_file_;
  std::string secret_source_;
};

}  // namespace

ReadArguments ParseArguments(ArgumentsInput input) {
  return ArgumentReader(std::move(input)).Read();
}

std::string HelpText() {
  return R"(usage: ursulactl [OPTION...] COMMAND

Asks the nodes of a cluster by way of their admin listeners.

Commands
  status                   Each node: whether it answers, is ready, leads, is behind.
  groups                   Each group: its leader, term, and how far each node is.
  leaders                  Which node leads which groups.
  lag                      How far each node is behind.
  health                   Exit status 0: healthy; 1: not, and why.
  transfer GROUP NODE      The node is to lead the group.
  transfer --all-from NODE All that the node leads is to be led by others.
  node add N               Node N may join, with an empty directory; ends when it has.
  node remove N            The cluster is to be without node N; ends when it is.
  node cordon N            Node N is to lead nothing. node uncordon N: it may again.
  node drain N             Cordon it; ends when it leads nothing.
  node replace N M         Node M, with an empty directory, takes node N's place; ends
                           when it has, and N is no member any more.
  replicas N               N nodes, 1, 3 or 5, are to have all of the data: adds those
                           that wait and that a member names as its peer.
  recover --lost N,N       A majority is gone for ever: what the other nodes have, and,
                           with --yes-data-may-be-lost, make a cluster of them.
  clock step               Set the streams' time to the clock of the one node asked.

Options
  --admin HOST:PORT        A node's --admin-listen; several with commas, or given again.
                           The other nodes are found from it where all are laid out
                           alike. Also URSULACTL_ADMIN. [127.0.0.1:4438]
  --cluster-secret-file FILE
                           As the nodes have it. Also URSULACTL_SECRET_FILE.
  --json                   One JSON document on stdout.
  --timeout-ms N           For each question. [5000]
  --wait-ms N              For a change to have come about. [10000]
  --help, --version

Exit status: 0 done, or healthy; 1 refused, not done in time, or not healthy;
2 a mistake in the command line; 3 no node could be asked.
)";
}

}  // namespace ursula::ctl
