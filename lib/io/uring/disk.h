// lib/io/uring/disk.h
//
// Files on the real file system, through one loop's ring.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/io/disk.h"
#include "lib/io/uring/ring.h"

namespace ursula::io::uring {

class UringDisk final : public Disk {
 public:
  explicit UringDisk(Ring* ring) : ring_(ring) {}

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
  Ring* const ring_;
};

}  // namespace ursula::io::uring
