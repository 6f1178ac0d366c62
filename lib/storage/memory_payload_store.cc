// The payload store of engines without a directory.

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "lib/base/check.h"
#include "lib/storage/payload_store.h"

namespace ursula::storage {
namespace {

class MemoryPayloadStore final : public PayloadStore {
 public:
  explicit MemoryPayloadStore(io::Loop* loop) : loop_(*loop) {}

  void Write(std::vector<PayloadRun> runs, Function<void(Status)> done) override {
    for (const PayloadRun& run : runs) {
      uint64_t start = run.start;
      std::map<uint64_t, Bytes>& messages = keys_[run.key];
      for (const Bytes& message : run.messages) {
        if (message.empty()) continue;
        stats_.written_bytes += message.size();
        auto [at, is_new] = messages.try_emplace(start, message);
        if (is_new) stats_.disk_bytes += message.size();
        start += message.size();
      }
    }
    loop_.Defer([done = std::move(done)]() mutable { done(Status()); });
  }

  void Read(PayloadKey key, uint64_t from, uint64_t bytes_max,
            Function<void(Result<PayloadSlice>)> done) override {
    Result<PayloadSlice> slice = Slice(key, from, std::max<uint64_t>(bytes_max, 1));
    loop_.Defer(
        [done = std::move(done), slice = std::move(slice)]() mutable { done(std::move(slice)); });
  }

  uint64_t ReadBytesAdvised() const override { return UINT64_MAX; }

  void Watch(GroupId, PayloadWatcher*) override {}

  bool Holds(PayloadKey key, uint64_t from) const override { return Find(key, from) > from; }
  uint64_t Find(PayloadKey key, uint64_t from) const override {
    auto found = keys_.find(key);
    if (found == keys_.end()) return from;
    uint64_t reached = from;
    for (auto at = At(found->second, from); at != found->second.end(); ++at) {
      if (at->first > reached) break;
      reached = std::max(reached, at->first + at->second.size());
    }
    return reached;
  }

  uint64_t FindNext(PayloadKey key, uint64_t from) const override {
    auto found = keys_.find(key);
    if (found == keys_.end()) return UINT64_MAX;
    if (At(found->second, from) != found->second.end()) return from;
    auto next = found->second.lower_bound(from);
    return next == found->second.end() ? UINT64_MAX : next->first;
  }

  std::string Where(PayloadKey, uint64_t) const override { return "in memory"; }
  void ForEachKey(GroupId group, Function<void(uint64_t, uint64_t)> visit) const override {
    for (auto at = keys_.lower_bound({group, 0}); at != keys_.end() && at->first.group == group;
         ++at) {
      if (at->second.empty()) continue;
      const auto& [start, message] = *at->second.rbegin();
      visit(at->first.incarnation, start + message.size());
    }
  }

  void Free(PayloadKey key) override { FreeBefore(key, UINT64_MAX); }

  void FreeBefore(PayloadKey key, uint64_t offset) override {
    auto found = keys_.find(key);
    if (found == keys_.end()) return;
    std::map<uint64_t, Bytes>& messages = found->second;
    while (!messages.empty()) {
      auto first = messages.begin();
      if (first->first + first->second.size() > offset) return;
      stats_.disk_bytes -= first->second.size();
      messages.erase(first);
    }
    keys_.erase(found);
  }

  void Keep(GroupId group, Function<bool(uint64_t)> wanted) override {
    std::vector<PayloadKey> unwanted;
    for (auto at = keys_.lower_bound({group, 0}); at != keys_.end() && at->first.group == group;
         ++at) {
      if (!wanted(at->first.incarnation)) unwanted.push_back(at->first);
    }
    for (PayloadKey key : unwanted) Free(key);
  }

  PayloadStats stats() const override {
    PayloadStats stats = stats_;
    stats.keys = keys_.size();
    return stats;
  }

  void Stop(Function<void()> done) override {
    loop_.Defer([done = std::move(done)]() mutable { done(); });
  }

 private:
  using Messages = std::map<uint64_t, Bytes>;

  static Messages::const_iterator At(const Messages& messages, uint64_t from) {
    auto after = messages.upper_bound(from);
    if (after == messages.begin()) return messages.end();
    auto at = std::prev(after);
    return from < at->first + at->second.size() ? at : messages.end();
  }

  Result<PayloadSlice> Slice(PayloadKey key, uint64_t from, uint64_t bytes_max) const {
    PayloadSlice slice;
    slice.start = slice.next = from;
    const uint64_t end_max = from + std::min(bytes_max, UINT64_MAX - from);
    auto found = keys_.find(key);
    if (found != keys_.end()) {
      for (auto at = At(found->second, from);
           at != found->second.end() && at->first <= slice.next && slice.next < end_max; ++at) {
        const uint64_t end = at->first + at->second.size();
        const uint64_t taken_end = std::min(end, end_max);
        if (taken_end <= slice.next) continue;
        slice.parts.push_back(at->second.Slice(static_cast<std::size_t>(slice.next - at->first),
                                               static_cast<std::size_t>(taken_end - slice.next)));
        slice.next = taken_end;
        if (taken_end == end) slice.message_ends.push_back(end);
      }
    }
    if (slice.parts.empty()) {
      return Status(StatusCode::kDataLoss,
                    "no payload is stored at offset " + std::to_string(from));
    }
    return slice;
  }

  io::Loop& loop_;
  std::map<PayloadKey, Messages> keys_;
  PayloadStats stats_;
};

}  // namespace

std::unique_ptr<PayloadStore> MakeMemoryPayloadStore(io::Loop* loop) {
  return std::make_unique<MemoryPayloadStore>(loop);
}

}  // namespace ursula::storage
