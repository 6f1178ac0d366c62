#include "server/http/body_pace.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::http {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

}  // namespace

void BodyPace::Start(uint64_t now_ns) {
  running_ = true;
  body_bytes_ = stretch_bytes_ = 0;
  start_ns_ = stretch_start_ns_ = last_bytes_ns_ = now_ns;
}

void BodyPace::Advance(uint64_t now_ns, uint64_t body_bytes) {
  URSULA_CHECK(running_ && body_bytes >= body_bytes_);
  // Bytes of chunk framing are no progress.
  if (body_bytes == body_bytes_) return;
  body_bytes_ = body_bytes;
  last_bytes_ns_ = now_ns;
}

uint64_t BodyPace::deadline_ns() const {
  URSULA_CHECK(running_);
  uint64_t pause = last_bytes_ns_ + limits_.pause_ms * kNsPerMs;
  uint64_t stretch = stretch_start_ns_ + limits_.pause_ms * kNsPerMs;
  uint64_t total = start_ns_ + limits_.total_ms * kNsPerMs;
  return std::min({pause, stretch, total});
}

bool BodyPace::IsTooSlow(uint64_t now_ns) {
  URSULA_CHECK(running_);
  if (now_ns >= start_ns_ + limits_.total_ms * kNsPerMs) return true;
  if (now_ns >= last_bytes_ns_ + limits_.pause_ms * kNsPerMs) return true;
  uint64_t stretch_ns = now_ns - stretch_start_ns_;
  if (stretch_ns < limits_.pause_ms * kNsPerMs) return false;
  // By the time that has passed, not the stretch's nominal length: a late timer asks for more.
  uint64_t wanted = limits_.bytes_per_second_min * (stretch_ns / kNsPerMs) / 1000;
  if (body_bytes_ - stretch_bytes_ < wanted) return true;
  stretch_bytes_ = body_bytes_;
  stretch_start_ns_ = now_ns;
  return false;
}

}  // namespace ursula::http
