#include "server/ctl/arguments.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace ursula::ctl {
namespace {

ReadArguments Read(std::vector<const char*> words,
                   const std::map<std::string, const char*>& environment = {}) {
  ArgumentsInput input;
  input.words = words;
  input.environment = [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second;
  };
  input.read_secret = [](const std::string& path) -> Result<std::string> {
    if (path == "file") return std::string("0123456789abcdef");
    return Status(StatusCode::kIoError, "No such file");
  };
  return ParseArguments(std::move(input));
}

std::string MistakesOf(std::vector<const char*> words) {
  std::string all;
  for (const std::string& mistake : Read(std::move(words)).mistakes) all += mistake + ";";
  return all;
}

TEST(ArgumentsTest, CommandsAndOptionsMayStandInAnyOrder) {
  auto read = Read({"transfer", "--json", "3", "--admin=10.0.0.1:1,h:2", "2", "--admin", "[::1]:3",
                    "--cluster-secret-file", "file", "--timeout-ms", "7", "--wait-ms=8"});
  EXPECT_TRUE(read.mistakes.empty());
  const Arguments& arguments = read.arguments;
  EXPECT_EQ(arguments.command, Command::kTransfer);
  EXPECT_EQ(arguments.group, 3u);
  EXPECT_EQ(arguments.to, 2u);
  EXPECT_FALSE(arguments.all);
  EXPECT_TRUE(arguments.json);
  EXPECT_EQ(arguments.timeout_ms, 7u);
  EXPECT_EQ(arguments.wait_ms, 8u);
  EXPECT_EQ(arguments.secret, "0123456789abcdef");
  ASSERT_EQ(arguments.admin.size(), 3u);
  EXPECT_EQ(arguments.admin[1], (server::HostPort{"h", 2}));
  EXPECT_EQ(arguments.admin[2], (server::HostPort{"::1", 3}));
}

TEST(ArgumentsTest, EachCommandIsKnown) {
  EXPECT_EQ(Read({"status"}).arguments.command, Command::kStatus);
  EXPECT_EQ(Read({"groups"}).arguments.command, Command::kGroups);
  EXPECT_EQ(Read({"leaders"}).arguments.command, Command::kLeaders);
  EXPECT_EQ(Read({"lag"}).arguments.command, Command::kLag);
  EXPECT_EQ(Read({"health"}).arguments.command, Command::kHealth);
  EXPECT_EQ(Read({"clock", "step"}).arguments.command, Command::kClockStep);
  EXPECT_EQ(Read({"--version"}).arguments.command, Command::kVersion);
  EXPECT_EQ(Read({"fly", "--help"}).arguments.command, Command::kHelp);
  EXPECT_EQ(Read({"node", "add", "4"}).arguments.command, Command::kNodeAdd);
  EXPECT_EQ(Read({"node", "remove", "4"}).arguments.command, Command::kNodeRemove);
  EXPECT_EQ(Read({"node", "cordon", "4"}).arguments.command, Command::kNodeCordon);
  EXPECT_EQ(Read({"node", "uncordon", "4"}).arguments.command, Command::kNodeUncordon);
  auto drain = Read({"node", "--json", "drain", "65535"});
  EXPECT_TRUE(drain.mistakes.empty());
  EXPECT_EQ(drain.arguments.command, Command::kNodeDrain);
  EXPECT_EQ(drain.arguments.node, 65'535u);
  for (const char* count : {"1", "3", "5"}) {
    auto replicas = Read({"replicas", count});
    EXPECT_TRUE(replicas.mistakes.empty()) << count;
    EXPECT_EQ(replicas.arguments.command, Command::kReplicas);
    EXPECT_EQ(std::to_string(replicas.arguments.replicas), count);
  }
  auto all = Read({"transfer", "--all-from", "2"});
  EXPECT_TRUE(all.mistakes.empty());
  EXPECT_TRUE(all.arguments.all);
  EXPECT_EQ(all.arguments.all_from, 2u);
  auto recover = Read({"recover", "--lost", "3,2", "--lost=3"});
  EXPECT_TRUE(recover.mistakes.empty());
  EXPECT_EQ(recover.arguments.command, Command::kRecover);
  EXPECT_EQ(recover.arguments.lost, (std::vector<uint64_t>{2, 3}));
  EXPECT_FALSE(recover.arguments.data_may_be_lost);
  EXPECT_TRUE(
      Read({"recover", "--yes-data-may-be-lost", "--lost", "3"}).arguments.data_may_be_lost);
}

TEST(ArgumentsTest, TheEnvironmentStandsInForOptions) {
  auto read = Read({"status"}, {{"URSULACTL_ADMIN", "h:1"}, {"URSULACTL_SECRET_FILE", "file"}});
  EXPECT_TRUE(read.mistakes.empty());
  EXPECT_EQ(read.arguments.admin, (std::vector<server::HostPort>{{"h", 1}}));
  EXPECT_EQ(read.arguments.secret, "0123456789abcdef");
  read = Read({"status", "--admin", "g:2"}, {{"URSULACTL_ADMIN", "h:1"}});
  EXPECT_EQ(read.arguments.admin, (std::vector<server::HostPort>{{"g", 2}}));
  EXPECT_EQ(Read({"status"}).arguments.admin, (std::vector<server::HostPort>{{"127.0.0.1", 4438}}));
  EXPECT_EQ(Read({"status"}, {{"URSULACTL_ADMIN", "h"}}).mistakes.at(0),
            "URSULACTL_ADMIN: 'h' is not HOST:PORT, or a list of those with commas between");
}

TEST(ArgumentsTest, EachMistakeHasItsSentence) {
  EXPECT_EQ(MistakesOf({}), "say what to do, for example: ursulactl status;");
  EXPECT_EQ(MistakesOf({"fly"}), "'fly' is not a command (see --help);");
  EXPECT_EQ(MistakesOf({"clock"}), "'clock' is not a command (see --help);");
  EXPECT_EQ(MistakesOf({"clock", "back"}), "'clock back' is not a command (see --help);");
  EXPECT_EQ(MistakesOf({"status", "now"}), "'now' is too much after status;");
  EXPECT_EQ(MistakesOf({"status", "--fast"}), "--fast is not an option (see --help);");
  EXPECT_EQ(MistakesOf({"status", "--admin"}), "--admin needs a value;");
  EXPECT_EQ(MistakesOf({"status", "--wait-ms", "0"}),
            "--wait-ms: '0' is not a number of milliseconds, at most an hour's;");
  EXPECT_EQ(MistakesOf({"status", "--all-from", "1"}), "--all-from is for transfer;");
  EXPECT_EQ(MistakesOf({"transfer", "--all-from", "0"}), "--all-from: '0' is not a node's number;");
  EXPECT_EQ(MistakesOf({"transfer", "--all-from", "1", "2"}), "'2' is too much after transfer;");
  EXPECT_EQ(MistakesOf({"transfer", "1"}),
            "transfer: say which group and to which node (transfer 3 2), or --all-from and a "
            "node;");
  EXPECT_EQ(MistakesOf({"transfer", "-1", "0"}),
            "transfer: '-1' is not a group's number;transfer: '0' is not a node's number;");
  EXPECT_EQ(MistakesOf({"node"}), "'node' is not a command (see --help);");
  EXPECT_EQ(MistakesOf({"node", "4"}), "'node 4' is not a command (see --help);");
  EXPECT_EQ(MistakesOf({"node", "add"}), "node add: say which node, by its number;");
  EXPECT_EQ(MistakesOf({"node", "drain", "1", "2"}), "node drain: say which node, by its number;");
  EXPECT_EQ(MistakesOf({"node", "replace", "3"}),
            "node replace: say which node goes, and which takes its place (node replace 3 4);");
  EXPECT_EQ(MistakesOf({"node", "replace", "3", "x"}), "node replace: 'x' is not a node's number;");
  EXPECT_NE(MistakesOf({"node", "replace", "3", "3"}).find("with an empty directory"),
            std::string::npos);
  EXPECT_EQ(MistakesOf({"node", "add", "0"}), "node add: '0' is not a node's number;");
  EXPECT_EQ(MistakesOf({"node", "add", "65536"}), "node add: '65536' is not a node's number;");
  for (auto words : std::vector<std::vector<const char*>>{
           {"replicas"}, {"replicas", "4"}, {"replicas", "0"}, {"replicas", "3", "5"}}) {
    EXPECT_EQ(MistakesOf(words),
              "replicas: say how many nodes are to have all of the data: 1, 3 or 5;");
  }
  EXPECT_EQ(MistakesOf({"node", "add", "4", "--all-from", "1"}), "--all-from is for transfer;");
  EXPECT_EQ(MistakesOf({"recover"}), "recover: say with --lost which nodes are gone for ever;");
  EXPECT_EQ(MistakesOf({"recover", "--lost", "2,x"}), "--lost: 'x' is not a node's number;");
  EXPECT_EQ(MistakesOf({"recover", "--lost", "0"}), "--lost: '0' is not a node's number;");
  EXPECT_EQ(MistakesOf({"recover", "--lost", "2", "3"}), "'3' is too much after recover;");
  for (const char* word : {"--lost=2", "--yes-data-may-be-lost"}) {
    EXPECT_EQ(MistakesOf({"node", "remove", "2", word}),
              "--lost and --yes-data-may-be-lost are for recover;");
  }
  EXPECT_EQ(MistakesOf({"status", "--cluster-secret-file", "x"}),
            "--cluster-secret-file x: No such file;");
  EXPECT_NE(MistakesOf({"clock", "step", "--admin", "h:1,g:2"}).find("the one node"),
            std::string::npos);
}

}  // namespace
}  // namespace ursula::ctl
