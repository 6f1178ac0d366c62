// lib/storage/entry_reader.h
//
// Reads entries back from a log that is being written: those that memory doesn't keep, for peers
// that were away. One chunk is read at a time, the oldest that is asked for, and whoever asks for
// something in it is answered: so groups that are behind alike share what is read.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/base/ids.h"
#include "lib/io/loop.h"
#include "lib/storage/slice_reader.h"
#include "lib/storage/wal.h"
#include "lib/storage/wal_format.h"
#include "lib/storage/wal_index.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

class EntryReader final : private io::TurnHook {
 public:
  class Source {
   public:
    // What is durable of where the entry is; nothing: it isn't there.
    virtual std::optional<WalChunk> FindEntry(GroupId group, Index index) const = 0;
    virtual std::string PathOf(uint32_t segment) const = 0;
    // The segment is there, what was read of it doesn't hold. kDataLoss.
    virtual void OnEntriesDamaged(uint32_t segment, const Status& status) = 0;

   protected:
    ~Source() = default;
  };

  EntryReader(io::Loop* loop, uint64_t directory_id, LogId log, Source* source);
  ~EntryReader() override;  // REQUIRES: nothing under way.

  // As Wal::ReadEntries.
  void Read(GroupId group, Index from, EntriesRead done);
  // The segment is to go: its file is closed as soon as may be.
  void Leave(uint32_t segment);
  // What was asked for ends with kUnavailable. `done` may be called inside the call.
  void Stop(Function<void()> done);

 private:
  struct Ask {
    GroupId group = {};
    Index from = {};
    EntriesRead done;
  };

  void OnTurnEnd() override { Go(); }
  void Go();
  bool
  Next();  // Sets chunk_ to the oldest that is asked for; ends what asks for none. False: none.
  void OnOpened(int64_t result);
  void OnRead(Result<std::string_view> bytes);
  bool Take(std::string_view bytes);
  void Answer();
  void Fail(const Status& status);
  void EndAsks();
  void Forget();  // What was read.
  void OnIdle();

  // An idle one gives memory and file back.
  static constexpr uint64_t kIdleNs = 1'000'000'000;

  io::Loop& loop_;
  const uint64_t directory_id_;
  const LogId log_;
  Source& source_;
  SliceReader reader_;
  std::deque<Ask> asks_;
  WalChunk chunk_;  // What is read, or was.
  bool loaded_ = false;
  bool reading_ = false;
  std::optional<uint32_t> open_;  // The segment whose file is.
  absl::flat_hash_map<GroupId, std::vector<ParsedRecord>>
      records_;  // Of the loaded chunk, entries alone; in reader_'s memory.
  bool stopped_ = false;
  Function<void()> stop_done_;
  io::Timer idle_timer_;
};

}  // namespace ursula::storage
