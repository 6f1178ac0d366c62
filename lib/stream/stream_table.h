// lib/stream/stream_table.h
//
// StreamTable owns the streams of a machine and keeps the indexes over them: by incarnation, by
// name (for lookups and, ordered, for listings), and by deadline.
//
// Invariant: a stream that isn't detached is the only one of its name; the deadline index holds
// exactly the live streams that have a deadline; a source is older than its forks and counts them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "lib/base/strings.h"
#include "lib/stream/stream_state.h"
#include "ursula/status.h"

namespace ursula::stream {

class StreamTable {
 public:
  struct NameLess {
    using is_transparent = void;
    static std::string_view Key(const StreamState* stream) { return stream->key(); }
    static std::string_view Key(std::string_view key) { return key; }
    template <class X, class Y>
    bool operator()(const X& a, const Y& b) const {
      return Key(a) < Key(b);
    }
  };
  using Names = absl::btree_set<StreamState*, NameLess>;
  using Streams = absl::btree_map<Incarnation, std::unique_ptr<StreamState>>;
  using Deadlines = absl::btree_set<std::pair<int64_t, Incarnation>>;

  StreamTable() = default;
  StreamTable(const StreamTable&) = delete;
  StreamTable& operator=(const StreamTable&) = delete;

  StreamState* Find(Incarnation incarnation) const;
  StreamState* FindByKey(std::string_view key) const;  // Live or soft-deleted.

  // A live stream without a deadline. REQUIRES: the incarnation is above all others, the name free.
  StreamState* Add(Incarnation incarnation, std::string key, std::string_view content_type);
  void SetDeadline(StreamState* stream, int64_t deadline_ms);
  // Away from kLive: no deadline any more; kDetached: the name is free.
  void SetLife(StreamState* stream, Life life);
  // REQUIRES: not live, no forks. The caller takes care of its source's fork_count.
  void Free(StreamState* stream);

  void MarkChanged(StreamState* stream);
  // The one marked longest, which may not be there any more, and its mark is gone; empty: none.
  std::optional<Incarnation> TakeMarked();
  std::size_t marked_count() const { return marked_.size(); }
  uint64_t marks() const { return marks_; }  // Ever made.

  uint64_t live_count() const { return live_count_; }
  const Streams& streams() const { return streams_; }  // Ordered by incarnation.
  const Names& names() const { return names_; }        // Ordered by key; live and soft-deleted.
  const Deadlines& deadlines() const { return deadlines_; }

  // ---- loading ----
  // Puts a stream in place of one of the same incarnation; indexes are made by BuildIndexes.
  void Load(std::unique_ptr<StreamState> stream, std::string_view content_type);
  void Unload(Incarnation incarnation);
  Status BuildIndexes();

 private:
  struct NameHash : StringHash {
    using StringHash::operator();
    std::size_t operator()(const StreamState* stream) const { return (*this)(stream->key()); }
  };
  struct NameEqual {
    using is_transparent = void;
    template <class X, class Y>
    bool operator()(const X& a, const Y& b) const {
      return NameLess::Key(a) == NameLess::Key(b);
    }
  };

  const std::string* Intern(std::string_view content_type);
  void Unintern(const std::string* content_type);

  Streams streams_;
  absl::flat_hash_set<StreamState*, NameHash, NameEqual> by_key_;
  mutable StreamState* last_found_ = nullptr;  // Of FindByKey: a command asks for it again by id.
  Names names_;
  Deadlines deadlines_;
  std::map<std::string, uint64_t, std::less<>> content_types_;  // With the number of users.
  std::deque<Incarnation> marked_;                              // As changed.
  uint64_t marks_ = 0;
  uint64_t live_count_ = 0;
};

}  // namespace ursula::stream
