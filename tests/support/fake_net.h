// tests/support/fake_net.h
//
// Sockets without a network, in virtual time: FakeNetLoop is a ManualLoop that can Listen, and
// FakePeer is the client's end of a connection to it. The peer sees what was sent, may stop taking
// it, and may go away. What it does while no loop has the connection is met by the one that adopts
// it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/io/loop.h"
#include "tests/support/manual_loop.h"

namespace ursula::testing {

class FakeSocket;

class FakePeer {
 public:
  explicit FakePeer(ManualLoop* loop) : loop_(loop) {}

  // ---- the test's hands; each runs the loop until it is idle ----
  void Write(std::string_view bytes);
  void WriteBytewise(std::string_view bytes);  // One turn for each byte.
  void End();                                  // FIN.
  // The same, without a turn of the loop.
  void WriteSoon(std::string_view bytes);
  void EndSoon();
  void Break(int error);             // The receiving side fails.
  void Stall() { stalled_ = true; }  // Take nothing from now on.
  void Unstall();
  std::string TakeReceived();  // All that came since the last time.

  const std::string& received() const { return received_; }
  uint64_t sends() const { return sends_; }  // Writes by the server so far.
  bool got_end() const { return got_end_; }  // The server sent FIN, or closed.
  bool closed() const { return closed_; }    // The server closed the socket.
  bool paused() const { return paused_; }

 private:
  friend class FakeSocket;
  io::Receiver* receiver();
  void TellOfWhatCame();
  ManualLoop* const loop_;
  FakeSocket* socket_ = nullptr;
  std::string came_;  // While nobody received.
  bool ended_ = false;
  std::string received_;
  uint64_t sends_ = 0;
  bool stalled_ = false;
  bool got_end_ = false;
  bool closed_ = false;
  bool paused_ = false;
};

class FakeNetLoop final : public io::Loop {
 public:
  // Borrows `loop`, which several may share, each a core.
  explicit FakeNetLoop(ManualLoop* loop) : FakeNetLoop(loop, loop->core()) {}
  FakeNetLoop(ManualLoop* loop, CoreId core) : loop_(loop), core_(core) {}

  // A client connects to the last listener.
  std::shared_ptr<FakePeer> Connect();
  bool accepting() const { return accepting_; }

  CoreId core() const override { return core_; }
  bool InLoop() const override { return true; }
  void Post(Function<void()> function) override { loop_->Post(std::move(function)); }
  bool TryPost(Function<void()> function) override { return loop_->TryPost(std::move(function)); }
  uint64_t now_ns() const override { return loop_->now_ns(); }
  uint64_t fresh_ns() const override { return loop_->fresh_ns(); }
  int64_t wall_ms() const override { return loop_->wall_ms(); }
  uint64_t Entropy() override { return loop_->Entropy(); }
  void Defer(Function<void()> function) override { loop_->Defer(std::move(function)); }
  void AtTurnEnd(io::TurnHook* hook) override { loop_->AtTurnEnd(hook); }
  void LetOthersRun() override { loop_->LetOthersRun(); }
  void StartTimer(io::Timer* timer, uint64_t deadline_ns) override {
    loop_->StartTimer(timer, deadline_ns);
  }
  io::Disk& disk() override { return loop_->disk(); }
  Result<std::unique_ptr<io::Listener>> Listen(const io::ListenOptions& options,
                                               io::Acceptor* acceptor) override;
  std::unique_ptr<io::Socket> Adopt(int descriptor) override;

 private:
  friend class FakeListener;
  ManualLoop* const loop_;
  const CoreId core_;
  io::Acceptor* acceptor_ = nullptr;
  bool accepting_ = false;
};

}  // namespace ursula::testing
