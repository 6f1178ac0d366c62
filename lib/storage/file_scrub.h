// lib/storage/file_scrub.h
//
// The part of a scrub that reads files from their begin to their end: segments of a log, snapshots.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/storage/file_check.h"
#include "lib/storage/scrub.h"
#include "lib/storage/slice_reader.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

class FileScrub final : public ScrubTarget {
 public:
  // A file that doesn't change any more, or only behind `bytes`.
  struct Item {
    uint64_t owner = 0;
    uint64_t number = 0;
    uint64_t bytes = UINT64_MAX;  // To be checked; else all of it.
    std::string path = {};
  };
  class Files {
   public:
    virtual std::vector<Item> ScrubItems() = 0;  // In order.
    // Whether it is still what it was: files go, and are used again for something else.
    virtual bool IsScrubbed(const Item& item) const = 0;
    virtual std::unique_ptr<FileCheck> CheckOf(const Item& item) const = 0;
    virtual void OnFileDamaged(const Item& item, const Status& status) = 0;  // kDataLoss.

   protected:
    ~Files() = default;
  };

  FileScrub(io::Loop* loop, Files* files) : loop_(*loop), files_(*files), reader_(loop) {}

  void BeginRound(uint64_t random) override;
  void CheckNext(Function<void(uint64_t bytes)> done) override;
  void EndRound() override;

 private:
  void Open();
  void OnOpened(int64_t result);
  void ReadNext();
  void OnRead(Result<std::string_view> slice);
  void Damaged(uint64_t offset, const char* what);
  void EndFile();
  void Answer(uint64_t bytes);

  io::Loop& loop_;
  Files& files_;
  SliceReader reader_;
  std::deque<Item> items_;  // The first is the one under way, if there is a check.
  std::unique_ptr<FileCheck> check_;
  uint64_t at_ = 0;
  Function<void(uint64_t)> done_;
};

}  // namespace ursula::storage
