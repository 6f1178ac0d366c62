// lib/storage/slice_reader.h
//
// Reads a file slice by slice, past the page cache where the file system can: what the device
// gives now. One operation at a time.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/io/loop.h"
#include "lib/storage/aligned_buffer.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

class SliceReader {
 public:
  explicit SliceReader(io::Loop* loop) : loop_(*loop) {}
  SliceReader(const SliceReader&) = delete;
  SliceReader& operator=(const SliceReader&) = delete;
  ~SliceReader();  // REQUIRES: nothing under way.

  // `done` with 0 or -errno.
  void Open(std::string path, Function<void(int64_t)> done);
  bool open() const { return file_ != nullptr && !opening_; }
  uint64_t size() const { return file_->size(); }  // REQUIRES: open().

  // [from, from + bytes), or what the file has of it; valid until the next call. kIoError.
  // REQUIRES: open().
  void Read(uint64_t from, uint64_t bytes, Function<void(Result<std::string_view>)> done);

  // Gives memory and file back. REQUIRES: nothing under way.
  void Close();
  bool busy() const { return op_.pending(); }

 private:
  void OnOpened(int64_t result);
  void ReadRest();
  void OnRead(int64_t result);

  io::Loop& loop_;
  std::string path_;
  std::unique_ptr<io::File> file_;
  bool opening_ = false;
  AlignedBuffer buffer_;
  uint64_t base_ = 0;       // Of the buffer in the file.
  std::size_t wanted_ = 0;  // Of the buffer, whole blocks;
  std::size_t filled_ = 0;  // there so far.
  uint64_t from_ = 0;
  uint64_t bytes_ = 0;
  Function<void(int64_t)> opened_;
  Function<void(Result<std::string_view>)> read_;
  io::Op op_;
};

}  // namespace ursula::storage
