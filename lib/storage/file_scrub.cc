#include "lib/storage/file_scrub.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/check.h"

namespace ursula::storage {

void FileScrub::BeginRound(uint64_t random) {
  std::vector<Item> items = files_.ScrubItems();
  if (!items.empty()) {
    std::rotate(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(random % items.size()),
                items.end());
  }
  items_.assign(items.begin(), items.end());
}

void FileScrub::CheckNext(Function<void(uint64_t bytes)> done) {
  URSULA_CHECK(!done_);
  done_ = std::move(done);
  if (check_ != nullptr) return ReadNext();
  while (!items_.empty() && !files_.IsScrubbed(items_.front())) items_.pop_front();
  if (!items_.empty()) return Open();
  loop_.Defer([this] { Answer(0); });
}

void FileScrub::Open() {
  check_ = files_.CheckOf(items_.front());
  at_ = 0;
  reader_.Open(items_.front().path, [this](int64_t result) { OnOpened(result); });
}

void FileScrub::OnOpened(int64_t result) {
  if (result == 0) return ReadNext();
  if (result == -ENOENT && files_.IsScrubbed(items_.front())) Damaged(0, "missing");
  EndFile();  // Otherwise the next round may open it.
  Answer(1);
}

void FileScrub::ReadNext() {
  const uint64_t left = items_.front().bytes - at_;
  reader_.Read(at_, std::min(left, kScrubSliceBytes),
               [this](Result<std::string_view> slice) { OnRead(std::move(slice)); });
}

void FileScrub::OnRead(Result<std::string_view> slice) {
  const Item& item = items_.front();
  if (!files_.IsScrubbed(item)) {
    EndFile();
    return Answer(1);
  }
  if (!slice.ok()) {
    Damaged(at_, "can't be read");
    EndFile();
    return Answer(1);
  }
  const uint64_t size = slice->size();
  at_ += size;
  if (!check_->Take(*slice)) {
    Damaged(check_->damaged_at(), "damaged");
    EndFile();
  } else if (at_ == item.bytes || size < std::min(item.bytes - (at_ - size), kScrubSliceBytes)) {
    const bool all = at_ == item.bytes || item.bytes == UINT64_MAX;
    if (!all || !check_->Ends()) Damaged(at_, "ends");
    EndFile();
  }
  Answer(std::max<uint64_t>(size, 1));
}

void FileScrub::Damaged(uint64_t offset, const char* what) {
  const Item item = items_.front();
  files_.OnFileDamaged(item, Status(StatusCode::kDataLoss, item.path + ": " + what + " at offset " +
                                                               std::to_string(offset)));
}

void FileScrub::EndFile() {
  reader_.Close();
  check_.reset();
  items_.pop_front();
}

void FileScrub::EndRound() {
  reader_.Close();
  check_.reset();
  items_.clear();
}

void FileScrub::Answer(uint64_t bytes) { std::exchange(done_, nullptr)(bytes); }

}  // namespace ursula::storage
