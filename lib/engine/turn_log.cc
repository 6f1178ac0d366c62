#include "lib/engine/turn_log.h"

#include <string>

#include "lib/base/ids.h"

namespace ursula::engine {

void TurnLog::OnLongTurn(const io::LongTurn& turn) {
  ++count_;
  const uint64_t now_ns = loop_.fresh_ns();
  if (now_ns < next_line_ns_) return;
  next_line_ns_ = now_ns + kLineNs;
  const uint64_t others = count_ - logged_count_ - 1;
  logged_count_ = count_;
  if (log_ == nullptr || !*log_) return;
  std::string line = "a turn of core " + std::to_string(Raw(loop_.core())) + " took ";
  line += turn.Describe();
  if (others > 0) line += "; " + std::to_string(others) + " more since the last such line";
  (*log_)(2, line);
}

}  // namespace ursula::engine
