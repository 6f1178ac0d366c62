// The admin listener's requests in virtual time, over a fake engine.

#include "server/admin/admin_handler.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/auth/admin_auth.h"
#include "tests/support/fake_engine.h"
#include "tests/unit/http/http_rig.h"

namespace ursula::admin {
namespace {

constexpr const char* kSecret = "0123456789abcdef";

class AdminHandlerTest : public ::testing::Test {
 protected:
  // Before the first request.
  AdminView& view() { return view_; }

  std::string Ask(const std::string& method, const std::string& target,
                  const std::string& more_lines = "") {
    if (rig_ == nullptr) Start();
    auto peer = rig_->Connect();
    peer->Write(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + more_lines +
                "Connection: close\r\n\r\n");
    rig_->manual.RunUntilIdle();
    return peer->received();
  }
  std::string AskProven(const std::string& method, const std::string& target) {
    const auto challenge = auth::ParseChallenge(HeaderOf(Ask(method, target), "WWW-Authenticate"));
    EXPECT_TRUE(challenge.has_value());
    const std::string mac = auth::RequestMac(kSecret, *challenge, {method, target, ""});
    const std::string answer =
        Ask(method, target,
            "Authorization: " + auth::FormatCredentials({challenge->nonce, mac}) + "\r\n");
    EXPECT_EQ(HeaderOf(answer, "Ursula-Proof"),
              auth::AnswerMac(kSecret, *challenge, http::StatusOf(answer), http::BodyOf(answer)));
    return answer;
  }
  static std::string HeaderOf(const std::string& response, const std::string& name) {
    const std::size_t at = response.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return response.substr(begin, response.find("\r\n", begin) - begin);
  }

  AdminView view_;
  EngineStats stats_;
  ClusterStatus cluster_;  // As the engine has it, and the next one: before the first request.
  Result<MemberReply> member_reply_ = MemberReply{};
  const testing::FakeEngine& engine() const { return *engine_; }

 private:
  void Start() {
    rig_ = std::make_unique<http::HttpRig>(http::HttpOptions{},
                                           [this](io::Loop* loop, http::CoreCounters*) {
                                             engine_ = std::make_unique<testing::FakeEngine>(loop);
                                             engine_->stats = stats_;
                                             engine_->cluster = cluster_;
                                             engine_->member_reply = member_reply_;
                                             view_.opening = &opening_;
                                             view_.engine = engine_.get();
                                             view_.http_stats = [] { return http::HttpStats{}; };
                                             view_.serving = true;
                                             view_.version = "1.2.3";
                                             return std::make_unique<AdminHandler>(&view_);
                                           });
  }

  Opening opening_;
  std::unique_ptr<testing::FakeEngine> engine_;
  std::unique_ptr<http::HttpRig> rig_;
};

TEST_F(AdminHandlerTest, TheClusterIsToldWithReasonsAndWarnings) {
  view().node = NodeId{1};
  view().peer_address = "10.0.0.1:4439";
  view().peers = [] { return std::vector<PeerState>{{.node = NodeId{2}, .refusal = "no"}}; };
  const std::string answer = Ask("GET", "/cluster");
  EXPECT_EQ(http::StatusOf(answer), 200);
  EXPECT_EQ(HeaderOf(answer, "Content-Type"), "application/json");
  const std::string body = http::BodyOf(answer);
  EXPECT_NE(body.find("\"version\":\"1.2.3\",\"peer_address\":\"10.0.0.1:4439\",\"http_address\":"
                      "\"\",\"append_bytes_max\":0,\"ready\":true,"
                      "\"reasons\":[],\"warnings\":[\"node 2 isn't connected: no\"]"),
            std::string::npos)
      << body;
  view().stopping = true;
  EXPECT_NE(Ask("GET", "/cluster").find("\"ready\":false,\"reasons\":[\"the server is stopping\"]"),
            std::string::npos);
  const std::string readiness = Ask("GET", "/readyz");
  EXPECT_EQ(http::StatusOf(readiness), 503);
  EXPECT_NE(readiness.find("the server is stopping\nwarning: node 2 isn't connected: no\n"),
            std::string::npos);
}

TEST_F(AdminHandlerTest, TimeThatIsAheadOfTheClockIsToldWithWhatEndsIt) {
  stats_.clock_ahead_ms = 20'500;
  const std::string readiness = Ask("GET", "/readyz");
  EXPECT_EQ(http::StatusOf(readiness), 200);
  EXPECT_NE(readiness.find("ready\nwarning: the streams' time is 20 s ahead of this node's clock; "
                           "once the clock is right: ursulactl clock step\n"),
            std::string::npos)
      << readiness;
  EXPECT_NE(Ask("GET", "/cluster").find("\"warnings\":[\"the streams' time is 20 s ahead"),
            std::string::npos);
  EXPECT_NE(Ask("GET", "/metrics").find("\nursula_clock_ahead_seconds 20.5\n"), std::string::npos);
}

TEST_F(AdminHandlerTest, TimeThatIsALittleAheadIsNothingToWarnOf) {
  stats_.clock_ahead_ms = 10'000;
  EXPECT_EQ(http::BodyOf(Ask("GET", "/readyz")), "ready\n");
}

TEST_F(AdminHandlerTest, ANodeWhoseDirectoryWasRottenSaysSoUntilItIsTakenInAgain) {
  cluster_.aside = "/data/aside";
  cluster_.rejoins = true;
  const std::string readiness = Ask("GET", "/readyz");
  EXPECT_EQ(http::StatusOf(readiness), 200);
  EXPECT_NE(readiness.find("warning: this node's directory was found rotten, and what was in it is "
                           "kept in /data/aside"),
            std::string::npos);
  EXPECT_NE(Ask("GET", "/cluster").find("\"warnings\":[\"this node's directory was found rotten"),
            std::string::npos);
  Opening opening;
  view().opening = &opening;
  view().serving = false;
  opening.Begin(OpeningStep::kRejoining, 1);
  EXPECT_NE(Ask("GET", "/readyz").find("recovering: its log or a snapshot is rotten"),
            std::string::npos);
  static_cast<void>(opening.Advance(1));
  EXPECT_NE(Ask("GET", "/readyz").find("recovering: its rotten directory was put aside"),
            std::string::npos);
}

TEST_F(AdminHandlerTest, OnceItIsTakenInNothingIsSaidOfWhatIsKept) {
  cluster_.aside = "/data/aside";
  EXPECT_EQ(Ask("GET", "/readyz").find("warning:"), std::string::npos);
  EXPECT_NE(Ask("GET", "/cluster").find("\"aside\":\"/data/aside\",\"rejoins\":false"),
            std::string::npos);
}

TEST_F(AdminHandlerTest, ChangesAreAskedForByName) {
  EXPECT_EQ(http::BodyOf(Ask("POST", "/clock/step")), "{\"moved_ms\":0}\n");
  EXPECT_EQ(http::BodyOf(Ask("POST", "/cluster/transfer?group=3&to=2")),
            "{\"group\":3,\"to\":2,\"leader\":2,\"outcome\":\"begun\"}\n");
  EXPECT_EQ(http::StatusOf(Ask("POST", "/cluster/transfer?group=3")), 400);
  EXPECT_EQ(http::StatusOf(Ask("GET", "/cluster/transfer?group=3&to=2")), 404);
  EXPECT_EQ(http::StatusOf(Ask("POST", "/cluster")), 405);
  EXPECT_EQ(http::StatusOf(Ask("POST", "/clock/step", "Origin: http://x\r\n")), 403);
  view().serving = false;
  EXPECT_EQ(http::StatusOf(Ask("POST", "/clock/step")), 503);
  EXPECT_EQ(http::StatusOf(Ask("POST", "/cluster/transfer?group=3&to=2")), 503);
}

TEST_F(AdminHandlerTest, ANodeIsChangedByName) {
  view().node = NodeId{1};
  EXPECT_EQ(http::BodyOf(Ask("POST", "/cluster/node?node=4&change=remove")),
            "{\"node\":4,\"change\":\"remove\",\"outcome\":\"accepted\"}\n");
  EXPECT_EQ(engine().member_change.node, NodeId{4});
  EXPECT_EQ(engine().member_change.kind, MemberChange::Kind::kRemove);
  EXPECT_EQ(http::StatusOf(Ask("POST", "/cluster/node?node=4")), 400);
  EXPECT_EQ(http::StatusOf(Ask("GET", "/cluster/node?node=5&change=add")), 404);
  EXPECT_EQ(http::StatusOf(Ask("POST", "/cluster/node?node=5&change=add", "Origin: http://x\r\n")),
            403);
  view().serving = false;
  EXPECT_EQ(http::StatusOf(Ask("POST", "/cluster/node?node=5&change=add")), 503);
  EXPECT_EQ(engine().member_change.node, NodeId{4}) << "only the first one was asked of the engine";
}

TEST_F(AdminHandlerTest, APlanIsTakenUnlessALostNodeIsConnected) {
  const std::string plan =
      "/cluster/recover?number=1&before=1f&cluster=2f&history=3f&term=9&survivors=1-5c-1&lost=2,3";
  view().node = NodeId{1};
  std::vector<PeerState> peers(1);
  peers[0].node = NodeId{3};
  view().peers = [&peers] { return peers; };
  EXPECT_EQ(http::BodyOf(Ask("POST", plan)), "{\"node\":1,\"outcome\":\"stored\"}\n");
  EXPECT_EQ(engine().recovery_plan.cluster_id, 0x2fu);
  EXPECT_EQ(engine().recovery_plan.lost.size(), 2u);
  const std::string other = plan + ",4";
  EXPECT_EQ(http::StatusOf(Ask("POST", plan + ",x")), 400);
  EXPECT_EQ(http::StatusOf(Ask("POST", other, "Origin: http://x\r\n")), 403);
  EXPECT_EQ(http::StatusOf(Ask("GET", plan)), 404);
  peers[0].connected = true;
  EXPECT_NE(http::BodyOf(Ask("POST", other)).find("NODE_IS_THERE"), std::string::npos);
  EXPECT_EQ(http::StatusOf(Ask("GET", "/cluster/recovery")), 200);
  view().serving = false;
  EXPECT_EQ(http::StatusOf(Ask("GET", "/cluster/recovery")), 503);
  EXPECT_EQ(http::StatusOf(Ask("POST", other)), 503);
  EXPECT_EQ(engine().recovery_plan.lost.size(), 2u) << "only the first one was asked of the engine";
}

TEST_F(AdminHandlerTest, WhoAsksAServerThatIsAloneLearnsThat) {
  member_reply_ = Status(StatusCode::kFailedPrecondition, "it is alone");
  const std::string answer = Ask("POST", "/cluster/node?node=4&change=add");
  EXPECT_EQ(http::StatusOf(answer), 409);
  EXPECT_NE(answer.find("NO_CLUSTER"), std::string::npos);
}

TEST_F(AdminHandlerTest, NobodyIsWarnedOfAPeerThatIsNoMember) {
  view().node = NodeId{1};
  view().peers = [] {
    return std::vector<PeerState>{{.node = NodeId{2}, .refusal = "no"},
                                  {.node = NodeId{3}, .refusal = "no"}};
  };
  cluster_.members = {{.node = NodeId{1}}, {.node = NodeId{2}}};
  const std::string readiness = Ask("GET", "/readyz");
  EXPECT_NE(readiness.find("warning: node 2 isn't connected"), std::string::npos);
  EXPECT_EQ(readiness.find("node 3"), std::string::npos);
  view().serving = false;
  EXPECT_NE(Ask("GET", "/readyz").find("node 3"), std::string::npos) << "it isn't known yet";
}

TEST_F(AdminHandlerTest, WithASecretQuestionsAndChangesAreProven) {
  view().gate = {.node = NodeId{3}, .secret = kSecret, .reachable = true};
  for (const char* target : {"/cluster", "/nothing"}) {
    EXPECT_EQ(http::StatusOf(Ask("GET", target)), 401) << target;
  }
  EXPECT_EQ(http::StatusOf(Ask("POST", "/clock/step")), 401);
  EXPECT_EQ(http::StatusOf(Ask("POST", "/cluster/node?node=4&change=add")), 401);
  EXPECT_EQ(engine().member_change.node, NodeId{0});
  EXPECT_EQ(http::StatusOf(AskProven("POST", "/cluster/node?node=4&change=add")), 200);
  EXPECT_EQ(engine().member_change.node, NodeId{4});
  EXPECT_EQ(http::StatusOf(Ask("GET", "/metrics")), 200);
  EXPECT_EQ(http::StatusOf(AskProven("GET", "/cluster")), 200);
  EXPECT_EQ(http::StatusOf(AskProven("POST", "/clock/step")), 200);
  EXPECT_EQ(http::StatusOf(AskProven("POST", "/cluster/transfer?group=3&to=2")), 200);
  EXPECT_EQ(http::StatusOf(AskProven("POST", "/cluster/transfer?group=3")), 400);
  EXPECT_EQ(http::StatusOf(AskProven("GET", "/nothing")), 404);
}

}  // namespace
}  // namespace ursula::admin
