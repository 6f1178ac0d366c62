#include "lib/engine/sync_window.h"

namespace ursula::engine {

void SyncWindow::Note(const Histogram& total, uint64_t now_ns) {
  total_ = total;
  if (!past_.empty() && now_ns < past_.back().ns + kStepNs) return;
  past_.push_back({now_ns, total});
  while (past_.size() > 1 && past_[1].ns + kSpanNs <= now_ns) past_.pop_front();
}

Histogram SyncWindow::Recent() const {
  Histogram recent = total_;
  if (past_.empty()) return recent;
  const Histogram& before = past_.front().total;
  for (std::size_t i = 0; i < recent.counts.size(); ++i) recent.counts[i] -= before.counts[i];
  recent.count -= before.count;
  recent.sum -= before.sum;
  return recent;
}

uint64_t MedianOf(const Histogram& values) {
  if (values.count < kMedianCountMin) return 0;
  const uint64_t half = (values.count + 1) / 2;
  uint64_t below = 0;
  for (int i = 0; i < Histogram::kBuckets; ++i) {
    const uint64_t in = values.counts[static_cast<std::size_t>(i)];
    if (below + in < half) {
      below += in;
      continue;
    }
    // The last one has no bound: what is in it is as slow as anything.
    if (i == Histogram::kBuckets - 1) return 2 * Histogram::Bound(i - 1);
    const uint64_t low = i == 0 ? 0 : Histogram::Bound(i - 1);
    return low + (Histogram::Bound(i) - low) * (half - below) / in;
  }
  return 0;
}

}  // namespace ursula::engine
