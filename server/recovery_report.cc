#include "server/recovery_report.h"

#include <utility>

#include "server/admin/opening_text.h"
#include "server/log.h"
#include "ursula/sync.h"

namespace ursula::server {
namespace {

struct Stopped {};

}  // namespace

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
  Log(LogLevel::kInfo, "recovering: " + admin::OpeningText(opening_.Progress()));
  Again();
}

}  // namespace ursula::server
