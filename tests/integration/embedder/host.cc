// Hosts that do what EMBEDDING.md writes about: each ends as it says.
//
// usage: host CASE DIR

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <future>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ursula/engine.h"
#include "ursula/outcome.h"
#include "ursula/sync.h"

namespace {

using Executor = ursula::Function<void(ursula::Function<void()>)>;

std::unique_ptr<ursula::StreamEngine> Open(const std::string& dir, Executor executor = {}) {
  ursula::EngineOptions options;
  options.data_dir = dir;
  options.executor = std::move(executor);
  auto engine = ursula::StreamEngine::Open(std::move(options));
  if (engine.ok()) return std::move(*engine);
  std::cerr << engine.status().ToString() << "\n";
  std::exit(1);
}

const ursula::StreamId kStream{.bucket = ursula::kUpstreamBucket, .name = "s"};

void CreateAndAppend(ursula::StreamEngine& engine) {
  ursula::CreateRequest create{.stream = kStream};
  ursula::AppendRequest append{.stream = kStream, .messages = {ursula::Bytes::Copy("x")}};
  ursula::Status status = ursula::StatusOf(ursula::Wait<ursula::CreateReply>(
      [&](auto done) { engine.Create(create, std::move(done)); }));
  if (status.ok()) {
    status = ursula::StatusOf(ursula::Wait<ursula::AppendReply>(
        [&](auto done) { engine.Append(append, std::move(done)); }));
  }
  if (status.ok()) return;
  std::cerr << status.ToString() << "\n";
  std::exit(1);
}

// Calls `act` in a completion, on a core, and waits for what it does.
[[noreturn]] void OnACore(ursula::StreamEngine& engine, ursula::Function<void()> act) {
  engine.Head(kStream, [&](ursula::Result<ursula::HeadReply>) { act(); });
  std::promise<void>().get_future().wait();
  std::exit(1);
}

int WaitForChild(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

// The child runs another program, which shows what it has inherited; the engine goes on.
int ForkAndExec(const std::string& dir) {
  auto engine = Open(dir);
  CreateAndAppend(*engine);
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    execl("/bin/ls", "ls", "/proc/self/fd", nullptr);
    _exit(1);
  }
  int status = WaitForChild(child);
  CreateAndAppend(*engine);
  return status;
}

// A child that exits at once leaves the parent's engine alone.
int ForkAndExit(const std::string& dir) {
  auto engine = Open(dir);
  pid_t child = fork();
  if (child == 0) _exit(0);
  int status = WaitForChild(child);
  CreateAndAppend(*engine);
  return status;
}

int OpenInTheWorker(const std::string& dir) {
  pid_t child = fork();
  if (child == 0) {
    CreateAndAppend(*Open(dir));
    return 0;
  }
  return WaitForChild(child);
}

int DropWork(const std::string& dir) {
  std::atomic<int> dropped = 0;
  auto engine = Open(dir, [&](ursula::Function<void()>) { ++dropped; });
  engine->Head(kStream, [](ursula::Result<ursula::HeadReply>) { std::abort(); });
  engine.reset();  // Waits for nobody.
  return dropped == 1 ? 0 : 1;
}

// What leaves a completion on a thread of the executor is the executor's.
int ThrowOnAnExecutor(const std::string& dir) {
  std::vector<std::thread> threads;
  std::atomic<int> caught = 0;
  auto engine = Open(dir, [&](ursula::Function<void()> work) {
    threads.emplace_back([&caught, work = std::move(work)]() mutable {
      try {
        work();
      } catch (const std::runtime_error&) {
        ++caught;
      }
    });
  });
  engine->Head(kStream, [](ursula::Result<ursula::HeadReply>) { throw std::runtime_error("x"); });
  engine.reset();
  for (std::thread& thread : threads) thread.join();
  return caught == 1 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string what = argv[1];
  const std::string dir = argv[2];
  if (what == "fork_and_exec") return ForkAndExec(dir);
  if (what == "fork_and_exit") return ForkAndExit(dir);
  if (what == "open_in_the_worker") return OpenInTheWorker(dir);
  if (what == "drop_work") return DropWork(dir);
  if (what == "throw_on_an_executor") return ThrowOnAnExecutor(dir);
  auto engine = Open(dir);
  if (what == "throw_on_a_core") OnACore(*engine, [] { throw std::runtime_error("mine"); });
  if (what == "wait_on_a_core") {
    OnACore(*engine, [&] {
      (void)ursula::Wait<ursula::HeadReply>(
          [&](auto done) { engine->Head(kStream, std::move(done)); });
    });
  }
  if (what == "destroy_on_a_core") OnACore(*engine, [&] { engine.reset(); });
  return 2;
}
