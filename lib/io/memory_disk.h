// lib/io/memory_disk.h
//
// A Disk in memory, for --memory and for tests: everything is gone when it is destroyed, and
// nothing ever fails but a full disk. It belongs to one loop; two of them share nothing.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/io/disk.h"
#include "lib/io/loop.h"

namespace ursula::io {

class MemoryDisk final : public Disk {
 public:
  // Ops complete on `loop`, which outlives the disk. Content past `capacity_bytes` is -ENOSPC;
  // holes and zeros in fresh space count nothing.
  explicit MemoryDisk(Loop* loop, uint64_t capacity_bytes = uint64_t{1} << 46);
  ~MemoryDisk() override;  // REQUIRES: no Op pending, no File open.

  static constexpr uint32_t kBlockBytes = 4096;
  uint32_t block_bytes() const override { return kBlockBytes; }

  Result<std::unique_ptr<File>> Open(const std::string& path, const OpenOptions& options) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Status MakeDirectory(const std::string& path) override;
  Result<uint64_t> FreeBytes(const std::string& directory) override;
  Result<std::shared_ptr<void>> Lock(const std::string& directory) override;
  Result<std::shared_ptr<const FileIdentity>> Hold(const std::string& path) override;
  Status RemoveNow(const std::string& path) override;
  Status RenameNow(const std::string& from, const std::string& to) override;
  Status SyncDirectoryNow(const std::string& directory) override;

  void Open(const std::string& path, const OpenOptions& options, std::unique_ptr<File>* into,
            Op* op) override;
  void Identify(const std::string& path, FileIdentity* into, Op* op) override;
  void Remove(const std::string& path, Op* op) override;
  void Rename(const std::string& from, const std::string& to, Op* op) override;
  void SyncDirectory(const std::string& directory, Op* op) override;

 private:
  class MemoryFile;
  struct Content;
  // What the files and the deferred completion share with the disk.
  struct Shared;

  bool IsDirectory(const std::string& normal_path) const;
  int OpenPath(const std::string& path, const OpenOptions& options, std::unique_ptr<File>* into);
  int RemovePath(const std::string& path);
  int RenamePath(const std::string& from, const std::string& to);

  std::shared_ptr<Shared> shared_;
  std::map<std::string, std::shared_ptr<Content>> files_;
  std::set<std::string> directories_;
  std::shared_ptr<std::set<std::string>> locks_;
};

}  // namespace ursula::io
