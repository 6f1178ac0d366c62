#include "server/recovery_report.h"

#include <utility>

#include "server/admin/opening_text.h"
#include "server/log.h"
#include "ursula/engine.h"
#include "ursula/sync.h"

namespace ursula::server {

void RecoveryReport::Start() {
  loop_.Post([this] { Again(); });
}

void RecoveryReport::Stop() {
  static_cast<void>(Wait<Stopped>([this](auto done) {
    loop_.Post([this, done = std::move(done)]() mutable {
      loop_.CancelTimer(&timer_);
      done(Stopped{});
    });
  }));
}

void RecoveryReport::OnTime() {
  const OpeningProgress progress = opening_.Progress();
  const std::string text = "recovering: " + admin::OpeningText(progress);
  Log(LogLevel::kInfo, text);
  TellManager(text, progress);
  Again();
}

void RecoveryReport::TellManager(const std::string& text, const OpeningProgress& progress) {
  std::string lines = "STATUS=" + text + "\n";
  // That peers aren't there, or don't take this node in yet, no start again of it mends.
  const bool waits_for_others =
      progress.step == OpeningStep::kFounding || progress.step == OpeningStep::kRejoining;
  if (waits_for_others || progress.step != told_.step || progress.done != told_.done) {
    lines += "EXTEND_TIMEOUT_USEC=" + std::to_string(kPatienceMs * 1000) + "\n";
  }
  told_ = progress;
  manager_.Tell(lines);
}

}  // namespace ursula::server
