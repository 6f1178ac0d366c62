// tests/unit/http/stream_handler_rig.h
//
// What tests of the StreamHandler share: a server of it in front of a FakeEngine, and how to ask
// it.

#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "server/http/stream_handler.h"
#include "tests/support/fake_engine.h"
#include "tests/unit/http/http_rig.h"

namespace ursula::http {

using testing::FakeEngine;
using testing::FakePeer;

class StreamHandlerTest : public ::testing::Test {
 protected:
  HttpRig& rig() {
    if (rig_ == nullptr) {
      rig_ = std::make_unique<HttpRig>(HttpOptions{}, [this](io::Loop* loop, CoreCounters* core) {
        engine_ = std::make_unique<FakeEngine>(loop);
        auto handler =
            std::make_unique<StreamHandler>(engine_.get(), &config_, &live_, &frames_, loop, core);
        handler->KeepPages(kept_pages_bytes_max_);
        return handler;
      });
    }
    return *rig_;
  }

  std::string Ask(std::string_view method, std::string_view target, std::string_view body = {}) {
    auto peer = rig().Connect();
    Send(peer.get(), method, target, body);
    return peer->TakeReceived();
  }
  // `header` without its CRLF.
  std::string AskUnder(std::string_view header, std::string_view method, std::string_view target,
                       std::string_view body = {}) {
    auto peer = rig().Connect();
    Send(peer.get(), method, target, body, std::string(header) + "\r\n");
    return peer->TakeReceived();
  }
  static void Send(FakePeer* peer, std::string_view method, std::string_view target,
                   std::string_view body = {}, std::string_view headers = {}) {
    std::string request =
        std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n";
    request += headers;
    if (!body.empty()) {
      request +=
          "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    peer->Write(request + "\r\n" + std::string(body));
  }
  // A subscriber at `target`; its first answer is left to be taken.
  std::shared_ptr<FakePeer> Subscribe(std::string_view target, std::string_view headers = {}) {
    auto peer = rig().Connect();
    Send(peer.get(), "GET", target, {}, headers);
    return peer;
  }
  void CreateText(std::string_view target) {
    ASSERT_EQ(StatusOf(Ask("PUT", target, "first ")), 201);
  }

  protocol::ProtocolConfig config_;
  LiveOptions live_;
  std::size_t kept_pages_bytes_max_ = 0;
  SharedFrames frames_;
  std::unique_ptr<FakeEngine> engine_;
  std::unique_ptr<HttpRig> rig_;
};

inline constexpr std::string_view kStream = "/v1/stream/s";
inline constexpr std::string_view kTail6 = "0000000000000000_0000000000000006";

}  // namespace ursula::http
