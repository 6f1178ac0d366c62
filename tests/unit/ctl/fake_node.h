// tests/unit/ctl/fake_node.h
//
// Admin listeners without a network: what each answers, and what it was asked.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/config/values.h"
#include "server/ctl/admin_client.h"
#include "server/ctl/node_view.h"
#include "ursula/function.h"

namespace ursula::ctl {

class FakeNodes {
 public:
  // Answers with what stands under "GET /cluster" of the address; without that it can't be reached.
  std::map<std::string, std::map<std::string, HttpResponse>> answers;
  std::vector<std::string> asked;  // "127.0.0.1:1 GET /cluster".
  Function<void()> on_asked;       // Before it is answered; may change what is.

  AdminClient Client(std::string secret = "") {
    return AdminClient(std::move(secret),
                       [this](const server::HostPort& address, const std::string& request) {
                         return Answer(server::FormatHostPort(address), request);
                       });
  }

  void Say(const std::string& address, std::string body) {
    Say(address, "GET /cluster", 200, std::move(body));
  }
  void Say(const std::string& address, const std::string& question, int status, std::string body) {
    HttpResponse response;
    response.status = status;
    response.body = std::move(body);
    answers[address][question] = std::move(response);
  }

 private:
  Result<HttpResponse> Answer(const std::string& address, const std::string& request) {
    const std::string question = request.substr(0, request.find(" HTTP/1.1\r\n"));
    asked.push_back(address + " " + question);
    if (on_asked) on_asked();
    const auto node = answers.find(address);
    if (node == answers.end()) return Status(StatusCode::kUnavailable, "Connection refused");
    const auto answer = node->second.find(question);
    if (answer == node->second.end()) return Status(StatusCode::kInternal, "nothing was said");
    return answer->second;
  }
};

// One group's words: {group, leader, term, applied}.
struct Words {
  uint32_t group;
  uint64_t leader;
  uint64_t term;
  uint64_t applied;
};

inline std::string ClusterJson(uint64_t node, const std::vector<Words>& groups,
                               const std::vector<uint64_t>& peers = {},
                               const std::string& cluster_id = "ab") {
  std::string json = "{\"node\":" + std::to_string(node) + ",\"cluster_id\":\"" + cluster_id +
                     "\",\"version\":\"1.0\",\"ready\":true,\"peer_address\":\"10.0.0." +
                     std::to_string(node) + ":4439\",\"groups\":[";
  for (const Words& words : groups) {
    if (json.back() != '[') json += ',';
    json += "{\"group\":" + std::to_string(words.group) +
            ",\"leader\":" + std::to_string(words.leader) +
            ",\"term\":" + std::to_string(words.term) +
            ",\"applied\":" + std::to_string(words.applied) + "}";
  }
  json += "],\"peers\":[";
  for (uint64_t peer : peers) {
    if (json.back() != '[') json += ',';
    json += "{\"node\":" + std::to_string(peer) + ",\"address\":\"10.0.0." + std::to_string(peer) +
            ":4439\",\"connected\":true,\"connected_from\":true}";
  }
  return json + "]}";
}

// `json`, an object, with these members too.
inline std::string With(const std::string& json, const std::string& more) {
  return "{" + more + "," + json.substr(1);
}

struct MemberWords {
  uint64_t node;
  const char* stage = "member";
  bool cordoned = false;
};

inline std::string MembersJson(const std::vector<MemberWords>& members) {
  std::string json = "\"members\":[";
  for (const MemberWords& words : members) {
    if (json.back() != '[') json += ',';
    json += "{\"node\":" + std::to_string(words.node) + ",\"stage\":\"" + words.stage +
            "\",\"cordoned\":" + (words.cordoned ? "true" : "false") + "}";
  }
  return json + "]";
}

}  // namespace ursula::ctl
