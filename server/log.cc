#include "server/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "server/output.h"

namespace ursula::server {
namespace {

constexpr std::size_t kQueuedLinesMax = 8192;

struct Logger {
  std::shared_ptr<spdlog::async_logger> logger;
  bool json = false;
};

Logger& TheLogger() {
  static Logger logger;
  return logger;
}

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

void AppendJson(std::string_view text, std::string* out) {
  out->push_back('"');
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (byte < 0x20) {
      std::array<char, 8> escape = {};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", byte);
      *out += escape.data();
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

std::string JsonLine(std::string_view message, std::initializer_list<LogField> fields) {
  std::string line = "\"message\":";
  AppendJson(message, &line);
  for (const auto& [name, value] : fields) {
    line.push_back(',');
    AppendJson(name, &line);
    line.push_back(':');
    AppendJson(value, &line);
  }
  return line;
}

std::string TextLine(std::string_view message, std::initializer_list<LogField> fields) {
  std::string line(message);
  for (const auto& [name, value] : fields) line += " " + std::string(name) + "=" + value;
  for (char& c : line) c = c == '\n' || c == '\r' ? ' ' : c;  // One line, whatever is in it.
  return line;
}

// Used by spdlog's one thread alone.
class StderrSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit StderrSink(bool json) : json_(json) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (lost_ > 0 && !Write(LostLines(message.time))) return CountLost();
    lost_ = 0;
    if (!Write(message)) CountLost();
  }
  void flush_() override {}

  bool Write(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    return output_.Write({line.data(), line.size()});
  }
  spdlog::details::log_msg LostLines(spdlog::log_clock::time_point time) {
    constexpr std::string_view kWhat = "lines of this log were lost: nobody took them";
    std::initializer_list<LogField> count = {{"lines", std::to_string(lost_)}};
    lost_line_ = json_ ? JsonLine(kWhat, count) : TextLine(kWhat, count);
    return {time, spdlog::source_loc{}, "ursulad", spdlog::level::warn, lost_line_};
  }
  void CountLost() { ++lost_; }

  const bool json_;
  Output output_{STDERR_FILENO};
  uint64_t lost_ = 0;
  std::string lost_line_;
};

}  // namespace

void OpenLog(std::string_view level, LogFormat format) {
  Logger& log = TheLogger();
  log.json = format == LogFormat::kJson || (format == LogFormat::kAuto && isatty(2) == 0);
  spdlog::init_thread_pool(kQueuedLinesMax, 1);
  log.logger = std::make_shared<spdlog::async_logger>(
      "ursulad", std::make_shared<StderrSink>(log.json), spdlog::thread_pool(),
      spdlog::async_overflow_policy::overrun_oldest);
  log.logger->set_level(spdlog::level::from_str(std::string(level)));
  log.logger->flush_on(spdlog::level::info);
  if (log.json) {
    log.logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})",
                            spdlog::pattern_time_type::utc);
  } else {
    log.logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %v", spdlog::pattern_time_type::utc);
  }
}

void CloseLog() {
  TheLogger().logger = nullptr;
  spdlog::shutdown();
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  const Logger& log = TheLogger();
  if (log.logger == nullptr || !log.logger->should_log(LevelOf(level))) return;
  std::string line = log.json ? JsonLine(message, fields) : TextLine(message, fields);
  log.logger->log(LevelOf(level), "{}", line);
}

}  // namespace ursula::server
