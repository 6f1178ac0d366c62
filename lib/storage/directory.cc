#include "lib/storage/directory.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/hex.h"
#include "lib/storage/io_status.h"
#include "lib/storage/payload_format.h"
#include "lib/storage/wal_format.h"

namespace ursula::storage {
namespace {

constexpr const char* kMetaName = "META";

Status Refusal(std::string message) {
  return Status(StatusCode::kFailedPrecondition, std::move(message));
}

std::string ParentOf(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  const std::size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> ReadWhole(io::Disk& disk, const std::string& path) {
  Result<std::unique_ptr<io::File>> file = disk.Open(path, {});
  if (!file.ok()) return file.status();
  std::string bytes(kMetaBytesMax + 1, '\0');  // One more than there should be.
  int64_t count = (*file)->ReadNow(0, std::span<char>(bytes));
  if (count < 0) return IoStatus("reading", path, count);
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

Status MakeFolders(io::Disk& disk, const std::string& path) {
  for (const char* name : kStoreFolders) {
    Status made = disk.MakeDirectory(path + "/" + name);
    if (!made.ok()) return made;
  }
  return disk.SyncDirectoryNow(path);
}

DirectoryMeta NewMeta(const DirectoryOptions& options) {
  const uint64_t node =
      options.node_id_wanted != 0 ? options.node_id_wanted : options.if_new.node_id;
  if (options.one_of_several) {
    return DirectoryMeta{.id = options.id_if_new,
                         .node_id = node,
                         .feature_level = 1,
                         .state = DirectoryState::kFounding};
  }
  const uint32_t groups =
      options.group_count_wanted != 0 ? options.group_count_wanted : options.group_count_if_new;
  return DirectoryMeta{.id = options.id_if_new,
                       .group_count = groups,
                       .cluster_id = options.if_new.cluster_id,
                       .node_id = node,
                       .replica_id = options.if_new.replica_id,
                       .founding_voters = options.if_new.voters,
                       .history_id = options.if_new.history_id,
                       .feature_level = options.feature_level_max,
                       .founding_level = options.feature_level_max};
}

// What META says, or a new one's content. A directory with logs and no META is none of ours to
// start afresh in.
Result<DirectoryMeta> ReadOrMakeMeta(io::Disk& disk, const std::string& path,
                                     const DirectoryOptions& options) {
  Result<std::vector<std::string>> names = disk.List(path);
  if (!names.ok()) return names.status();
  if (std::find(names->begin(), names->end(), kMetaName) != names->end()) {
    const std::string file = path + "/" + kMetaName;
    Result<std::string> bytes = ReadWhole(disk, file);
    if (!bytes.ok()) return bytes.status();
    Result<DirectoryMeta> meta = DecodeDirectoryMeta(*bytes);
    if (!meta.ok()) return Refusal(file + ": " + meta.status().message());
    return meta;
  }
  for (const char* name : kStoreFolders) {
    if (std::find(names->begin(), names->end(), name) == names->end()) continue;
    Result<std::vector<std::string>> files = disk.List(path + "/" + name);
    if (!files.ok()) return files.status();
    if (!files->empty()) {
      return Refusal(path + " holds data in " + name +
                     "/ but no META file; restore META, or give another directory");
    }
  }
  return NewMeta(options);
}

// Whether it is the directory that the options speak of.
Status CheckWanted(const std::string& path, const DirectoryMeta& meta,
                   const DirectoryOptions& options) {
  if (options.node_id_wanted != 0 && options.node_id_wanted != meta.node_id) {
    return Refusal(path + " is node " + std::to_string(meta.node_id) + "'s, not node " +
                   std::to_string(options.node_id_wanted) +
                   "'s; give this node its own directory, or an empty one");
  }
  const DirectoryAside& aside = meta.aside;
  const bool rejoins_other = aside.cluster_id != 0 && options.cluster_id_wanted != 0 &&
                             options.cluster_id_wanted != aside.cluster_id &&
                             options.cluster_id_wanted != aside.cluster_before;
  if (!HasPlan(meta) && rejoins_other) {
    return Refusal(path + " waits to be taken in by cluster " + Hex16(aside.cluster_id) +
                   " again, not by " + Hex16(options.cluster_id_wanted) +
                   "; give this node its own directory, or an empty one");
  }
  if (meta.feature_level > options.feature_level_max) {
    const bool founding = meta.state == DirectoryState::kFounding;
    return Refusal(path + " is at feature level " + std::to_string(meta.feature_level) +
                   ", and --feature-level-max is " + std::to_string(options.feature_level_max) +
                   ": there is no way back; give a higher one, or leave it out" +
                   (founding ? "; or empty the directory, whose cluster isn't founded yet, and it "
                               "is founded at a lower level"
                             : ""));
  }
  if (!HasPlan(meta)) return {};
  // What a recovery made of a cluster is known by its former id, too, to who begins with it.
  const bool former =
      meta.recovery.number != 0 && options.cluster_id_wanted == meta.recovery.cluster_before;
  if (options.cluster_id_wanted != 0 && options.cluster_id_wanted != meta.cluster_id && !former) {
    return Refusal(path + " is of cluster " + Hex16(meta.cluster_id) + ", not " +
                   Hex16(options.cluster_id_wanted) +
                   "; give this node its own directory, or an empty one");
  }
  if (options.group_count_wanted != 0 && options.group_count_wanted != meta.group_count) {
    return Refusal(path + " was made with group_count " + std::to_string(meta.group_count) +
                   ", not " + std::to_string(options.group_count_wanted) +
                   "; it is fixed for a directory: leave it unset, or give another directory");
  }
  return {};
}

// The newest opening that made a file which is still there. Names are all it takes: each file of an
// opening that wrote anything carries the opening's number until a later one has files of its own.
Result<uint64_t> NewestOpening(io::Disk& disk, const std::string& path) {
  uint64_t newest = 0;
  Result<std::vector<std::string>> logs = disk.List(path + "/wal");
  if (!logs.ok()) return logs.status();
  for (const std::string& leaf : *logs) {
    std::optional<SegmentName> name = ParseSegmentName(leaf);
    if (name.has_value()) newest = std::max(newest, GenerationOf(name->log));
  }
  Result<std::vector<std::string>> payload = disk.List(path + "/payload");
  if (!payload.ok()) return payload.status();
  for (const std::string& leaf : *payload) {
    std::optional<PayloadFileName> name = ParsePayloadFileName(leaf);
    if (name.has_value()) newest = std::max(newest, name->generation);
  }
  return newest;
}

Result<std::vector<DataDirectory::Place>> PlacesOf(io::Disk& disk, const std::string& path) {
  std::vector<DataDirectory::Place> places;
  for (const char* name : {"", "/META", "/wal", "/payload", "/snapshot"}) {
    Result<std::shared_ptr<const io::FileIdentity>> identity = disk.Hold(path + name);
    if (!identity.ok()) return identity.status();
    places.push_back({path + name, std::move(*identity)});
  }
  return places;
}

// Whether META may be another one than before, success or not, is in `*renamed`.
Status PutMeta(io::Disk& disk, const std::string& path, const DirectoryMeta& meta, bool* renamed) {
  const std::string temporary = path + "/" + kMetaName + ".tmp";
  const std::string bytes = EncodeDirectoryMeta(meta);
  // A crash may have left one that is longer.
  Status removed = disk.RemoveNow(temporary);
  if (!removed.ok() && removed.code() != StatusCode::kFailedPrecondition) return removed;
  {
    Result<std::unique_ptr<io::File>> file =
        disk.Open(temporary, {.create = true, .write = true, .direct = false});
    if (!file.ok()) return file.status();
    int64_t result = (*file)->WriteSyncedNow(0, std::span<const char>(bytes));
    if (result < 0) return IoStatus("writing", temporary, result);
  }
  *renamed = true;
  Status named = disk.RenameNow(temporary, path + "/" + kMetaName);
  if (!named.ok()) return named;
  return disk.SyncDirectoryNow(path);
}

}  // namespace

Status WriteMeta(io::Disk& disk, const std::string& path, const DirectoryMeta& meta) {
  bool renamed = false;
  return PutMeta(disk, path, meta, &renamed);
}

Result<std::unique_ptr<DataDirectory>> DataDirectory::Open(io::Disk& disk, const std::string& path,
                                                           const DirectoryOptions& options) {
  Status made = disk.MakeDirectory(path);
  if (!made.ok()) return made;
  // The directory's own name. A parent that we may not read is not ours to sync.
  Status named = disk.SyncDirectoryNow(ParentOf(path));
  static_cast<void>(named);
  Result<std::shared_ptr<const io::FileIdentity>> locked = disk.Hold(path);
  if (!locked.ok()) return locked.status();
  Result<std::shared_ptr<void>> lock = disk.Lock(path);
  if (!lock.ok()) {
    if (lock.status().code() != StatusCode::kFailedPrecondition) return lock.status();
    return Refusal(path + " is in use by another process; stop it, or give another directory");
  }
  Result<DirectoryMeta> meta = ReadOrMakeMeta(disk, path, options);
  if (!meta.ok()) return meta.status();
  Status wanted = CheckWanted(path, *meta, options);
  if (!wanted.ok()) return wanted;
  // META last: a directory whose folders are missing is then always a new one.
  Status folders = MakeFolders(disk, path);
  if (!folders.ok()) return folders;
  Result<uint64_t> newest = NewestOpening(disk, path);
  if (!newest.ok()) return newest.status();
  std::string notice;
  if (*newest > meta->generation) {
    notice = path + "/META is of opening " + std::to_string(meta->generation) +
             ", and files of opening " + std::to_string(*newest) +
             " are there: an older META was put back; going on from the newer";
    meta->generation = *newest;
  }
  ++meta->generation;
  meta->predecessor = std::exchange(meta->nonce, options.nonce);
  Status replaced = WriteMeta(disk, path, *meta);
  if (!replaced.ok()) return replaced;

  Result<std::vector<Place>> places = PlacesOf(disk, path);
  if (!places.ok()) return places.status();
  if (*places->front().identity != **locked) {
    return Refusal(path + " was replaced by another directory while it was being opened");
  }
  Result<std::vector<std::string>> names = disk.List(path);
  if (!names.ok()) return names.status();
  std::unique_ptr<DataDirectory> directory(new DataDirectory());
  const bool aside = std::find(names->begin(), names->end(), kAsideFolder) != names->end();
  if (aside) directory->aside_path_ = path + "/" + kAsideFolder;
  directory->places_.Set(std::make_shared<const std::vector<Place>>(std::move(*places)));
  directory->notice_ = std::move(notice);
  directory->path_ = path;
  directory->lock_ = std::move(*lock);
  directory->meta_ = std::move(*meta);
  return directory;
}

Status DataDirectory::BecomeFounding(io::Disk& disk, const DirectoryPlan& plan) {
  URSULA_CHECK(!rejoins());
  DirectoryMeta meta = Planned(plan);
  URSULA_CHECK(Raw(meta.replica_id) != 0);
  return Become(disk, std::move(meta));
}

Status DataDirectory::MustRejoin(io::Disk& disk) {
  URSULA_CHECK(meta_.state == DirectoryState::kMember);
  DirectoryMeta meta = meta_;
  meta.state = DirectoryState::kMustRejoin;
  // Other threads read the rest of it meanwhile: that stays where it is.
  Status replaced = Replace(disk, meta);
  if (replaced.ok()) meta_.state = meta.state;
  return replaced;
}

Status DataDirectory::RaiseFeatureLevel(io::Disk& disk, uint32_t level) {
  URSULA_CHECK(level <= kFeatureLevel);
  if (level <= meta_.feature_level) return {};
  DirectoryMeta meta = to_be_ ? *to_be_ : meta_;  // A recovery's plan stays.
  meta.feature_level = level;
  Status replaced = Replace(disk, meta);
  if (!replaced.ok()) return replaced;
  // As in MustRejoin.
  meta_.feature_level = level;
  if (to_be_) to_be_->feature_level = level;
  return {};
}

Status DataDirectory::Join(io::Disk& disk, const DirectoryPlan& plan) {
  URSULA_CHECK(plan.lives_before != 0);
  DirectoryMeta meta = Planned(plan);
  meta.replica_id = ReplicaOf(NodeId{meta.node_id}, plan.lives_before);
  meta.state = DirectoryState::kMember;
  meta.aside = {};
  return Become(disk, std::move(meta));
}

DirectoryMeta DataDirectory::Planned(const DirectoryPlan& plan) const {
  URSULA_CHECK(meta_.state == DirectoryState::kFounding);
  URSULA_CHECK(plan.cluster_id != 0 && plan.group_count != 0);
  DirectoryMeta meta = Named(plan);
  meta.feature_level = meta.founding_level = plan.feature_level;
  return meta;
}

DirectoryMeta DataDirectory::Named(const DirectoryPlan& plan) const {
  DirectoryMeta meta = meta_;
  meta.cluster_id = plan.cluster_id;
  meta.history_id = plan.history_id;
  meta.group_count = plan.group_count;
  meta.founders = plan.founders;
  meta.recovery = plan.recovery;
  meta.founding_voters = plan.replicas;
  if (plan.replicas.empty()) {
    for (const FoundingDirectory& founder : plan.founders) {
      meta.founding_voters.push_back(ReplicaId{founder.node_id});
    }
  }
  URSULA_CHECK(meta.founding_voters.size() == plan.founders.size());
  meta.replica_id = ReplicaId{0};
  for (std::size_t i = 0; i < plan.founders.size(); ++i) {
    if (plan.founders[i] == FoundingDirectory{meta.node_id, meta.id}) {
      meta.replica_id = meta.founding_voters[i];
    }
  }
  return meta;
}

Status DataDirectory::BecomeMember(io::Disk& disk) {
  URSULA_CHECK(meta_.state == DirectoryState::kFounding && has_plan());
  DirectoryMeta meta = meta_;
  meta.state = DirectoryState::kMember;
  return Become(disk, std::move(meta));
}

Status DataDirectory::Recover(io::Disk& disk, const DirectoryPlan& plan) {
  URSULA_CHECK(meta_.state == DirectoryState::kMember && plan.recovery.number != 0);
  DirectoryMeta meta = Named(plan);
  URSULA_CHECK(Raw(meta.replica_id) != 0 && meta.replica_id != meta_.replica_id);
  Status replaced = Replace(disk, meta);
  if (replaced.ok()) to_be_ = std::move(meta);
  return replaced;
}

Status DataDirectory::Become(io::Disk& disk, DirectoryMeta meta) {
  Status replaced = Replace(disk, meta);
  if (replaced.ok()) meta_ = std::move(meta);
  return replaced;
}

// Meanwhile nobody takes META for one that somebody else has put there; nor afterwards where it
// isn't known which one is there, until a later one is.
Status DataDirectory::Replace(io::Disk& disk, const DirectoryMeta& meta) {
  const std::shared_ptr<const std::vector<Place>> before = places_.Get();
  places_.Set(nullptr);
  bool renamed = false;
  Status replaced = PutMeta(disk, path_, meta, &renamed);
  if (replaced.ok()) {
    Result<std::vector<Place>> places = PlacesOf(disk, path_);
    replaced = places.status();
    if (places.ok() && *places->front().identity == *before->front().identity) {
      places_.Set(std::make_shared<const std::vector<Place>>(std::move(*places)));
      return {};
    }
    if (places.ok()) {
      replaced = Refusal(path_ + " was replaced by another directory while it was in use");
    }
  }
  std::vector<Place> known = *before;
  const std::string file = path_ + "/" + kMetaName;
  if (renamed) std::erase_if(known, [&file](const Place& place) { return place.path == file; });
  places_.Set(std::make_shared<const std::vector<Place>>(std::move(known)));
  return replaced;
}

}  // namespace ursula::storage
