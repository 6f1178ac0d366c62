#include "tests/support/fault_disk.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include "lib/base/check.h"
#include "lib/io/errors.h"
#include "lib/io/paths.h"
#include "tests/support/manual_loop.h"

namespace ursula::testing {

using io::IoError;
using io::NormalPath;
using io::ParentPath;

namespace {

bool Aligned(bool direct, uint64_t offset, const char* at, std::size_t size) {
  uint64_t bits = offset | reinterpret_cast<uintptr_t>(at) | size;
  return !direct || bits % FaultDisk::kBlockBytes == 0;
}

}  // namespace

// ---- one loop's view ----

class FaultFile final : public io::File {
 public:
  FaultFile(FaultDisk* disk, ManualLoop* loop, FaultDisk::NodePtr node, bool direct)
      : disk_(disk), loop_(loop), node_(std::move(node)), direct_(direct) {}

  bool direct() const override { return direct_; }
  uint64_t size() const override { return node_->cached.size(); }
  void Read(uint64_t offset, std::span<char> into, io::Op* op) override {
    disk_->StartRead(loop_, node_, direct_, offset, into, op);
  }
  void Write(uint64_t offset, std::span<const char> from, io::Op* op) override {
    disk_->StartWrite(loop_, node_, direct_, offset, from, op);
  }
  void Sync(io::Op* op) override { disk_->StartSync(loop_, node_, op); }
  void Allocate(uint64_t size, io::Op* op) override {
    disk_->Start(loop_, {.op = op}, [disk = disk_, node = node_, size]() -> int64_t {
      if (!disk->faults_.allocates) return -EOPNOTSUPP;
      if (!disk->Fits(*node, size)) return -ENOSPC;
      node->reserved = std::max(node->reserved, size);
      return 0;
    });
  }
  bool ReadAhead(uint64_t, uint32_t size, io::Op* op) override {
    if (!disk_->faults_.read_ahead) return false;
    disk_->read_ahead_bytes_ += size;
    disk_->Start(loop_, {.op = op}, []() -> int64_t { return 0; });
    return true;
  }
  int64_t ReadNow(uint64_t offset, std::span<char> into) override {
    if (!Aligned(direct_, offset, into.data(), into.size())) return -EINVAL;
    if (disk_->watcher_) disk_->watcher_();
    return FaultDisk::ReadNode(*node_, direct_, offset, into);
  }
  int64_t WriteSyncedNow(uint64_t offset, std::span<const char> from) override {
    URSULA_CHECK(!direct_);
    int64_t result = -disk_->faults_.write_now_error;
    if (result == 0) result = disk_->DoWrite(node_.get(), false, offset, from);
    if (result < 0) return result;
    std::set<uint64_t> sectors = std::exchange(node_->dirty, {});
    node_->durable.Resize(node_->cached.size());
    disk_->MakeDurable(node_.get(), sectors);
    return 0;
  }

 private:
  FaultDisk* const disk_;
  ManualLoop* const loop_;
  const FaultDisk::NodePtr node_;
  const bool direct_;
};

class FaultDiskOnLoop final : public io::Disk {
 public:
  FaultDiskOnLoop(FaultDisk* disk, ManualLoop* loop) : disk_(disk), loop_(loop) {}

  uint32_t block_bytes() const override { return FaultDisk::kBlockBytes; }

  Result<std::unique_ptr<io::File>> Open(const std::string& path,
                                         const io::OpenOptions& options) override {
    if (disk_->watcher_) disk_->watcher_();
    std::unique_ptr<io::File> file;
    int64_t result = OpenPath(path, options, &file);
    if (result < 0) return IoError("open", path, static_cast<int>(-result));
    return file;
  }

  Result<std::vector<std::string>> List(const std::string& directory) override {
    std::string parent = NormalPath(directory);
    if (!disk_->names_.IsDirectory(parent)) return IoError("opendir", directory, ENOENT);
    std::set<std::string> names;
    auto add = [&](const std::string& path) {
      if (ParentPath(path) == parent) names.emplace(io::LeafName(path));
    };
    for (const auto& [path, node] : disk_->names_.files) add(path);
    for (const std::string& path : disk_->names_.directories) add(path);
    return std::vector<std::string>(names.begin(), names.end());
  }

  Status MakeDirectory(const std::string& path) override {
    std::string name = NormalPath(path);
    if (disk_->names_.IsDirectory(name)) return Status();
    if (disk_->Find(name) != nullptr) return IoError("mkdir", path, EEXIST);
    if (!disk_->names_.IsDirectory(std::string(ParentPath(name)))) {
      return IoError("mkdir", path, ENOENT);
    }
    disk_->Change({.kind = Kind::kMakeDirectory, .path = name});
    return Status();
  }

  Result<uint64_t> FreeBytes(const std::string& directory) override {
    if (!IsDirectory(directory)) return IoError("statvfs", directory, ENOENT);
    uint64_t used = disk_->UsedBytes();
    uint64_t capacity = disk_->faults_.capacity_bytes;
    return capacity > used ? capacity - used : 0;
  }

  Result<std::shared_ptr<void>> Lock(const std::string& path) override {
    std::string name = NormalPath(path);
    if (!IsDirectory(name)) return IoError("open", path, ENOENT);
    auto locks = disk_->locks_;
    if (!locks->insert(name).second) {
      return Status(StatusCode::kFailedPrecondition, path + " is locked: in use by another");
    }
    return std::shared_ptr<void>(nullptr, [locks, name](void*) { locks->erase(name); });
  }

  Result<std::shared_ptr<const io::FileIdentity>> Hold(const std::string& path) override {
    const std::string name = NormalPath(path);
    if (IsDirectory(name)) {
      return std::make_shared<const io::FileIdentity>(1, std::hash<std::string>()(name));
    }
    struct Held {
      FaultDisk::NodePtr node;
      io::FileIdentity identity;
    };
    auto held = std::make_shared<Held>();
    held->node = disk_->Find(name);
    if (held->node == nullptr) return IoError("stat", path, ENOENT);
    held->identity = {2, reinterpret_cast<uintptr_t>(held->node.get())};
    return std::shared_ptr<const io::FileIdentity>(held, &held->identity);
  }

  Status RemoveNow(const std::string& path) override {
    int result = disk_->RemovePath(path);
    return result == 0 ? Status() : IoError("unlink", path, -result);
  }
  Status RenameNow(const std::string& from, const std::string& to) override {
    int result = disk_->RenamePath(from, to);
    return result == 0 ? Status() : IoError("rename", from, -result);
  }
  Status SyncDirectoryNow(const std::string& directory) override {
    const int error = IsDirectory(directory) ? disk_->faults_.sync_now_error : ENOENT;
    if (error != 0) return IoError("sync", directory, error);
    disk_->SyncNames(disk_->name_changes_.size());
    return Status();
  }

  void Open(const std::string& path, const io::OpenOptions& options,
            std::unique_ptr<io::File>* into, io::Op* op) override {
    const int64_t fault = disk_->TakeFault(&disk_->open_errors_, ++disk_->opens_,
                                           options.create ? disk_->faults_.name_error : 0);
    disk_->Start(loop_, {.op = op}, [this, path, options, into, fault] {
      return fault != 0 ? fault : OpenPath(path, options, into);
    });
  }
  void Identify(const std::string& path, io::FileIdentity* into, io::Op* op) override {
    disk_->Start(loop_, {.op = op}, [this, path, into]() -> int64_t {
      Result<std::shared_ptr<const io::FileIdentity>> held = Hold(path);
      if (!held.ok()) return -ENOENT;
      *into = **held;
      return 0;
    });
  }
  void Remove(const std::string& path, io::Op* op) override {
    disk_->StartNaming(loop_, op,
                       [disk = disk_, path]() -> int64_t { return disk->RemovePath(path); });
  }
  void Rename(const std::string& from, const std::string& to, io::Op* op) override {
    disk_->StartNaming(
        loop_, op, [disk = disk_, from, to]() -> int64_t { return disk->RenamePath(from, to); });
  }
  void SyncDirectory(const std::string& directory, io::Op* op) override {
    uint64_t seen = disk_->name_changes_synced_ + disk_->name_changes_.size();
    disk_->StartNaming(loop_, op, [this, disk = disk_, directory, seen]() -> int64_t {
      if (!IsDirectory(directory)) return -ENOENT;
      if (seen > disk->name_changes_synced_) {
        disk->SyncNames(static_cast<std::size_t>(seen - disk->name_changes_synced_));
      }
      return 0;
    });
  }

 private:
  using Kind = FaultDisk::NameChange::Kind;

  int64_t OpenPath(const std::string& path, const io::OpenOptions& options,
                   std::unique_ptr<io::File>* into) {
    std::string name = NormalPath(path);
    if (disk_->names_.IsDirectory(name)) return -EISDIR;
    FaultDisk::NodePtr node = disk_->Find(name);
    if (node != nullptr && options.fresh) return -EEXIST;
    if (node == nullptr) {
      bool possible = options.create && disk_->names_.IsDirectory(std::string(ParentPath(name)));
      if (!possible) return -ENOENT;
      node = std::make_shared<FaultDisk::Node>();
      disk_->Change({.kind = Kind::kCreate, .path = name, .node = node});
    }
    bool direct = options.direct && disk_->faults_.direct;
    if (options.write) node->direct = direct;
    if (options.direct && !direct) disk_->DropCache(node);
    *into = std::make_unique<FaultFile>(disk_, loop_, std::move(node), direct);
    return 0;
  }

  bool IsDirectory(const std::string& path) const {
    return disk_->names_.IsDirectory(NormalPath(path));
  }

  FaultDisk* const disk_;
  ManualLoop* const loop_;
};

// ---- names ----

void FaultDisk::Names::Apply(const NameChange& change) {
  switch (change.kind) {
    case NameChange::Kind::kCreate:
      files[change.path] = change.node;
      break;
    case NameChange::Kind::kRemove:
      files.erase(change.path);
      break;
    case NameChange::Kind::kMakeDirectory:
      directories.insert(change.path);
      break;
    case NameChange::Kind::kRename: {
      auto it = files.find(change.path);
      URSULA_CHECK(it != files.end());
      NodePtr node = it->second;
      files.erase(it);
      files[change.target] = std::move(node);
      break;
    }
  }
}

bool FaultDisk::Names::IsDirectory(const std::string& normal_path) const {
  return io::IsRoot(normal_path) || directories.contains(normal_path);
}

void FaultDisk::Change(NameChange change) {
  names_.Apply(change);
  name_changes_.push_back(std::move(change));
}

void FaultDisk::SyncNames(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) durable_names_.Apply(name_changes_[i]);
  name_changes_.erase(name_changes_.begin(), name_changes_.begin() + static_cast<int64_t>(count));
  name_changes_synced_ += count;
}

int FaultDisk::RemovePath(const std::string& path) {
  if (Find(path) == nullptr) return -ENOENT;
  Change({.kind = NameChange::Kind::kRemove, .path = NormalPath(path)});
  return 0;
}

int FaultDisk::RenamePath(const std::string& from, const std::string& to) {
  std::string source = NormalPath(from);
  std::string target = NormalPath(to);
  if (Find(source) == nullptr) return -ENOENT;
  if (names_.IsDirectory(target)) return -EISDIR;
  if (!names_.IsDirectory(std::string(ParentPath(target)))) return -ENOENT;
  Change({.kind = NameChange::Kind::kRename, .path = source, .target = target});
  return 0;
}

FaultDisk::NodePtr FaultDisk::Find(const std::string& path) const {
  auto it = names_.files.find(NormalPath(path));
  return it == names_.files.end() ? nullptr : it->second;
}

namespace {

// As much of it as lies within both.
void CopySector(const io::PagedBytes& from, io::PagedBytes* to, uint64_t sector) {
  uint64_t offset = sector * FaultDisk::kSectorBytes;
  if (offset >= to->size()) return;
  char bytes[FaultDisk::kSectorBytes];
  std::size_t room =
      static_cast<std::size_t>(std::min<uint64_t>(sizeof bytes, to->size() - offset));
  std::size_t size = from.Read(offset, {bytes, room});
  to->Write(offset, {bytes, size});
}

}  // namespace

// Damage ends where the right content arrives after all.
void FaultDisk::Land(const io::PagedBytes& from, Node* node, uint64_t sector) {
  CopySector(from, &node->durable, sector);
  node->intended.erase(sector);
}

// ---- content ----

FaultDisk::FaultDisk() : FaultDisk(1) {}
FaultDisk::FaultDisk(uint64_t seed) : FaultDisk(seed, Faults()) {}
FaultDisk::FaultDisk(uint64_t seed, const Faults& faults)
    : random_(seed), faults_(faults), locks_(std::make_shared<std::set<std::string>>()) {}
FaultDisk::~FaultDisk() { URSULA_CHECK(in_flight_.empty()); }

std::unique_ptr<io::Disk> FaultDisk::OnLoop(ManualLoop* loop) {
  return std::make_unique<FaultDiskOnLoop>(this, loop);
}

void FaultDisk::Start(ManualLoop* loop, InFlight operation, Function<int64_t()> effect) {
  operation.op->Begin();
  uint64_t id = next_id_++;
  in_flight_[id] = std::move(operation);
  uint64_t spread = faults_.latency_max_ns - faults_.latency_min_ns;
  uint64_t latency = faults_.latency_min_ns + (spread == 0 ? 0 : random_.Below(spread + 1));
  loop->At(loop->now_ns() + latency, [this, id, effect = std::move(effect)]() mutable {
    auto it = in_flight_.find(id);
    if (it == in_flight_.end()) return;  // A crash has come between.
    io::Op* op = it->second.op;
    in_flight_.erase(it);
    op->Complete(effect());
  });
}

void FaultDisk::StartNaming(ManualLoop* loop, io::Op* op, Function<int64_t()> effect) {
  const bool fails = faults_.name_error > 0 && random_.Chance(faults_.name_error);
  Start(loop, {.op = op}, [fails, effect = std::move(effect)]() mutable -> int64_t {
    return fails ? -EIO : effect();
  });
}

int64_t FaultDisk::TakeFault(std::map<uint64_t, int>* planned, uint64_t count, double chance) {
  auto it = planned->find(count);
  if (it != planned->end()) {
    int error = it->second;
    planned->erase(it);
    return -error;
  }
  return chance > 0 && random_.Chance(chance) ? -EIO : 0;
}

void FaultDisk::StartWrite(ManualLoop* loop, const NodePtr& node, bool direct, uint64_t offset,
                           std::span<const char> from, io::Op* op) {
  int64_t fault = TakeFault(&write_errors_, ++writes_, faults_.write_error);
  if (!Aligned(direct, offset, from.data(), from.size())) fault = -EINVAL;
  std::size_t size = from.size();
  if (auto cut = cut_writes_.find(writes_); cut != cut_writes_.end()) {
    size = std::min(size, cut->second);
    cut_writes_.erase(cut);
  } else if (faults_.short_write > 0 && random_.Chance(faults_.short_write)) {
    size = ShortSize(size, direct);
  }
  from = from.first(size);
  InFlight operation = {.op = op, .node = node, .offset = offset, .write = from, .direct = direct};
  Start(loop, std::move(operation), [this, node, direct, offset, from, fault] {
    return fault != 0 ? fault : DoWrite(node.get(), direct, offset, from);
  });
}

void FaultDisk::StartRead(ManualLoop* loop, const NodePtr& node, bool direct, uint64_t offset,
                          std::span<char> into, io::Op* op) {
  int64_t fault = TakeFault(&read_errors_, ++reads_, faults_.read_error);
  if (!Aligned(direct, offset, into.data(), into.size())) fault = -EINVAL;
  Start(loop, {.op = op}, [node, direct, offset, into, fault] {
    return fault != 0 ? fault : ReadNode(*node, direct, offset, into);
  });
}

// A direct read has the cache written out and passes it by: it sees what the medium was given.
int64_t FaultDisk::ReadNode(const Node& node, bool direct, uint64_t offset, std::span<char> into) {
  if (!direct || node.direct) return static_cast<int64_t>(node.cached.Read(offset, into));
  return static_cast<int64_t>(WrittenOut(node).Read(offset, into));
}

io::PagedBytes FaultDisk::WrittenOut(const Node& node) {
  io::PagedBytes medium = node.durable;
  medium.Resize(node.cached.size());
  for (uint64_t sector : node.dirty) CopySector(node.cached, &medium, sector);
  return medium;
}

// What a sync promises is what was written before it: that is copied now and durable when it
// completes. A sync includes those under way, as it would wait for the same pages.
void FaultDisk::StartSync(ManualLoop* loop, const NodePtr& node, io::Op* op) {
  int64_t fault = TakeFault(&sync_errors_, ++syncs_, faults_.sync_error);
  std::set<uint64_t> sectors = std::exchange(node->dirty, {});
  for (const auto& [id, other] : in_flight_) {
    if (other.node == node) sectors.insert(other.syncing.begin(), other.syncing.end());
  }
  auto frozen = std::make_shared<Node>();
  frozen->durable.Resize(node->cached.size());
  for (uint64_t sector : sectors) CopySector(node->cached, &frozen->durable, sector);
  uint64_t number = ++node->syncs_asked;
  InFlight operation = {.op = op, .node = node, .syncing = sectors};
  Start(loop, std::move(operation), [this, node, frozen, sectors, number, fault]() -> int64_t {
    if (fault != 0) return fault;                 // The cache calls its pages clean all the same.
    if (number < node->last_sync_done) return 0;  // A later one has made newer content durable.
    node->last_sync_done = number;
    uint64_t size = frozen->durable.size();
    if (size > node->durable.size()) node->durable.Resize(size);
    for (uint64_t sector : LieAbout(frozen->durable, node.get(), sectors)) {
      Land(frozen->durable, node.get(), sector);
    }
    return 0;
  });
}

int64_t FaultDisk::DoWrite(Node* node, bool durable, uint64_t offset, std::span<const char> from) {
  if (!Fits(*node, offset + from.size())) return -ENOSPC;
  if (durable && Lies(node, offset, from)) return static_cast<int64_t>(from.size());
  node->cached.Write(offset, from);
  std::set<uint64_t> sectors;
  uint64_t end = offset + from.size();
  for (uint64_t s = offset / kSectorBytes; s * kSectorBytes < end; ++s) sectors.insert(s);
  if (durable) {
    MakeDurable(node, sectors);
  } else {
    node->dirty.merge(sectors);
  }
  return static_cast<int64_t>(from.size());
}

void FaultDisk::MakeDurable(Node* node, const std::set<uint64_t>& sectors) {
  for (uint64_t sector : sectors) {
    uint64_t end = std::min((sector + 1) * kSectorBytes, node->cached.size());
    if (end > node->durable.size()) node->durable.Resize(end);
    Land(node->cached, node, sector);
    node->dirty.erase(sector);
  }
}

std::size_t FaultDisk::ShortSize(std::size_t size, bool direct) {
  std::size_t unit = direct ? kBlockBytes : 1;
  std::size_t units = size / unit;
  return units <= 1 ? size : (1 + random_.Below(units - 1)) * unit;
}

bool FaultDisk::Fits(const Node& node, uint64_t new_size) const {
  uint64_t old_size = std::max(node.cached.size(), node.reserved);
  if (new_size <= old_size) return true;
  return UsedBytes() + (new_size - old_size) <= faults_.capacity_bytes;
}

uint64_t FaultDisk::UsedBytes() const {
  uint64_t used = 0;
  for (const auto& [path, node] : names_.files)
    used += std::max(node->cached.size(), node->reserved);
  return used;
}

// ---- crash and rot ----

void FaultDisk::Abandon(bool power_fails) {
  std::map<uint64_t, InFlight> lost = std::exchange(in_flight_, {});
  for (auto& [id, operation] : lost) {
    if (power_fails) {
      CrashWrite(operation);
    } else if (operation.node != nullptr && !operation.write.empty() && random_.OneIn(2)) {
      DoWrite(operation.node.get(), operation.direct, operation.offset, operation.write);
    }
    if (operation.node != nullptr) operation.node->dirty.merge(operation.syncing);
    operation.op->Abandon();
  }
}

void FaultDisk::PlanNothing() {
  open_errors_.clear();
  write_errors_.clear();
  read_errors_.clear();
  sync_errors_.clear();
  cut_writes_.clear();
}

void FaultDisk::Kill() {
  Abandon(false);
  for (auto& [path, node] : names_.files) {
    // Files opened before keep the old one.
    auto fresh = std::make_shared<Node>(*node);
    for (auto& [durable_path, durable_node] : durable_names_.files) {
      if (durable_node == node) durable_node = fresh;
    }
    for (NameChange& change : name_changes_) {
      if (change.node == node) change.node = fresh;
    }
    node = std::move(fresh);
  }
  locks_ = std::make_shared<std::set<std::string>>();
}

void FaultDisk::Crash() {
  Abandon(true);
  std::size_t kept = static_cast<std::size_t>(random_.Below(name_changes_.size() + 1));
  SyncNames(kept);
  name_changes_synced_ += name_changes_.size();
  name_changes_.clear();
  names_ = durable_names_;
  for (auto& [path, node] : names_.files) {
    auto fresh = std::make_shared<Node>(*node);  // Files opened before the crash keep the old one.
    CrashNode(fresh.get());
    node = std::move(fresh);
  }
  durable_names_ = names_;
  locks_ = std::make_shared<std::set<std::string>>();
}

// A write under way reaches the platter sector by sector, in any order.
void FaultDisk::CrashWrite(const InFlight& operation) {
  if (operation.node == nullptr) return;
  std::span<const char> rest = operation.write;
  uint64_t offset = operation.offset;
  bool fits = Fits(*operation.node, offset + rest.size());
  while (fits && !rest.empty()) {
    std::size_t within = static_cast<std::size_t>(kSectorBytes - offset % kSectorBytes);
    std::size_t size = std::min(rest.size(), within);
    if (random_.OneIn(2)) {
      DoWrite(operation.node.get(), operation.direct, offset, rest.first(size));
    }
    offset += size;
    rest = rest.subspan(size);
  }
  if (fits && operation.direct && random_.Chance(faults_.garbled_block)) Garble(operation);
}

void FaultDisk::CrashNode(Node* node) {
  uint64_t cached_size = node->cached.size();
  uint64_t durable_size = node->durable.size();
  if (cached_size > durable_size) {
    node->durable.Resize(durable_size + random_.Below(cached_size - durable_size + 1));
  }
  for (uint64_t sector : node->dirty) {
    if (random_.OneIn(2)) Land(node->cached, node, sector);
  }
  node->dirty.clear();
  node->cached = node->durable;
}

void FaultDisk::FlipBit(const std::string& path, uint64_t bit) {
  char byte = 0;
  NodePtr node = Find(path);
  URSULA_CHECK(node != nullptr && node->cached.Read(bit / 8, {&byte, 1}) == 1);
  byte = static_cast<char>(byte ^ (1 << (bit % 8)));
  Overwrite(path, bit / 8, std::string(1, byte));
}

void FaultDisk::Overwrite(const std::string& path, uint64_t offset, const std::string& bytes) {
  NodePtr node = Find(path);
  URSULA_CHECK(node != nullptr);
  node->cached.Write(offset, bytes);
  node->durable.Write(offset, bytes);
}

void FaultDisk::Truncate(const std::string& path, uint64_t size) {
  NodePtr node = Find(path);
  URSULA_CHECK(node != nullptr);
  node->cached.Resize(size);
  node->durable.Resize(size);
}

std::vector<std::string> FaultDisk::Files() const {
  std::vector<std::string> paths;
  for (const auto& [path, node] : names_.files) paths.push_back(path);
  return paths;
}

bool FaultDisk::Exists(const std::string& path) const {
  return Find(path) != nullptr || names_.IsDirectory(NormalPath(path));
}

std::string FaultDisk::Content(const std::string& path) const {
  NodePtr node = Find(path);
  if (node == nullptr) return "";
  std::string bytes(static_cast<std::size_t>(node->cached.size()), '\0');
  node->cached.Read(0, bytes);
  return bytes;
}

std::string FaultDisk::Durable(const std::string& path) const {
  auto it = durable_names_.files.find(NormalPath(path));
  if (it == durable_names_.files.end()) return "";
  std::string bytes(static_cast<std::size_t>(it->second->durable.size()), '\0');
  it->second->durable.Read(0, bytes);
  return bytes;
}

}  // namespace ursula::testing
