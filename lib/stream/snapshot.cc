#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/stream/collection.h"
#include "lib/stream/command_format.h"
#include "lib/stream/machine.h"
#include "lib/stream/record_format.h"

namespace ursula::stream {
namespace {

Status Malformed(std::string_view what) {
  return Status(StatusCode::kDataLoss, "malformed snapshot record: " + std::string(what));
}

// A 64-bit hash of a sequence of strings, by multiply and shift. Not against an adversary.
class SequenceHash {
 public:
  void Add(std::string_view data) {
    Mix(data.size());
    while (data.size() >= sizeof(uint64_t)) {
      Mix(LoadFixed<uint64_t>(data.data()));
      data.remove_prefix(sizeof(uint64_t));
    }
    uint64_t last = 0;
    for (char c : data) last = (last << 8) | static_cast<unsigned char>(c);
    Mix(last);
  }
  uint64_t value() const { return state_; }

 private:
  void Mix(uint64_t word) {
    state_ = (state_ ^ word) * 0x9e3779b97f4a7c15;
    state_ ^= state_ >> 29;
    state_ *= 0xbf58476d1ce4e5b9;
    state_ ^= state_ >> 32;
  }
  uint64_t state_ = 0x94d049bb133111eb;
};

std::string KeyOf(char kind, std::string_view rest) {
  std::string key(1, kind);
  key.append(rest);
  return key;
}

std::string_view AsName(std::string_view rest) { return rest; }

Incarnation AsIncarnation(std::string_view rest) {
  Incarnation incarnation;
  URSULA_CHECK(ParseIncarnationKey(rest, &incarnation));
  return incarnation;
}

uint64_t AsNode(std::string_view rest) {
  uint64_t node = 0;
  URSULA_CHECK(ParseNodeKey(rest, &node));
  return node;
}

void PutNodeState(std::string* out, const NodeState& state) {
  PutVarint(out, state.lives_before);
  PutFixed<uint8_t>(out, static_cast<uint8_t>(state.stage));
  PutFixed<uint64_t>(out, state.directory);
  PutVarint(out, state.opening);
  PutFixed<uint64_t>(out, state.nonce);
  PutFixed<uint8_t>(out, state.cordoned ? 1 : 0);
}

NodeState GetNodeState(Reader* in) {
  NodeState state;
  state.lives_before = in->Varint();
  const uint8_t stage = in->Fixed<uint8_t>();
  if (stage < 1 || stage > 5) in->Fail();
  state.stage = static_cast<NodeState::Stage>(stage);
  state.directory = in->Fixed<uint64_t>();
  state.opening = in->Varint();
  state.nonce = in->Fixed<uint64_t>();
  state.cordoned = GetBool(in);
  return state;
}

GroupId AsGroup(std::string_view rest) {
  GroupId group{};
  URSULA_CHECK(ParseGroup(&rest, &group) && rest.empty());
  return group;
}

std::pair<GroupId, Incarnation> AsReservation(std::string_view rest) {
  std::pair<GroupId, Incarnation> key = {};
  URSULA_CHECK(ParseGroup(&rest, &key.first) && ParseNumber(rest, &key.second));
  return key;
}

std::string OfReservation(const std::pair<GroupId, Incarnation>& key) {
  return SightingKey(key.first, key.second);
}

// The key of the first record in `map`, whose records are of `kind`, after `key`; empty: none.
template <class Map, class Parse, class Format>
std::string NextOf(const Map& map, char kind, std::string_view key, Parse parse, Format format) {
  if (!key.empty() && key.front() > kind) return {};
  const bool inside = !key.empty() && key.front() == kind;
  auto next = inside ? map.upper_bound(parse(key.substr(1))) : map.begin();
  if (next == map.end()) return {};
  return KeyOf(kind, format(next->first));
}

}  // namespace

void Machine::MarkRecord(char kind, std::string_view rest) {
  if (changed_records_.insert(KeyOf(kind, rest)).second) ++record_marks_;
}

bool Machine::IsMarked(std::string_view key) const {
  Incarnation incarnation;
  if (key.front() != kStreamRecord || !ParseIncarnationKey(key.substr(1), &incarnation)) {
    return changed_records_.contains(key);
  }
  const StreamState* stream = streams_.Find(incarnation);
  return stream != nullptr && stream->changed;
}

void Machine::PutHeader(std::string* out) const {
  PutVarint(out, static_cast<uint64_t>(now_ms_));
  PutFixed<uint64_t>(out, history_);
  PutVarint(out, feature_level_);
  PutLimits(out, limits_);
  PutVarint(out, Raw(fences_settled_));
  if (recovery_ != 0) PutVarint(out, recovery_);
}

// The value of a record; empty if there is none (any more).
std::optional<std::string> Machine::RecordOf(std::string_view key) const {
  std::string_view rest = key.substr(1);
  std::string out;
  PutFixed<uint8_t>(&out, kRecordFormatVersion);
  switch (key.front()) {
    case kHeaderRecord:
      PutHeader(&out);
      return out;
    case kBucketRecord: {
      auto found = buckets_.find(rest);
      if (found == buckets_.end()) return std::nullopt;
      PutVarint(&out, Raw(found->second.incarnation));
      PutFixed<uint8_t>(&out, found->second.deleting ? 1 : 0);
      if (found->second.deleting) PutVarint(&out, Raw(found->second.attempt));
      return out;
    }
    case kFenceRecord: {
      auto found = fences_.find(rest);
      if (found == fences_.end()) return std::nullopt;
      PutVarint(&out, Raw(found->second.refused));
      PutVarint(&out, Raw(found->second.attempt));
      PutFixed<uint8_t>(&out, found->second.undone ? 1 : 0);
      return out;
    }
    case kNodeRecord: {
      uint64_t node = 0;
      if (!ParseNodeKey(rest, &node) || !nodes_.contains(node)) return std::nullopt;
      PutNodeState(&out, nodes_.at(node));
      return out;
    }
    case kReleaseRecord: {
      Incarnation fork;
      if (!ParseIncarnationKey(rest, &fork)) return std::nullopt;
      auto found = outbox_.find(fork);
      if (found == outbox_.end()) return std::nullopt;
      PutString(&out, found->second.key);
      PutReservation(&out, found->second.reservation);
      PutFixed<uint8_t>(&out, found->second.applied ? 1 : 0);
      return out;
    }
    case kPlacementRecord: {
      auto found = placements_.find(rest);
      if (found == placements_.end()) return std::nullopt;
      return EncodePlacement(found->second);
    }
    case kSettledRecord: {
      GroupId home{};
      if (!ParseGroup(&rest, &home) || !settled_.contains(home)) return std::nullopt;
      PutVarint(&out, Raw(settled_.at(home)));
      return out;
    }
    case kSightingRecord: {
      GroupId home{};
      Incarnation id;
      if (!ParseGroup(&rest, &home) || !ParseNumber(rest, &id)) return std::nullopt;
      auto found = sightings_.find({home, id});
      if (found == sightings_.end()) return std::nullopt;
      PutVarint(&out, static_cast<uint64_t>(found->second.first_ms));
      PutFixed<uint8_t>(&out, found->second.ruled_out ? 1 : 0);
      return out;
    }
    case kStreamRecord: {
      Incarnation incarnation;
      if (!ParseIncarnationKey(rest, &incarnation)) return std::nullopt;
      const StreamState* stream = streams_.Find(incarnation);
      if (stream == nullptr) return std::nullopt;
      return EncodeStream(*stream);
    }
    default:
      return std::nullopt;
  }
}

std::string Machine::KeyAfter(std::string_view key) const {
  std::string next = NextOf(buckets_, kBucketRecord, key, AsName, AsName);
  if (next.empty()) next = NextOf(fences_, kFenceRecord, key, AsName, AsName);
  if (next.empty()) next = NextOf(nodes_, kNodeRecord, key, AsNode, NodeKey);
  if (next.empty()) next = NextOf(outbox_, kReleaseRecord, key, AsIncarnation, IncarnationKey);
  if (next.empty()) next = NextOf(placements_, kPlacementRecord, key, AsName, AsName);
  if (next.empty()) {
    next = NextOf(streams_.streams(), kStreamRecord, key, AsIncarnation, IncarnationKey);
  }
  if (next.empty()) next = NextOf(sightings_, kSightingRecord, key, AsReservation, OfReservation);
  if (next.empty()) next = NextOf(settled_, kSettledRecord, key, AsGroup, SettledKey);
  return next;
}

void Machine::ForEachRecord(Emit* emit) const {
  auto record = [&](char kind, std::string_view rest) {
    std::string key = KeyOf(kind, rest);
    std::optional<std::string> value = RecordOf(key);
    (*emit)(key, *value);
  };
  record(kHeaderRecord, "");
  for (const auto& [name, bucket] : buckets_) record(kBucketRecord, name);
  for (const auto& [name, fence] : fences_) record(kFenceRecord, name);
  for (const auto& [node, state] : nodes_) record(kNodeRecord, NodeKey(node));
  for (const auto& [fork, release] : outbox_) record(kReleaseRecord, IncarnationKey(fork));
  for (const auto& [key, placement] : placements_) record(kPlacementRecord, key);
  for (const auto& [incarnation, stream] : streams_.streams()) {
    (*emit)(KeyOf(kStreamRecord, IncarnationKey(incarnation)), EncodeStream(*stream));
  }
  for (const auto& [key, sighting] : sightings_) {
    record(kSightingRecord, SightingKey(key.first, key.second));
  }
  for (const auto& [home, settled] : settled_) record(kSettledRecord, SettledKey(home));
}

void Machine::CollectChanges(bool full, Emit emit) {
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  Collection collection(this, full, {kAll, kAll});
  URSULA_CHECK(collection.Step(&emit));
}

uint64_t Machine::StateHash() const {
  SequenceHash hash;
  Emit add = [&](std::string_view key, std::optional<std::string_view> value) {
    hash.Add(key);
    hash.Add(*value);
  };
  ForEachRecord(&add);
  return hash.value();
}

Status Machine::LoadRecord(std::string_view key, std::optional<std::string_view> value) {
  if (key.empty()) return Malformed("no key");
  std::string_view rest = key.substr(1);
  switch (key.front()) {
    case kHeaderRecord:
      if (!rest.empty() || !value) return Malformed("header");
      return LoadHeader(*value);
    case kBucketRecord:
      return LoadBucket(rest, value);
    case kFenceRecord:
      return LoadFence(rest, value);
    case kNodeRecord:
      return LoadNode(rest, value);
    case kReleaseRecord:
      return LoadRelease(rest, value);
    case kPlacementRecord:
      return LoadPlacement(rest, value);
    case kStreamRecord:
      return LoadStream(rest, value);
    case kSightingRecord:
      return LoadSighting(rest, value);
    case kSettledRecord:
      return LoadSettled(rest, value);
    default:
      return Malformed("unknown kind");
  }
}

Status Machine::LoadHeader(std::string_view value) {
  Reader in(value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("header version");
  now_ms_ = GetTime(&in);
  history_ = in.Fixed<uint64_t>();
  feature_level_ = in.Varint();
  limits_ = GetLimits(&in);
  fences_settled_ = GetIncarnation(&in);
  const bool recovered = in.ok() && !in.AtEnd();
  recovery_ = recovered ? in.Varint() : 0;
  if (recovered && recovery_ == 0) return Malformed("header");
  return in.AtEnd() && now_ms_ != kNever ? Status() : Malformed("header");
}

Status Machine::LoadBucket(std::string_view name, std::optional<std::string_view> value) {
  if (!value) {
    buckets_.erase(std::string(name));
    return {};
  }
  Reader in(*value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("bucket version");
  Bucket bucket;
  bucket.incarnation = GetIncarnation(&in);
  bucket.deleting = GetBool(&in);
  if (bucket.deleting) bucket.attempt = GetIncarnation(&in);
  if (!in.AtEnd()) return Malformed("bucket");
  buckets_.insert_or_assign(std::string(name), bucket);
  return {};
}

Status Machine::LoadFence(std::string_view bucket, std::optional<std::string_view> value) {
  if (!value) {
    fences_.erase(std::string(bucket));
    return {};
  }
  Reader in(*value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("fence version");
  Fence fence;
  fence.refused = GetIncarnation(&in);
  fence.attempt = GetIncarnation(&in);
  fence.undone = GetBool(&in);
  if (!in.AtEnd()) return Malformed("fence");
  fences_.insert_or_assign(std::string(bucket), fence);
  return {};
}

Status Machine::LoadNode(std::string_view rest, std::optional<std::string_view> value) {
  uint64_t node = 0;
  if (!ParseNodeKey(rest, &node) || !value) return Malformed("node key");
  Reader in(*value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("node version");
  const NodeState state = GetNodeState(&in);
  if (!in.AtEnd()) return Malformed("node");
  nodes_.insert_or_assign(node, state);
  return {};
}

Status Machine::LoadRelease(std::string_view rest, std::optional<std::string_view> value) {
  Incarnation fork;
  if (!ParseIncarnationKey(rest, &fork)) return Malformed("release key");
  if (!value) {
    outbox_.erase(fork);
    return {};
  }
  Reader in(*value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("release version");
  ReleaseState release;
  release.key = in.String();
  release.reservation = GetReservation(&in);
  release.applied = GetBool(&in);
  if (!in.AtEnd() || !IsKey(release.key)) return Malformed("release");
  outbox_.insert_or_assign(fork, std::move(release));
  return {};
}

Status Machine::LoadPlacement(std::string_view key, std::optional<std::string_view> value) {
  if (!IsKey(key)) return Malformed("placement key");
  if (!value) {
    placements_.erase(std::string(key));
    return {};
  }
  Result<Placement> placement = DecodePlacement(group_, *value);
  if (!placement.ok()) return placement.status();
  placements_.insert_or_assign(std::string(key), *placement);
  return {};
}

Status Machine::LoadStream(std::string_view rest, std::optional<std::string_view> value) {
  Incarnation incarnation;
  if (!ParseIncarnationKey(rest, &incarnation)) return Malformed("stream key");
  if (!value) {
    streams_.Unload(incarnation);
    return {};
  }
  Result<DecodedStream> decoded = DecodeStream(incarnation, *value);
  if (!decoded.ok()) return decoded.status();
  streams_.Load(std::move(decoded->state), decoded->content_type);
  return {};
}

Status Machine::LoadSettled(std::string_view rest, std::optional<std::string_view> value) {
  GroupId home{};
  if (!ParseGroup(&rest, &home) || !rest.empty() || !value) return Malformed("settled key");
  Reader in(*value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("settled version");
  Incarnation settled = GetIncarnation(&in);
  if (!in.AtEnd()) return Malformed("settled");
  settled_.insert_or_assign(home, settled);
  return {};
}

Status Machine::LoadSighting(std::string_view rest, std::optional<std::string_view> value) {
  GroupId home{};
  Incarnation id;
  if (!ParseGroup(&rest, &home) || !ParseNumber(rest, &id)) {
    return Malformed("sighting key");
  }
  if (!value) {
    sightings_.erase({home, id});
    return {};
  }
  Reader in(*value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("sighting version");
  Sighting sighting;
  sighting.first_ms = GetTime(&in);
  sighting.ruled_out = GetBool(&in);
  if (!in.AtEnd()) return Malformed("sighting");
  sightings_.insert_or_assign({home, id}, sighting);
  return {};
}

Status Machine::FinishLoad() {
  for (const auto& [name, bucket] : buckets_) {
    if (!bucket.deleting) continue;
    if (!deleting_.emplace(bucket.attempt, name).second) return Malformed("attempts");
  }
  for (const auto& [key, placement] : placements_) {
    if (placement.confirmed) continue;
    if (!pending_.emplace(placement.reservation.id, key).second) return Malformed("reservations");
  }
  for (const auto& [fork, release] : outbox_) {
    releases_.insert({{release.reservation.home, release.reservation.id}, fork});
    if (!release.applied) to_hand_on_.insert(fork);
  }
  return streams_.BuildIndexes();
}

}  // namespace ursula::stream
