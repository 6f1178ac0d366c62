#include "lib/group/log_window.h"

#include <algorithm>
#include <utility>

#include "lib/base/sometimes.h"
#include "lib/group/recovery.h"

namespace ursula::group {

void LogWindow::Keep(Index from) {
  // What was released before may leave with the next segment.
  if (from < kept_from_) solid_from_ = log_.snapshot().index + 1;
  if (from != kept_from_) {
    kept_from_ = from;
    services_.wal->Keep(group_, from);
  }
  if (!log_.has_window()) return;
  if (services_.loop->now_ns() - filled_ns_ >= kFilledNs) log_.DropFilled();
  log_.NarrowWindow(from);  // What the log has no room for is missed where it is asked for.
}

Index LogWindow::from() const {
  if (kept_from_ == Index{UINT64_MAX}) return kept_from_;
  return std::max(kept_from_, services_.wal->ReadableFrom(group_));
}

void LogWindow::ReadMissed() {
  if (reading_ != nullptr) return;
  const Index from = log_.TakeMissed();
  if (from == Index{UINT64_MAX}) return;
  reading_ = std::make_shared<LogWindow*>(this);
  std::weak_ptr<LogWindow*> asker = reading_;
  services_.wal->ReadEntries(group_, from,
                             [asker, from](Result<std::vector<storage::WalEntry>> read) {
                               if (auto window = asker.lock())
                                 (*window)->OnRead(from, std::move(read));
                             });
}

void LogWindow::OnRead(Index from, Result<std::vector<storage::WalEntry>> read) {
  reading_.reset();
  std::vector<raft::Entry> entries;
  if (read.ok()) {
    for (storage::WalEntry& one : *read) {
      Result<raft::Entry> entry = DecodeEntry(one.index, one.term, std::move(one.payload));
      if (!entry.ok()) break;
      entries.push_back(std::move(*entry));
    }
  }
  if (log_.Fill(from, std::move(entries))) {
    URSULA_SOMETIMES("group: entries for a peer were read back from the log");
    services_.budget->log_entries_read += log_.filled().size();
    filled_ns_ = services_.loop->now_ns();
  } else if (from >= log_.first()) {  // Else nobody lacks it any more.
    URSULA_SOMETIMES("group: entries for a peer had left the log");
    const Index readable = services_.wal->ReadableFrom(group_);
    log_.NarrowWindow(readable > from ? readable : log_.first_in_memory());
  }
  host_.OnWindowRead();
}

}  // namespace ursula::group
