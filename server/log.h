// server/log.h
//
// ursulad's log: structured lines on stderr, JSON objects unless a person is watching. Lines are
// queued and written by a thread of spdlog's, so that a slow terminal never stops a core; when too
// many wait, the oldest are dropped, and so is what nobody reads (server/output.h).

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "server/config/server_config.h"

namespace ursula::server {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

using LogField = std::pair<std::string_view, std::string>;

// Once, before the first Log; CloseLog writes out what is queued.
void OpenLog(std::string_view level, LogFormat format);
void CloseLog();

// Any thread.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace ursula::server
