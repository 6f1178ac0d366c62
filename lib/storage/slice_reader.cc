#include "lib/storage/slice_reader.h"

#include <algorithm>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

SliceReader::~SliceReader() { URSULA_CHECK(!op_.pending()); }

void SliceReader::Open(std::string path, Function<void(int64_t)> done) {
  URSULA_CHECK(!op_.pending() && file_ == nullptr);
  path_ = std::move(path);
  opened_ = std::move(done);
  opening_ = true;
  loop_.disk().Open(path_, {.direct = true}, &file_, op_.Then<&SliceReader::OnOpened>(this));
}

void SliceReader::OnOpened(int64_t result) {
  opening_ = false;
  if (result < 0) file_.reset();
  std::exchange(opened_, nullptr)(std::min<int64_t>(result, 0));
}

void SliceReader::Read(uint64_t from, uint64_t bytes,
                       Function<void(Result<std::string_view>)> done) {
  URSULA_CHECK(!op_.pending() && open() && bytes > 0);
  constexpr uint64_t kBlock = AlignedBuffer::kAlignment;
  from_ = from;
  bytes_ = bytes;
  read_ = std::move(done);
  base_ = from / kBlock * kBlock;
  wanted_ = static_cast<std::size_t>((from + bytes - base_ + kBlock - 1) / kBlock * kBlock);
  filled_ = 0;
  buffer_.Grow(wanted_, 0);
  ReadRest();
}

void SliceReader::ReadRest() {
  file_->Read(base_ + filled_, std::span<char>(buffer_.data() + filled_, wanted_ - filled_),
              op_.Then<&SliceReader::OnRead>(this));
}

void SliceReader::OnRead(int64_t result) {
  Function<void(Result<std::string_view>)> done = std::move(read_);
  if (result < 0) return done(IoStatus("reading", path_, result));
  filled_ += static_cast<std::size_t>(result);
  // One that gives less than a block more is at its end.
  if (result >= static_cast<int64_t>(AlignedBuffer::kAlignment) &&
      filled_ % AlignedBuffer::kAlignment == 0 && filled_ < wanted_) {
    read_ = std::move(done);
    return ReadRest();
  }
  const std::size_t skipped = static_cast<std::size_t>(from_ - base_);
  std::string_view all(buffer_.data(), filled_);
  all.remove_prefix(std::min(skipped, filled_));
  done(all.substr(0, static_cast<std::size_t>(bytes_)));
}

void SliceReader::Close() {
  URSULA_CHECK(!op_.pending());
  file_.reset();
  buffer_ = {};
}

}  // namespace ursula::storage
