// What NewRuntime says where the system gives too little. Each case in a child process, whose
// system calls a filter refuses: so that no privilege and no other kernel is needed.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "ursula/function.h"
#include "ursula/runtime.h"

namespace {

int g_threads_left = -1;  // How many more may start; -1: any number.

}  // namespace

// In the place of the C library's, for this program.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (g_threads_left == 0) return EAGAIN;
  if (g_threads_left > 0) --g_threads_left;
  return create(thread, attributes, run, argument);
}

namespace ursula::io {
namespace {

// From now on, in this process.
bool Refuse(const std::vector<long>& calls, int error) {
  std::vector<sock_filter> program;
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (long call : calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(
        BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<uint32_t>(error) & SECCOMP_RET_DATA)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// What NewRuntime says in a child that `prepare` has limited; "died" if it can't say anything.
std::string SaidWith(const RuntimeOptions& options, Function<bool()> prepare) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::string said = "not prepared";
    if (prepare()) {
      Result<std::unique_ptr<Runtime>> runtime = NewRuntime(options);
      said = runtime.ok() ? "made" : runtime.status().ToString();
    }
    const ssize_t written = write(ends[1], said.data(), said.size());
    _exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string said(4096, '\0');
  const ssize_t count = read(ends[0], said.data(), said.size());
  close(ends[0]);
  said.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? said : "died";
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(LimitsTest, TheRuntimeIsMadeWhereNothingIsRefused) {
  EXPECT_EQ(SaidWith({.core_count = 1, .ring_entries = 8}, [] { return Refuse({}, 0); }), "made");
}

TEST(LimitsTest, NoThreadIsAnErrorThatNamesTheLimit) {
  const std::string said = SaidWith({.core_count = 1, .ring_entries = 8}, [] {
    return Refuse({SYS_clone, SYS_clone3}, EAGAIN);
  });
  EXPECT_TRUE(Has(said, "only 0 of 1 threads") && Has(said, "RLIMIT_NPROC"));
  EXPECT_TRUE(Has(said, "fewer cores")) << said;
}

// Here some threads start, and end again.
TEST(LimitsTest, NotAllThreadsIsAnErrorToo) {
  const std::string said = SaidWith({.core_count = 4, .ring_entries = 8}, [] {
    g_threads_left = 2;
    return true;
  });
  EXPECT_TRUE(Has(said, "only 2 of 4 threads could be started")) << said;
}

TEST(LimitsTest, ARefusedRingNamesTheCallAndTheFix) {
  for (int error : {EPERM, EACCES}) {
    for (auto [call, name] : {std::pair{SYS_io_uring_setup, "io_uring_setup"},
                              std::pair{SYS_io_uring_enter, "io_uring_enter"},
                              std::pair{SYS_io_uring_register, "io_uring_register"}}) {
      const std::string said = SaidWith({.core_count = 1, .ring_entries = 8},
                                        [call, error] { return Refuse({call}, error); });
      EXPECT_TRUE(Has(said, std::string(name) + " failed")) << said;
      EXPECT_TRUE(Has(said, "policy") || Has(said, "sysctl")) << said;
    }
  }
}

TEST(LimitsTest, TooLittleLockedMemoryNamesTheLimitItsNumberAndTheOption) {
  const std::string said = SaidWith({.core_count = 1, .ring_entries = 8}, [] {
    const rlimit limit = {65536, 65536};
    return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && Refuse({SYS_io_uring_setup}, ENOMEM);
  });
  EXPECT_TRUE(Has(said, "RLIMIT_MEMLOCK") && Has(said, "is 65536 bytes")) << said;
  EXPECT_TRUE(Has(said, "--ring-entries")) << said;
}

#ifndef __SANITIZE_ADDRESS__  // The sanitizer needs descriptors itself.
TEST(LimitsTest, NoDescriptorLeftNamesTheLimitAndItsNumber) {
  const std::string said = SaidWith({.core_count = 8}, [] {
    const rlimit limit = {8, 8};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
  });
  EXPECT_TRUE(Has(said, "RLIMIT_NOFILE) is 8") || Has(said, "RLIMIT_NOFILE), which is 8")) << said;
}
#endif

}  // namespace
}  // namespace ursula::io
