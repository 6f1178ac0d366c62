#include "tests/bench/runner.h"

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <thread>

namespace ursula::bench {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kPollNs = 10'000'000;

uint64_t Nanoseconds(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }

void SleepUntil(uint64_t time_ns) {
  timespec time = {.tv_sec = static_cast<time_t>(time_ns / kSecondNs),
                   .tv_nsec = static_cast<long>(time_ns % kSecondNs)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

}  // namespace

struct Runner::Shared {
  struct StageState {
    std::atomic<uint32_t> ready = 0;     // Workers.
    std::atomic<uint32_t> finished = 0;  // Workers.
    std::atomic<bool> started = false;   // `window` is set.
    std::atomic<bool> sampled = false;   // The usage at the window's end: connections may close.
    std::atomic<bool> cancelled = false;
    Window window = {};
    std::atomic<uint64_t> last_ns = 0;  // When the last worker was done.
    std::mutex mutex = {};
    std::vector<Drivers> drivers = {};  // By worker; under the mutex until all are ready.
  };
  std::vector<StageState> stages;
  std::atomic<bool> loop_failed = false;
  std::mutex mutex = {};
  std::string loop_error = {};

  uint64_t shown_operations = 0;
  uint64_t shown_ns = 0;
};

Runner::Runner(const Options* options, const Address& server)
    : options_(options), server_(server) {}

Runner::~Runner() = default;

bool Runner::Run(std::vector<Stage> stages) {
  stages_ = std::move(stages);
  shared_ = std::make_unique<Shared>();
  shared_->stages = std::vector<Shared::StageState>(stages_.size());
  for (auto& state : shared_->stages) state.drivers.resize(options_->threads);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < options_->threads; ++i)
    threads.emplace_back(&Runner::RunWorker, this, i);
  for (std::size_t i = 0; i < stages_.size() && !shared_->loop_failed; ++i) {
    if (!RunStage(i)) break;
  }
  for (auto& state : shared_->stages) state.cancelled = true;
  for (std::thread& thread : threads) thread.join();
  error_ = shared_->loop_error;
  return error_.empty();
}

// ---- a worker's thread -------------------------------------------------------------------------

void Runner::RunWorker(uint32_t worker) {
  // Declared in this order: the loop lets go of the channels before they are destroyed.
  std::vector<Drivers*> mine;
  Loop loop(server_);
  if (!loop.error().empty()) {
    std::lock_guard lock(shared_->mutex);
    shared_->loop_error = loop.error();
    shared_->loop_failed = true;
    return;
  }
  auto turn_until = [&](const Shared::StageState& state, auto condition) {
    while (!state.cancelled && !condition()) {
      uint64_t now = NowNs();
      uint64_t next = now + kPollNs;
      for (Drivers* drivers : mine) {
        for (auto& driver : *drivers) next = std::min(next, driver->OnTime(now));
      }
      loop.Turn(next);
    }
  };
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    Shared::StageState& state = shared_->stages[i];
    if (state.cancelled) return;
    Drivers made = stages_[i].make(&loop, worker);
    Drivers* drivers = &state.drivers[worker];
    {
      std::lock_guard lock(state.mutex);
      *drivers = std::move(made);
    }
    auto all = [&](auto condition) {
      return std::all_of(drivers->begin(), drivers->end(), condition);
    };
    for (auto& driver : *drivers) driver->SetUp();
    turn_until(state, [&] { return all([](auto& driver) { return driver->ready(); }); });
    ++state.ready;
    turn_until(state, [&] { return state.started.load(); });
    if (state.started) {
      for (auto& driver : *drivers) driver->Start(state.window);
      mine.push_back(drivers);
      turn_until(state, [&] { return all([](auto& driver) { return driver->done(); }); });
      turn_until(state, [&] { return state.sampled.load(); });
      mine.pop_back();
    }
    state.last_ns = std::max(state.last_ns.load(), NowNs());
    for (auto& driver : *drivers) driver->Finish();
    for (int turn = 0; turn < 3; ++turn) loop.Turn(0);  // Connections close.
    ++state.finished;
  }
}

// ---- the main thread ---------------------------------------------------------------------------

void Runner::ShowProgress(const Stage& stage, const char* what) {
  Shared::StageState& state = shared_->stages[static_cast<std::size_t>(&stage - stages_.data())];
  uint64_t operations = 0;
  uint64_t errors = 0;
  {
    std::lock_guard lock(state.mutex);
    for (const Drivers& drivers : state.drivers) {
      for (const auto& driver : drivers) {
        operations += driver->tally().live_operations();
        errors += driver->tally().live_errors();
      }
    }
  }
  uint64_t now = NowNs();
  double seconds = static_cast<double>(now - shared_->shown_ns) / 1e9;
  double rate =
      seconds > 0 ? static_cast<double>(operations - shared_->shown_operations) / seconds : 0;
  shared_->shown_operations = operations;
  shared_->shown_ns = now;
  if (options_->quiet) return;
  std::fprintf(stderr, "%s, %s: %" PRIu64 " done, %.0f/s, %" PRIu64 " errors\n", stage.name.c_str(),
               what, operations, rate, errors);
}

// False: nothing has moved for longer than the run's patience, or what a timed window left under
// way has taken longer.
bool Runner::Await(std::size_t index, const char* what, bool started) {
  Shared::StageState& state = shared_->stages[index];
  const std::atomic<uint32_t>& workers = started ? state.finished : state.ready;
  uint64_t begun_ns = NowNs();
  uint64_t moved_ns = begun_ns;
  uint64_t moved_at = 0;
  bool bounded = started && stages_[index].timed;
  uint64_t show_ns = begun_ns + kSecondNs;
  while (workers < options_->threads && !shared_->loop_failed) {
    uint64_t now = NowNs();
    SleepUntil(now + kPollNs / 10);
    if (now < show_ns) continue;
    show_ns += kSecondNs;
    ShowProgress(stages_[index], what);
    if (shared_->shown_operations != moved_at) moved_ns = now;
    moved_at = shared_->shown_operations;
    if (now - (bounded ? begun_ns : moved_ns) > Nanoseconds(options_->patience_s)) return false;
  }
  return true;
}

// False: what comes after makes no sense.
bool Runner::RunStage(std::size_t index) {
  const Stage& stage = stages_[index];
  Shared::StageState& state = shared_->stages[index];
  StageResult result = {.name = stage.name, .measured = stage.measured, .timed = stage.timed};
  result.before = SampleUsage(options_->server_pid, options_->disk);
  shared_->shown_operations = 0;
  shared_->shown_ns = NowNs();
  bool patient = Await(index, "setting up", false);
  if (patient && !shared_->loop_failed) {
    state.window.start_ns = NowNs();
    state.window.measure_ns = state.window.start_ns + Nanoseconds(stage.timed ? stage.warmup_s : 0);
    state.window.end_ns =
        stage.timed ? state.window.measure_ns + Nanoseconds(stage.duration_s) : kNever;
    state.started = true;
    const char* what = "warming up";
    for (uint64_t end : {state.window.measure_ns, state.window.end_ns}) {
      while (stage.timed && NowNs() < end) {
        SleepUntil(std::min(end, NowNs() + kSecondNs));
        ShowProgress(stage, what);
      }
      Usage* usage = end == state.window.measure_ns ? &result.begin : &result.end;
      *usage = SampleUsage(options_->server_pid, options_->disk);
      what = "measuring";
    }
    state.sampled = true;
    patient = Await(index, stage.timed ? "finishing" : "under way", true);
    if (!stage.timed) result.end = SampleUsage(options_->server_pid, options_->disk);
  }
  if (!patient) state.cancelled = true;
  while (state.finished < options_->threads && !shared_->loop_failed) SleepUntil(NowNs() + kPollNs);
  uint64_t end_ns = stage.timed ? state.window.end_ns : state.last_ns.load();
  result.seconds = static_cast<double>(end_ns - state.window.measure_ns) / 1e9;
  Collect(index, &result);
  if (!patient) result.tallies.front()->Error("gave up");
  bool good = patient && !shared_->loop_failed;
  for (const Tally* tally : result.tallies)
    good = good && (stage.measured || tally->errors().empty());
  results_.push_back(std::move(result));
  return good;
}

void Runner::Collect(std::size_t index, StageResult* result) {
  for (const Drivers& drivers : shared_->stages[index].drivers) {
    for (std::size_t i = 0; i < drivers.size(); ++i) {
      if (result->tallies.size() <= i) {
        merged_.push_back(std::make_unique<Tally>(drivers[i]->tally().name()));
        result->tallies.push_back(merged_.back().get());
      }
      result->tallies[i]->Merge(drivers[i]->tally());
    }
  }
}

}  // namespace ursula::bench
