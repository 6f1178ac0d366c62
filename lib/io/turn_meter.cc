#include "lib/io/turn_meter.h"

#include <algorithm>
#include <cstdio>

namespace ursula::io {
namespace {

std::string Milliseconds(uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(ns) / 1e6);
  return text;
}

}  // namespace

std::string LongTurn::Describe() const {
  static constexpr const char* kNames[kParts] = {"completions", "timers", "posted", "deferred",
                                                 "at its end"};
  std::string text = Milliseconds(took_ns) + " (running at most " + Milliseconds(ran_ns_max) + ")";
  const char* separator = ": ";
  for (std::size_t i = 0; i < kParts; ++i) {
    if (parts[i].count == 0) continue;
    text.append(separator).append(std::to_string(parts[i].count)).append(" ").append(kNames[i]);
    text.append(" ").append(Milliseconds(parts[i].ns));
    separator = ", ";
  }
  return text;
}

std::optional<LongTurn> TurnMeter::End() {
  turn_.took_ns = last_ns_ - began_ns_;
  if (turn_.took_ns <= kLongNs) return std::nullopt;
  turn_.ran_ns_max = std::min(turn_.took_ns, thread_cpu_() - cpu_ns_);
  return turn_;
}

}  // namespace ursula::io
