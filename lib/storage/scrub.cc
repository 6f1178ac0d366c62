#include "lib/storage/scrub.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::storage {

Scrub::Scrub(io::Loop* loop, const Options& options, std::vector<ScrubTarget*> targets)
    : loop_(*loop), options_(options), targets_(std::move(targets)) {
  timer_.Then<&Scrub::OnTimer>(this);
}

void Scrub::Start() {
  if (options_.bytes_per_second == 0 || targets_.empty()) return;
  loop_.StartTimer(&timer_, loop_.now_ns() + std::min(options_.every_ns, kFirstNs));
}

void Scrub::OnTimer() {
  if (!in_round_) {
    in_round_ = true;
    target_ = 0;
    round_ns_ = due_ns_ = loop_.now_ns();
    const uint64_t random = loop_.Entropy();
    for (ScrubTarget* target : targets_) target->BeginRound(random);
  }
  checking_ = true;
  targets_[target_]->CheckNext([this](uint64_t bytes) { OnChecked(bytes); });
}

void Scrub::OnChecked(uint64_t bytes) {
  checking_ = false;
  stats_.bytes += bytes;
  if (stopping_) return EndRound();
  if (bytes == 0 && ++target_ == targets_.size()) {
    ++stats_.rounds;
    EndRound();
    loop_.StartTimer(&timer_, std::max(loop_.now_ns(), round_ns_ + options_.every_ns));
    return;
  }
  // What was held up isn't made up for.
  const double seconds =
      static_cast<double>(bytes) / static_cast<double>(options_.bytes_per_second);
  due_ns_ = std::max(due_ns_, loop_.now_ns() - std::min<uint64_t>(loop_.now_ns(), 1'000'000'000)) +
            static_cast<uint64_t>(seconds * 1e9);
  loop_.StartTimer(&timer_, std::max(loop_.now_ns(), due_ns_));
}

void Scrub::EndRound() {
  if (in_round_) {
    for (ScrubTarget* target : targets_) target->EndRound();
  }
  in_round_ = false;
  if (!stop_done_) return;
  loop_.Defer([done = std::move(stop_done_)]() mutable { done(); });
  stop_done_ = {};
}

void Scrub::Stop(Function<void()> done) {
  URSULA_CHECK(!stopping_);
  stopping_ = true;
  stop_done_ = std::move(done);
  loop_.CancelTimer(&timer_);
  if (!checking_) EndRound();
}

}  // namespace ursula::storage
