// tests/unit/http/connection_rig.h
//
// What tests of connections share: a handler that echoes, and a server of it.

#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "server/http/connection.h"
#include "tests/unit/http/http_rig.h"

namespace ursula::http {

// Answers "METHOD target body" at once, or when told to (targets under /later), or as a stream
// (/stream), and writes down what it is told.
class EchoHandler final : public Handler {
 public:
  struct Notes {
    std::deque<Exchange*> open;
    int gone = 0;
    int peer_ended = 0;
    int stopping = 0;
    int drained = 0;
    int tasks = 0;
  };

  explicit EchoHandler(Notes* notes) : notes_(notes) {}

  void OnRequest(Exchange* exchange) override {
    const std::string& target = exchange->request().target;
    if (!target.starts_with("/later") && !target.starts_with("/stream")) {
      return exchange->Reply(Echo(exchange));
    }
    exchange->Own(std::make_unique<Watcher>(notes_));
    notes_->open.push_back(exchange);
    if (target.starts_with("/stream")) exchange->StartStream({});
  }

  static protocol::Response Echo(Exchange* exchange) {
    protocol::Request& request = exchange->request();
    protocol::Response response;
    std::string text = request.target + " " + std::string(request.body.view());
    response.body = {Bytes::Take(std::move(text))};
    return response;
  }

 private:
  struct Watcher final : Task {
    explicit Watcher(Notes* notes) : notes_(notes) { ++notes_->tasks; }
    ~Watcher() override { --notes_->tasks; }
    void OnGone() override { ++notes_->gone; }
    void OnPeerEnded() override { ++notes_->peer_ended; }
    void OnStopping() override { ++notes_->stopping; }
    void OnDrained() override { ++notes_->drained; }
    Notes* notes_;
  };

  Notes* notes_;
};

class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() { options_.limits.body_bytes_max = 1 << 20; }

  HttpRig& rig() {
    if (rig_ == nullptr) {
      rig_ = std::make_unique<HttpRig>(options_, [this](io::Loop*, CoreCounters*) {
        return std::make_unique<EchoHandler>(&notes_);
      });
    }
    return *rig_;
  }
  Exchange* TakeOpen() {
    Exchange* exchange = notes_.open.front();
    notes_.open.pop_front();
    return exchange;
  }
  void Answer() {
    Exchange* exchange = TakeOpen();
    exchange->Reply(EchoHandler::Echo(exchange));
    rig().manual.RunUntilIdle();
  }
  uint64_t Refused(Refusal why) {
    return rig().server->counters().refused[static_cast<std::size_t>(why)].Get();
  }

  HttpOptions options_;
  EchoHandler::Notes notes_;
  std::unique_ptr<HttpRig> rig_;
};

}  // namespace ursula::http
