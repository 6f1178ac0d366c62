// lib/storage/directory.h
//
// A data directory: its lock, its META file (docs/formats/directory.md) and the folders of the
// stores. Invariant: while a DataDirectory lives no other process has the directory open, and no
// two openings ever had the same generation, not even after an older META was put back.

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "lib/io/disk.h"
#include "lib/io/guarded.h"
#include "lib/storage/directory_format.h"
#include "ursula/status.h"

namespace ursula::storage {

// The folders of the stores, and the one in which a rotten directory's files are kept.
inline constexpr std::array<const char*, 3> kStoreFolders = {"wal", "payload", "snapshot"};
inline constexpr const char* kAsideFolder = "aside";

// Blocks. Replaces `path`/META, durably.
Status WriteMeta(io::Disk& disk, const std::string& path, const DirectoryMeta& meta);

// Of a new directory: who it is in which cluster. As it stands, a cluster of one.
struct DirectoryFounding {
  uint64_t cluster_id = 0;  // Random.
  uint64_t history_id = 0;  // Random.
  uint64_t node_id = 1;
  ReplicaId replica_id{1};
  std::vector<ReplicaId> voters = {ReplicaId{1}};  // Replica ids.
};

struct DirectoryOptions {
  uint32_t group_count_wanted = 0;  // 0: what the directory has.
  uint32_t group_count_if_new = 1;  // Of a new directory when group_count_wanted is 0.
  uint64_t id_if_new = 0;           // Random: it seeds every checksum of the directory.
  uint64_t nonce = 0;               // Random, of this opening.
  DirectoryFounding if_new = {};
  // What META must say, or 0. A cluster id is compared once there is one.
  uint64_t node_id_wanted = 0;
  uint64_t cluster_id_wanted = 0;
  // A new directory is one of several that found a cluster: it begins as kFounding without a plan,
  // and of `if_new` only the node's id counts. BecomeFounding says the rest.
  bool one_of_several = false;
  uint32_t feature_level_max = kFeatureLevel;  // One of a higher level isn't opened.
};

// Which cluster several new directories are to be.
struct DirectoryPlan {
  uint64_t cluster_id = 0;
  uint64_t history_id = 0;
  uint32_t group_count = 0;
  // Ascending by node: the id of its replicas, too (ReplicaId),
  std::vector<FoundingDirectory> founders = {};
  // but of a cluster that was recovered, which has one for each of them here.
  std::vector<ReplicaId> replicas = {};
  DirectoryRecovery recovery = {};
  uint32_t feature_level = 1;  // What the groups' states begin with.
  // Not 0: it isn't of those, but the node's next directory after so many.
  uint64_t lives_before = 0;
};

class DataDirectory {
 public:
  // Part of it that must stay where it is while it is open.
  struct Place {
    std::string path = {};
    std::shared_ptr<const io::FileIdentity> identity = {};
  };

  // Blocks. Locks the directory, makes what is missing, and durably counts this opening.
  // kFailedPrecondition: in use, unreadable META, another format version, group count, node or
  // cluster; the message says what to do. kIoError.
  static Result<std::unique_ptr<DataDirectory>> Open(io::Disk& disk, const std::string& path,
                                                     const DirectoryOptions& options);

  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string wal_path() const { return path_ + "/wal"; }
  std::string payload_path() const { return path_ + "/payload"; }
  std::string snapshot_path() const { return path_ + "/snapshot"; }

  // ---- for the directory's life ----
  uint64_t id() const { return meta_.id; }  // Random.
  // Known once there is a plan, as all that follows, but for the node's id.
  bool has_plan() const { return HasPlan(meta_); }
  uint32_t group_count() const { return meta_.group_count; }
  uint64_t cluster_id() const { return meta_.cluster_id; }
  uint64_t node_id() const { return meta_.node_id; }
  ReplicaId replica_id() const { return meta_.replica_id; }
  // Members of every group that has no snapshot yet.
  const std::vector<ReplicaId>& founding_voters() const { return meta_.founding_voters; }
  // Whose they are, in the same order; empty: of a cluster of one.
  const std::vector<FoundingDirectory>& founders() const { return meta_.founders; }
  uint64_t history_id() const { return meta_.history_id; }  // What a new group's state begins with.

  const DirectoryMeta& meta() const { return meta_; }  // All of it.
  // The newest that it went through; number 0: none.
  const DirectoryRecovery& recovery() const { return meta_.recovery; }
  // What the next opening finds: the plan that Recover made durable. Null: this opening made none.
  const DirectoryMeta* to_be() const { return to_be_ ? &*to_be_ : nullptr; }

  // Any thread. Null: META is being replaced.
  std::shared_ptr<const std::vector<Place>> places() const { return places_.Get(); }
  // What an operator should know of this opening; empty: nothing.
  const std::string& notice() const { return notice_; }

  // ---- rot (directory_aside.cc, docs/decisions/0057) ----
  // Its files are on their way to a folder of their own: PutAside has to go on.
  bool goes_aside() const {
    return meta_.aside.cluster_id != 0 && state() == DirectoryState::kMustRejoin;
  }
  // It is new, in the place of one that was put aside: it waits for that one's cluster.
  bool rejoins() const {
    return meta_.aside.cluster_id != 0 && state() == DirectoryState::kFounding;
  }
  // Where one that was put aside is kept, as of this opening or PutAside; empty: there is none.
  const std::string& aside_path() const { return aside_path_; }
  // Somebody has removed it since. Any thread.
  bool aside_gone() const { return aside_gone_.load(std::memory_order_relaxed); }
  void SetAsideGone(bool gone) const { aside_gone_.store(gone, std::memory_order_relaxed); }
  // Blocks. Why it can't be put aside: kFailedPrecondition, kStorageFull; or kIoError.
  Status MayPutAside(io::Disk& disk) const;
  // Blocks. Everything in it is moved to a folder of its own, and it is another directory of the
  // same node from then on, which rejoins(). Whatever fails, or a crash: it is as it was, or an
  // opening finds that it goes_aside(). `id` and `nonce`: random, of the new one, whose first
  // opening this is. REQUIRES: kMember and MayPutAside, or goes_aside().
  Status PutAside(io::Disk& disk, uint64_t id, uint64_t nonce);

  // ---- of this opening ----
  uint64_t generation() const { return meta_.generation; }  // 1 at the first; then one more.
  uint64_t nonce() const { return meta_.nonce; }
  uint64_t predecessor() const { return meta_.predecessor; }  // The nonce before; 0 at the first.
  DirectoryState state() const { return meta_.state; }
  uint32_t feature_level() const { return meta_.feature_level; }
  uint32_t founding_level() const { return meta_.founding_level; }

  // ---- founding: each replaces META durably, and blocks ----
  // What fails may have happened all the same: the next opening tells.
  // REQUIRES: kFounding, with another plan or none, and this directory is one of the plan's.
  Status BecomeFounding(io::Disk& disk, const DirectoryPlan& plan);
  Status BecomeMember(io::Disk& disk);  // REQUIRES: kFounding with a plan.
  // Something of this level may be in it from here on; what is of that level already stays so.
  // What fails may have happened all the same. Blocks, as these do.
  Status RaiseFeatureLevel(io::Disk& disk, uint32_t level);
  // Nothing in it may be served any more. REQUIRES: kMember.
  Status MustRejoin(io::Disk& disk);
  // From the next opening on it is one of the plan's, which says it with its recovery; in this one
  // it stays what it was, and is to do nothing more. What fails may have happened all the same.
  // REQUIRES: kMember; the plan names this directory, with another replica id than it has.
  Status Recover(io::Disk& disk, const DirectoryPlan& plan);
  // A member of a cluster that has begun. REQUIRES: kFounding, and plan.lives_before isn't 0.
  Status Join(io::Disk& disk, const DirectoryPlan& plan);

 private:
  DataDirectory() = default;
  Status Become(io::Disk& disk, DirectoryMeta meta);
  Status Replace(io::Disk& disk, const DirectoryMeta& meta);
  DirectoryMeta Planned(const DirectoryPlan& plan) const;
  DirectoryMeta Named(const DirectoryPlan& plan) const;
  Status MoveAside(io::Disk& disk, const std::string& aside) const;

  std::string path_;
  std::shared_ptr<void> lock_;
  io::Guarded<std::shared_ptr<const std::vector<Place>>> places_;
  std::string notice_;
  std::string aside_path_;
  mutable std::atomic<bool> aside_gone_ = false;  // A DirectoryWatch's word.
  DirectoryMeta meta_;
  std::optional<DirectoryMeta> to_be_;
};

}  // namespace ursula::storage
