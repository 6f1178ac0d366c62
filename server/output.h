// server/output.h
//
// Writing to stdout and stderr without ever waiting long: whoever reads them may have stopped to,
// and a full pipe takes nothing until then.

#pragma once

#include <cstdint>
#include <string_view>

namespace ursula::server {

// One thread at a time.
class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}  // Borrows it.

  // False: it was dropped, at least in part. Waits up to kPatienceMs for a reader, and not at all
  // while one that was waited for in vain hasn't read on.
  bool Write(std::string_view text);

  static constexpr int kPatienceMs = 500;

 private:
  bool AwaitRoom();

  const int fd_;
  bool stuck_ = false;
  bool cut_ = false;  // What was written last ends inside a line.
};

}  // namespace ursula::server
