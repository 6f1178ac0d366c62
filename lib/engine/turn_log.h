// lib/engine/turn_log.h
//
// Counts the long turns of one core, and logs one now and then with what it did.

#pragma once

#include <cstdint>
#include <string_view>

#include "lib/io/loop.h"
#include "lib/io/turn_meter.h"
#include "ursula/function.h"

namespace ursula::engine {

class TurnLog final : public io::TurnWatcher {
 public:
  static constexpr uint64_t kLineNs = 10'000'000'000;  // One line in so long.

  // Borrows both.
  TurnLog(io::Loop* loop, Function<void(int level, std::string_view message)>* log)
      : loop_(*loop), log_(log) {}

  void OnLongTurn(const io::LongTurn& turn) override;

  uint64_t count() const { return count_; }

 private:
  io::Loop& loop_;
  Function<void(int level, std::string_view message)>* const log_;
  uint64_t count_ = 0;
  uint64_t logged_count_ = 0;
  uint64_t next_line_ns_ = 0;
};

}  // namespace ursula::engine
