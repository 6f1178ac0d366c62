// tests/support/clock_shim.cc
//
// For LD_PRELOAD: a process with it has a wall clock that another one can move. The file that
// CLOCK_SHIM_FILE names holds a number of nanoseconds, eight bytes in the machine's order, that are
// added. Other clocks are left alone.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kNsPerS = 1'000'000'000;

const std::atomic<int64_t>* MapShift() {
  static constexpr std::atomic<int64_t> kNone = 0;
  const char* path = std::getenv("CLOCK_SHIM_FILE");
  const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return &kNone;
  void* const page = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return page == MAP_FAILED ? &kNone : static_cast<const std::atomic<int64_t>*>(page);
}

using ClockGettime = int (*)(clockid_t, timespec*);

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* out) noexcept {
  static const auto real = reinterpret_cast<ClockGettime>(dlsym(RTLD_NEXT, "clock_gettime"));
  static const std::atomic<int64_t>* const shift = MapShift();
  const int result = real(clock, out);
  if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
  const int64_t ns = out->tv_sec * kNsPerS + out->tv_nsec + shift->load(std::memory_order_relaxed);
  out->tv_sec = ns / kNsPerS;
  out->tv_nsec = ns % kNsPerS;
  return 0;
}

extern "C" int gettimeofday(timeval* out, void* /*zone*/) noexcept {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  *out = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

extern "C" time_t time(time_t* out) noexcept {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
