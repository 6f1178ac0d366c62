#include "tests/support/power_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

namespace ursula::testing {

int64_t PowerDisk::Read(uint64_t offset, std::span<char> into) {
  if (off_ || fail_reads_) return -EIO;
  const std::size_t count = durable_.Read(offset, into);
  const uint64_t end = offset + count;
  for (auto it = cache_.lower_bound(offset / kSectorBytes);
       it != cache_.end() && it->first * kSectorBytes < end; ++it) {
    const uint64_t sector = it->first * kSectorBytes;
    const uint64_t from = std::max(sector, offset);
    const uint64_t to = std::min(sector + kSectorBytes, end);
    std::memcpy(into.data() + (from - offset), it->second.bytes.data() + (from - sector),
                static_cast<std::size_t>(to - from));
  }
  return static_cast<int64_t>(count);
}

int64_t PowerDisk::Write(uint64_t offset, std::span<const char> from) {
  if (off_ || fail_writes_) return -EIO;
  if (offset % kSectorBytes != 0 || from.size() % kSectorBytes != 0) return -EINVAL;
  if (offset + from.size() > bytes()) return -ENOSPC;
  ++writes_;
  for (std::size_t at = 0; at < from.size(); at += kSectorBytes) {
    CachedSector& sector = cache_[(offset + at) / kSectorBytes];
    sector.bytes.assign(from.data() + at, kSectorBytes);
    sector.write = writes_;
  }
  return static_cast<int64_t>(from.size());
}

int PowerDisk::Flush() {
  if (cut_at_flush_.has_value() && !cache_.empty()) Cut(cut_at_flush_->keep, cut_at_flush_->seed);
  if (off_ || fail_flushes_) return -EIO;
  ++flushes_;
  if (lying_) return 0;
  for (const auto& [sector, cached] : cache_) MakeDurable(sector, cached.bytes);
  cache_.clear();
  return 0;
}

void PowerDisk::Cut(double keep, uint64_t seed) {
  Random random(seed);
  kept_ = lost_ = torn_ = 0;
  if (!lying_) {
    TearOne(&random);
    for (const auto& [sector, cached] : cache_) {
      if (!random.Chance(keep)) {
        ++lost_;
        continue;
      }
      MakeDurable(sector, cached.bytes);
      ++kept_;
    }
  }
  lost_ += lying_ ? cache_.size() : 0;
  cache_.clear();
  cut_at_flush_.reset();
  off_ = true;
}

// What the torn write decides is no longer left to chance.
void PowerDisk::TearOne(Random* random) {
  std::map<uint64_t, std::vector<uint64_t>> writes;
  for (const auto& [sector, cached] : cache_) writes[cached.write].push_back(sector);
  std::erase_if(writes, [](const auto& write) { return write.second.size() < 2; });
  if (writes.empty()) return;
  const std::vector<uint64_t>& sectors =
      std::next(writes.begin(), static_cast<int64_t>(random->Below(writes.size())))->second;
  const std::size_t first_lost = 1 + random->Below(sectors.size() - 1);
  for (std::size_t i = 0; i < sectors.size(); ++i) {
    const uint64_t offset = sectors[i] * kSectorBytes;
    std::span<const char> bytes = cache_[sectors[i]].bytes;
    if (i < first_lost) {
      MakeDurable(sectors[i], bytes);
      ++kept_;
    } else if (i == first_lost && offset % kBlockBytes >= kBlockBytes / 2) {
      MakeDurable(sectors[i], bytes.first(kSectorBytes / 2));
      ++torn_;
    } else {
      ++lost_;
    }
  }
  for (uint64_t sector : sectors) cache_.erase(sector);
}

void PowerDisk::PowerOn() { off_ = fail_reads_ = fail_writes_ = fail_flushes_ = lying_ = false; }

bool PowerDisk::Command(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  if (verb == "cut" || verb == "cut-at-flush") {
    double keep = 0;
    uint64_t seed = 0;
    if (!(words >> keep >> seed)) return false;
    verb == "cut" ? Cut(keep, seed) : CutAtFlush(keep, seed);
  } else if (verb == "on") {
    PowerOn();
  } else if (verb == "lie") {
    Lie(true);
  } else if (verb == "fail") {
    std::string what;
    words >> what;
    if (what == "reads") {
      FailReads(true);
    } else if (what == "writes") {
      FailWrites(true);
    } else if (what == "flushes") {
      FailFlushes(true);
    } else {
      return false;
    }
  } else {
    return false;
  }
  return true;
}

std::string PowerDisk::Report() const {
  std::ostringstream text;
  text << "off=" << off_ << " writes=" << writes_ << " flushes=" << flushes_
       << " cached=" << cache_.size() << " kept=" << kept_ << " lost=" << lost_ << " torn=" << torn_
       << "\n";
  return text.str();
}

}  // namespace ursula::testing
