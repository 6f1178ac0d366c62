#include "server/config/cluster.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "server/config/load.h"

namespace ursula::server {
namespace {

constexpr const char* kThree = "--peers=1=127.0.0.1:5001,2=127.0.0.1:5002,3=127.0.0.1:5003";

LoadedConfig Load(std::vector<const char*> flags, std::string file = "") {
  ConfigInput input;
  input.flags = flags;
  input.environment = [](const char*) { return nullptr; };
  input.read_file = [&](const std::string&) { return Result<std::string>(file); };
  input.read_secret = [&](const std::string& path) -> Result<std::string> {
    if (path == "secret") return std::string("0123456789abcdef");
    return Status(StatusCode::kIoError, "No such file");
  };
  return LoadConfig(std::move(input));
}

// The one mistake; what was told otherwise.
std::string MistakeOf(std::vector<const char*> flags) {
  std::vector<std::string> mistakes = Load(std::move(flags)).mistakes;
  std::string all;
  for (const std::string& mistake : mistakes) all += (all.empty() ? "" : " AND ") + mistake;
  return all;
}

TEST(ClusterConfigTest, ANodeOfThree) {
  LoadedConfig loaded = Load({"--node-id=2", "--peer-listen=127.0.0.1:5002", kThree,
                              "--cluster-id=00000000000000ff", "--cluster-secret-file=secret"});
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.node_id, 2u);
  EXPECT_EQ(loaded.config.peer_listen, (HostPort{"127.0.0.1", 5002}));
  EXPECT_EQ(loaded.config.peers.at(3), (HostPort{"127.0.0.1", 5003}));
  EXPECT_EQ(loaded.config.cluster_id, 255u);
  EXPECT_EQ(loaded.config.cluster_secret, "0123456789abcdef");
  EXPECT_EQ(loaded.config.peer_connections_max, 64u);
  EXPECT_EQ(FoundersOf(loaded.config), (std::vector<uint64_t>{1, 2, 3}));
}

TEST(ClusterConfigTest, ANodeMayLeaveItselfOutOfTheList) {
  LoadedConfig loaded = Load(
      {"--node-id=1", "--peer-listen=127.0.0.1:5001", "--peers=3=localhost:5003,2=[::1]:5002"});
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.peers.at(2), (HostPort{"::1", 5002}));
  EXPECT_EQ(FoundersOf(loaded.config), (std::vector<uint64_t>{1, 2, 3}));
}

TEST(ClusterConfigTest, AFileSaysAllOfIt) {
  LoadedConfig loaded =
      Load({"--config=u.toml"},
           "node_id = 1\npeer_listen = \"10.0.0.1:4439\"\ncluster_secret_file = \"secret\"\n"
           "peers = \"1=10.0.0.1:4439,2=node-2.example.org:4439,3=10.0.0.3:4439\"\n"
           "peer_connections_max = 8\ncluster_id = \"ab\"\n");
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.peers.at(2), (HostPort{"node-2.example.org", 4439}));
  EXPECT_EQ(loaded.config.peer_connections_max, 8u);
  EXPECT_EQ(FormatClusterId(loaded.config.cluster_id), "00000000000000ab");
}

TEST(ClusterConfigTest, WhatIsForAClusterNeedsPeers) {
  for (const char* flag :
       {"--node-id=1", "--peer-listen=127.0.0.1:5001", "--cluster-id=ab", "--advertise-http=h:1"}) {
    const std::string mistake = MistakeOf({flag});
    EXPECT_NE(mistake.find("is for a node of a cluster"), std::string::npos) << mistake;
    EXPECT_EQ(mistake.find(" AND "), std::string::npos) << mistake;
  }
}

TEST(ClusterConfigTest, EachMisuseHasItsSentence) {
  const char* listen = "--peer-listen=127.0.0.1:5001";
  EXPECT_EQ(MistakeOf({listen, kThree}),
            "--peers: which of the nodes is this one? Say it with --node-id");
  EXPECT_EQ(MistakeOf({"--node-id=1", kThree}),
            "--peers: where do the others reach this node? Say it with --peer-listen HOST:PORT");
  EXPECT_EQ(MistakeOf({"--node-id=4", listen, kThree}),
            "--node-id 4: is none of --peers, which are 1, 2, 3");
  EXPECT_EQ(MistakeOf({"--node-id=1", listen, "--peers=1=127.0.0.1:1,2=127.0.0.1:2"}),
            "--peers: this node and the others are 2; a cluster has 1, 3 or 5 nodes: an even "
            "number survives no more failures than the odd one below it");
  EXPECT_EQ(MistakeOf({"--node-id=1", listen, "--peers=1=127.0.0.1:1,2=127.0.0.1:2,4=127.0.0.1:4"}),
            "--peers: nodes are numbered from 1 on without a gap, these are 1, 2, 4");
  EXPECT_EQ(MistakeOf({"--node-id=1", listen, "--peers=1=127.0.0.1:1,2=127.0.0.1:2,3=127.0.0.1:2"}),
            "--peers: nodes 2 and 3 have one address, 127.0.0.1:2");
  EXPECT_NE(MistakeOf({"--node-id=1", listen, kThree, "--memory"}).find("may not forget"),
            std::string::npos);
  EXPECT_NE(MistakeOf({"--node-id=1", listen, kThree, "--new-history"}).find("its history"),
            std::string::npos);
  EXPECT_EQ(MistakeOf({"--node-id=1", listen, kThree, "--listen=127.0.0.1:5001"}),
            "--peer-listen 127.0.0.1:5001: is the address of --listen 127.0.0.1:5001; they must "
            "differ");
  EXPECT_EQ(MistakeOf({"--node-id=1", listen, kThree, "--cluster-secret-file=nowhere"}),
            "--cluster-secret-file nowhere: No such file");
}

TEST(ClusterConfigTest, AnAddressThatOthersReachNeedsASecret) {
  const std::vector<std::vector<const char*>> reachable = {
      {"--node-id=1", "--peer-listen=0.0.0.0:5001", kThree},
      {"--node-id=1", "--peer-listen=127.0.0.1:5001",
       "--peers=1=127.0.0.1:1,2=10.0.0.2:2,3=127.0.0.1:3"},
      {"--node-id=1", "--peer-listen=127.0.0.1:5001",
       "--peers=1=127.0.0.1:1,2=node-2:2,3=127.0.0.1:3"},
  };
  for (std::vector<const char*> flags : reachable) {
    EXPECT_NE(MistakeOf(flags).find("--cluster-secret-file (openssl"), std::string::npos)
        << MistakeOf(flags);
    flags.push_back("--cluster-secret-file=secret");
    EXPECT_EQ(MistakeOf(flags), "");
  }
}

TEST(ClusterConfigTest, AnAdminAddressThatOthersReachNeedsASecret) {
  const std::vector<const char*> node = {"--node-id=1", "--peer-listen=127.0.0.1:5001", kThree};
  for (const char* address : {"--admin-listen=0.0.0.0:4438", "--admin-listen=[::]:4438"}) {
    for (std::vector<const char*> flags : {std::vector<const char*>(), node}) {
      const bool alone = flags.empty();
      flags.push_back(address);
      EXPECT_NE(MistakeOf(flags).find("--cluster-secret-file (openssl"), std::string::npos)
          << MistakeOf(flags);
      flags.push_back("--allow-unauthenticated");
      EXPECT_EQ(MistakeOf(flags) == "", alone) << MistakeOf(flags);
      flags.back() = "--cluster-secret-file=secret";
      EXPECT_EQ(MistakeOf(flags), "");
    }
  }
  EXPECT_EQ(MistakeOf({"--admin-listen=none", "--cluster-secret-file=secret"}), "");
}

TEST(ClusterConfigTest, WhereClientsReachANodeIsToldOrFollowsFromWhereItListens) {
  const std::vector<const char*> node = {"--node-id=1", "--peer-listen=127.0.0.1:5001"};
  auto told = [&node](const char* peers, std::vector<const char*> more) {
    more.insert(more.end(), node.begin(), node.end());
    more.push_back(peers);
    LoadedConfig loaded = Load(more);
    EXPECT_TRUE(loaded.mistakes.empty());
    return HttpAddressOf(loaded.config);
  };
  const char* far = "--peers=1=10.0.0.1:1,2=10.0.0.2:2,3=10.0.0.3:3";
  const char* secret = "--cluster-secret-file=secret";
  const char* any = "--allow-unauthenticated";
  EXPECT_EQ(told(kThree, {}), "127.0.0.1:4437");
  EXPECT_EQ(told(far, {secret}), "") << "others reach another 127.0.0.1";
  EXPECT_EQ(told(far, {secret, any, "--listen=0.0.0.0:80"}), "");
  EXPECT_EQ(told(far, {secret, any, "--listen=[::]:80"}), "");
  EXPECT_EQ(told(kThree, {"--listen=127.0.0.1:0"}), "");
  EXPECT_EQ(told(far, {secret, any, "--listen=10.0.0.1:80"}), "10.0.0.1:80");
  EXPECT_EQ(told(far, {secret, "--advertise-http=node-1.example.org:443"}),
            "node-1.example.org:443");
  EXPECT_EQ(told(far, {secret, "--advertise-http=[2001:db8::1]:80"}), "[2001:db8::1]:80");
  for (const char* bad : {"", "h", "h:", "h:0", "h:65536", ":80", "http://h:80", "h:80/", "a b:1",
                          "0.0.0.0:80", "[::]:80", "[::0]:80"}) {
    const std::string flag = std::string("--advertise-http=") + bad;
    EXPECT_NE(MistakeOf({"--node-id=1", "--peer-listen=127.0.0.1:5001", kThree, flag.c_str()})
                  .find("as clients reach this node"),
              std::string::npos)
        << bad;
  }
  LoadedConfig file =
      Load({"--config=u.toml", kThree, "--node-id=1", "--peer-listen=127.0.0.1:5001"},
           "advertise_http = \"h:1\"\npeer_window_bytes_max = \"2MiB\"\n");
  EXPECT_TRUE(file.mistakes.empty());
  EXPECT_EQ(file.config.advertise_http, (HostPort{"h", 1}));
  EXPECT_EQ(file.config.peer_window_bytes_max, uint64_t{2} << 20);
}

TEST(ClusterConfigTest, TimesOfACallHaveBoundsAndFitEachOther) {
  const ServerConfig plain;
  EXPECT_EQ(plain.leader_timeout_ms, 5000u);
  EXPECT_EQ(plain.append_timeout_ms, 10'000u);
  EXPECT_EQ(plain.read_timeout_ms, 5000u);
  EXPECT_EQ(plain.peer_window_bytes_max, uint64_t{16} << 20);
  LoadedConfig loaded = Load({"--leader-timeout-ms=100", "--append-timeout-ms=100",
                              "--read-timeout-ms=600000", "--peer-window-bytes-max=1GiB"});
  EXPECT_TRUE(loaded.mistakes.empty());
  EXPECT_EQ(loaded.config.read_timeout_ms, 600'000u);
  EXPECT_EQ(loaded.config.peer_window_bytes_max, uint64_t{1} << 30);
  for (const char* bad : {"--leader-timeout-ms=99", "--append-timeout-ms=600001",
                          "--read-timeout-ms=0", "--read-timeout-ms=1s"}) {
    EXPECT_NE(MistakeOf({bad}).find("a number from 100 to 600000"), std::string::npos) << bad;
  }
  for (const char* bad : {"--peer-window-bytes-max=1023KiB", "--peer-window-bytes-max=2GiB"}) {
    EXPECT_NE(MistakeOf({bad}).find("a size from 1MiB to 1GiB"), std::string::npos) << bad;
  }
  EXPECT_EQ(
      MistakeOf({"--append-timeout-ms=4999"}),
      "--append-timeout-ms 4999: is below --leader-timeout-ms, 5000, which is a part of it: a "
      "request that finds its leader late would have no time left");
}

TEST(ClusterConfigTest, WrongValuesAreRefused) {
  for (const char* peers :
       {"", "1", "1=", "1=127.0.0.1", "1=127.0.0.1:0", "1=127.0.0.1:65536", "0=127.0.0.1:1",
        "x=127.0.0.1:1", "1=127.0.0.1:1,1=127.0.0.1:2", "1=-a:1", "1=a b:1", "1=127.0.0.1:1,",
        "1=::1:5", "1000001=127.0.0.1:1"}) {
    EXPECT_FALSE(ParsePeers(peers).has_value()) << peers;
  }
  for (const char* id : {"", "0", "g", "0x12", "00000000000000001", "-1"}) {
    EXPECT_FALSE(ParseClusterId(id).has_value()) << id;
  }
  EXPECT_NE(MistakeOf({"--peers=7"}).find("each node once"), std::string::npos);
  EXPECT_NE(MistakeOf({"--node-id=0"}).find("a number from 1"), std::string::npos);
}

class SecretFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::trunc) << text;
    chmod(path_.c_str(), mode);
    return path_;
  }

  const std::string path_ = testing::TempDir() + "/secret";
};

TEST_F(SecretFileTest, TheLinesEndIsNoPartOfIt) {
  Result<std::string> secret = ReadSecretFile(Write("0123456789abcdef\r\n", 0640));
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(*secret, "0123456789abcdef");
}

TEST_F(SecretFileTest, WhatIsNoSecretIsRefused) {
  auto refusal = [](const std::string& path) { return ReadSecretFile(path).status().message(); };
  EXPECT_EQ(refusal(path_ + "-missing"), "No such file or directory");
  EXPECT_EQ(refusal(testing::TempDir()), "it is a directory");
  EXPECT_EQ(refusal(Write("\n")), "it is empty");
  EXPECT_NE(refusal(Write("short\n")).find("it has 5 bytes"), std::string::npos);
  EXPECT_NE(refusal(Write(std::string(4097, 'x'))).find("longer"), std::string::npos);
  EXPECT_TRUE(ReadSecretFile(Write(std::string(4096, 'x') + "\n")).ok());
  EXPECT_EQ(refusal(Write("0123456789abcdef", 0644)),
            "everyone on this machine may read it: chmod o= it");
}

}  // namespace
}  // namespace ursula::server
