// What tests of NodeChanges have in common: nodes that say what they are told to.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/ctl/node_changes.h"
#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {

inline constexpr const char* kAccepted = "{\"outcome\":\"accepted\"}";
inline constexpr const char* kIsSo = "{\"outcome\":\"is_so\"}";

// Nodes 1 to 3 are a cluster; node 1 leads groups 0 and 1, node 2 group 2 and node 3 group 3.
class NodeChangesTest : public ::testing::Test {
 protected:
  static std::string At(uint64_t node) { return "10.0.0." + std::to_string(node) + ":4438"; }

  // Peers that don't run aren't connected.
  std::string Connected(std::string json) const {
    const std::string yes = ":4439\",\"connected\":true";
    for (uint64_t node : peers_) {
      const std::string address = "10.0.0." + std::to_string(node);
      const std::size_t at = json.find(address + yes);
      if (running_.contains(node) || at == std::string::npos) continue;
      json.replace(at + address.size() + yes.size() - 4, 4, "false");
    }
    return json;
  }
  // What the nodes say from now on.
  void Say() {
    for (uint64_t node : running_) {
      std::vector<uint64_t> peers = peers_;
      std::erase(peers, node);
      std::string json =
          With(Connected(ClusterJson(node, groups_, peers)),
               MembersJson(members_) + ",\"groups_settled\":" + std::to_string(settled_) +
                   ",\"members_wait_for\":\"" + wait_for_ + "\"");
      if (waiting_.contains(node)) {
        const auto opening = openings_.find(node);
        json =
            With(ClusterJson(node, {}, peers, ""),
                 "\"opening\":\"" +
                     (opening == openings_.end() ? "founding the cluster: 1 of 3 nodes have agreed"
                                                 : opening->second) +
                     "\"");
      }
      nodes_.Say(At(node), json);
    }
  }
  void Stop(uint64_t node) {
    running_.erase(node);
    nodes_.answers.erase(At(node));
  }
  void Answer(uint64_t asked, const std::string& change, uint64_t node, int status,
              const std::string& body) {
    nodes_.Say(At(asked), "POST /cluster/node?node=" + std::to_string(node) + "&change=" + change,
               status, body);
  }
  void AnswerAll(const std::string& change, uint64_t node, int status, const std::string& body) {
    for (uint64_t asked : running_) Answer(asked, change, node, status, body);
  }
  NodeChanges New(NodeChange::Kind kind, uint64_t node) {
    Say();
    return NodeChanges(&client_, LookAtAll(&client_, {{"10.0.0.1", 4438}}),
                       {{.kind = kind, .node = node}});
  }
  const NodeChange& Of(const NodeChanges& changes) { return changes.changes().at(0); }
  // What lasts: told at the second look.
  std::string WaitsForLong(NodeChanges* changes) {
    WaitsFor(changes);
    return WaitsFor(changes);
  }
  // A round after which it still waits: for what.
  std::string WaitsFor(NodeChanges* changes) {
    Say();
    EXPECT_TRUE(changes->Round());
    return Of(*changes).text;
  }
  std::vector<std::string> Posts() const {
    std::vector<std::string> posts;
    for (const std::string& one : nodes_.asked) {
      if (one.find("POST") != std::string::npos) posts.push_back(one);
    }
    return posts;
  }

  FakeNodes nodes_;
  AdminClient client_ = nodes_.Client();
  std::set<uint64_t> running_ = {1, 2, 3};
  std::set<uint64_t> waiting_ = {};
  std::map<uint64_t, std::string> openings_ = {};  // Of those that wait.
  std::vector<uint64_t> peers_ = {1, 2, 3, 4, 5};
  std::vector<Words> groups_ = {{0, 1, 1, 1}, {1, 1, 1, 1}, {2, 2, 1, 1}, {3, 3, 1, 1}};
  std::vector<MemberWords> members_ = {{1}, {2}, {3}};
  uint64_t settled_ = 0;
  std::string wait_for_ = "";
};

}  // namespace ursula::ctl
