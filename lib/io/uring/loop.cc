#include "lib/io/uring/loop.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "lib/io/above_stdio.h"
#include "lib/io/uring/listener.h"

namespace ursula::io::uring {
namespace {

thread_local UringLoop* current_loop = nullptr;

uint64_t ClockNs(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

uint64_t BootNs() { return ClockNs(CLOCK_BOOTTIME); }
uint64_t ThreadCpuNs() { return ClockNs(CLOCK_THREAD_CPUTIME_ID); }

// By the one thread that writes it.
void CountUp(std::atomic<uint64_t>* counter) {
  counter->store(counter->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

UringLoop::UringLoop(CoreId core, const void* family, uint64_t poll_ns, PollPace pace)
    : core_(core),
      family_(family),
      poll_ns_(poll_ns),
      pace_(pace),
      meter_(&BootNs, &ThreadCpuNs),
      disk_(&ring_) {
  woken_.Bind<&UringLoop::OnWokenFromOutside>(this);
  wake_failed_.Bind<&UringLoop::OnWakeFailed>(this);
}

UringLoop::~UringLoop() {
  mailbox_.Clear();
  if (event_fd_ >= 0) close(event_fd_);
}

UringLoop* UringLoop::Current() { return current_loop; }

Status UringLoop::Start(uint32_t ring_entries) {
  event_fd_ = AboveStdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (event_fd_ < 0) {
    return Status(
        StatusCode::kResourceExhausted,
        std::string("eventfd: ")
            .append(std::generic_category().message(errno))
            .append(". Raise the limit of open files (ulimit -n, RLIMIT_NOFILE), which is ")
            .append(LimitText(RLIMIT_NOFILE)));
  }
  if (Status status = ring_.Start(ring_entries); !status.ok()) return status;
  ReadClocks();
  ArmWakeUp();
  return Status();
}

void UringLoop::Run() {
  URSULA_CHECK(current_loop == nullptr);
  current_loop = this;
  while (!stopping_) Turn();
  // The last turn's wake-ups: their loops count as woken, so nobody else would.
  ring_.SubmitAndWait(0);
  ring_.Leave();
  current_loop = nullptr;
}

void UringLoop::Stop() {
  Post([this] { stopping_ = true; });
}

void UringLoop::Turn() {
  if (others_first_) {
    GiveWay();
  } else if (!Poll()) {
    ring_.SubmitAndWait(WaitNs());
  }
  asleep_.store(false, std::memory_order_relaxed);
  ReadClocks();
  meter_.Begin(now_ns_);
  meter_.Did(TurnPart::kCompletions, ring_.Deliver());
  meter_.Did(TurnPart::kTimers, timers_.Fire(now_ns_));
  meter_.Did(TurnPart::kPosted, mailbox_.RunWaiting());
  meter_.Did(TurnPart::kDeferred, RunDeferred());
  meter_.Did(TurnPart::kTurnEnd, RunTurnHooks());
  if (std::optional<LongTurn> turn = meter_.End()) TellLongTurn(*turn);
}

// Whoever waits for what was sent can be scheduled at once, not only when this thread's slice is
// over.
void UringLoop::GiveWay() {
  others_first_ = false;
  ring_.SubmitAndWait(0);
  const uint64_t from = fresh_ns();
  if (!way_pace_.may_yield(from)) return;
  CountUp(&gave_way_);
  sched_yield();
  way_pace_.Yielded(from, fresh_ns());
}

// Whether there is something to do now. To sleep and be woken takes as long as a good part of a
// write, and on a machine whose CPUs are virtual much of their time; so while the disk works, which
// is rarely for long, this looks for it and for what else comes meanwhile. Others may have the CPU.
bool UringLoop::Poll() {
  if (poll_ns_ == 0 || ring_.ops_under_way() == 0 || !deferred_.empty() || stopping_) return false;
  uint64_t now = fresh_ns();
  if (!pace_.may_poll(now)) return false;
  CountUp(&polls_);
  uint64_t end = now + poll_ns_;
  if (!timers_.empty()) end = std::min(end, timers_.next_deadline_ns());
  ring_.SubmitAndWait(0);
  now = fresh_ns();
  while (!ring_.completed() && mailbox_.empty()) {
    if (now >= end) return false;
    const uint64_t from = now;
    sched_yield();
    now = fresh_ns();
    if (!pace_.Yielded(from, now)) return false;
    ring_.SubmitAndWait(0);
  }
  return true;
}

uint64_t UringLoop::WaitNs() {
  if (!deferred_.empty() || stopping_) return 0;
  uint64_t wait_ns = Ring::kForever;
  if (!timers_.empty()) {
    uint64_t now = fresh_ns();
    uint64_t deadline = timers_.next_deadline_ns();
    if (deadline <= now) return 0;
    wait_ns = deadline - now;
  }
  asleep_.store(true, std::memory_order_seq_cst);
  if (!mailbox_.empty()) return 0;
  CountUp(&sleeps_);
  return wait_ns;
}

void UringLoop::ReadClocks() {
  now_ns_ = BootNs();
  wall_ms_ = static_cast<int64_t>(ClockNs(CLOCK_REALTIME) / 1'000'000);
}

uint32_t UringLoop::RunDeferred() {
  running_.swap(deferred_);
  for (Function<void()>& function : running_) function();
  const uint32_t count = static_cast<uint32_t>(running_.size());
  running_.clear();
  return count;
}

uint32_t UringLoop::RunTurnHooks() {
  constexpr uint32_t kHooksPerTurnMax = 1'000'000;  // More than that is a hook that feeds itself.
  uint32_t count = 0;
  for (TurnHook* hook = hooks_.PopFront(); hook != nullptr; hook = hooks_.PopFront()) {
    URSULA_CHECK(++count < kHooksPerTurnMax);
    hook->OnTurnEnd();
  }
  return count;
}

void UringLoop::AtTurnEnd(TurnHook* hook) {
  if (!hook->linked()) hooks_.PushBack(hook);
}

uint64_t UringLoop::fresh_ns() const { return BootNs(); }

uint64_t UringLoop::Entropy() {
  if (entropy_left_ == 0) {
    ssize_t got = getrandom(entropy_, sizeof entropy_, 0);
    URSULA_CHECK(got ==
                 static_cast<ssize_t>(sizeof entropy_));  // Up to 256 bytes never fall short.
    entropy_left_ = sizeof entropy_ / sizeof entropy_[0];
  }
  return entropy_[--entropy_left_];
}

void UringLoop::Post(Function<void()> function) {
  mailbox_.Push(std::move(function));
  Wake();
}

bool UringLoop::TryPost(Function<void()> function) {
  if (!mailbox_.TryPush(std::move(function))) return false;
  Wake();
  return true;
}

// A wake-up carries no data. Between loops of one runtime it is a submission of the sender's turn;
// other threads have no ring, or one that may outlive or die before this loop.
void UringLoop::Wake() {
  if (!asleep_.load(std::memory_order_seq_cst)) return;
  if (!asleep_.exchange(false, std::memory_order_seq_cst)) return;  // Another wakes it.
  UringLoop* here = Current();
  if (here == nullptr || here->family_ != family_) return SignalFromOutside();
  if (here == this) return;  // In the turn that is about to sleep: it looks at the mailbox next.
  io_uring_sqe* entry = here->ring_.Entry();
  io_uring_prep_msg_ring(entry, ring_.fd(), 0, 0, 0);
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  Ring::Attach(entry, &wake_failed_);
}

void UringLoop::OnWakeFailed(int32_t /*result*/, uint32_t /*flags*/) { SignalFromOutside(); }

void UringLoop::SignalFromOutside() {
  uint64_t one = 1;
  ssize_t written = write(event_fd_, &one, sizeof one);
  URSULA_CHECK(written == static_cast<ssize_t>(sizeof one));
}

// Each write to the event descriptor completes the multishot poll once more, read or not; so nobody
// ever reads it.
void UringLoop::ArmWakeUp() {
  io_uring_sqe* entry = ring_.Entry();
  io_uring_prep_poll_multishot(entry, event_fd_, POLLIN);
  Ring::Attach(entry, &woken_);
}

void UringLoop::OnWokenFromOutside(int32_t /*result*/, uint32_t flags) {
  if ((flags & IORING_CQE_F_MORE) != 0) return;
  uint64_t count = 0;  // Else the new poll would complete at once.
  [[maybe_unused]] ssize_t got = read(event_fd_, &count, sizeof count);
  ArmWakeUp();
}

Result<std::unique_ptr<Listener>> UringLoop::Listen(const ListenOptions& options,
                                                    Acceptor* acceptor) {
  if (Status status = receive_buffers_.Start(&ring_); !status.ok()) return status;
  return UringListener::Open(this, options, acceptor);
}

std::unique_ptr<Socket> UringLoop::Adopt(int descriptor) {
  URSULA_CHECK(receive_buffers_.started());
  return std::make_unique<UringSocket>(this, descriptor);
}

}  // namespace ursula::io::uring
