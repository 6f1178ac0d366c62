// lib/storage/directory.h
//
// A data directory: its lock, its META file (docs/formats/directory.md) and the folders of the
// stores. Invariant: while a DataDirectory lives no other process has the directory open, and no
// two openings ever had the same generation, not even after an older META was put back.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "lib/io/disk.h"
#include "lib/storage/directory_format.h"
#include "ursula/status.h"

namespace ursula::storage {

// Of a new directory: who it is in which cluster. As it stands, a cluster of its own.
struct DirectoryFounding {
  uint64_t cluster_id = 0;  // Random.
  uint64_t history_id = 0;  // Random.
  uint64_t node_id = 1;
  NodeId replica_id{1};
  std::vector<NodeId> voters = {NodeId{1}};  // Replica ids.
};

struct DirectoryOptions {
  uint32_t group_count_wanted = 0;  // 0: what the directory has.
  uint32_t group_count_if_new = 1;  // Of a new directory when group_count_wanted is 0.
  uint64_t id_if_new = 0;           // Random: it seeds every checksum of the directory.
  uint64_t nonce = 0;               // Random, of this opening.
  DirectoryFounding if_new = {};
};

class DataDirectory {
 public:
  // Part of it that must stay where it is while it is open.
  struct Place {
    std::string path = {};
    std::shared_ptr<const io::FileIdentity> identity = {};
  };

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

  // ---- for the directory's life ----
  uint64_t id() const { return meta_.id; }  // Random.
  uint32_t group_count() const { return meta_.group_count; }
  uint64_t cluster_id() const { return meta_.cluster_id; }
  uint64_t node_id() const { return meta_.node_id; }
  NodeId replica_id() const { return meta_.replica_id; }
  // Members of every group that has no snapshot yet.
  const std::vector<NodeId>& founding_voters() const { return meta_.founding_voters; }
  uint64_t history_id() const { return meta_.history_id; }  // What a new group's state begins with.

  const std::vector<Place>& places() const { return places_; }
  // What an operator should know of this opening; empty: nothing.
  const std::string& notice() const { return notice_; }

  // ---- of this opening ----
  uint64_t generation() const { return meta_.generation; }  // 1 at the first; then one more.
  uint64_t nonce() const { return meta_.nonce; }
  uint64_t predecessor() const { return meta_.predecessor; }  // The nonce before; 0 at the first.
  uint32_t feature_level() const { return meta_.feature_level; }
  DirectoryState state() const { return meta_.state; }

 private:
  DataDirectory() = default;

  std::string path_;
  std::shared_ptr<void> lock_;
  std::vector<Place> places_;
  std::string notice_;
  DirectoryMeta meta_;
};

}  // namespace ursula::storage
