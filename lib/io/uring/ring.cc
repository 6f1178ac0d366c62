#include "lib/io/uring/ring.h"

#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "lib/io/above_stdio.h"

namespace ursula::io::uring {
namespace {

// user_data is the address of a Completion or, with the lowest bit set, of an Op.
constexpr uint64_t kOpBit = 1;
static_assert(alignof(Op) > kOpBit && alignof(Completion) > kOpBit);

int ReadDisabledSysctl() {
  int value = -1;
  std::FILE* file = std::fopen("/proc/sys/kernel/io_uring_disabled", "re");
  if (file == nullptr) return -1;
  if (std::fscanf(file, "%d", &value) != 1) value = -1;
  std::fclose(file);
  return value;
}

}  // namespace

std::string LimitText(int resource) {
  rlimit limit = {};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return "unknown";
  return limit.rlim_cur == RLIM_INFINITY ? "none" : std::to_string(limit.rlim_cur);
}

Status ExplainRingFailure(const char* call, int error, int disabled, const char* release) {
  std::string message = std::string("io_uring is needed, but ").append(call).append(" failed: ");
  message.append(std::generic_category().message(error)).append(". ");
  if (error == EPERM && disabled > 0) {
    message.append("The sysctl kernel.io_uring_disabled is ").append(std::to_string(disabled));
    message.append(": set it to 0 (sysctl -w kernel.io_uring_disabled=0)");
    if (disabled == 1) message.append(", or run in the group of kernel.io_uring_group");
  } else if (error == EPERM || error == ENOSYS) {
    message.append("A seccomp policy forbids it, as containers' default one does (allow ");
    message.append("io_uring_setup, io_uring_enter and io_uring_register; Docker: --security-opt ");
    message.append("seccomp=<profile>), or the kernel was built without it");
  } else if (error == EACCES) {
    message.append("A security policy (SELinux, AppArmor, seccomp) forbids it: allow ");
    message.append("io_uring_setup, io_uring_enter and io_uring_register");
  } else if (error == EINVAL) {
    message.append("Linux 6.1 or newer is needed");
  } else if (error == ENOMEM) {
    message.append("Raise the limit of locked memory (ulimit -l, RLIMIT_MEMLOCK), which is ");
    message.append(LimitText(RLIMIT_MEMLOCK)).append(" bytes, ask for fewer ring entries ");
    message.append("(ring_entries, --ring-entries) or fewer cores, or give it more memory");
  } else if (error == EMFILE || error == ENFILE) {
    message.append("Raise the limit of open files (ulimit -n, RLIMIT_NOFILE), which is ");
    message.append(LimitText(RLIMIT_NOFILE));
  }
  message.append(". This kernel is ").append(release).append(".");
  return Status(StatusCode::kFailedPrecondition, std::move(message));
}

Ring::~Ring() {
  if (started_) io_uring_queue_exit(&ring_);
}

Status Ring::Start(uint32_t entries) {
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = std::min<uint32_t>(entries, 8192) * 8;
  auto refused = [](const char* call, int error) {
    utsname name = {};
    uname(&name);
    return ExplainRingFailure(call, error, ReadDisabledSysctl(), name.release);
  };
  int error = -io_uring_queue_init_params(entries, &ring_, &params);
  if (error != 0) return refused("io_uring_setup", error);
  started_ = true;
  ring_.ring_fd = ring_.enter_ring_fd = AboveStdio(ring_.ring_fd);
  if (ring_.ring_fd < 0) return refused("dup", errno);
  if (int result = io_uring_register_ring_fd(&ring_); result < 0) {
    return refused("io_uring_register", -result);
  }
  if (int result = TryEnter(); result < 0) return refused("io_uring_enter", -result);
  return Status();
}

// A policy may let a ring be made and then forbid its use.
int Ring::TryEnter() {
  io_uring_prep_nop(io_uring_get_sqe(&ring_));
  int result = 0;
  do {
    result = io_uring_submit_and_wait(&ring_, 1);
  } while (result == -EINTR);
  if (result < 0) return result;
  io_uring_cqe* done = nullptr;
  result = io_uring_wait_cqe(&ring_, &done);
  if (result < 0) return result;
  io_uring_cqe_seen(&ring_, done);
  return 0;
}

void Ring::Leave() {
  if (started_) io_uring_unregister_ring_fd(&ring_);
}

io_uring_sqe* Ring::Entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    int result = io_uring_submit(&ring_);
    // EBUSY and EAGAIN: completions must be moved along first.
    if (result == -EBUSY || result == -EAGAIN) result = io_uring_get_events(&ring_);
    URSULA_CHECK(result >= 0 || result == -EINTR);
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

void Ring::Attach(io_uring_sqe* entry, Completion* completion) {
  io_uring_sqe_set_data64(entry, reinterpret_cast<uintptr_t>(completion));
}

void Ring::Attach(io_uring_sqe* entry, Op* op) {
  op->Begin();
  ++ops_under_way_;
  io_uring_sqe_set_data64(entry, reinterpret_cast<uintptr_t>(op) | kOpBit);
}

void Ring::SubmitAndWait(uint64_t wait_ns) {
  int result = 0;
  if (wait_ns == 0) {
    result = io_uring_submit_and_get_events(&ring_);
  } else {
    constexpr uint64_t kWaitMaxNs = 3'600'000'000'000;  // The caller comes again.
    uint64_t bounded = std::min(wait_ns, kWaitMaxNs);
    __kernel_timespec timeout = {};
    timeout.tv_sec = static_cast<int64_t>(bounded / 1'000'000'000);
    timeout.tv_nsec = static_cast<long long>(bounded % 1'000'000'000);
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  }
  // The next turn tries again after each of these.
  URSULA_CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
               result == -EAGAIN);
}

void Ring::Submit() {
  const int result = io_uring_submit(&ring_);
  // What isn't taken yet is submitted with the next.
  URSULA_CHECK(result >= 0 || result == -EINTR || result == -EBUSY || result == -EAGAIN);
}

void Ring::Reap() {
  URSULA_CHECK(reaped_.empty());
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* entry = nullptr;
  io_uring_for_each_cqe(&ring_, head, entry) {
    reaped_.push_back({entry->user_data, entry->res, entry->flags});
    ++count;
  }
  io_uring_cq_advance(&ring_, count);
}

uint32_t Ring::Deliver() {
  Reap();
  // By index: nothing is added meanwhile, but `Reap` checks that it is empty, so clear it last.
  for (std::size_t i = 0; i < reaped_.size(); ++i) {
    const Reaped completed = reaped_[i];
    uint64_t address = completed.user_data & ~kOpBit;
    if ((completed.user_data & kOpBit) != 0) {
      --ops_under_way_;
      reinterpret_cast<Op*>(address)->Complete(completed.result);
    } else if (address != 0) {
      reinterpret_cast<Completion*>(address)->Deliver(completed.result, completed.flags);
    }
  }
  const uint32_t count = static_cast<uint32_t>(reaped_.size());
  reaped_.clear();
  return count;
}

}  // namespace ursula::io::uring
