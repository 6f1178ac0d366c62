// lib/storage/log_line.h
//
// Where storage says what an operator should know: a cut log, a fallback, a damaged block. Called
// on the core (or opening thread) that found it; must not block.

#pragma once

#include <functional>
#include <string_view>

namespace ursula::storage {

enum class LogLevel : int { kInfo = 1, kWarning = 2, kError = 3 };

using LogLine = std::function<void(LogLevel level, std::string_view message)>;

}  // namespace ursula::storage
