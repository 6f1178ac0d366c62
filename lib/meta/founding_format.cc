#include "lib/meta/founding_format.h"

#include <string>
#include <string_view>
#include <utility>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/base/ids.h"

namespace ursula::meta {
namespace {

// Numbers are never used again.
enum Tag : uint64_t {
  kFrom = 1,
  kRecord = 2,
  kWish = 3,
  kHeard = 4,
  kAdmission = 5,  // May be left out, as all that follow.
  kOpenings = 6,
  kLevels = 7,
  kStoredLevel = 8,
  kDisk = 11,
};

// Of a report of a disk.
constexpr uint8_t kHangs = 1;
constexpr uint8_t kFull = 2;

// Of a record's state: kMember, of a cluster that was recovered. Who doesn't know that can't be
// one.
constexpr uint8_t kRecoveredMember = 4;
constexpr std::size_t kSurvivorsMax = 4;  // Of a recovery.

void PutNode(std::string* out, const FoundingNode& node) {
  PutVarint(out, Raw(node.node));
  PutFixed<uint64_t>(out, node.directory);
  PutFixed<uint64_t>(out, node.opening);
}

FoundingNode TakeNode(Reader* reader) {
  FoundingNode node;
  node.node = NodeId{reader->Varint()};
  node.directory = reader->Fixed<uint64_t>();
  node.opening = reader->Fixed<uint64_t>();
  return node;
}

uint64_t TakeCount(Reader* reader, uint64_t count_max) {
  const uint64_t count = reader->Varint();
  if (count > count_max) reader->Fail();
  return reader->ok() ? count : 0;
}

uint32_t TakeGroups(Reader* reader, uint32_t groups_min) {
  const uint64_t groups = reader->Varint();
  if (groups < groups_min || groups > kFoundingGroupsMax) reader->Fail();
  return reader->ok() ? static_cast<uint32_t>(groups) : 0;
}

uint32_t TakeLevel(Reader* reader, uint32_t level_min) {
  const uint64_t level = reader->Varint();
  if (level < level_min || level > UINT32_MAX) reader->Fail();
  return reader->ok() ? static_cast<uint32_t>(level) : 1;
}

void PutRecovery(std::string* out, const ClusterRecovery& recovery) {
  PutVarint(out, recovery.number);
  PutVarint(out, recovery.term);
  PutFixed<uint64_t>(out, recovery.history_id);
  PutFixed<uint64_t>(out, recovery.cluster_before);
  for (uint64_t lives : recovery.lives_before) PutVarint(out, lives);
  PutVarint(out, recovery.lost.size());
  for (NodeId node : recovery.lost) PutVarint(out, Raw(node));
}

ClusterRecovery TakeRecovery(Reader* reader, std::size_t founders) {
  ClusterRecovery recovery;
  recovery.number = reader->Varint();
  recovery.term = reader->Varint();
  recovery.history_id = reader->Fixed<uint64_t>();
  recovery.cluster_before = reader->Fixed<uint64_t>();
  for (std::size_t i = 0; i < founders && reader->ok(); ++i) {
    recovery.lives_before.push_back(reader->Varint());
    if (recovery.lives_before.back() > kLivesMax) reader->Fail();
  }
  const uint64_t lost = TakeCount(reader, kFoundingNodesMax);
  for (uint64_t i = 0; i < lost && reader->ok(); ++i) {
    recovery.lost.push_back(NodeId{reader->Varint()});
  }
  if (recovery.number == 0 || recovery.term == 0 || founders > kSurvivorsMax) reader->Fail();
  return recovery;
}

std::string RecordField(const FoundingRecord& record) {
  std::string value;
  const bool recovered = record.plan.recovery.number != 0;
  PutFixed<uint8_t>(&value, recovered ? kRecoveredMember : static_cast<uint8_t>(record.state));
  if (record.state == FoundingState::kEmpty) return value;
  PutFixed<uint64_t>(&value, record.plan.cluster_id);
  PutFixed<uint64_t>(&value, record.plan.history_id);
  PutVarint(&value, record.plan.group_count);
  PutVarint(&value, record.plan.founders.size());
  for (const Founder& founder : record.plan.founders) {
    PutVarint(&value, Raw(founder.node));
    PutFixed<uint64_t>(&value, founder.directory);
  }
  PutVarint(&value, record.lives_before);
  if (recovered) PutRecovery(&value, record.plan.recovery);
  if (record.plan.feature_level > 1) PutVarint(&value, record.plan.feature_level);
  return value;
}

FoundingRecord TakeRecord(Reader* reader) {
  FoundingRecord record;
  const uint8_t state = reader->Fixed<uint8_t>();
  const bool recovered = state == kRecoveredMember;
  record.state = recovered ? FoundingState::kMember : static_cast<FoundingState>(state);
  if (record.state == FoundingState::kEmpty) return record;
  if (record.state != FoundingState::kFounding && record.state != FoundingState::kMember) {
    reader->Fail();
  }
  FoundingPlan& plan = record.plan;
  plan.cluster_id = reader->Fixed<uint64_t>();
  plan.history_id = reader->Fixed<uint64_t>();
  plan.group_count = TakeGroups(reader, 1);
  const uint64_t count = TakeCount(reader, kFoundingNodesMax);
  for (uint64_t i = 0; i < count && reader->ok(); ++i) {
    const NodeId node{reader->Varint()};
    if (i > 0 && node <= plan.founders.back().node) reader->Fail();
    plan.founders.push_back({node, reader->Fixed<uint64_t>()});
  }
  if (count == 0 || plan.cluster_id == 0) reader->Fail();
  record.lives_before = reader->Varint();
  if (recovered) plan.recovery = TakeRecovery(reader, plan.founders.size());
  if (reader->ok() && !reader->AtEnd()) plan.feature_level = TakeLevel(reader, 2);
  return record;
}

std::string WishField(const FoundingWish& wish) {
  std::string value;
  PutVarint(&value, wish.founders.size());
  for (NodeId node : wish.founders) PutVarint(&value, Raw(node));
  PutVarint(&value, wish.group_count);
  PutVarint(&value, wish.limits.size());
  for (const FoundingLimit& limit : wish.limits) {
    PutString(&value, limit.name);
    PutVarint(&value, limit.value);
  }
  return value;
}

FoundingWish TakeWish(Reader* reader) {
  FoundingWish wish;
  const uint64_t founders = TakeCount(reader, kFoundingNodesMax);
  for (uint64_t i = 0; i < founders && reader->ok(); ++i) {
    wish.founders.push_back(NodeId{reader->Varint()});
  }
  wish.group_count = TakeGroups(reader, 0);
  const uint64_t limits = TakeCount(reader, kFoundingLimitsMax);
  for (uint64_t i = 0; i < limits && reader->ok(); ++i) {
    const std::string_view name = reader->String();
    wish.limits.push_back({std::string(name), reader->Varint()});
  }
  return wish;
}

std::string HeardField(const std::vector<FoundingHeard>& nodes) {
  std::string value;
  PutVarint(&value, nodes.size());
  for (const FoundingHeard& heard : nodes) {
    PutNode(&value, heard.from);
    PutVarint(&value, heard.number);
    PutFixed<uint8_t>(&value, heard.answered ? 1 : 0);
  }
  return value;
}

std::vector<FoundingHeard> TakeHeard(Reader* reader) {
  std::vector<FoundingHeard> nodes;
  const uint64_t count = TakeCount(reader, kFoundingNodesMax);
  for (uint64_t i = 0; i < count && reader->ok(); ++i) {
    FoundingHeard heard;
    heard.from = TakeNode(reader);
    heard.number = reader->Varint();
    const uint8_t answered = reader->Fixed<uint8_t>();
    if (answered > 1) reader->Fail();
    heard.answered = answered == 1;
    nodes.push_back(heard);
  }
  return nodes;
}

std::string AdmissionField(const FoundingAdmission& admission) {
  std::string value;
  PutFixed<uint64_t>(&value, admission.directory);
  PutVarint(&value, admission.lives_before);
  PutString(&value, admission.waits);
  PutString(&value, admission.refusal);
  return value;
}

FoundingAdmission TakeAdmission(Reader* reader) {
  FoundingAdmission admission;
  admission.directory = reader->Fixed<uint64_t>();
  admission.lives_before = reader->Varint();
  admission.waits = reader->String();
  admission.refusal = reader->String();
  if (admission.lives_before > kLivesMax) reader->Fail();
  return admission;
}

std::string DiskField(const DiskReport& disk) {
  std::string value;
  PutFixed<uint8_t>(&value, (disk.hangs ? kHangs : 0) | (disk.full ? kFull : 0));
  PutVarint(&value, disk.sync_p50_us);
  return value;
}

// Other bits are a later release's.
DiskReport TakeDisk(Reader* reader) {
  DiskReport disk;
  const uint8_t flags = reader->Fixed<uint8_t>();
  disk.hangs = (flags & kHangs) != 0;
  disk.full = (flags & kFull) != 0;
  disk.sync_p50_us = reader->Varint();
  return disk;
}

void PutField(std::string* out, Tag tag, std::string_view value) {
  PutVarint(out, tag);
  PutString(out, value);
}

// False: it isn't of its form.
bool TakeField(uint64_t tag, std::string_view value, FoundingHello* hello) {
  Reader reader(value);
  switch (tag) {
    case kFrom:
      hello->from = TakeNode(&reader);
      hello->number = reader.Varint();
      break;
    case kRecord:
      hello->record = TakeRecord(&reader);
      break;
    case kWish:
      hello->wish = TakeWish(&reader);
      break;
    case kHeard:
      hello->heard = TakeHeard(&reader);
      break;
    case kOpenings:
      hello->openings = reader.Varint();
      hello->predecessor = reader.Fixed<uint64_t>();
      break;
    case kAdmission:
      hello->admission = TakeAdmission(&reader);
      break;
    case kLevels:
      hello->feature_level_max = TakeLevel(&reader, 1);
      hello->feature_level = TakeLevel(&reader, 1);
      break;
    case kStoredLevel:
      hello->stored_level = TakeLevel(&reader, 1);
      break;
    case kDisk:
      hello->disk = TakeDisk(&reader);
      break;
    default:
      return true;  // A later release's.
  }
  return reader.AtEnd();
}

Status Invalid(std::string message) {
  return Status(StatusCode::kInvalidArgument, std::move(message));
}

}  // namespace

bool IsFoundingFrame(const Bytes& frame) {
  return !frame.empty() && static_cast<uint8_t>(frame.view().front()) == kFoundingFrame;
}

Bytes EncodeFoundingHello(const FoundingHello& hello) {
  std::string fields;
  std::string from;
  PutNode(&from, hello.from);
  PutVarint(&from, hello.number);
  PutField(&fields, kFrom, from);
  PutField(&fields, kRecord, RecordField(hello.record));
  PutField(&fields, kWish, WishField(hello.wish));
  PutField(&fields, kHeard, HeardField(hello.heard));
  if (hello.admission) PutField(&fields, kAdmission, AdmissionField(*hello.admission));
  if (hello.openings != 0) {
    std::string openings;
    PutVarint(&openings, hello.openings);
    PutFixed<uint64_t>(&openings, hello.predecessor);
    PutField(&fields, kOpenings, openings);
  }
  if (hello.feature_level_max > 1 || hello.feature_level > 1) {
    std::string levels;
    PutVarint(&levels, hello.feature_level_max);
    PutVarint(&levels, hello.feature_level);
    PutField(&fields, kLevels, levels);
  }
  if (hello.stored_level > 1) {
    std::string stored;
    PutVarint(&stored, hello.stored_level);
    PutField(&fields, kStoredLevel, stored);
  }
  if (hello.disk != DiskReport()) PutField(&fields, kDisk, DiskField(hello.disk));
  std::string frame;
  PutFixed<uint8_t>(&frame, kFoundingFrame);
  PutFixed<uint8_t>(&frame, kFoundingVersion);
  PutFixed<uint32_t>(&frame, Crc32c(0, fields));
  frame.append(fields);
  return Bytes::Take(std::move(frame));
}

Result<FoundingHello> DecodeFoundingHello(const Bytes& frame) {
  Reader reader(frame.view());
  const uint8_t first = reader.Fixed<uint8_t>();
  const uint8_t version = reader.Fixed<uint8_t>();
  if (!reader.ok() || first != kFoundingFrame) return Invalid("not a founder's hello");
  if (version != kFoundingVersion) {
    return Invalid("a founder's hello of version " + std::to_string(version) +
                   ", this build speaks " + std::to_string(kFoundingVersion) +
                   "; found a cluster with one release");
  }
  const uint32_t crc = reader.Fixed<uint32_t>();
  if (!reader.ok() || crc != Crc32c(0, reader.rest())) return Invalid("a damaged founder's hello");
  FoundingHello hello;
  uint64_t last = 0;
  uint64_t known = 0;
  while (reader.ok() && !reader.AtEnd()) {
    const uint64_t tag = reader.Varint();
    const std::string_view value = reader.String();
    if (!reader.ok() || tag <= last || !TakeField(tag, value, &hello)) {
      return Invalid("a damaged founder's hello");
    }
    last = tag;
    if (tag <= kHeard) ++known;
  }
  if (!reader.ok() || known != kHeard || Raw(hello.from.node) == 0) {
    return Invalid("a damaged founder's hello");
  }
  return hello;
}

}  // namespace ursula::meta
