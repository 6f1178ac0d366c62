#include "lib/io/uring/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "lib/io/above_stdio.h"
#include "lib/io/errors.h"

namespace ursula::io::uring {
namespace {

// One submission moves at most this much; a multiple of the block.
constexpr std::size_t kTransferBytesMax = std::size_t{1} << 30;
constexpr std::size_t kReadNowBytes = std::size_t{1} << 20;  // At a time.

class UringFile final : public File {
 public:
  UringFile(Ring* ring, int fd, bool direct) : ring_(ring), fd_(fd), direct_(direct) {}
  ~UringFile() override { close(fd_); }

  bool direct() const override { return direct_; }

  uint64_t size() const override {
    struct stat info = {};
    URSULA_CHECK(fstat(fd_, &info) == 0);
    return static_cast<uint64_t>(info.st_size);
  }

  void Read(uint64_t offset, std::span<char> into, Op* op) override {
    io_uring_sqe* entry = ring_->Entry();
    std::size_t size = std::min(into.size(), kTransferBytesMax);
    io_uring_prep_read(entry, fd_, into.data(), static_cast<unsigned>(size), offset);
    ring_->Attach(entry, op);
  }

  void Write(uint64_t offset, std::span<const char> from, Op* op) override {
    io_uring_sqe* entry = ring_->Entry();
    std::size_t size = std::min(from.size(), kTransferBytesMax);
    io_uring_prep_write(entry, fd_, from.data(), static_cast<unsigned>(size), offset);
    ring_->Attach(entry, op);
    // The disk begins before the turn's end. The kernel keeps what it has for disks until the last
    // of a large submission is done (block plugging): what a turn sends from here on would delay
    // it.
    if (direct_) ring_->Submit();
  }

  void Sync(Op* op) override {
    io_uring_sqe* entry = ring_->Entry();
    io_uring_prep_fsync(entry, fd_, IORING_FSYNC_DATASYNC);
    ring_->Attach(entry, op);
  }

  void Allocate(uint64_t size, Op* op) override {
    io_uring_sqe* entry = ring_->Entry();
    io_uring_prep_fallocate(entry, fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size));
    ring_->Attach(entry, op);
  }

  bool ReadAhead(uint64_t offset, uint32_t size, Op* op) override {
    if (direct_) return false;
    io_uring_sqe* entry = ring_->Entry();
    io_uring_prep_fadvise(entry, fd_, offset, static_cast<off_t>(size), POSIX_FADV_WILLNEED);
    ring_->Attach(entry, op);
    return true;
  }

  int64_t ReadNow(uint64_t offset, std::span<char> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      // The kernel queues all of a large read at once, and those who write beside it (the nodes of
      // a test machine, another server) wait behind that: 100 ms for a segment of 32 MiB.
      const std::size_t piece = std::min(into.size() - done, kReadNowBytes);
      ssize_t got = pread(fd_, into.data() + done, piece, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return -errno;
      done += static_cast<std::size_t>(got);
      // A direct read that ends inside a block has met the end of the file.
      if (got == 0 || (direct_ && done % UringDisk::kBlockBytes != 0)) break;
    }
    return static_cast<int64_t>(done);
  }

  int64_t WriteSyncedNow(uint64_t offset, std::span<const char> from) override {
    URSULA_CHECK(!direct_);
    while (!from.empty()) {
      ssize_t put = pwrite(fd_, from.data(), from.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return -errno;
      from = from.subspan(static_cast<std::size_t>(put));
      offset += static_cast<uint64_t>(put);
    }
    return fdatasync(fd_) == 0 ? 0 : -errno;
  }

 private:
  Ring* const ring_;
  const int fd_;
  const bool direct_;
};

int OpenFlags(const OpenOptions& options) {
  return (options.write ? O_RDWR : O_RDONLY) | (options.create ? O_CREAT : 0);
}
// A fresh file is made first and opened then: an open that O_DIRECT fails may have made it.
constexpr int kMakeFlags = O_WRONLY | O_CREAT | O_EXCL;

// The file system has no O_DIRECT.
bool RefusesDirect(int error) { return error == EINVAL || error == EOPNOTSUPP; }

int OpenDescriptor(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  return AboveStdio(fd);
}

// Some file systems take O_DIRECT and then refuse the transfers, or want larger blocks than ours.
bool DirectWorks(int fd) {
  void* block = std::aligned_alloc(UringDisk::kBlockBytes, UringDisk::kBlockBytes);
  URSULA_CHECK(block != nullptr);
  ssize_t got = pread(fd, block, UringDisk::kBlockBytes, 0);
  int error = errno;
  std::free(block);
  return got >= 0 || error != EINVAL;
}

// UringDisk::Open step by step. Owns itself.
class FileOpening {
 public:
  static void Start(Ring* ring, const std::string& path, const OpenOptions& options,
                    std::unique_ptr<File>* into, Op* op) {
    auto* opening = new FileOpening(ring, path, options, into, op);
    op->Begin();
    options.fresh ? opening->Make() : opening->Submit(options.direct);
  }

 private:
  FileOpening(Ring* ring, const std::string& path, const OpenOptions& options,
              std::unique_ptr<File>* into, Op* op)
      : ring_(ring), path_(path), options_(options), into_(into), op_(op) {}

  void Make() {
    io_uring_sqe* entry = ring_->Entry();
    io_uring_prep_openat(entry, AT_FDCWD, path_.c_str(), kMakeFlags | O_CLOEXEC, 0600);
    ring_->Attach(entry, step_.Then<&FileOpening::OnMade>(this));
  }

  void OnMade(int64_t result) {
    if (result == -EINTR) return Make();
    if (result < 0) return Finish(result);
    close(static_cast<int>(result));
    made_ = true;
    Submit(options_.direct);
  }

  void Submit(bool direct) {
    direct_ = direct;
    const int flags = OpenFlags(options_) | O_CLOEXEC | (direct ? O_DIRECT | O_DSYNC : 0);
    io_uring_sqe* entry = ring_->Entry();
    io_uring_prep_openat(entry, AT_FDCWD, path_.c_str(), flags, 0600);
    ring_->Attach(entry, step_.Then<&FileOpening::OnOpened>(this));
  }

  void OnOpened(int64_t result) {
    if (result == -EINTR) return Submit(direct_);
    if (result < 0 && direct_ && RefusesDirect(static_cast<int>(-result))) return Submit(false);
    if (result < 0) return Fail(result);
    fd_ = AboveStdio(static_cast<int>(result));
    if (fd_ < 0) return Fail(-errno);
    if (!options_.direct) return Finish(0);
    io_uring_sqe* entry = ring_->Entry();
    if (direct_) {  // As DirectWorks.
      block_.reset(
          static_cast<char*>(std::aligned_alloc(UringDisk::kBlockBytes, UringDisk::kBlockBytes)));
      URSULA_CHECK(block_ != nullptr);
      io_uring_prep_read(entry, fd_, block_.get(), UringDisk::kBlockBytes, 0);
      ring_->Attach(entry, step_.Then<&FileOpening::OnProbed>(this));
    } else {  // As the blocking Open.
      io_uring_prep_fadvise(entry, fd_, 0, 0, POSIX_FADV_DONTNEED);
      ring_->Attach(entry, step_.Then<&FileOpening::OnForgotten>(this));
    }
  }

  void OnProbed(int64_t result) {
    if (result != -EINVAL) return Finish(0);
    close(fd_);
    Submit(false);
  }

  void OnForgotten(int64_t /*result*/) { Finish(0); }

  // Leaves no file that another try would meet.
  void Fail(int64_t result) {
    if (!made_) return Finish(result);
    failure_ = result;
    io_uring_sqe* entry = ring_->Entry();
    io_uring_prep_unlinkat(entry, AT_FDCWD, path_.c_str(), 0);
    ring_->Attach(entry, step_.Then<&FileOpening::OnUnmade>(this));
  }

  void OnUnmade(int64_t /*result*/) { Finish(failure_); }

  void Finish(int64_t result) {
    if (result == 0) *into_ = std::make_unique<UringFile>(ring_, fd_, direct_);
    Op* op = op_;
    delete this;
    op->Complete(result);
  }

  struct Freed {
    void operator()(char* block) const { std::free(block); }
  };

  Ring* const ring_;
  const std::string& path_;
  const OpenOptions options_;
  std::unique_ptr<File>* const into_;
  Op* const op_;
  bool made_ = false;
  bool direct_ = false;
  int fd_ = -1;
  int64_t failure_ = 0;
  std::unique_ptr<char, Freed> block_;
  Op step_;
};

FileIdentity IdentityOf(const struct statx& info) {
  return {uint64_t{info.stx_dev_major} << 32 | info.stx_dev_minor, info.stx_ino};
}

// Owns itself.
class Identification {
 public:
  static void Start(Ring* ring, const std::string& path, FileIdentity* into, Op* op) {
    auto* identification = new Identification(into, op);
    op->Begin();
    io_uring_sqe* entry = ring->Entry();
    io_uring_prep_statx(entry, AT_FDCWD, path.c_str(), 0, STATX_INO, &identification->info_);
    ring->Attach(entry, identification->step_.Then<&Identification::OnFound>(identification));
  }

 private:
  Identification(FileIdentity* into, Op* op) : into_(into), op_(op) {}

  void OnFound(int64_t result) {
    if (result == 0) *into_ = IdentityOf(info_);
    Op* op = op_;
    delete this;
    op->Complete(result);
  }

  FileIdentity* const into_;
  Op* const op_;
  struct statx info_ = {};
  Op step_;
};

// Opens `directory`, syncs it, closes it. Owns itself.
class DirectorySync {
 public:
  static void Start(Ring* ring, const std::string& directory, Op* op) {
    auto* sync = new DirectorySync(ring, op);
    io_uring_sqe* entry = ring->Entry();
    io_uring_prep_openat(entry, AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    ring->Attach(entry, sync->opening_.Then<&DirectorySync::OnOpened>(sync));
    op->Begin();
  }

 private:
  DirectorySync(Ring* ring, Op* op) : ring_(ring), op_(op) {}

  void OnOpened(int64_t result) {
    if (result < 0) return Finish(result);
    fd_ = static_cast<int>(result);
    io_uring_sqe* entry = ring_->Entry();
    io_uring_prep_fsync(entry, fd_, 0);
    ring_->Attach(entry, syncing_.Then<&DirectorySync::OnSynced>(this));
  }

  void OnSynced(int64_t result) {
    close(fd_);
    Finish(result);
  }

  void Finish(int64_t result) {
    Op* op = op_;
    delete this;
    op->Complete(result);
  }

  Ring* const ring_;
  Op* const op_;
  int fd_ = -1;
  Op opening_;
  Op syncing_;
};

}  // namespace

Result<std::unique_ptr<File>> UringDisk::Open(const std::string& path, const OpenOptions& options) {
  if (options.fresh) {
    const int made = OpenDescriptor(path, kMakeFlags);
    if (made < 0) return IoError("make", path, errno);
    close(made);
    OpenOptions again = options;
    again.fresh = false;
    Result<std::unique_ptr<File>> file = Open(path, again);
    if (!file.ok()) (void)unlink(path.c_str());
    return file;
  }
  int flags = OpenFlags(options);
  int fd = -1;
  bool direct = options.direct;
  if (direct) {
    fd = OpenDescriptor(path, flags | O_DIRECT | O_DSYNC);
    if (fd < 0 && !RefusesDirect(errno)) return IoError("open", path, errno);
    if (fd >= 0 && !DirectWorks(fd)) {
      close(fd);
      fd = -1;
    }
    direct = fd >= 0;
  }
  if (fd < 0) fd = OpenDescriptor(path, flags);
  if (fd < 0) return IoError("open", path, errno);
  // As with direct I/O, what is read first is what the disk has: the cache may still hold what a
  // failed sync of an earlier process has lost.
  if (options.direct && !direct) (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  return std::unique_ptr<File>(new UringFile(ring_, fd, direct));
}

Result<std::vector<std::string>> UringDisk::List(const std::string& directory) {
  DIR* handle = opendir(directory.c_str());
  if (handle == nullptr) return IoError("opendir", directory, errno);
  std::vector<std::string> names;
  errno = 0;
  for (dirent* entry = readdir(handle); entry != nullptr; entry = readdir(handle)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
    errno = 0;
  }
  int error = errno;
  closedir(handle);
  if (error != 0) return IoError("readdir", directory, error);
  std::sort(names.begin(), names.end());
  return names;
}

Status UringDisk::MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return Status();
  int error = errno;
  struct stat info = {};
  if (error == EEXIST && stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return Status();
  return IoError("mkdir", path, error);
}

Result<uint64_t> UringDisk::FreeBytes(const std::string& directory) {
  struct statvfs info = {};
  if (statvfs(directory.c_str(), &info) != 0) return IoError("statvfs", directory, errno);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<std::shared_ptr<void>> UringDisk::Lock(const std::string& directory) {
  int fd = OpenDescriptor(directory, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return IoError("open", directory, errno);
  // flock belongs to the descriptor, so that a second engine in this process is refused too.
  int error = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  if (error == EBADF || error == EINVAL || error == EOPNOTSUPP) {
    // NFS locks only what can be written to: a file in it, then.
    close(fd);
    fd = OpenDescriptor(directory + "/LOCK", O_RDWR | O_CREAT);
    if (fd < 0) return IoError("open", directory + "/LOCK", errno);
    error = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  }
  if (error != 0) {
    close(fd);
    if (error != EWOULDBLOCK) return IoError("lock", directory, error);
    return Status(StatusCode::kFailedPrecondition, directory + " is locked: in use by another");
  }
  return std::shared_ptr<void>(nullptr, [fd](void*) { close(fd); });
}

Result<std::shared_ptr<const FileIdentity>> UringDisk::Hold(const std::string& path) {
  const int fd = OpenDescriptor(path, O_PATH);
  if (fd < 0) return IoError("open", path, errno);
  struct statx info = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_INO, &info) != 0) {
    const int error = errno;
    close(fd);
    return IoError("stat", path, error);
  }
  return std::shared_ptr<const FileIdentity>(new FileIdentity(IdentityOf(info)),
                                             [fd](const FileIdentity* identity) {
                                               close(fd);
                                               delete identity;
                                             });
}

Status UringDisk::RemoveNow(const std::string& path) {
  return unlink(path.c_str()) == 0 ? Status() : IoError("unlink", path, errno);
}

Status UringDisk::RenameNow(const std::string& from, const std::string& to) {
  return std::rename(from.c_str(), to.c_str()) == 0 ? Status() : IoError("rename", from, errno);
}

Status UringDisk::SyncDirectoryNow(const std::string& directory) {
  int fd = OpenDescriptor(directory, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return IoError("open", directory, errno);
  int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return error == 0 ? Status() : IoError("fsync", directory, error);
}

void UringDisk::Open(const std::string& path, const OpenOptions& options,
                     std::unique_ptr<File>* into, Op* op) {
  FileOpening::Start(ring_, path, options, into, op);
}

void UringDisk::Identify(const std::string& path, FileIdentity* into, Op* op) {
  Identification::Start(ring_, path, into, op);
}

void UringDisk::Remove(const std::string& path, Op* op) {
  io_uring_sqe* entry = ring_->Entry();
  io_uring_prep_unlinkat(entry, AT_FDCWD, path.c_str(), 0);
  ring_->Attach(entry, op);
}

void UringDisk::Rename(const std::string& from, const std::string& to, Op* op) {
  io_uring_sqe* entry = ring_->Entry();
  io_uring_prep_renameat(entry, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0);
  ring_->Attach(entry, op);
}

void UringDisk::SyncDirectory(const std::string& directory, Op* op) {
  DirectorySync::Start(ring_, directory, op);
}

}  // namespace ursula::io::uring
