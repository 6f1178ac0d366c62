// The medium of a FaultDisk: what it does to data that it has said it took.

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/base/check.h"
#include "lib/io/paths.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::testing {
namespace {

std::string SectorOf(const io::PagedBytes& bytes, uint64_t sector) {
  std::string content(FaultDisk::kSectorBytes, '\0');
  content.resize(bytes.Read(sector * FaultDisk::kSectorBytes, std::span<char>(content)));
  return content;
}

void WriteWithin(io::PagedBytes* bytes, uint64_t offset, std::span<const char> from) {
  if (offset >= bytes->size()) return;
  bytes->Write(offset, from.first(static_cast<std::size_t>(
                           std::min<uint64_t>(from.size(), bytes->size() - offset))));
}

}  // namespace

// Notes what the sectors in this range hold, for they hold `with` from now on.
void FaultDisk::Damages(Node* node, uint64_t offset, std::span<const char> with) {
  const uint64_t end = offset + with.size();
  for (uint64_t s = offset / kSectorBytes; s * kSectorBytes < end; ++s) {
    if (s * kSectorBytes >= node->durable.size()) break;
    node->intended.try_emplace(s, SectorOf(node->durable, s));
  }
  WriteWithin(&node->durable, offset, with);
  std::erase_if(node->intended, [&](const auto& damaged) {
    return damaged.second == SectorOf(node->durable, damaged.first);
  });
}

// A direct write: true if it went elsewhere, or nowhere.
bool FaultDisk::Lies(Node* node, uint64_t offset, std::span<const char> from) {
  const bool lost = faults_.lost_write > 0 && random_.Chance(faults_.lost_write);
  const bool misdirected =
      !lost && faults_.misdirected_write > 0 && random_.Chance(faults_.misdirected_write);
  if ((!lost && !misdirected) || offset + from.size() > node->durable.size()) return false;
  ++lies_;
  MakeIntended(node, offset, from);
  if (misdirected) Misplace(node, offset, from);
  return true;
}

void FaultDisk::MakeIntended(Node* node, uint64_t offset, std::span<const char> content) {
  URSULA_CHECK(offset % kSectorBytes == 0);
  for (std::size_t at = 0; at < content.size(); at += kSectorBytes) {
    const uint64_t sector = (offset + at) / kSectorBytes;
    std::string wanted(content.data() + at,
                       std::min<std::size_t>(kSectorBytes, content.size() - at));
    const std::string there = SectorOf(node->durable, sector);
    if (wanted.size() < there.size()) wanted += there.substr(wanted.size());
    if (wanted == there) {
      node->intended.erase(sector);
    } else {
      node->intended[sector] = std::move(wanted);
    }
  }
}

// Of the sectors that a sync takes to the medium, those that arrive where they should.
std::set<uint64_t> FaultDisk::LieAbout(const io::PagedBytes& from, Node* node,
                                       const std::set<uint64_t>& sectors) {
  const bool lost = faults_.lost_write > 0 && random_.Chance(faults_.lost_write);
  const bool misdirected =
      !lost && faults_.misdirected_write > 0 && random_.Chance(faults_.misdirected_write);
  if ((!lost && !misdirected) || sectors.empty()) return sectors;
  ++lies_;
  std::vector<uint64_t> all(sectors.begin(), sectors.end());
  const std::size_t first = random_.Below(all.size());
  const std::size_t count = 1 + random_.Below(all.size() - first);
  std::set<uint64_t> rest = sectors;
  for (std::size_t i = first; i < first + count; ++i) {
    const std::string content = SectorOf(from, all[i]);
    rest.erase(all[i]);
    MakeIntended(node, all[i] * kSectorBytes, content);
    if (misdirected && i == first) Misplace(node, all[i] * kSectorBytes, content);
  }
  return rest;
}

// Writes `from` where it doesn't belong: elsewhere in this file, or at its place in another.
void FaultDisk::Misplace(Node* node, uint64_t offset, std::span<const char> from) {
  Node* victim = node;
  if (random_.OneIn(2)) {
    std::vector<Node*> others;
    for (const auto& [path, other] : names_.files) {
      if (other->direct == node->direct && other->durable.size() > 0) others.push_back(other.get());
    }
    if (!others.empty()) victim = others[random_.Below(others.size())];
  }
  if (victim == node) {
    const uint64_t blocks = victim->durable.size() / kBlockBytes;
    if (blocks == 0) return;
    offset = random_.Below(blocks) * kBlockBytes + offset % kBlockBytes;
  }
  if (offset >= victim->durable.size()) return;
  Damages(victim, offset, from);
  if (victim->direct) WriteWithin(&victim->cached, offset, from);
}

// A block under a direct write when the power fails: neither the old nor the new.
void FaultDisk::Garble(const InFlight& operation) {
  Node* node = operation.node.get();
  const uint64_t blocks = operation.write.size() / kBlockBytes;
  if (blocks == 0) return;
  std::string garbage(kBlockBytes, '\0');
  for (std::size_t at = 0; at < garbage.size(); at += 8) {
    const uint64_t word = random_.Next();
    std::memcpy(garbage.data() + at, &word, 8);
  }
  const uint64_t offset = operation.offset + random_.Below(blocks) * kBlockBytes;
  WriteWithin(&node->cached, offset, garbage);
  WriteWithin(&node->durable, offset, garbage);
  for (uint64_t s = offset / kSectorBytes; s < (offset + kBlockBytes) / kSectorBytes; ++s) {
    node->intended.erase(s);
  }
}

void FaultDisk::Rot(const std::string& path, uint64_t offset, const std::string& bytes) {
  NodePtr node = Find(path);
  URSULA_CHECK(node != nullptr);
  Damages(node.get(), offset, bytes);
  WriteWithin(&node->cached, offset, bytes);
}

// A cache that holds newer or better content hides the damage below it.
bool FaultDisk::Visible(const Node& node, uint64_t sector) {
  return SectorOf(node.cached, sector) == SectorOf(node.durable, sector);
}

std::vector<FaultDisk::Damage> FaultDisk::Damaged() const {
  std::vector<Damage> damaged;
  for (const auto& [path, node] : names_.files) {
    for (const auto& [sector, content] : node->intended) {
      if (Visible(*node, sector)) damaged.push_back({path, sector * kSectorBytes});
    }
  }
  return damaged;
}

std::string FaultDisk::Intended(const std::string& path) const {
  std::string bytes = Content(path);
  NodePtr node = Find(path);
  if (node == nullptr) return bytes;
  for (const auto& [sector, content] : node->intended) {
    const uint64_t offset = sector * kSectorBytes;
    if (!Visible(*node, sector) || offset >= bytes.size()) continue;
    bytes.replace(offset, std::min<std::size_t>(content.size(), bytes.size() - offset), content, 0,
                  bytes.size() - offset);
  }
  return bytes;
}

void FaultDisk::Repair() {
  for (const auto& [path, node] : names_.files) {
    for (const auto& [sector, content] : node->intended) {
      const bool visible = Visible(*node, sector);
      WriteWithin(&node->durable, sector * kSectorBytes, content);
      if (visible) WriteWithin(&node->cached, sector * kSectorBytes, content);
    }
    node->intended.clear();
  }
}

std::unique_ptr<FaultDisk> FaultDisk::Clone(uint64_t seed) const {
  URSULA_CHECK(in_flight_.empty());
  auto clone = std::make_unique<FaultDisk>(seed, faults_);
  std::map<const Node*, NodePtr> copies;
  auto copy = [&](const NodePtr& node) -> NodePtr {
    if (node == nullptr) return nullptr;
    NodePtr& made = copies[node.get()];
    if (made == nullptr) made = std::make_shared<Node>(*node);
    return made;
  };
  auto copy_names = [&](const Names& from, Names* to) {
    to->directories = from.directories;
    for (const auto& [path, node] : from.files) to->files[path] = copy(node);
  };
  copy_names(names_, &clone->names_);
  copy_names(durable_names_, &clone->durable_names_);
  for (NameChange change : name_changes_) {
    change.node = copy(change.node);
    clone->name_changes_.push_back(std::move(change));
  }
  return clone;
}

// Pages that a sync is writing stay, as dirty ones do.
void FaultDisk::DropCache(const NodePtr& node) {
  io::PagedBytes left = WrittenOut(*node);
  for (const auto& [id, other] : in_flight_) {
    if (other.node != node) continue;
    for (uint64_t sector : other.syncing) {
      WriteWithin(&left, sector * kSectorBytes, SectorOf(node->cached, sector));
    }
  }
  node->cached = std::move(left);
}

}  // namespace ursula::testing
