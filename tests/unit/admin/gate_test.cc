#include "server/admin/gate.h"

#include <gtest/gtest.h>

#include <string>

namespace ursula::admin {
namespace {

using protocol::Method;

constexpr const char* kSecret = "0123456789abcdef";
constexpr uint64_t kNowNs = 1'000'000'000'000;

protocol::Request Ask(Method method, std::string target) {
  protocol::Request request;
  request.method = method;
  request.target = std::move(target);
  return request;
}

class GateTest : public ::testing::Test {
 protected:
  // 0: it may pass.
  int StatusOf(const protocol::Request& request, uint64_t now_ns = kNowNs) {
    auto refusal = gate_.Refuse(request, now_ns, &pass_);
    return refusal ? refusal->status : 0;
  }
  auth::Challenge NewChallenge(uint64_t now_ns = kNowNs) {
    auto refusal = gate_.Refuse(Ask(Method::kGet, "/cluster"), now_ns, &pass_);
    auto challenge = auth::ParseChallenge(refusal->headers.Find("WWW-Authenticate").value_or(""));
    EXPECT_TRUE(challenge.has_value());
    return challenge.value_or(auth::Challenge{});
  }
  static void Sign(const auth::Challenge& challenge, const char* method, const char* secret,
                   protocol::Request* request) {
    const std::string mac =
        auth::RequestMac(secret, challenge, {method, request->target, request->body.view()});
    request->headers.Set("Authorization", auth::FormatCredentials({challenge.nonce, mac}));
  }

  Gate gate_{{.node = NodeId{3}, .secret = kSecret}};
  Pass pass_;
};

TEST_F(GateTest, ProbesAndMetricsAreForEveryone) {
  for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
    EXPECT_EQ(StatusOf(Ask(Method::kGet, path)), 0) << path;
    EXPECT_EQ(StatusOf(Ask(Method::kHead, path)), 0) << path;
    EXPECT_EQ(StatusOf(Ask(Method::kPost, path)), 401) << path;
  }
  for (const char* path : {"/cluster", "/", "/healthz/", "/x"}) {
    EXPECT_EQ(StatusOf(Ask(Method::kGet, path)), 401) << path;
  }
}

TEST_F(GateTest, AProvenRequestPassesOnceAndItsAnswerIsProven) {
  const auth::Challenge challenge = NewChallenge();
  EXPECT_EQ(challenge.node, 3u);
  protocol::Request request = Ask(Method::kPost, "/cluster/transfer?group=1&to=2");
  Sign(challenge, "POST", kSecret, &request);
  EXPECT_EQ(StatusOf(request), 0);
  protocol::Response response;
  response.status = 409;
  response.body = {Bytes::Copy("a"), Bytes::Copy("b")};
  gate_.Prove(pass_, &response);
  EXPECT_EQ(response.headers.Find(auth::kProofHeader),
            auth::AnswerMac(kSecret, challenge, 409, "ab"));
  EXPECT_EQ(StatusOf(request), 401) << "played back";
}

TEST_F(GateTest, WhatIsNotWhatWasProvenIsRefused) {
  const protocol::Request right = Ask(Method::kPost, "/cluster/transfer?group=1&to=2");
  auto refused = [&](protocol::Request sent, const char* method = "POST",
                     const char* secret = kSecret, const protocol::Request* proven = nullptr) {
    const auth::Challenge challenge = NewChallenge();
    protocol::Request signed_one = proven == nullptr ? sent : *proven;
    Sign(challenge, method, secret, &signed_one);
    sent.headers = signed_one.headers;
    return StatusOf(sent) == 401;
  };
  EXPECT_FALSE(refused(right));
  EXPECT_TRUE(refused(right, "GET"));
  EXPECT_TRUE(refused(right, "POST", "0123456789abcdeF"));
  EXPECT_TRUE(
      refused(Ask(Method::kPost, "/cluster/transfer?group=1&to=3"), "POST", kSecret, &right));
  protocol::Request with_body = right;
  with_body.body = Bytes::Copy("x");
  EXPECT_TRUE(refused(with_body, "POST", kSecret, &right));
  EXPECT_FALSE(refused(with_body));
}

TEST_F(GateTest, ANonceIsThisServersAndOfLate) {
  protocol::Request request = Ask(Method::kGet, "/cluster");
  Gate other({.node = NodeId{3}, .secret = kSecret});
  auto theirs = other.Refuse(request, kNowNs, &pass_);
  Sign(*auth::ParseChallenge(*theirs->headers.Find("WWW-Authenticate")), "GET", kSecret, &request);
  EXPECT_EQ(StatusOf(request), 401);
  Sign(NewChallenge(), "GET", kSecret, &request);
  EXPECT_EQ(StatusOf(request, kNowNs + auth::Nonces::kLifeNs), 401);
  EXPECT_EQ(StatusOf(request, kNowNs + auth::Nonces::kLifeNs - 1), 0);
  // Another node's, with this one's nonce.
  auth::Challenge wrong_node = NewChallenge();
  wrong_node.node = 2;
  Sign(wrong_node, "GET", kSecret, &request);
  EXPECT_EQ(StatusOf(request), 401);
  request.headers.Set("Authorization", "Basic x");
  EXPECT_EQ(StatusOf(request), 401);
}

TEST_F(GateTest, NoPageChangesAnythingAndNothingElseIsAMethod) {
  protocol::Request request = Ask(Method::kPost, "/clock/step");
  request.headers.Add("Origin", "http://127.0.0.1:4438");
  Sign(NewChallenge(), "POST", kSecret, &request);
  EXPECT_EQ(StatusOf(request), 403);
  for (Method method : {Method::kPut, Method::kDelete, Method::kOptions, Method::kOther}) {
    EXPECT_EQ(StatusOf(Ask(method, "/cluster")), 405);
    EXPECT_EQ(StatusOf(Ask(method, "/metrics")), 405);
  }
}

TEST_F(GateTest, ProofsAreBoundedInTime) {
  protocol::Request request = Ask(Method::kGet, "/cluster");
  for (std::size_t i = 0; i < auth::Nonces::kUsedMax; ++i) {
    Sign(NewChallenge(), "GET", kSecret, &request);
    ASSERT_EQ(StatusOf(request), 0) << i;
  }
  Sign(NewChallenge(), "GET", kSecret, &request);
  EXPECT_EQ(StatusOf(request), 429);
  const uint64_t later_ns = kNowNs + auth::Nonces::kLifeNs;
  Sign(NewChallenge(later_ns), "GET", kSecret, &request);
  EXPECT_EQ(StatusOf(request, later_ns), 0);
}

TEST(OpenGateTest, WithoutASecretChangesAreForThisMachine) {
  Pass pass;
  Gate local({.node = NodeId{1}});
  EXPECT_FALSE(local.Refuse(Ask(Method::kPost, "/clock/step"), kNowNs, &pass).has_value());
  EXPECT_FALSE(local.Refuse(Ask(Method::kGet, "/cluster"), kNowNs, &pass).has_value());
  Gate reachable({.node = NodeId{1}, .reachable = true});
  EXPECT_EQ(reachable.Refuse(Ask(Method::kPost, "/clock/step"), kNowNs, &pass)->status, 403);
  EXPECT_FALSE(reachable.Refuse(Ask(Method::kGet, "/cluster"), kNowNs, &pass).has_value());
  protocol::Response response;
  reachable.Prove(pass, &response);
  EXPECT_FALSE(response.headers.Find(auth::kProofHeader).has_value());
}

}  // namespace
}  // namespace ursula::admin
