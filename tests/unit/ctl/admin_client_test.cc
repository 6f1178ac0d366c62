#include "server/ctl/admin_client.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/auth/admin_auth.h"

namespace ursula::ctl {
namespace {

constexpr const char* kSecret = "0123456789abcdef";
const server::HostPort kAddress = {"10.0.0.1", 4438};

HttpResponse Response(int status, std::string body = "") {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

HttpResponse Challenge(const std::string& nonce) {
  HttpResponse response = Response(401);
  response.headers.Add("WWW-Authenticate", auth::FormatChallenge({3, nonce}));
  return response;
}

HttpResponse Proven(int status, const std::string& body, const std::string& nonce,
                    const char* secret = kSecret) {
  HttpResponse response = Response(status, body);
  response.headers.Add(auth::kProofHeader, auth::AnswerMac(secret, {3, nonce}, status, body));
  return response;
}

class AdminClientTest : public ::testing::Test {
 protected:
  // What `answers`, one after the other, come to.
  Result<AdminAnswer> Ask(std::vector<Result<HttpResponse>> answers, std::string secret = kSecret) {
    requests_.clear();
    AdminClient client(std::move(secret), [this, answers](const server::HostPort& address,
                                                          const std::string& request) {
      EXPECT_EQ(address, kAddress);
      requests_.push_back(request);
      return answers.at(requests_.size() - 1);
    });
    return client.Ask(kAddress, "POST", "/clock/step");
  }
  void ExpectRefused(Result<AdminAnswer> answer, StatusCode code, const std::string& words) {
    EXPECT_EQ(answer.status().code(), code) << answer.status().ToString();
    EXPECT_NE(answer.status().message().find(words), std::string::npos)
        << answer.status().message();
    EXPECT_EQ(answer.status().message().find(kSecret), std::string::npos);
  }

  std::vector<std::string> requests_;
};

TEST_F(AdminClientTest, WithoutASecretItAsksPlainly) {
  auto answer = Ask({Response(200, "{}")}, "");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "{}");
  EXPECT_EQ(requests_[0],
            "POST /clock/step HTTP/1.1\r\nHost: 10.0.0.1:4438\r\nUser-Agent: ursulactl\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST_F(AdminClientTest, AChallengeIsAnsweredWithAProofAndNeverWithTheSecret) {
  auto answer = Ask({Challenge("ab"), Proven(409, "{}", "ab")});
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_EQ(answer->status, 409);
  ASSERT_EQ(requests_.size(), 2u);
  const std::string mac = auth::RequestMac(kSecret, {3, "ab"}, {"POST", "/clock/step", ""});
  EXPECT_NE(requests_[1].find("Authorization: " + auth::FormatCredentials({"ab", mac}) + "\r\n"),
            std::string::npos);
  EXPECT_EQ((requests_[0] + requests_[1]).find(kSecret), std::string::npos);
}

TEST_F(AdminClientTest, AnAnswerThatIsNotProvenIsNotTaken) {
  const std::string words = "isn't proven";
  ExpectRefused(Ask({Challenge("ab"), Response(200, "{}")}), StatusCode::kFailedPrecondition,
                words);
  ExpectRefused(Ask({Challenge("ab"), Proven(200, "{}", "cd")}), StatusCode::kFailedPrecondition,
                words);
  HttpResponse changed = Proven(200, "{}", "ab");
  changed.body = "{ }";
  ExpectRefused(Ask({Challenge("ab"), changed}), StatusCode::kFailedPrecondition, words);
  changed = Proven(409, "{}", "ab");
  changed.status = 200;
  ExpectRefused(Ask({Challenge("ab"), changed}), StatusCode::kFailedPrecondition, words);
  ExpectRefused(Ask({Challenge("ab"), Proven(200, "{}", "ab", "another one")}),
                StatusCode::kFailedPrecondition, words);
  // Not even asked for.
  ExpectRefused(Ask({Response(200, "{}")}), StatusCode::kFailedPrecondition, "doesn't ask");
}

TEST_F(AdminClientTest, EachFailureSaysWhatToDo) {
  ExpectRefused(Ask({Status(StatusCode::kUnavailable, "Connection refused")}),
                StatusCode::kUnavailable,
                "can't reach 10.0.0.1:4438: Connection refused: start ursulad there");
  ExpectRefused(Ask({Status(StatusCode::kInternal, "bad \x1b[1m")}), StatusCode::kInternal,
                "10.0.0.1:4438: bad ?[1m: name the --admin-listen address");
  ExpectRefused(Ask({Challenge("ab")}, ""), StatusCode::kFailedPrecondition,
                "asks for the cluster's secret: name its file");
  ExpectRefused(Ask({Challenge("ab"), Challenge("cd")}), StatusCode::kFailedPrecondition,
                "it has another secret");
  ExpectRefused(Ask({Response(401)}), StatusCode::kInternal, "asks for something else");
  ExpectRefused(Ask({Challenge("ab"), Response(429)}), StatusCode::kUnavailable, "too busy (429)");
  ExpectRefused(Ask({Response(503)}), StatusCode::kUnavailable, "too busy (503)");
}

}  // namespace
}  // namespace ursula::ctl
