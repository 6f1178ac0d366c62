// tests/support/power_disk.h
//
// A block device in memory with a volatile write cache, for cutting the power of a real file
// system. The fault model:
//
// - A write is in the cache until a flush that came after it; then it is durable.
// - A cut keeps each 512-byte sector of the cache with a given chance, from a seed, whatever the
//   order in which they were written. If any write of several sectors is in the cache, one of them
//   is torn: a part of it is kept and a part is not, and where the cut between the two falls inside
//   a sector, that sector is half new and half old. Then everything fails with EIO until the power
//   is back.
// - Only the later half of a 4 KiB block is ever cut inside a sector: no file system survives half
//   a superblock, whose sector real disks write as a whole.
// - Reads, writes and flushes fail with EIO when told so.
// - A disk that lies answers flushes and keeps its cache, and a cut loses all of it: what is left
// is
//   what was durable before, whole.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "lib/io/paged_bytes.h"

namespace ursula::testing {

class PowerDisk {
 public:
  static constexpr uint64_t kSectorBytes = 512;
  static constexpr uint64_t kBlockBytes = 4096;

  explicit PowerDisk(uint64_t bytes) { durable_.Resize(bytes); }

  uint64_t bytes() const { return durable_.size(); }

  // ---- the device ----
  // Bytes moved, or -errno. Offsets and sizes of writes are whole sectors.
  int64_t Read(uint64_t offset, std::span<char> into);
  int64_t Write(uint64_t offset, std::span<const char> from);
  int Flush();

  // ---- faults ----
  void Cut(double keep, uint64_t seed);
  // In place of the next flush, when the cache holds most.
  void CutAtFlush(double keep, uint64_t seed) { cut_at_flush_ = {keep, seed}; }
  void PowerOn();  // And every other fault ends.
  void FailReads(bool fail) { fail_reads_ = fail; }
  void FailWrites(bool fail) { fail_writes_ = fail; }
  void FailFlushes(bool fail) { fail_flushes_ = fail; }
  void Lie(bool lie) { lying_ = lie; }

  // One fault as a line of text: "cut KEEP SEED", "cut-at-flush KEEP SEED", "on", "fail
  // reads|writes|flushes", "lie". False: it is none of these.
  bool Command(const std::string& line);
  // "off=0 writes=1 flushes=1 cached=0 kept=0 lost=0 torn=0": sectors; kept, lost and torn by the
  // last cut.
  std::string Report() const;

 private:
  struct CachedSector {
    std::string bytes;
    uint64_t write = 0;  // The number of the write that it came with.
  };

  void MakeDurable(uint64_t sector, std::span<const char> bytes) {
    durable_.Write(sector * kSectorBytes, bytes);
  }
  void TearOne(Random* random);

  io::PagedBytes durable_;
  std::map<uint64_t, CachedSector> cache_;  // By sector.
  struct Chances {
    double keep = 0;
    uint64_t seed = 0;
  };
  std::optional<Chances> cut_at_flush_;
  bool off_ = false;
  bool fail_reads_ = false;
  bool fail_writes_ = false;
  bool fail_flushes_ = false;
  bool lying_ = false;
  uint64_t writes_ = 0;
  uint64_t flushes_ = 0;
  uint64_t kept_ = 0;
  uint64_t lost_ = 0;
  uint64_t torn_ = 0;
};

}  // namespace ursula::testing
