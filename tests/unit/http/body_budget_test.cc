// How bodies under way share what memory there is for them.

#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/http/connection_rig.h"

namespace ursula::http {
namespace {

class BodyBudgetTest : public ConnectionTest {};

TEST_F(BodyBudgetTest, BodiesTogetherStayWithinTheBudget) {
  options_.inflight_body_bytes_max = 256 << 10;
  auto holder = rig().Connect();
  holder->Write("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" +
                std::string(200'000, 'x'));
  ASSERT_EQ(notes_.open.size(), 1u);
  auto refused = rig().Connect();
  refused->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
  EXPECT_EQ(StatusOf(refused->received()), 503);
  EXPECT_NE(refused->received().find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(Refused(Refusal::kBodyBudget), 1u);
  Answer();
  auto next = rig().Connect();
  next->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" +
              std::string(200'000, 'x'));
  EXPECT_EQ(StatusOf(next->received()), 200);
}

// Were each to take its budget as it comes, all would be refused, none would ever be whole.
TEST_F(BodyBudgetTest, OfManyBodiesThatDontFitTogetherSomeGetThrough) {
  options_.inflight_body_bytes_max = 1 << 20;
  constexpr std::size_t kBody = 500'000;
  constexpr std::size_t kStep = 20'000;
  std::vector<decltype(rig().Connect())> peers;
  for (int i = 0; i < 8; ++i) {
    peers.push_back(rig().Connect());
    peers.back()->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n");
  }
  for (std::size_t sent = 0; sent < kBody; sent += kStep) {
    for (auto& peer : peers) peer->Write(std::string(kStep, 'x'));
  }
  std::map<int, int> answers;
  for (auto& peer : peers) ++answers[StatusOf(peer->received())];
  EXPECT_GE(answers[200], 1);
  EXPECT_EQ(answers[200] + answers[503], 8);
}

// A head alone takes nothing from the others.
TEST_F(BodyBudgetTest, AnnouncedBodiesThatDontComeTakeNoBudget) {
  options_.inflight_body_bytes_max = 1 << 20;
  std::vector<decltype(rig().Connect())> idlers;
  for (int i = 0; i < 7; ++i) {
    idlers.push_back(rig().Connect());
    idlers.back()->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\nx");
  }
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n" +
              std::string(500'000, 'x'));
  EXPECT_EQ(StatusOf(peer->received()), 200);
}

// Crowded or not: a byte of each holds neither its announced length nor a share worth attacking.
TEST_F(BodyBudgetTest, BodiesThatTrickleHoldNoMoreThanTheyBrought) {
  options_.inflight_body_bytes_max = 1 << 20;
  const std::string head = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n";
  auto crowding = rig().Connect();
  crowding->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 700000\r\n\r\n" +
                  std::string(600'000, 'x'));
  std::vector<decltype(rig().Connect())> trickling;
  for (int i = 0; i < 16; ++i) {
    trickling.push_back(rig().Connect());
    trickling.back()->Write(head + "x");
    trickling.back()->Write("x");
  }
  auto peer = rig().Connect();
  peer->Write(head + std::string(300'000, 'x'));
  EXPECT_EQ(StatusOf(peer->received()), 200);
  EXPECT_EQ(Refused(Refusal::kBodyBudget), 0u);
}

// What is left near the end is for those that have begun, and for small ones.
TEST_F(BodyBudgetTest, NoLargeBodyBeginsInTheLastQuarterOfTheBudget) {
  options_.inflight_body_bytes_max = 1 << 20;
  auto crowding = rig().Connect();
  crowding->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n" +
                  std::string(850'000, 'x'));
  auto large = rig().Connect();
  large->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n");
  EXPECT_EQ(StatusOf(large->received()), 503);
  auto small = rig().Connect();
  small->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n" +
               std::string(60'000, 'x'));
  EXPECT_EQ(StatusOf(small->received()), 200);
  crowding->Write(std::string(50'000, 'x'));
  EXPECT_EQ(StatusOf(crowding->received()), 200);
}

}  // namespace
}  // namespace ursula::http
