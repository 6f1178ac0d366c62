// lib/storage/directory_format.h
//
// The bytes of a data directory's META file: docs/formats/directory.md. What a directory is, in
// tagged fields, so that a release can add some without a new format version.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::storage {

enum class DirectoryState : uint32_t {
  kFounding = 1,    // Of a cluster whose plan isn't agreed on yet: nobody votes or serves.
  kMember = 2,      // A single node's from the first.
  kMustRejoin = 3,  // Its replicas were replaced or refused, or its files are being put aside.
};

// The highest set of formats and commands that this release knows.
inline constexpr uint32_t kFeatureLevel = kFeatureLevelMax;

// A field that this release doesn't know and may leave as it is.
struct UnknownMetaField {
  uint16_t tag = 0;
  std::string value = {};
  friend bool operator==(const UnknownMetaField&, const UnknownMetaField&) = default;
};

// A directory of those that founded a cluster together.
struct FoundingDirectory {
  uint64_t node_id = 0;
  uint64_t id = 0;  // DirectoryMeta::id: another one of that node is another founder.
  friend bool operator==(const FoundingDirectory&, const FoundingDirectory&) = default;
};

// By which the survivors of a cluster that had lost its majority became a cluster of their own:
// then founding voters and founders are those. What is of terms below `term`, in snapshots and in
// the log, says nothing of who a group's members are.
struct DirectoryRecovery {
  uint64_t number = 0;  // 1, 2, 3 ... of those that this directory went through; 0: there was none.
  Term term = {};       // Above every term that a survivor knew.
  uint64_t history_id = 0;          // Random: that of all groups from then on.
  uint64_t cluster_before = 0;      // The cluster's id until then.
  std::vector<uint64_t> lost = {};  // Nodes. Ascending.
  friend bool operator==(const DirectoryRecovery&, const DirectoryRecovery&) = default;
};

// Of a directory that was found rotten. kMustRejoin: its files are on their way to a folder of
// their own. kFounding: they are there, and this is a new one, which founds nothing: it may only be
// taken in by that cluster.
struct DirectoryAside {
  uint64_t cluster_id = 0;      // 0: it isn't one.
  uint64_t cluster_before = 0;  // What that was called before its newest recovery; 0: the same.
  friend bool operator==(const DirectoryAside&, const DirectoryAside&) = default;
};

struct DirectoryMeta {
  uint64_t id = 0;  // Random; it goes into the seed of every checksum in the directory.
  uint32_t group_count = 0;
  uint64_t generation = 0;   // Openings so far.
  uint64_t nonce = 0;        // Random, of the newest opening.
  uint64_t predecessor = 0;  // The nonce of the opening before it; 0 at the first.
  uint64_t cluster_id = 0;
  uint64_t node_id = 0;
  ReplicaId replica_id = {};                    // What Raft calls this directory.
  std::vector<ReplicaId> founding_voters = {};  // Replica ids: every group's members at founding.
  // Whose they are, in the same order. Empty: of a cluster of one.
  std::vector<FoundingDirectory> founders = {};
  uint64_t history_id = 0;     // Random, of the founding.
  uint32_t feature_level = 0;  // Nothing of a higher one is in the directory.
  // What its groups' states begin with, on all nodes of the cluster.
  uint32_t founding_level = 1;
  DirectoryState state = DirectoryState::kMember;
  DirectoryRecovery recovery = {};  // The newest.
  DirectoryAside aside = {};
  std::vector<UnknownMetaField> unknown = {};  // Ascending by tag.
  friend bool operator==(const DirectoryMeta&, const DirectoryMeta&) = default;
};

// Whether it is known which cluster this is of. Where not, group count, cluster id, replica id,
// voters and history id are still none.
inline bool HasPlan(const DirectoryMeta& meta) { return !meta.founding_voters.empty(); }

inline constexpr std::size_t kMetaBytesMax = 64 << 10;

std::string EncodeDirectoryMeta(const DirectoryMeta& meta);
// kFailedPrecondition: damaged, of another format version, or with a field that must be understood
// and isn't; the message says what to do.
Result<DirectoryMeta> DecodeDirectoryMeta(std::string_view bytes);

}  // namespace ursula::storage
