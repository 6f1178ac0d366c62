#include "tests/support/fake_net.h"

#include <cerrno>
#include <span>
#include <utility>

namespace ursula::testing {

class FakeSocket final : public io::Socket {
 public:
  FakeSocket(ManualLoop* loop, std::shared_ptr<FakePeer> peer)
      : loop_(loop), peer_(std::move(peer)) {
    peer_->socket_ = this;
  }
  ~FakeSocket() override {
    URSULA_CHECK(peer_->closed_);
    peer_->socket_ = nullptr;
  }

  const std::string& peer() const override { return name_; }
  void StartReceive(io::Receiver* receiver) override { receiver_ = receiver; }
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

  io::Receiver* receiver() { return receiver_; }

 private:
  ManualLoop* const loop_;
  std::shared_ptr<FakePeer> peer_;
  io::Receiver* receiver_ = nullptr;
  io::Op* send_ = nullptr;
  std::string sending_;
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

void FakePeer::Write(std::string_view bytes) {
  if (socket_ != nullptr && socket_->receiver() != nullptr) socket_->receiver()->OnReceived(bytes);
  loop_->RunUntilIdle();
}

void FakePeer::WriteBytewise(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) Write(bytes.substr(i, 1));
}

void FakePeer::End() {
  if (socket_ != nullptr && socket_->receiver() != nullptr) socket_->receiver()->OnReceiveEnded(0);
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

std::shared_ptr<FakePeer> FakeNetLoop::Connect() {
  auto peer = std::make_shared<FakePeer>(loop_);
  acceptor_->OnAccepted(std::make_unique<FakeSocket>(loop_, peer));
  loop_->RunUntilIdle();
  return peer;
}

}  // namespace ursula::testing
