// tests/bench/session.h
//
// The connections of a driver: what all kinds of load do alike about connecting, losing and ending.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/bench/client.h"
#include "tests/bench/driver.h"

namespace ursula::bench {

// What the sessions of one driver share.
struct Crew {
  Tally* tally = nullptr;
  uint32_t unsettled = 0;  // Neither ready for load nor dead.
  uint32_t under_way = 0;  // Requests without an answer.
};

class Session : public Client {
 public:
  Session(Loop* loop, Crew* crew) : Client(loop), crew_(crew) { ++crew_->unsettled; }

  bool dead() const { return dead_; }
  void StartLoad() {
    loading_ = true;
    if (idle()) Go();
  }

 protected:
  // Connected and under load: ask for something, or for nothing.
  virtual void Go() = 0;

  // The session has what it needs before the load starts; by default a connection is enough.
  virtual void OnConnected() { Settle(); }
  void Settle() {
    if (!settled_) --crew_->unsettled;
    settled_ = true;
  }
  void Ask(std::string_view request) {
    ++crew_->under_way;
    Request(request);
  }
  void Answered() { --crew_->under_way; }

  void OnUsable() override {
    OnConnected();
    if (loading_ && idle()) Go();
  }
  void OnLost(int error) override {
    Answered();
    crew_->tally->Error(ConnectionError(error));
  }
  void OnDead(int error) override {
    dead_ = true;
    crew_->tally->Error(ConnectionError(error));
    Settle();
  }

  Crew* const crew_;
  bool loading_ = false;

 private:
  bool settled_ = false;
  bool dead_ = false;
};

// A driver that is its sessions.
template <class Kind>
class SessionDriver : public Driver {
 public:
  using Driver::Driver;

  void SetUp() override {
    for (auto& session : sessions_) session->Open();
  }
  bool ready() const override { return crew_.unsettled == 0; }
  void Start(const Window& window) override {
    tally_.SetWindow(window);
    for (auto& session : sessions_) {
      if (!session->dead()) session->StartLoad();
    }
  }
  uint64_t OnTime(uint64_t) override { return kNever; }
  bool done() const override {
    return crew_.under_way == 0 && (all_dead() || NowNs() >= tally_.window().end_ns);
  }
  void Finish() override {
    if (crew_.under_way > 0) tally_.Error("unanswered", crew_.under_way);
    for (auto& session : sessions_) session->Leave();
  }

 protected:
  template <class... Arguments>
  Kind* Add(Arguments&&... arguments) {
    sessions_.push_back(std::make_unique<Kind>(std::forward<Arguments>(arguments)...));
    return sessions_.back().get();
  }
  bool all_dead() const {
    for (const auto& session : sessions_) {
      if (!session->dead()) return false;
    }
    return true;
  }

  Crew crew_ = {&tally_};
  std::vector<std::unique_ptr<Kind>> sessions_;
};

// Of `total` things, those of worker `index` of `count`.
struct Share {
  uint32_t begin = 0;
  uint32_t end = 0;
};
inline Share ShareOf(uint32_t total, uint32_t index, uint32_t count) {
  auto at = [&](uint64_t i) { return static_cast<uint32_t>(uint64_t{total} * i / count); };
  return {at(index), at(index + 1)};
}

}  // namespace ursula::bench
