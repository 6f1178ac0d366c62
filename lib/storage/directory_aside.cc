// A directory that is found rotten, put aside (docs/decisions/0057): each step leaves it as it was,
// or for the next opening to go on with. META says first that nothing in it may be served any more,
// and only once all files are durably elsewhere that it is another directory.

#include <memory>
#include <string>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/storage/directory.h"

namespace ursula::storage {
namespace {

// What is left of one by a crash is no file of any store, and is made again.
constexpr const char* kProbeName = "rejoin.tmp";

// Of the files in it; a folder has none of its own.
Result<uint64_t> BytesIn(io::Disk& disk, const std::string& folder) {
  Result<std::vector<std::string>> names = disk.List(folder);
  if (!names.ok()) return names.status();
  uint64_t bytes = 0;
  for (const std::string& name : *names) {
    Result<std::unique_ptr<io::File>> file = disk.Open(folder + "/" + name, {});
    if (file.ok()) bytes += (*file)->size();
  }
  return bytes;
}

Status MoveAll(io::Disk& disk, const std::string& from, const std::string& to) {
  Result<std::vector<std::string>> names = disk.List(from);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    Status moved = disk.RenameNow(from + "/" + name, to + "/" + name);
    if (!moved.ok()) return moved;
  }
  Status synced = disk.SyncDirectoryNow(to);
  return synced.ok() ? disk.SyncDirectoryNow(from) : synced;
}

// By a file that goes the way of the others. Two mounts of one volume are as two volumes, and a
// quota or a right may forbid it, too.
Status TryToMove(io::Disk& disk, const std::string& path, const std::string& folder) {
  const std::string from = folder + "/" + kProbeName;
  const std::string to = path + "/" + kProbeName;
  {
    Result<std::unique_ptr<io::File>> made = disk.Open(from, {.create = true, .write = true});
    if (!made.ok()) return made.status();
  }
  const Status moved = disk.RenameNow(from, to);
  Status removed = disk.RemoveNow(moved.ok() ? to : from);
  if (moved.ok()) return removed;
  return Status(moved.code(), "nothing can be moved out of " + folder + ": " + moved.message());
}

}  // namespace

Status DataDirectory::MayPutAside(io::Disk& disk) const {
  if (!aside_path_.empty()) {
    return Status(StatusCode::kFailedPrecondition,
                  aside_path_ +
                      " is there already, and one is kept: look at the disk, and remove " +
                      "that folder once nobody needs it");
  }
  Result<std::shared_ptr<const io::FileIdentity>> whole = disk.Hold(path_);
  if (!whole.ok()) return whole.status();
  // What is aside stays, and as much will come from the other nodes.
  uint64_t bytes = 0;
  for (const char* folder : kStoreFolders) {
    Result<std::shared_ptr<const io::FileIdentity>> part_of = disk.Hold(path_ + "/" + folder);
    if (!part_of.ok()) return part_of.status();
    if ((*part_of)->device != (*whole)->device) {
      return Status(
          StatusCode::kFailedPrecondition,
          path_ + "/" + folder + " is on another volume than " + path_ + ": nothing can be moved");
    }
    Status moves = TryToMove(disk, path_, path_ + "/" + folder);
    if (!moves.ok()) return moves;
    Result<uint64_t> part = BytesIn(disk, path_ + "/" + folder);
    if (!part.ok()) return part.status();
    bytes += *part;
  }
  Result<uint64_t> free = disk.FreeBytes(path_);
  if (!free.ok()) return free.status();
  if (*free >= bytes) return {};
  return Status(StatusCode::kStorageFull,
                "its volume has " + std::to_string(*free) + " bytes free, and its files have " +
                    std::to_string(bytes) + ", which are to come again beside them");
}

Status DataDirectory::PutAside(io::Disk& disk, uint64_t id, uint64_t nonce) {
  URSULA_CHECK(has_plan() && (state() == DirectoryState::kMember || goes_aside()));
  if (goes_aside()) {
    URSULA_SOMETIMES("aside: an opening goes on with what another has begun");
  } else {
    DirectoryMeta meta = meta_;
    meta.state = DirectoryState::kMustRejoin;
    meta.aside.cluster_id = meta.cluster_id;
    meta.aside.cluster_before = meta.recovery.cluster_before;
    Status begun = Become(disk, std::move(meta));
    if (!begun.ok()) return begun;
  }
  const std::string aside = path_ + "/" + kAsideFolder;
  Status moved = MoveAside(disk, aside);
  if (!moved.ok()) return moved;
  aside_path_ = aside;
  notice_.clear();
  return Become(disk, {.id = id,
                       .generation = 1,
                       .nonce = nonce,
                       .node_id = meta_.node_id,
                       .feature_level = 1,
                       .state = DirectoryState::kFounding,
                       .aside = meta_.aside});
}

// Afterwards the folder is the directory as it was, META and all: an operator may put it back as
// long as no other has taken its place.
Status DataDirectory::MoveAside(io::Disk& disk, const std::string& aside) const {
  Status made = disk.MakeDirectory(aside);
  for (const char* folder : kStoreFolders) {
    if (made.ok()) made = disk.MakeDirectory(aside + "/" + folder);
  }
  if (made.ok()) made = disk.SyncDirectoryNow(aside);
  if (made.ok()) made = disk.SyncDirectoryNow(path_);
  if (!made.ok()) return made;
  for (const char* folder : kStoreFolders) {
    Status moved = MoveAll(disk, path_ + "/" + folder, aside + "/" + folder);
    if (!moved.ok()) return moved;
  }
  DirectoryMeta as_it_was = meta_;
  as_it_was.state = DirectoryState::kMember;
  as_it_was.aside = {};
  return WriteMeta(disk, aside, as_it_was);
}

}  // namespace ursula::storage
