#include "lib/storage/directory_format.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/base/crc32c.h"

namespace ursula::storage {
namespace {

constexpr std::string_view kMagic = "URSULADD";
constexpr uint32_t kFormatVersion = 2;
constexpr std::size_t kHeaderBytes = 8 + 4 + 4;

// Of a stored tag: a release that doesn't know the field must not open the directory.
constexpr uint16_t kMustUnderstand = 0x8000;

// Numbers are never used again.
enum Tag : uint16_t {
  kId = 1,
  kGroupCount = 2,
  kGeneration = 3,
  kNonce = 4,
  kPredecessor = 5,
  kClusterId = 6,
  kNodeId = 7,
  kReplicaId = 8,
  kFoundingVoters = 9,
  kHistoryId = 10,
  kLevel = 11,
  kState = 12,
  kFounders = 13,
  kRecovery = 14,
  kAside = 15,
  kFoundingLevel = 16,
};

// The first leader after a recovery needs all survivors: of more it would be a majority alone.
constexpr std::size_t kSurvivorsMax = 4;

Status Refusal(std::string message) {
  return Status(StatusCode::kFailedPrecondition, std::move(message));
}

Status Damaged() { return Refusal("damaged; restore it from a backup of this directory"); }

// Field values by tag, without the bit.
using Fields = std::map<uint16_t, std::string>;

template <class T>
void Put(Fields* fields, Tag tag, T value) {
  PutFixed<T>(&(*fields)[tag], value);
}

// Takes a field's value, or says that it isn't of its form.
class Taker {
 public:
  explicit Taker(Fields* fields) : fields_(*fields) {}

  template <class T>
  T Fixed(Tag tag) {
    const std::string value = Take(tag);
    if (value.size() != sizeof(T)) {
      ok_ = false;
      return T{};
    }
    return LoadFixed<T>(value.data());
  }

  std::vector<ReplicaId> Nodes(Tag tag) {
    const std::string value = Take(tag);
    ok_ = ok_ && value.size() % sizeof(uint64_t) == 0;
    std::vector<ReplicaId> nodes;
    for (Reader reader(value); ok_ && !reader.AtEnd();) {
      nodes.push_back(ReplicaId{reader.Fixed<uint64_t>()});
    }
    return nodes;
  }

  std::vector<FoundingDirectory> Directories(Tag tag) {
    const std::string value = Take(tag);
    ok_ = ok_ && value.size() % (2 * sizeof(uint64_t)) == 0;
    std::vector<FoundingDirectory> directories;
    for (Reader reader(value); ok_ && !reader.AtEnd();) {
      const uint64_t node = reader.Fixed<uint64_t>();
      directories.push_back({node, reader.Fixed<uint64_t>()});
    }
    return directories;
  }

  DirectoryRecovery Recovery(Tag tag) {
    const std::string value = Take(tag);
    DirectoryRecovery recovery;
    if (value.empty()) return recovery;
    Reader reader(value);
    recovery.number = reader.Fixed<uint64_t>();
    recovery.term = Term{reader.Fixed<uint64_t>()};
    recovery.history_id = reader.Fixed<uint64_t>();
    recovery.cluster_before = reader.Fixed<uint64_t>();
    while (reader.ok() && !reader.AtEnd()) recovery.lost.push_back(reader.Fixed<uint64_t>());
    ok_ = ok_ && reader.ok() && recovery.number != 0;
    return recovery;
  }

  DirectoryAside Aside(Tag tag) {
    const std::string value = Take(tag);
    DirectoryAside aside;
    if (value.empty()) return aside;
    Reader reader(value);
    aside.cluster_id = reader.Fixed<uint64_t>();
    aside.cluster_before = reader.Fixed<uint64_t>();
    ok_ = ok_ && reader.ok() && reader.AtEnd() && aside.cluster_id != 0;
    return aside;
  }

  bool Has(Tag tag) const { return fields_.contains(tag); }
  bool ok() const { return ok_; }

 private:
  std::string Take(Tag tag) {
    auto found = fields_.find(tag);
    if (found == fields_.end()) return {};
    std::string value = std::move(found->second);
    fields_.erase(found);
    return value;
  }

  Fields& fields_;
  bool ok_ = true;
};

bool Known(uint16_t tag) { return tag >= kId && tag <= kFoundingLevel; }

// Whoever doesn't know the founding level refuses the level that comes with it, by its number.
bool MustBeUnderstood(uint16_t tag) { return Known(tag) && tag != kFoundingLevel; }

// Ascending, each once.
Result<Fields> ReadFields(std::string_view bytes) {
  Fields fields;
  Reader reader(bytes);
  while (reader.ok() && !reader.AtEnd()) {
    const uint16_t stored = reader.Fixed<uint16_t>();
    const uint16_t size = reader.Fixed<uint16_t>();
    const std::string_view value = reader.Take(size);
    const uint16_t tag = stored & ~kMustUnderstand;
    if (!reader.ok() || (!fields.empty() && tag <= fields.rbegin()->first)) return Damaged();
    if (!Known(tag) && (stored & kMustUnderstand) != 0) {
      return Refusal("a newer release wrote it (field " + std::to_string(tag) +
                     "); use that release or a newer one");
    }
    fields.emplace(tag, value);
  }
  return fields;
}

Status CheckMeta(const DirectoryMeta& meta) {
  if (meta.feature_level > kFeatureLevel) {
    return Refusal("at feature level " + std::to_string(meta.feature_level) +
                   ", this build knows " + std::to_string(kFeatureLevel) +
                   "; use the release that raised it, or a newer");
  }
  const bool state_known =
      meta.state >= DirectoryState::kFounding && meta.state <= DirectoryState::kMustRejoin;
  if (meta.generation == 0 || meta.feature_level == 0 || !state_known) return Damaged();
  const DirectoryState with_aside =
      HasPlan(meta) ? DirectoryState::kMustRejoin : DirectoryState::kFounding;
  if (meta.aside.cluster_id != 0 && meta.state != with_aside) return Damaged();
  if (meta.founding_level == 0 || meta.founding_level > meta.feature_level) return Damaged();
  if (!HasPlan(meta)) {
    const bool none = meta.group_count == 0 && meta.cluster_id == 0 && meta.history_id == 0 &&
                      Raw(meta.replica_id) == 0 && meta.founders.empty();
    return none && meta.state == DirectoryState::kFounding ? Status() : Damaged();
  }
  const bool each_founds =
      meta.founders.empty() || meta.founders.size() == meta.founding_voters.size();
  if (meta.group_count == 0 || !each_founds) return Damaged();
  const bool few = !meta.founders.empty() && meta.founders.size() <= kSurvivorsMax;
  if (meta.recovery.number != 0 && !few) return Damaged();
  return {};
}

}  // namespace

std::string EncodeDirectoryMeta(const DirectoryMeta& meta) {
  Fields fields;
  Put(&fields, kId, meta.id);
  Put(&fields, kGroupCount, meta.group_count);
  Put(&fields, kGeneration, meta.generation);
  Put(&fields, kNonce, meta.nonce);
  Put(&fields, kPredecessor, meta.predecessor);
  Put(&fields, kClusterId, meta.cluster_id);
  Put(&fields, kNodeId, meta.node_id);
  Put(&fields, kReplicaId, Raw(meta.replica_id));
  fields[kFoundingVoters] = {};
  for (ReplicaId voter : meta.founding_voters) Put(&fields, kFoundingVoters, Raw(voter));
  Put(&fields, kHistoryId, meta.history_id);
  Put(&fields, kLevel, meta.feature_level);
  Put(&fields, kState, static_cast<uint32_t>(meta.state));
  for (const FoundingDirectory& founder : meta.founders) {
    Put(&fields, kFounders, founder.node_id);
    Put(&fields, kFounders, founder.id);
  }
  if (meta.recovery.number != 0) {
    Put(&fields, kRecovery, meta.recovery.number);
    Put(&fields, kRecovery, Raw(meta.recovery.term));
    Put(&fields, kRecovery, meta.recovery.history_id);
    Put(&fields, kRecovery, meta.recovery.cluster_before);
    for (uint64_t node : meta.recovery.lost) Put(&fields, kRecovery, node);
  }
  if (meta.aside.cluster_id != 0) {
    Put(&fields, kAside, meta.aside.cluster_id);
    Put(&fields, kAside, meta.aside.cluster_before);
  }
  if (meta.founding_level != 1) Put(&fields, kFoundingLevel, meta.founding_level);
  for (const UnknownMetaField& field : meta.unknown) {
    URSULA_CHECK(!Known(field.tag));
    fields[field.tag] = field.value;
  }
  std::string body;
  for (const auto& [tag, value] : fields) {
    URSULA_CHECK(value.size() <= UINT16_MAX);
    PutFixed<uint16_t>(&body, MustBeUnderstood(tag) ? tag | kMustUnderstand : tag);
    PutFixed<uint16_t>(&body, static_cast<uint16_t>(value.size()));
    body.append(value);
  }
  std::string bytes(kMagic);
  PutFixed<uint32_t>(&bytes, kFormatVersion);
  PutFixed<uint32_t>(&bytes, static_cast<uint32_t>(body.size()));
  bytes.append(body);
  PutFixed<uint32_t>(&bytes, Crc32c(0, bytes));
  URSULA_CHECK(bytes.size() <= kMetaBytesMax);
  return bytes;
}

Result<DirectoryMeta> DecodeDirectoryMeta(std::string_view bytes) {
  Reader reader(bytes);
  const bool ours = reader.Take(kMagic.size()) == kMagic;
  const uint32_t version = reader.Fixed<uint32_t>();
  if (!ours || !reader.ok()) {
    return Refusal("not a data directory's META file; restore it, or give another directory");
  }
  if (version == 1) {
    return Refusal(
        "made by 0.1, which this release can't read; read its streams with 0.1, and give this "
        "release another directory");
  }
  if (version != kFormatVersion) {
    return Refusal("data format version " + std::to_string(version) + ", this build reads " +
                   std::to_string(kFormatVersion) + "; use the release that wrote it");
  }
  const uint32_t size = reader.Fixed<uint32_t>();
  const std::string_view body = reader.Take(size);
  const uint32_t crc = reader.Fixed<uint32_t>();
  if (!reader.AtEnd() || crc != Crc32c(0, bytes.substr(0, kHeaderBytes + size))) return Damaged();
  Result<Fields> fields = ReadFields(body);
  if (!fields.ok()) return fields.status();
  Taker take(&*fields);
  DirectoryMeta meta;
  meta.id = take.Fixed<uint64_t>(kId);
  meta.group_count = take.Fixed<uint32_t>(kGroupCount);
  meta.generation = take.Fixed<uint64_t>(kGeneration);
  meta.nonce = take.Fixed<uint64_t>(kNonce);
  meta.predecessor = take.Fixed<uint64_t>(kPredecessor);
  meta.cluster_id = take.Fixed<uint64_t>(kClusterId);
  meta.node_id = take.Fixed<uint64_t>(kNodeId);
  meta.replica_id = ReplicaId{take.Fixed<uint64_t>(kReplicaId)};
  meta.founding_voters = take.Nodes(kFoundingVoters);
  meta.history_id = take.Fixed<uint64_t>(kHistoryId);
  meta.feature_level = take.Fixed<uint32_t>(kLevel);
  meta.state = static_cast<DirectoryState>(take.Fixed<uint32_t>(kState));
  meta.founders = take.Directories(kFounders);
  meta.recovery = take.Recovery(kRecovery);
  meta.aside = take.Aside(kAside);
  if (take.Has(kFoundingLevel)) meta.founding_level = take.Fixed<uint32_t>(kFoundingLevel);
  if (!take.ok()) return Damaged();
  for (auto& [tag, value] : *fields) meta.unknown.push_back({tag, std::move(value)});
  Status checked = CheckMeta(meta);
  if (!checked.ok()) return checked;
  return meta;
}

}  // namespace ursula::storage
