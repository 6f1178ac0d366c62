#include "lib/io/memory_disk.h"

#include <cerrno>
#include <functional>
#include <utility>

#include "lib/io/errors.h"
#include "lib/io/paged_bytes.h"
#include "lib/io/paths.h"

namespace ursula::io {

// Operations take effect when they are asked for; their completions wait for the loop.
struct MemoryDisk::Shared : std::enable_shared_from_this<MemoryDisk::Shared> {
  Loop* loop = nullptr;
  uint64_t capacity_bytes = 0;
  uint64_t used_bytes = 0;
  Op* first = nullptr;
  Op* last = nullptr;

  void CompleteLater(Op* op, int64_t result) {
    op->Begin();
    op->queued_result = result;
    op->next = nullptr;
    (first == nullptr ? first : last->next) = op;
    last = op;
    if (first == op) loop->Defer([self = shared_from_this()] { self->CompleteAll(); });
  }

  void CompleteAll() {
    Op* op = std::exchange(first, nullptr);  // Those that callbacks add come with the next turn.
    while (op != nullptr) {
      Op* next = op->next;
      op->Complete(op->queued_result);
      op = next;
    }
  }
};

struct MemoryDisk::Content {
  explicit Content(std::shared_ptr<Shared> of) : shared(std::move(of)) {}
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  ~Content() { shared->used_bytes -= bytes.held_bytes(); }

  int64_t Write(uint64_t offset, std::span<const char> from) {
    uint64_t held_before = bytes.held_bytes();
    if (shared->used_bytes + from.size() > shared->capacity_bytes) return -ENOSPC;
    bytes.Write(offset, from);
    shared->used_bytes += bytes.held_bytes() - held_before;
    return static_cast<int64_t>(from.size());
  }

  std::shared_ptr<Shared> shared;
  PagedBytes bytes;
};

class MemoryDisk::MemoryFile final : public File {
 public:
  MemoryFile(std::shared_ptr<Content> content, bool direct)
      : content_(std::move(content)), direct_(direct) {}

  bool direct() const override { return direct_; }
  uint64_t size() const override { return content_->bytes.size(); }

  void Read(uint64_t offset, std::span<char> into, Op* op) override {
    bool allowed = Aligned(offset, into.data(), into.size());
    int64_t result = allowed ? ReadNow(offset, into) : -EINVAL;
    content_->shared->CompleteLater(op, result);
  }
  void Write(uint64_t offset, std::span<const char> from, Op* op) override {
    bool allowed = Aligned(offset, from.data(), from.size());
    int64_t result = allowed ? content_->Write(offset, from) : -EINVAL;
    content_->shared->CompleteLater(op, result);
  }
  void Sync(Op* op) override { content_->shared->CompleteLater(op, 0); }
  // Nothing is counted before it is written.
  void Allocate(uint64_t /*size*/, Op* op) override { content_->shared->CompleteLater(op, 0); }
  int64_t ReadNow(uint64_t offset, std::span<char> into) override {
    return static_cast<int64_t>(content_->bytes.Read(offset, into));
  }
  int64_t WriteSyncedNow(uint64_t offset, std::span<const char> from) override {
    URSULA_CHECK(!direct_);
    int64_t result = content_->Write(offset, from);
    return result < 0 ? result : 0;
  }

 private:
  // What a real direct file would refuse.
  bool Aligned(uint64_t offset, const char* at, std::size_t size) const {
    uint64_t bits = offset | reinterpret_cast<uintptr_t>(at) | size;
    return !direct_ || bits % kBlockBytes == 0;
  }

  std::shared_ptr<Content> content_;
  const bool direct_;
};

MemoryDisk::MemoryDisk(Loop* loop, uint64_t capacity_bytes)
    : shared_(std::make_shared<Shared>()), locks_(std::make_shared<std::set<std::string>>()) {
  shared_->loop = loop;
  shared_->capacity_bytes = capacity_bytes;
}

MemoryDisk::~MemoryDisk() { URSULA_CHECK(shared_->first == nullptr); }

bool MemoryDisk::IsDirectory(const std::string& normal_path) const {
  return IsRoot(normal_path) || directories_.contains(normal_path);
}

int MemoryDisk::OpenPath(const std::string& path, const OpenOptions& options,
                         std::unique_ptr<File>* into) {
  std::string name = NormalPath(path);
  if (IsDirectory(name)) return -EISDIR;
  auto it = files_.find(name);
  if (it != files_.end() && options.fresh) return -EEXIST;
  if (it == files_.end()) {
    if (!options.create || !IsDirectory(std::string(ParentPath(name)))) return -ENOENT;
    it = files_.emplace(name, std::make_shared<Content>(shared_)).first;
  }
  *into = std::make_unique<MemoryFile>(it->second, options.direct);
  return 0;
}

Result<std::unique_ptr<File>> MemoryDisk::Open(const std::string& path,
                                               const OpenOptions& options) {
  std::unique_ptr<File> file;
  int result = OpenPath(path, options, &file);
  if (result < 0) return IoError("open", path, -result);
  return file;
}

Result<std::vector<std::string>> MemoryDisk::List(const std::string& directory) {
  std::string parent = NormalPath(directory);
  if (!IsDirectory(parent)) return IoError("opendir", directory, ENOENT);
  std::set<std::string> names;
  auto add = [&](const std::string& path) {
    if (ParentPath(path) == parent) names.emplace(LeafName(path));
  };
  for (const auto& [path, content] : files_) add(path);
  for (const std::string& path : directories_) add(path);
  return std::vector<std::string>(names.begin(), names.end());
}

Status MemoryDisk::MakeDirectory(const std::string& path) {
  std::string name = NormalPath(path);
  if (IsDirectory(name)) return Status();
  if (files_.contains(name)) return IoError("mkdir", path, EEXIST);
  if (!IsDirectory(std::string(ParentPath(name)))) return IoError("mkdir", path, ENOENT);
  directories_.insert(name);
  return Status();
}

Result<uint64_t> MemoryDisk::FreeBytes(const std::string& directory) {
  if (!IsDirectory(NormalPath(directory))) return IoError("statvfs", directory, ENOENT);
  return shared_->capacity_bytes - shared_->used_bytes;
}

Result<std::shared_ptr<void>> MemoryDisk::Lock(const std::string& directory) {
  std::string name = NormalPath(directory);
  if (!IsDirectory(name)) return IoError("open", directory, ENOENT);
  if (!locks_->insert(name).second) {
    return Status(StatusCode::kFailedPrecondition, directory + " is locked: in use by another");
  }
  return std::shared_ptr<void>(nullptr, [locks = locks_, name](void*) { locks->erase(name); });
}

Result<std::shared_ptr<const FileIdentity>> MemoryDisk::Hold(const std::string& path) {
  const std::string name = NormalPath(path);
  if (IsDirectory(name)) {
    return std::make_shared<const FileIdentity>(1, std::hash<std::string>()(name));
  }
  auto found = files_.find(name);
  if (found == files_.end()) return IoError("stat", path, ENOENT);
  struct Held {
    std::shared_ptr<Content> content;
    FileIdentity identity;
  };
  auto held = std::make_shared<Held>();
  held->content = found->second;
  held->identity = {2, reinterpret_cast<uintptr_t>(held->content.get())};
  return std::shared_ptr<const FileIdentity>(held, &held->identity);
}

void MemoryDisk::Identify(const std::string& path, FileIdentity* into, Op* op) {
  Result<std::shared_ptr<const FileIdentity>> held = Hold(path);
  if (held.ok()) *into = **held;
  shared_->CompleteLater(op, held.ok() ? 0 : -ENOENT);
}

int MemoryDisk::RemovePath(const std::string& path) {
  return files_.erase(NormalPath(path)) == 1 ? 0 : -ENOENT;
}

int MemoryDisk::RenamePath(const std::string& from, const std::string& to) {
  std::string target = NormalPath(to);
  auto it = files_.find(NormalPath(from));
  if (it == files_.end() || !IsDirectory(std::string(ParentPath(target)))) return -ENOENT;
  if (IsDirectory(target)) return -EISDIR;
  std::shared_ptr<Content> content = std::move(it->second);
  files_.erase(it);
  files_[target] = std::move(content);
  return 0;
}

Status MemoryDisk::RemoveNow(const std::string& path) {
  int result = RemovePath(path);
  return result == 0 ? Status() : IoError("unlink", path, -result);
}

Status MemoryDisk::RenameNow(const std::string& from, const std::string& to) {
  int result = RenamePath(from, to);
  return result == 0 ? Status() : IoError("rename", from, -result);
}

Status MemoryDisk::SyncDirectoryNow(const std::string& directory) {
  return IsDirectory(NormalPath(directory)) ? Status() : IoError("open", directory, ENOENT);
}

void MemoryDisk::Open(const std::string& path, const OpenOptions& options,
                      std::unique_ptr<File>* into, Op* op) {
  shared_->CompleteLater(op, OpenPath(path, options, into));
}

void MemoryDisk::Remove(const std::string& path, Op* op) {
  shared_->CompleteLater(op, RemovePath(path));
}

void MemoryDisk::Rename(const std::string& from, const std::string& to, Op* op) {
  shared_->CompleteLater(op, RenamePath(from, to));
}

void MemoryDisk::SyncDirectory(const std::string& directory, Op* op) {
  shared_->CompleteLater(op, IsDirectory(NormalPath(directory)) ? 0 : -ENOENT);
}

}  // namespace ursula::io
