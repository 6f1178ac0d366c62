// tests/support/tcp_relay.h
//
// A wire on loopback that can be cut, or go dead: what is sent to its port goes on to another.

#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <thread>

namespace ursula::testing {

class TcpRelay {
 public:
  TcpRelay(uint16_t port, uint16_t target);
  ~TcpRelay();

  // Closes what is open; connections made later work.
  void Cut();
  // Takes what is sent and passes nothing on, without a word, until it is false again.
  void set_dead(bool dead);

 private:
  struct Wire {
    int near = -1;
    int far = -1;
  };

  void Run();
  void Accept();
  bool PassOn(int from, int to);
  void Wake();

  const int listener_;
  const int wake_;
  const uint16_t target_;
  std::mutex mutex_;
  std::list<Wire> wires_;
  bool cut_ = false;
  bool dead_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ursula::testing
