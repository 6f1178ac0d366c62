// tests/bench/client.h
//
// One HTTP/1.1 connection of a load generator: one request under way at a time, as a subclass asks.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/bench/loop.h"
#include "tests/bench/response_parser.h"

namespace ursula::bench {

class Client : private Channel {
 public:
  using Channel::closed;
  using Channel::Open;
  using Channel::Resume;
  using Channel::set_server;
  using Channel::StartPaused;

  explicit Client(Loop* loop) : Channel(loop) {}

  // Ends the connection for good: no hook runs any more. Nothing on a closed one.
  void Leave();
  bool idle() const { return usable_ && open() && !busy_; }

 protected:
  // `request` stays until OnResponse or OnLost. REQUIRES: idle().
  void Request(std::string_view request);
  // Gives up the response under way (a live one), and connects again.
  void Reconnect();

  virtual void OnUsable() = 0;  // Connected: the first time, and after each loss.
  virtual void OnHead(const ResponseHead&) {}
  virtual void OnBody(std::string_view) {}
  virtual void OnResponse(const ResponseHead& head) = 0;  // It is whole.
  // The connection ended with a request under way: `error` 0 if the server ended it (also in the
  // midst of a response), EPROTO if what came is not HTTP, else errno. It connects again by itself,
  // then OnUsable.
  virtual void OnLost(int error) = 0;
  // It could not connect (again). Nothing more comes.
  virtual void OnDead(int error) = 0;

 private:
  void OnOpened() override;
  void OnBytes(std::string_view bytes) override;
  void OnSent() override;
  void OnEnded(int error) override;
  void Complete();

  ResponseParser parser_;
  bool opened_ = false;
  bool usable_ = false;
  bool busy_ = false;
  bool whole_ = false;  // The response is whole before the request was sent entirely.
  bool leaving_ = false;
  bool reconnecting_ = false;
};

}  // namespace ursula::bench
