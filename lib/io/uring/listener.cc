#include "lib/io/uring/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "lib/io/above_stdio.h"
#include "lib/io/address.h"
#include "lib/io/errors.h"
#include "lib/io/uring/loop.h"

namespace ursula::io::uring {
namespace {

constexpr uint64_t kRetryNs = 100'000'000;

// Errors of one connection that died in the backlog: accept(2) says to go on.
bool IsOfOneConnection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM:  // A firewall rule.
    case EINTR:
    case EAGAIN:
      return true;
    default:
      return false;
  }
}

bool SetOptions(int fd, const ListenOptions& options) {
  int one = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) return false;
  // Accepted sockets inherit it.
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) return false;
  return !options.reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0;
}

}  // namespace

Result<std::unique_ptr<Listener>> UringListener::Open(UringLoop* loop, const ListenOptions& options,
                                                      Acceptor* acceptor) {
  Result<Address> address = ParseAddress(options.host, options.port);
  if (!address.ok()) return address.status();
  std::string name = FormatAddress(*address);
  int fd = AboveStdio(socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return IoError("socket", name, errno);
  if (!SetOptions(fd, options) || bind(fd, address->raw(), address->size) != 0 ||
      listen(fd, options.backlog) != 0 || getsockname(fd, address->raw(), &address->size) != 0) {
    int error = errno;
    close(fd);
    if (error == EADDRINUSE) {
      return Status(StatusCode::kFailedPrecondition, name + " is in use");
    }
    return IoError("listen on", name, error);
  }
  auto listener = std::make_unique<UringListener>(loop, fd, address->port(), acceptor);
  return std::unique_ptr<Listener>(std::move(listener));
}

UringListener::UringListener(UringLoop* loop, int fd, uint16_t port, Acceptor* acceptor)
    : loop_(loop), fd_(fd), port_(port), acceptor_(acceptor) {
  accept_.Bind<&UringListener::OnAcceptCompleted>(this);
  cancel_.Bind<&UringListener::OnCancelCompleted>(this);
  close_.Bind<&UringListener::OnClosed>(this);
  retry_.Then<&UringListener::OnRetry>(this);
  Arm();
}

UringListener::~UringListener() {
  URSULA_CHECK(state_ == State::kClosed);
  URSULA_CHECK(in_flight_ == 0);
}

void UringListener::Arm() {
  if (state_ != State::kOpen || !wanted_ || armed_ || retry_.running()) return;
  io_uring_sqe* entry = loop_->ring().Entry();
  io_uring_prep_multishot_accept(entry, fd_, nullptr, nullptr, SOCK_CLOEXEC);
  Ring::Attach(entry, &accept_);
  ++in_flight_;
  armed_ = true;
}

void UringListener::OnAcceptCompleted(int32_t result, uint32_t flags) {
  if ((flags & IORING_CQE_F_MORE) == 0) {
    armed_ = false;
    --in_flight_;
  }
  if (result >= 0 && state_ == State::kOpen) {
    OnAccepted(AboveStdio(result));
  } else if (result >= 0) {
    close(result);
  } else if (result != -ECANCELED && !IsOfOneConnection(-result)) {
    OnFailed(-result);
  }
  Arm();
  CloseWhenIdle();
}

void UringListener::OnAccepted(int fd) {
  if (fd < 0) return OnFailed(errno);
  acceptor_->OnAccepted(std::make_unique<UringSocket>(loop_, fd));
}

void UringListener::OnFailed(int error) {
  if (state_ != State::kOpen) return;
  if (!retry_.running()) loop_->StartTimer(&retry_, loop_->now_ns() + kRetryNs);
  acceptor_->OnAcceptFailed(error);
}

void UringListener::OnRetry() { Arm(); }

void UringListener::Pause() {
  wanted_ = false;
  if (armed_ && !cancelling_ && state_ == State::kOpen) SubmitCancel();
}

void UringListener::Resume() {
  wanted_ = true;
  Arm();
}

void UringListener::Close(Op* op) {
  URSULA_CHECK(state_ == State::kOpen);
  op->Begin();
  close_op_ = op;
  state_ = State::kClosing;
  loop_->CancelTimer(&retry_);
  if (armed_ && !cancelling_) SubmitCancel();
  CloseWhenIdle();
}

void UringListener::SubmitCancel() {
  io_uring_sqe* entry = loop_->ring().Entry();
  io_uring_prep_cancel64(entry, reinterpret_cast<uintptr_t>(&accept_), 0);
  Ring::Attach(entry, &cancel_);
  ++in_flight_;
  cancelling_ = true;
}

void UringListener::OnCancelCompleted(int32_t /*result*/, uint32_t /*flags*/) {
  --in_flight_;
  cancelling_ = false;
  if (state_ == State::kClosing && armed_) SubmitCancel();
  CloseWhenIdle();
}

void UringListener::CloseWhenIdle() {
  if (state_ != State::kClosing || in_flight_ > 0) return;
  state_ = State::kClosed;
  io_uring_sqe* entry = loop_->ring().Entry();
  io_uring_prep_close(entry, fd_);
  Ring::Attach(entry, &close_);
  ++in_flight_;
}

void UringListener::OnClosed(int32_t /*result*/, uint32_t /*flags*/) {
  --in_flight_;
  close_op_->Complete(0);  // May destroy this.
}

}  // namespace ursula::io::uring
