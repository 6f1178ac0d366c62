#include "tests/support/manual_loop.h"

#include <algorithm>

#include "lib/base/check.h"
#include "lib/base/ids.h"

namespace ursula::testing {
namespace {

constexpr uint32_t kIdleTurnsMax = 1'000'000;  // Beyond that something feeds itself.

}  // namespace

ManualLoop::ManualLoop()
    : core_(CoreId{0}),
      clock_(&own_clock_),
      own_disk_(std::make_unique<FaultDisk>()),
      fault_disk_(own_disk_.get()),
      random_(1),
      disk_(fault_disk_->OnLoop(this)) {}

ManualLoop::ManualLoop(FaultDisk* disk, CoreId core, ManualClock* clock, uint64_t seed)
    : core_(core),
      clock_(clock == nullptr ? &own_clock_ : clock),
      fault_disk_(disk),
      random_(seed),
      disk_(fault_disk_->OnLoop(this)) {}

ManualLoop::~ManualLoop() = default;

bool ManualLoop::RunTurn() {
  URSULA_CHECK(clock_->running == nullptr);
  clock_->running = this;
  bool worked = RunEvents();
  worked |= RunTimers();
  worked |= RunPosted();
  worked |= RunDeferred();
  worked |= RunHooks();
  clock_->running = nullptr;
  return worked;
}

bool ManualLoop::RunEvents() {
  std::vector<Function<void()>> due;
  auto end = events_.upper_bound(now_ns());
  for (auto it = events_.begin(); it != end; ++it) due.push_back(std::move(it->second));
  events_.erase(events_.begin(), end);
  for (Function<void()>& function : due) function();
  return !due.empty();
}

bool ManualLoop::RunTimers() {
  bool due = !timers_.empty() && timers_.next_deadline_ns() <= now_ns();
  if (due) timers_.Fire(now_ns());
  return due;
}

bool ManualLoop::RunPosted() {
  std::deque<Letter> waiting = std::exchange(posted_, {});
  for (Letter& letter : waiting) {
    if (letter.request) --requests_;
    letter.function();
  }
  return !waiting.empty();
}

bool ManualLoop::RunDeferred() {
  std::vector<Function<void()>> waiting = std::exchange(deferred_, {});
  for (Function<void()>& function : waiting) function();
  return !waiting.empty();
}

bool ManualLoop::RunHooks() {
  uint32_t count = 0;
  for (io::TurnHook* hook = hooks_.PopFront(); hook != nullptr; hook = hooks_.PopFront()) {
    URSULA_CHECK(++count < kIdleTurnsMax);
    hook->OnTurnEnd();
  }
  return count > 0;
}

void ManualLoop::RunUntilIdle() {
  uint32_t turns = 0;
  while (RunTurn()) URSULA_CHECK(++turns < kIdleTurnsMax);
}

void ManualLoop::AdvanceTo(uint64_t ns) {
  URSULA_CHECK(ns >= now_ns());
  RunUntilIdle();
  for (uint64_t next = NextEventNs(); next <= ns; next = NextEventNs()) {
    clock_->now_ns = std::max(next, clock_->now_ns);
    RunUntilIdle();
  }
  clock_->now_ns = ns;
}

void ManualLoop::SetWallMs(int64_t wall_ms) {
  clock_->wall_offset_ms = wall_ms - static_cast<int64_t>(now_ns() / 1'000'000);
}

void ManualLoop::Crash() {
  timers_.Clear();
  while (hooks_.PopFront() != nullptr) {
  }
  // What they captured may post or defer as it goes: that is dropped too.
  while (!events_.empty() || !posted_.empty() || !deferred_.empty()) {
    std::exchange(events_, {}).clear();
    std::exchange(posted_, {}).clear();
    std::exchange(deferred_, {}).clear();
  }
  requests_ = 0;
}

uint64_t ManualLoop::NextEventNs() const {
  if (!posted_.empty() || !deferred_.empty() || !hooks_.empty()) return now_ns();
  uint64_t next = events_.empty() ? kNever : events_.begin()->first;
  if (!timers_.empty()) next = std::min(next, timers_.next_deadline_ns());
  return next == kNever ? kNever : std::max(next, now_ns());
}

void ManualLoop::At(uint64_t ns, Function<void()> function) {
  events_.emplace(ns, std::move(function));
}

void ManualLoop::Post(Function<void()> function) {
  posted_.push_back({std::move(function), false});
}

bool ManualLoop::TryPost(Function<void()> function) {
  if (requests_ >= kMailboxMax) return false;
  ++requests_;
  posted_.push_back({std::move(function), true});
  return true;
}

int64_t ManualLoop::wall_ms() const {
  return clock_->wall_offset_ms + static_cast<int64_t>(now_ns() / 1'000'000);
}

void ManualLoop::AtTurnEnd(io::TurnHook* hook) {
  if (!hook->linked()) hooks_.PushBack(hook);
}

Result<std::unique_ptr<io::Listener>> ManualLoop::Listen(const io::ListenOptions& /*options*/,
                                                         io::Acceptor* /*acceptor*/) {
  return Status(StatusCode::kFailedPrecondition, "a ManualLoop has no sockets");
}

std::unique_ptr<io::Socket> ManualLoop::Adopt(int /*descriptor*/) {
  URSULA_CHECK(false);
  return nullptr;
}

ManualRuntime::ManualRuntime(uint16_t core_count, FaultDisk* disk, uint64_t seed) {
  clock_.several_loops = true;
  for (uint16_t i = 0; i < core_count; ++i) {
    loops_.push_back(std::make_unique<ManualLoop>(disk, CoreId{i}, &clock_, seed + i));
  }
}

ManualRuntime::~ManualRuntime() = default;

bool ManualRuntime::RunTurn() {
  bool worked = false;
  for (auto& loop : loops_) worked |= loop->RunTurn();
  return worked;
}

void ManualRuntime::RunUntilIdle() {
  uint32_t turns = 0;
  while (RunTurn()) URSULA_CHECK(++turns < kIdleTurnsMax);
}

void ManualRuntime::AdvanceTo(uint64_t ns) {
  URSULA_CHECK(ns >= clock_.now_ns);
  RunUntilIdle();
  for (uint64_t next = NextEventNs(); next <= ns; next = NextEventNs()) {
    clock_.now_ns = next;
    RunUntilIdle();
  }
  clock_.now_ns = ns;
}

void ManualRuntime::Crash() {
  for (auto& loop : loops_) loop->Crash();
}

uint64_t ManualRuntime::NextEventNs() const {
  uint64_t next = ManualLoop::kNever;
  for (const auto& loop : loops_) next = std::min(next, loop->NextEventNs());
  return next;
}

ManualLoop& ManualRuntime::manual_loop(CoreId core) { return *loops_.at(Raw(core)); }

io::Loop* ManualRuntime::Current() {
  for (const auto& loop : loops_) {
    if (clock_.running == loop.get()) return loop.get();
  }
  return nullptr;
}

void ManualRuntime::Await(Function<void(Function<void()> finished)> start) {
  bool finished = false;
  start([&finished] { finished = true; });
  if (!step_) {
    const bool ended = RunUntil([&finished] { return finished; });
    URSULA_CHECK(ended);
    return;
  }
  while (!finished) URSULA_CHECK(step_());
}

}  // namespace ursula::testing
