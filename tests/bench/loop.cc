#include "tests/bench/loop.h"

#include <netinet/tcp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "lib/base/check.h"

namespace ursula::bench {
namespace {

constexpr uint64_t kKindMask = 3;  // The low bits of user_data; the rest is the channel's address.
constexpr int kBufferGroup = 0;

}  // namespace

uint64_t NowNs() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// ---- channel -----------------------------------------------------------------------------------

Channel::Channel(Loop* loop) : loop_(loop) {}

Channel::~Channel() {
  if (descriptor_ >= 0) close(descriptor_);
}

void Channel::Open() {
  URSULA_CHECK(closed());
  state_ = State::kOpening;
  receiving_ = false;
  unsent_ = {};
  end_error_ = 0;
  const Address& server = server_ == nullptr ? loop_->server_ : *server_;
  descriptor_ = socket(server.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) {
    // OnEnded may not run in here: a connect on no descriptor fails in the next turn.
    end_error_ = errno;
  } else {
    int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_buffer_bytes_ > 0) {
      setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes_,
                 sizeof receive_buffer_bytes_);
    }
  }
  io_uring_prep_connect(loop_->Entry(this, Kind::kConnect), descriptor_,
                        reinterpret_cast<const sockaddr*>(&server.storage), server.size);
}

void Channel::Close() {
  if (state_ == State::kOpening || state_ == State::kOpen) End(0);
}

void Channel::Write(std::string_view bytes) {
  URSULA_CHECK(state_ == State::kOpen && unsent_.empty() && !bytes.empty());
  unsent_ = bytes;
  io_uring_prep_send(loop_->Entry(this, Kind::kSend), descriptor_, bytes.data(), bytes.size(),
                     MSG_WAITALL | MSG_NOSIGNAL);
}

void Channel::StartPaused(int receive_buffer_bytes) {
  paused_ = true;
  receive_buffer_bytes_ = receive_buffer_bytes;
}

void Channel::Resume() {
  paused_ = false;
  if (state_ == State::kOpen && !receiving_) Receive();
}

void Channel::Receive() {
  receiving_ = true;
  io_uring_sqe* entry = loop_->Entry(this, Kind::kReceive);
  io_uring_prep_recv_multishot(entry, descriptor_, nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = kBufferGroup;
}

void Channel::Deliver(Kind kind, const io_uring_cqe& entry) {
  if ((entry.flags & IORING_CQE_F_MORE) == 0) --pending_;
  switch (kind) {
    case Kind::kConnect:
      OnConnectDone(entry.res);
      break;
    case Kind::kReceive:
      OnReceiveDone(entry);
      break;
    case Kind::kSend:
      OnSendDone(entry.res);
      break;
  }
  FinishEnd();
}

void Channel::OnConnectDone(int result) {
  if (state_ == State::kEnding) return;
  if (result < 0) return End(end_error_ != 0 ? end_error_ : -result);
  state_ = State::kOpen;
  if (!paused_) Receive();
  OnOpened();
}

void Channel::OnReceiveDone(const io_uring_cqe& entry) {
  bool more = (entry.flags & IORING_CQE_F_MORE) != 0;
  if (!more) receiving_ = false;
  if ((entry.flags & IORING_CQE_F_BUFFER) != 0) {
    uint32_t id = entry.flags >> IORING_CQE_BUFFER_SHIFT;
    if (state_ == State::kOpen && entry.res > 0) OnBytes(loop_->Buffer(id, entry.res));
    loop_->ReturnBuffer(id);
  }
  if (state_ != State::kOpen || more) return;
  if (entry.res > 0 || entry.res == -ENOBUFS || entry.res == -EINTR) return Receive();
  End(-entry.res);
}

void Channel::OnSendDone(int result) {
  if (state_ != State::kOpen) {
    unsent_ = {};
    return;
  }
  if (result <= 0) return End(result == 0 ? EPIPE : -result);
  std::string_view left = unsent_.substr(static_cast<std::size_t>(result));
  unsent_ = {};
  if (!left.empty()) return Write(left);
  OnSent();
}

// What is in the ring still names this: it ends by the shutdown, then OnEnded runs.
void Channel::End(int error) {
  state_ = State::kEnding;
  end_error_ = error;
  if (descriptor_ >= 0) shutdown(descriptor_, SHUT_RDWR);
  // Close may be called with nothing in the ring (paused): this brings FinishEnd about.
  io_uring_prep_nop(loop_->Entry(this, Kind::kConnect));
}

void Channel::FinishEnd() {
  if (state_ != State::kEnding || pending_ > 0) return;
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
  unsent_ = {};
  state_ = State::kClosed;
  OnEnded(end_error_);
}

// ---- loop --------------------------------------------------------------------------------------

Loop::Loop(const Address& server) : server_(server) {
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE;
  params.cq_entries = kEntries * 8;
  int result = io_uring_queue_init_params(kEntries, &ring_, &params);
  if (result < 0) {
    error_ = "io_uring: " + std::generic_category().message(-result);
    return;
  }
  started_ = true;
  io_uring_register_ring_fd(&ring_);
  if (!StartBuffers()) error_ = "io_uring: no receive buffers";
}

bool Loop::StartBuffers() {
  constexpr std::size_t kRingBytes = kBuffers * sizeof(io_uring_buf);
  void* mapped = mmap(nullptr, kRingBytes + kBuffers * kBufferBytes, PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (mapped == MAP_FAILED) return false;
  buffer_ring_ = static_cast<io_uring_buf_ring*>(mapped);
  buffers_ = static_cast<char*>(mapped) + kRingBytes;
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uintptr_t>(mapped);
  registration.ring_entries = kBuffers;
  registration.bgid = kBufferGroup;
  if (io_uring_register_buf_ring(&ring_, &registration, 0) < 0) return false;
  io_uring_buf_ring_init(buffer_ring_);
  for (uint32_t id = 0; id < kBuffers; ++id) ReturnBuffer(id);
  return true;
}

Loop::~Loop() {
  if (started_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) {
    munmap(buffer_ring_, kBuffers * sizeof(io_uring_buf) + kBuffers * kBufferBytes);
  }
}

std::string_view Loop::Buffer(uint32_t id, int size) const {
  return {buffers_ + id * kBufferBytes, static_cast<std::size_t>(size)};
}

void Loop::ReturnBuffer(uint32_t id) {
  io_uring_buf_ring_add(buffer_ring_, buffers_ + id * kBufferBytes, kBufferBytes,
                        static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffers), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

// What is prepared after this must not touch user_data.
io_uring_sqe* Loop::Entry(Channel* channel, Channel::Kind kind) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    int result = io_uring_submit(&ring_);
    if (result == -EBUSY || result == -EAGAIN) result = io_uring_get_events(&ring_);
    URSULA_CHECK(result >= 0 || result == -EINTR);
    entry = io_uring_get_sqe(&ring_);
  }
  ++channel->pending_;
  io_uring_sqe_set_data64(entry,
                          reinterpret_cast<uintptr_t>(channel) | static_cast<uint64_t>(kind));
  return entry;
}

void Loop::Turn(uint64_t deadline_ns) {
  ++turns_;
  uint64_t now = NowNs();
  int result = 0;
  if (deadline_ns <= now) {
    result = io_uring_submit_and_get_events(&ring_);
  } else {
    uint64_t wait = std::min<uint64_t>(deadline_ns - now, 1'000'000'000);
    __kernel_timespec timeout = {};
    timeout.tv_sec = static_cast<int64_t>(wait / 1'000'000'000);
    timeout.tv_nsec = static_cast<long long>(wait % 1'000'000'000);
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  }
  URSULA_CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
               result == -EAGAIN);
  unsigned head = 0;
  io_uring_cqe* entry = nullptr;
  reaped_.clear();
  io_uring_for_each_cqe(&ring_, head, entry) reaped_.push_back(*entry);
  io_uring_cq_advance(&ring_, static_cast<unsigned>(reaped_.size()));
  for (const io_uring_cqe& completed : reaped_) {
    auto* channel = reinterpret_cast<Channel*>(completed.user_data & ~kKindMask);
    channel->Deliver(static_cast<Channel::Kind>(completed.user_data & kKindMask), completed);
  }
}

}  // namespace ursula::bench
