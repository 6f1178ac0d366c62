#include "tests/support/fake_net.h"

#include <cerrno>
#include <map>
#include <span>
#include <utility>

namespace ursula::testing {
namespace {

// Connections that no loop has, by their descriptors.
std::map<int, std::shared_ptr<FakePeer>>& Released() {
  static auto* const released = new std::map<int, std::shared_ptr<FakePeer>>;
  return *released;
}

}  // namespace

class FakeSocket final : public io::Socket {
 public:
  FakeSocket(ManualLoop* loop, std::shared_ptr<FakePeer> peer)
      : loop_(loop), peer_(std::move(peer)) {
    peer_->socket_ = this;
  }
  ~FakeSocket() override {
    URSULA_CHECK(released_ || peer_->closed_);
    if (!released_) peer_->socket_ = nullptr;
  }

  const std::string& peer() const override { return name_; }
  void StartReceive(io::Receiver* receiver) override {
    receiver_ = receiver;
    loop_->Defer([peer = peer_] { peer->TellOfWhatCame(); });
  }
  void PauseReceive() override { peer_->paused_ = true; }
  void ResumeReceive() override { peer_->paused_ = false; }

  void Send(std::span<const std::string_view> parts, io::Op* op) override {
    URSULA_CHECK(send_ == nullptr && parts.size() <= kSendPartsMax);
    op->Begin();
    send_ = op;
    sending_.clear();
    for (std::string_view part : parts) sending_ += part;
    if (!peer_->stalled_) FinishSendSoon();
  }

  void FinishSendSoon() {
    if (send_ == nullptr) return;
    io::Op* op = std::exchange(send_, nullptr);
    loop_->Defer([this, op] {
      peer_->received_ += sending_;
      ++peer_->sends_;
      op->Complete(static_cast<int64_t>(sending_.size()));
    });
  }

  void ShutdownSend() override { peer_->got_end_ = true; }

  void Close(io::Op* op) override {
    op->Begin();
    receiver_ = nullptr;
    if (send_ != nullptr) {
      io::Op* send = std::exchange(send_, nullptr);
      loop_->Defer([send] { send->Complete(-ECANCELED); });
    }
    loop_->Defer([this, op] {
      peer_->got_end_ = true;
      peer_->closed_ = true;
      op->Complete(0);
    });
  }

  // In the next turn: what the peer does before still comes here.
  void Release(io::Op* op) override {
    URSULA_CHECK(send_ == nullptr);
    op->Begin();
    loop_->Defer([this, op] {
      released_ = true;
      peer_->socket_ = nullptr;
      const int descriptor = Released().empty() ? 1 : Released().rbegin()->first + 1;
      Released()[descriptor] = peer_;
      op->Complete(descriptor);
    });
  }

  io::Receiver* receiver() { return receiver_; }

 private:
  ManualLoop* const loop_;
  std::shared_ptr<FakePeer> peer_;
  io::Receiver* receiver_ = nullptr;
  io::Op* send_ = nullptr;
  std::string sending_;
  bool released_ = false;
  std::string name_ = "192.0.2.1:50000";
};

class FakeListener final : public io::Listener {
 public:
  explicit FakeListener(FakeNetLoop* net) : net_(net) {}
  uint16_t port() const override { return 4437; }
  void Pause() override { net_->accepting_ = false; }
  void Resume() override { net_->accepting_ = true; }
  void Close(io::Op* op) override {
    net_->accepting_ = false;
    op->Begin();
    net_->loop_->Defer([op] { op->Complete(0); });
  }

 private:
  FakeNetLoop* const net_;
};

io::Receiver* FakePeer::receiver() { return socket_ == nullptr ? nullptr : socket_->receiver(); }

void FakePeer::TellOfWhatCame() {
  if (!came_.empty() && receiver() != nullptr) receiver()->OnReceived(std::exchange(came_, {}));
  if (std::exchange(ended_, false) && receiver() != nullptr) receiver()->OnReceiveEnded(0);
}

void FakePeer::WriteSoon(std::string_view bytes) {
  if (receiver() != nullptr) {
    receiver()->OnReceived(bytes);
  } else if (!closed_) {
    came_ += bytes;
  }
}

void FakePeer::Write(std::string_view bytes) {
  WriteSoon(bytes);
  loop_->RunUntilIdle();
}

void FakePeer::WriteBytewise(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) Write(bytes.substr(i, 1));
}

void FakePeer::EndSoon() {
  if (receiver() != nullptr) return receiver()->OnReceiveEnded(0);
  ended_ = !closed_;
}

void FakePeer::End() {
  EndSoon();
  loop_->RunUntilIdle();
}

void FakePeer::Break(int error) {
  if (socket_ != nullptr && socket_->receiver() != nullptr) {
    socket_->receiver()->OnReceiveEnded(error);
  }
  loop_->RunUntilIdle();
}

void FakePeer::Unstall() {
  stalled_ = false;
  if (socket_ != nullptr) socket_->FinishSendSoon();
  loop_->RunUntilIdle();
}

std::string FakePeer::TakeReceived() { return std::exchange(received_, {}); }

Result<std::unique_ptr<io::Listener>> FakeNetLoop::Listen(const io::ListenOptions&,
                                                          io::Acceptor* acceptor) {
  acceptor_ = acceptor;
  accepting_ = true;
  return std::unique_ptr<io::Listener>(std::make_unique<FakeListener>(this));
}

std::unique_ptr<io::Socket> FakeNetLoop::Adopt(int descriptor) {
  auto found = Released().find(descriptor);
  URSULA_CHECK(found != Released().end());
  auto socket = std::make_unique<FakeSocket>(loop_, std::move(found->second));
  Released().erase(found);
  return socket;
}

std::shared_ptr<FakePeer> FakeNetLoop::Connect() {
  auto peer = std::make_shared<FakePeer>(loop_);
  acceptor_->OnAccepted(std::make_unique<FakeSocket>(loop_, peer));
  loop_->RunUntilIdle();
  return peer;
}

}  // namespace ursula::testing
