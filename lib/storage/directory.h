// lib/storage/directory.h
//
// A data directory: its lock, its META file (docs/formats/directory.md) and the folders of the
// stores. Invariant: while a DataDirectory lives no other process has the directory open, and no
// two openings ever had the same generation.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/io/disk.h"
#include "ursula/status.h"

namespace ursula::storage {

struct DirectoryOptions {
  uint32_t group_count_wanted = 0;  // 0: what the directory has.
  uint32_t group_count_if_new = 1;  // Of a new directory when group_count_wanted is 0.
  uint64_t id_if_new = 0;           // Random: it seeds every checksum of the directory.
};

class DataDirectory {
 public:
  // Blocks. Locks the directory, makes what is missing, and durably counts this opening.
  // kFailedPrecondition: in use, unreadable META, another format version or group count; the
  // message says what to do. kIoError.
  static Result<std::unique_ptr<DataDirectory>> Open(io::Disk& disk, const std::string& path,
                                                     const DirectoryOptions& options);

  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string wal_path() const { return path_ + "/wal"; }
  std::string payload_path() const { return path_ + "/payload"; }
  std::string snapshot_path() const { return path_ + "/snapshot"; }

  uint64_t id() const { return id_; }                    // Random, for the directory's life.
  uint32_t group_count() const { return group_count_; }  // Fixed for the directory's life.
  uint64_t generation() const { return generation_; }    // 1 at the first opening; then one more.

 private:
  DataDirectory() = default;

  std::string path_;
  std::shared_ptr<void> lock_;
  uint64_t id_ = 0;
  uint32_t group_count_ = 0;
  uint64_t generation_ = 0;
};

// The META file: what it says, and its bytes.
struct DirectoryMeta {
  uint64_t id = 0;
  uint64_t generation = 0;
  uint32_t group_count = 0;
};
std::string EncodeDirectoryMeta(const DirectoryMeta& meta);
// kFailedPrecondition: damaged, or of another version.
Result<DirectoryMeta> DecodeDirectoryMeta(std::string_view bytes);

}  // namespace ursula::storage
