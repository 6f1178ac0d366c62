#include "tests/bench/client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ursula::bench {
namespace {

constexpr uint64_t kPatienceNs = 600'000'000'000;  // What takes longer hangs.

// A listener of one test: what it accepts it may reset.
class Listener {
 public:
  Listener() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in any = {};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(descriptor_, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(listen(descriptor_, 4), 0);
  }
  ~Listener() { close(descriptor_); }

  Address address() const {
    Address address;
    address.size = sizeof address.storage;
    EXPECT_EQ(
        getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address.storage), &address.size), 0);
    return address;
  }
  void ResetNext() {
    int accepted = accept(descriptor_, nullptr, nullptr);
    ASSERT_GE(accepted, 0);
    linger at_once = {1, 0};
    setsockopt(accepted, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(accepted);
  }

 private:
  int descriptor_;
};

class CountingClient final : public Client {
 public:
  using Client::Client;
  int usable = 0;
  int lost = 0;

 private:
  void OnUsable() override { ++usable; }
  void OnResponse(const ResponseHead&) override {}
  void OnLost(int) override { ++lost; }
  void OnDead(int) override {}
};

// One that is being closed takes no request, whether or not its end has been told.
TEST(ClientTest, IsNotIdleFromTheMomentItWasReset) {
  Listener listener;
  Loop loop(listener.address());
  ASSERT_EQ(loop.error(), "");
  CountingClient client(&loop);
  client.Open();
  const uint64_t deadline = NowNs() + kPatienceNs;
  while (client.usable < 1 && NowNs() < deadline) loop.Turn(deadline);
  EXPECT_TRUE(client.idle());
  listener.ResetNext();
  loop.Turn(deadline);
  EXPECT_FALSE(client.idle());
  while (client.usable < 2 && NowNs() < deadline) loop.Turn(deadline);
  EXPECT_TRUE(client.idle());  // By itself again.
  EXPECT_EQ(client.lost, 0);   // Nothing was asked.
  client.Leave();
  while (!client.closed() && NowNs() < deadline) loop.Turn(deadline);
}

}  // namespace
}  // namespace ursula::bench
