// lib/storage/payload_sources.h
//
// The payload files of one core that are open for reading: opened when they are needed, without
// blocking the loop, and a bounded number of them kept open.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "lib/storage/payload_file.h"
#include "ursula/status.h"

namespace ursula::storage {

class PayloadSources;

class SourceWaiter {
 public:
  // kDataLoss: the file is missing; kResourceExhausted; kIoError.
  virtual void OnSourceOpened(const Status& status) = 0;

 protected:
  ~SourceWaiter() = default;
};

// One file. It stays open while it has users.
class PayloadSource : public ListHook<PayloadSource> {
 public:
  ~PayloadSource();
  bool open() const { return file != nullptr && !opening_; }

  std::shared_ptr<PayloadFile> shared = {};
  std::unique_ptr<io::File> file = {};  // To be used while open().

 private:
  friend class PayloadSources;
  void OnOpened(int64_t result);

  PayloadSources* owner_ = nullptr;
  uint32_t users_ = 0;
  bool opening_ = false;
  std::vector<SourceWaiter*> waiters_;
  io::Op op_;
};

class PayloadSources {
 public:
  PayloadSources(io::Loop* loop, uint32_t open_max) : loop_(*loop), open_max_(open_max) {}
  ~PayloadSources();

  // Counts a user. True: the file is open. False: `waiter` hears, not inside the call.
  bool Open(PayloadSource* source, SourceWaiter* waiter);
  // One user less; of one that waited, after it has heard.
  void Close(PayloadSource* source);

 private:
  friend class PayloadSource;
  void CloseSome();

  io::Loop& loop_;
  const uint32_t open_max_;
  IntrusiveList<PayloadSource> idle_;  // Open, without users; unused for longest first.
  uint32_t open_ = 0;                  // Or being opened.
};

}  // namespace ursula::storage
