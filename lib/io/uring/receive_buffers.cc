#include "lib/io/uring/receive_buffers.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace ursula::io::uring {
namespace {

constexpr std::size_t kRingBytes = ReceiveBuffers::kBuffersMax * sizeof(io_uring_buf);
constexpr std::size_t kMappedBytes =
    kRingBytes + ReceiveBuffers::kBuffersMax * ReceiveBuffers::kBufferBytes;
static_assert(kRingBytes % 4096 == 0);

Status Failed(const char* what, int error) {
  std::string message = std::string("receive buffers: ").append(what).append(": ");
  message.append(std::generic_category().message(error));
  if (error == ENOMEM) {
    message.append(". Raise the limit of locked memory (ulimit -l, RLIMIT_MEMLOCK), which is ");
    message.append(LimitText(RLIMIT_MEMLOCK)).append(" bytes, or ask for fewer cores");
  }
  return Status(StatusCode::kResourceExhausted, std::move(message));
}

}  // namespace

ReceiveBuffers::~ReceiveBuffers() {
  if (ring_ != nullptr) munmap(ring_, kMappedBytes);
}

Status ReceiveBuffers::Start(Ring* ring) {
  if (ring_ != nullptr) return Status();
  void* mapped =
      mmap(nullptr, kMappedBytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (mapped == MAP_FAILED) return Failed("mmap", errno);
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uintptr_t>(mapped);
  registration.ring_entries = kBuffersMax;
  registration.bgid = kGroup;
  if (int result = io_uring_register_buf_ring(ring->raw(), &registration, 0); result < 0) {
    munmap(mapped, kMappedBytes);
    return Failed("register_buf_ring", -result);
  }
  ring_ = static_cast<io_uring_buf_ring*>(mapped);
  buffers_ = static_cast<char*>(mapped) + kRingBytes;
  io_uring_buf_ring_init(ring_);
  for (uint32_t id = 0; id < kBuffersMax; ++id) Add(id, static_cast<int>(id));
  io_uring_buf_ring_advance(ring_, static_cast<int>(kBuffersMax));
  return Status();
}

std::string_view ReceiveBuffers::View(uint32_t id, std::size_t size) const {
  URSULA_CHECK(id < kBuffersMax && size <= kBufferBytes);
  return {buffers_ + id * kBufferBytes, size};
}

void ReceiveBuffers::Return(uint32_t id) {
  Add(id, 0);
  io_uring_buf_ring_advance(ring_, 1);
}

void ReceiveBuffers::Add(uint32_t id, int position) {
  io_uring_buf_ring_add(ring_, buffers_ + id * kBufferBytes, kBufferBytes,
                        static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffersMax),
                        position);
}

}  // namespace ursula::io::uring
