// lib/io/disk.h
//
// Files, as a core sees them. Ops complete on the loop that the Disk belongs to. The real one is
// lib/io/uring, the one in memory lib/io/memory_disk.h, the faulty one tests/support/fault_disk.h.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/io/op.h"
#include "ursula/status.h"

namespace ursula::io {

struct OpenOptions {
  bool create = false;  // Make it if it isn't there.
  bool fresh = false;   // With `create`: it must not be there yet (EEXIST).
  bool write = false;
  bool direct = false;  // Bypass the page cache and sync each write (O_DIRECT|O_DSYNC), where the
                        // file system can; File::direct() tells.
};

class File {
 public:
  virtual ~File() = default;  // Closes. REQUIRES: no Op pending.

  // True: buffers, offsets and sizes of Read and Write are multiples of Disk::block_bytes(), and a
  // completed Write is durable without a Sync.
  virtual bool direct() const = 0;
  virtual uint64_t size() const = 0;  // Asks the file system.

  // Results: bytes moved, which may be fewer than asked, or -errno. A Read past the end gives 0;
  // one across it what there is. Allocate gives 0, or -EOPNOTSUPP where the file system can't.
  virtual void Read(uint64_t offset, std::span<char> into, Op* op) = 0;
  virtual void Write(uint64_t offset, std::span<const char> from, Op* op) = 0;
  virtual void Sync(Op* op) = 0;  // fdatasync.
  // Reserves [0, size) so that later writes there can't meet a full disk (fallocate), and leaves
  // size() alone. -ENOSPC, -EOPNOTSUPP.
  virtual void Allocate(uint64_t size, Op* op) = 0;

  // Advice: [offset, offset + size) will be read soon (posix_fadvise, WILLNEED). False: there is
  // nothing to be gained here, and `op` was not begun. Results: 0 or -errno.
  virtual bool ReadAhead(uint64_t offset, uint32_t size, Op* op) {
    static_cast<void>(offset), static_cast<void>(size), static_cast<void>(op);
    return false;
  }

  // Blocking; for recovery and tests. Reads until `into` is full or the file ends. Count or -errno.
  virtual int64_t ReadNow(uint64_t offset, std::span<char> into) = 0;
  // Blocking; at open, before cores run. Writes all of `from` and syncs the file (an empty `from`:
  // only syncs). 0 or -errno. REQUIRES: !direct().
  virtual int64_t WriteSyncedNow(uint64_t offset, std::span<const char> from) = 0;
};

// Which file or directory a path leads to. Of two at a time no two are alike, but what is made
// after one has gone may get its number: whoever compares holds the one it compares with (Hold).
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// Failures: kFailedPrecondition where there is no such file or directory (or Lock finds it taken),
// kStorageFull for a full disk, kResourceExhausted for no descriptor left, else kIoError; messages
// name the path.
// Files are made with mode 0600.
class Disk {
 public:
  virtual ~Disk() = default;

  virtual uint32_t block_bytes() const = 0;  // Alignment of direct I/O; 4096.

  // ---- blocking: at start, not on a loop that serves ----
  virtual Result<std::unique_ptr<File>> Open(const std::string& path,
                                             const OpenOptions& options) = 0;
  virtual Result<std::vector<std::string>> List(
      const std::string& directory) = 0;                      // Names, sorted.
  virtual Status MakeDirectory(const std::string& path) = 0;  // Mode 0700; fine if there already.
  virtual Result<uint64_t> FreeBytes(const std::string& directory) = 0;
  // Of the directory itself, not of a name in it that can be removed: exclusive, for the life of
  // the returned object. kFailedPrecondition: in use by another.
  virtual Result<std::shared_ptr<void>> Lock(const std::string& directory) = 0;
  // What the path leads to now; no other gets that identity while the returned object lives.
  virtual Result<std::shared_ptr<const FileIdentity>> Hold(const std::string& path) = 0;
  virtual Status RemoveNow(const std::string& path) = 0;
  virtual Status RenameNow(const std::string& from, const std::string& to) = 0;
  virtual Status SyncDirectoryNow(const std::string& directory) = 0;

  // ---- not blocking; the strings and `into` live until completion ----
  // The same Open. 0, and `*into` is the file; or -errno.
  virtual void Open(const std::string& path, const OpenOptions& options,
                    std::unique_ptr<File>* into, Op* op) = 0;
  virtual void Identify(const std::string& path, FileIdentity* into, Op* op) = 0;  // 0 or -errno.
  virtual void Remove(const std::string& path, Op* op) = 0;
  virtual void Rename(const std::string& from, const std::string& to, Op* op) = 0;
  virtual void SyncDirectory(const std::string& directory, Op* op) = 0;
};

}  // namespace ursula::io
