// tests/support/fault_disk.h
//
// A disk in memory that does what real ones do at their worst, from a seed. The fault model:
//
// - A completed Write to a direct file is durable. To a buffered one it is durable once a Sync that
//   was asked for after its completion has completed.
// - Names (create, remove, rename, MakeDirectory) are durable once a SyncDirectory, of any
//   directory, asked for after them has completed: a journal keeps their order.
// - Crash keeps what is durable; of the rest any subset of 512-byte sectors, of a write under way
//   likewise; of the names any prefix of what was done since the last directory sync; of a file's
//   growth any part. The old content of a sector is never mixed with the new. But a block that a
//   direct write covers while the power fails may be left as neither. Kill, where only the process
//   dies, keeps what was written and drops what was under way, or not.
// - Operations under way take effect in any order: each when its own latency is over.
// - Writes may fall short. Opens, reads, writes, syncs and what is done to names may fail with EIO,
//   by chance or the n-th from now.
//   After a failed Sync the data it was to make durable is never durable, though it can be read and
//   the next Sync succeeds: as Linux does. A direct read sees that it isn't there.
// - Past `capacity_bytes` writes, and earlier Allocate, give ENOSPC.
// - The medium may lie: lose what it said it took, or put it elsewhere in this file or another.
//   Bits and sectors rot when the test says so. All of this is remembered, with what should be
//   there instead: Damaged, Intended, Repair.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "lib/io/disk.h"
#include "lib/io/paged_bytes.h"
#include "ursula/function.h"

namespace ursula::testing {

class ManualLoop;

class FaultDisk {
 public:
  static constexpr uint32_t kBlockBytes = 4096;
  static constexpr uint64_t kSectorBytes = 512;

  struct Faults {
    double short_write = 0;  // Chances.
    double write_error = 0;
    double read_error = 0;
    double sync_error = 0;
    double name_error = 0;         // Remove, Rename, SyncDirectory.
    int write_now_error = 0;       // Of each blocking write.
    int sync_now_error = 0;        // Of each blocking sync of a directory.
    double lost_write = 0;         // The medium's: of each write or sync that reaches it.
    double misdirected_write = 0;  //
    double garbled_block = 0;      // Of each direct write under way when the power fails.
    uint64_t latency_min_ns = 0;   // Each operation takes between the two.
    uint64_t latency_max_ns = 0;
    bool direct = true;       // False: a file system without O_DIRECT.
    bool allocates = true;    // False: one without fallocate.
    bool read_ahead = false;  // True: there is a page cache to read ahead into, see ReadAheadBytes.
    uint64_t capacity_bytes = uint64_t{1} << 46;
  };

  FaultDisk();
  explicit FaultDisk(uint64_t seed);
  FaultDisk(uint64_t seed, const Faults& faults);
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;
  ~FaultDisk();

  // The same files, seen from `loop`, where the operations complete. Both outlive it.
  std::unique_ptr<io::Disk> OnLoop(ManualLoop* loop);

  // ---- faults ----
  Faults& faults() { return faults_; }
  uint64_t ReadAheadBytes() const { return read_ahead_bytes_; }
  // The n-th from now, 1 being the next: asynchronous ones of all files.
  void FailWrite(uint64_t n, int error) { write_errors_[writes_ + n] = error; }
  void FailOpen(uint64_t n, int error) { open_errors_[opens_ + n] = error; }
  void FailRead(uint64_t n, int error) { read_errors_[reads_ + n] = error; }
  void FailSync(uint64_t n, int error) { sync_errors_[syncs_ + n] = error; }
  void CutWrite(uint64_t n, std::size_t bytes) { cut_writes_[writes_ + n] = bytes; }
  // Called before each blocking open and read, which is what recovery does.
  void SetWatcher(Function<void()> watcher) { watcher_ = std::move(watcher); }
  void PlanNothing();  // What was planned so and hasn't come yet doesn't come.
  // Abandons what is under way and forgets what wasn't durable. Files opened before stay attached
  // to nothing: open them anew. Locks are free again.
  void Crash();
  // The process dies, the power stays: what was written stays in the cache.
  void Kill();
  // On the platter and in the cache.
  void FlipBit(const std::string& path, uint64_t bit);
  void Overwrite(const std::string& path, uint64_t offset, const std::string& bytes);
  void Truncate(const std::string& path, uint64_t size);

  // ---- the medium (fault_disk_medium.cc) ----
  // Overwrites it, and remembers that the medium did.
  void Rot(const std::string& path, uint64_t offset, const std::string& bytes);
  // Sectors that read as what nobody wrote there.
  struct Damage {
    std::string path = {};
    uint64_t offset = 0;  // Of the sector.
    friend auto operator<=>(const Damage&, const Damage&) = default;
  };
  std::vector<Damage> Damaged() const;                  // In order.
  std::string Intended(const std::string& path) const;  // What a Read would see without damage.
  void Repair();
  uint64_t lies() const { return lies_; }  // Writes lost or misdirected, so far.
  // A disk of its own with the same content. REQUIRES: nothing under way.
  std::unique_ptr<FaultDisk> Clone(uint64_t seed) const;

  // ---- what there is ----
  bool Exists(const std::string& path) const;
  std::string Content(const std::string& path) const;  // As a Read would see it. "" if not there.
  std::string Durable(const std::string& path) const;  // As it would stand if all else were lost.
  uint64_t writes() const { return writes_; }          // Asynchronous ones, so far.
  uint64_t opens() const { return opens_; }
  uint64_t reads() const { return reads_; }
  uint64_t syncs() const { return syncs_; }
  uint64_t in_flight() const { return in_flight_.size(); }
  std::vector<std::string> Files() const;  // Paths, sorted.

 private:
  friend class FaultDiskOnLoop;
  friend class FaultFile;

  struct Node {
    io::PagedBytes cached;
    io::PagedBytes durable;
    uint64_t reserved = 0;     // Of Allocate.
    std::set<uint64_t> dirty;  // Sectors written since the last Sync was asked for.
    uint64_t syncs_asked = 0;
    uint64_t last_sync_done = 0;  // The highest number of a completed one.
    bool direct = false;          // Writes pass the cache by.
    // What damaged sectors of `durable` should hold.
    std::map<uint64_t, std::string> intended;
  };
  using NodePtr = std::shared_ptr<Node>;

  struct NameChange {
    enum class Kind : uint8_t { kCreate, kRemove, kRename, kMakeDirectory };
    Kind kind;
    std::string path;
    std::string target = {};
    NodePtr node = nullptr;
  };
  struct Names {
    std::map<std::string, NodePtr> files;
    std::set<std::string> directories;
    void Apply(const NameChange& change);
    bool IsDirectory(const std::string& normal_path) const;
  };

  struct InFlight {
    io::Op* op = nullptr;
    NodePtr node = nullptr;
    uint64_t offset = 0;
    std::span<const char> write = {};  // Of a write.
    bool direct = false;
    std::set<uint64_t> syncing = {};  // Sectors that a sync was asked to make durable.
  };

  // Begins `op`; `effect` runs when it is due and gives the result, unless a crash comes first.
  void Start(ManualLoop* loop, InFlight operation, Function<int64_t()> effect);
  void StartNaming(ManualLoop* loop, io::Op* op, Function<int64_t()> effect);
  int64_t TakeFault(std::map<uint64_t, int>* planned, uint64_t count, double chance);

  void StartWrite(ManualLoop* loop, const NodePtr& node, bool direct, uint64_t offset,
                  std::span<const char> from, io::Op* op);
  void StartRead(ManualLoop* loop, const NodePtr& node, bool direct, uint64_t offset,
                 std::span<char> into, io::Op* op);
  void StartSync(ManualLoop* loop, const NodePtr& node, io::Op* op);
  static io::PagedBytes WrittenOut(const Node& node);
  void DropCache(const NodePtr& node);
  static int64_t ReadNode(const Node& node, bool direct, uint64_t offset, std::span<char> into);
  int64_t DoWrite(Node* node, bool durable, uint64_t offset, std::span<const char> from);
  void MakeDurable(Node* node, const std::set<uint64_t>& sectors);
  static void Land(const io::PagedBytes& from, Node* node, uint64_t sector);
  bool Lies(Node* node, uint64_t offset, std::span<const char> from);
  std::set<uint64_t> LieAbout(const io::PagedBytes& from, Node* node,
                              const std::set<uint64_t>& sectors);
  static void MakeIntended(Node* node, uint64_t offset, std::span<const char> content);
  void Misplace(Node* node, uint64_t offset, std::span<const char> from);
  static void Damages(Node* node, uint64_t offset, std::span<const char> with);
  static bool Visible(const Node& node, uint64_t sector);
  void Garble(const InFlight& operation);
  void Abandon(bool power_fails);
  std::size_t ShortSize(std::size_t size, bool direct);
  bool Fits(const Node& node, uint64_t new_size) const;
  uint64_t UsedBytes() const;

  void Change(NameChange change);
  int RemovePath(const std::string& path);
  int RenamePath(const std::string& from, const std::string& to);
  void SyncNames(std::size_t count);

  void CrashWrite(const InFlight& operation);
  void CrashNode(Node* node);
  NodePtr Find(const std::string& path) const;

  Random random_;
  Faults faults_;
  uint64_t read_ahead_bytes_ = 0;
  uint64_t opens_ = 0;
  uint64_t writes_ = 0;
  uint64_t reads_ = 0;
  uint64_t syncs_ = 0;
  uint64_t lies_ = 0;
  Function<void()> watcher_;
  std::map<uint64_t, int> open_errors_;
  std::map<uint64_t, int> write_errors_;
  std::map<uint64_t, int> read_errors_;
  std::map<uint64_t, int> sync_errors_;
  std::map<uint64_t, std::size_t> cut_writes_;

  Names names_;
  Names durable_names_;
  std::vector<NameChange> name_changes_;  // Since durable_names_.
  uint64_t name_changes_synced_ = 0;      // Ever, to tell which of them a sync had seen.
  std::shared_ptr<std::set<std::string>> locks_;
  std::map<uint64_t, InFlight> in_flight_;
  uint64_t next_id_ = 0;
};

}  // namespace ursula::testing
