// tests/fuzz/data_directory.h
//
// A data directory in memory, in virtual time, whose files a fuzz target writes as it likes.

#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/storage/directory.h"
#include "tests/support/manual_loop.h"

namespace ursula::fuzz {

// Bytes that are put over a file at the end, as damage; past its end they are left out.
struct Damage {
  std::size_t offset = 0;
  std::string bytes = {};
};

inline void Overwrite(std::string* file, const Damage& damage) {
  if (damage.offset >= file->size()) return;
  const std::size_t count = std::min(damage.bytes.size(), file->size() - damage.offset);
  file->replace(damage.offset, count, damage.bytes, 0, count);
}

class FuzzDirectory {
 public:
  FuzzDirectory() {
    Result<std::unique_ptr<storage::DataDirectory>> opened = storage::DataDirectory::Open(
        loop_.disk(), "/data", {.group_count_if_new = 4, .id_if_new = 7});
    URSULA_CHECK(opened.ok());
    directory_ = std::move(*opened);
  }

  testing::ManualLoop& loop() { return loop_; }
  io::Disk& disk() { return loop_.disk(); }
  const storage::DataDirectory& directory() const { return *directory_; }

  void Write(const std::string& path, std::string_view bytes) {
    Result<std::unique_ptr<io::File>> file = disk().Open(path, {.create = true, .write = true});
    URSULA_CHECK(file.ok());
    URSULA_CHECK((*file)->WriteSyncedNow(0, std::span<const char>(bytes)) == 0);
  }

 private:
  testing::ManualLoop loop_;
  std::unique_ptr<storage::DataDirectory> directory_;
};

}  // namespace ursula::fuzz
