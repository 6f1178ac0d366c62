// What groups do with the storage stack, as replicas do, and what fails meanwhile (World).

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tests/sim/seeds/hash.h"
#include "tests/sim/storage/world.h"

namespace ursula::storage::sim {

using ursula::sim::HashBytes;
using ursula::sim::Mix;
namespace {
constexpr uint64_t kMs = 1'000'000;
}

void World::Work() {
  const uint64_t steps = random_.Below(profile_.steps + 1);
  for (step_ = 0; ok() && step_ < steps; ++step_) {
    GroupModel& group = groups_[random_.Below(groups_.size())];
    Step(&group);
    if (profile_.error_one_in != 0 && random_.OneIn(profile_.error_one_in)) FailSomething();
    for (uint64_t turns = random_.Below(6); turns > 0; --turns) node_.runtime().RunTurn();
    if (random_.OneIn(3)) node_.runtime().AdvanceBy(random_.Below(2 * kMs));
    if (random_.OneIn(24)) node_.runtime().AdvanceBy(random_.Below(120 * kMs));
  }
}

void World::Step(GroupModel* group) {
  Node::Core& core = node_.core_of(group->group());
  if (random_.OneIn(profile_.checkpoint_one_in) || !core.pinned.empty()) {
    core.pinned.clear();
    Checkpoint(group);
  }
  if (!core.wal->accepting()) {
    node_.runtime().AdvanceBy(random_.Below(20 * kMs));
    return Checkpoint(group);
  }
  if (group->behind() != 0) return Checkpoint(group);
  if (random_.OneIn(60)) return LeaveBehind(group);
  switch (random_.Below(16)) {
    case 0:
      return AppendState(group);
    case 1:
      return Replace(group);
    case 2:
    case 3:
      return Read(group);
    case 4:
      return Free(group);
    case 5:
    case 6:
    case 7:
      return Commit(group);
    case 8:
      return ReadBack(group);
    default:
      return profile_.aligned ? Burst(group) : Append(group);
  }
}

// ---- the log ----

std::string World::Payload(std::size_t size) {
  std::string payload(1, random_.OneIn(30) ? kNewStream : 'A');
  payload += std::to_string(++unique_) + ":";
  // Not filled with one letter: of two payloads that are mixed neither is the result.
  for (uint64_t word = Mix(seed_, unique_); payload.size() < size; word = Mix(word, 1)) {
    payload.push_back(static_cast<char>('a' + (word >> 32) % 26));
  }
  payload.resize(std::max<std::size_t>(size, 1));
  return payload;
}

void World::AppendEntry(GroupModel* group, uint64_t index, std::size_t size) {
  std::string payload = Payload(size);
  const std::string_view view = payload;
  const std::size_t cut = random_.Below(payload.size() + 1);
  const uint64_t lsn = node_.core_of(group->group())
                           .wal->Append({.group = GroupId{group->group()},
                                         .kind = RecordKind::kEntry,
                                         .index = Index{index},
                                         .term = Term{1},
                                         .parts = {view.substr(0, cut), view.substr(cut)}});
  group->OnEntry(lsn, index, std::move(payload));
}

void World::Append(GroupModel* group) {
  const std::size_t size = random_.OneIn(12) ? random_.Below(profile_.segment_bytes / 3)
                                             : random_.Below(profile_.entry_bytes);
  AppendEntry(group, group->last() + 1, size);
}

void World::Burst(GroupModel* group) {
  constexpr std::size_t kSector = testing::FaultDisk::kSectorBytes;
  for (uint64_t i = 0, count = 2 + random_.Below(10); i < count; ++i) {
    const std::size_t header = kRecordHeaderBytes + (i == 0 ? kBatchHeaderBytes : 0);
    AppendEntry(group, group->last() + 1, kSector - header);
  }
}

void World::AppendState(GroupModel* group) {
  std::string payload = Payload(12 + random_.Below(20));
  const uint64_t lsn = node_.core_of(group->group())
                           .wal->Append({.group = GroupId{group->group()},
                                         .kind = RecordKind::kState,
                                         .index = Index{group->commit()},
                                         .term = Term{1},
                                         .parts = {payload, {}}});
  group->OnState(lsn, std::move(payload));
}

// Another leader's entries take the place of some that were not committed.
void World::Replace(GroupModel* group) {
  const uint64_t open = group->last() - group->commit();
  if (open == 0) return;
  AppendEntry(group, group->last() - random_.Below(std::min<uint64_t>(5, open)), 100);
}

// Others go on without it, and have forgotten what it would need to follow.
void World::LeaveBehind(GroupModel* group) {
  if (checkpointing_[group->group()]) return;
  std::vector<std::string> payloads(1 + random_.Below(10));
  for (std::string& payload : payloads) payload = Payload(random_.Below(profile_.entry_bytes));
  group->OnLeftBehind(payloads);
  Checkpoint(group);
}

void World::Reset(GroupModel* group) {
  group->OnReset(node_.core_of(group->group())
                     .wal->Append({.group = GroupId{group->group()},
                                   .kind = RecordKind::kReset,
                                   .index = Index{group->behind()},
                                   .term = Term{1}}));
}

// As a leader does it for peers that were away.
void World::ReadBack(GroupModel* group) {
  Wal& wal = *node_.core_of(group->group()).wal;
  const GroupId id{group->group()};
  if (random_.OneIn(3)) {
    const bool none = random_.OneIn(4);
    wal.Keep(id, none ? Index{UINT64_MAX} : Index{1 + random_.Below(group->commit() + 1)});
  }
  const uint64_t first = Raw(wal.ReadableFrom(id));
  if (first > group->commit()) return;
  const uint64_t from = first + random_.Below(group->commit() - first + 1);
  wal.ReadEntries(id, Index{from}, [this, group, from](Result<std::vector<WalEntry>> read) {
    Trace(static_cast<uint64_t>(read.status().code()));
    const std::string fault = read.ok() ? group->CheckReadBack(from, *read)
                                        : CheckNotReadBack(*group, from, read.status());
    if (!fault.empty()) Violate(fault);
    if (read.ok()) ++counts_.read_back;
  });
}

// What is wrong with a refusal, or "".
std::string World::CheckNotReadBack(const GroupModel& group, uint64_t from, const Status& status) {
  const std::string what =
      "group " + std::to_string(group.group()) + ": read back: " + status.ToString();
  const bool rots = !disk_.Damaged().empty();
  switch (status.code()) {
    case StatusCode::kUnavailable:
      return closing_ ? "" : what;
    case StatusCode::kFailedPrecondition: {
      const Wal& wal = *node_.core_of(group.group()).wal;
      return rots || Raw(wal.ReadableFrom(GroupId{group.group()})) > from ? "" : what;
    }
    case StatusCode::kDataLoss:
      return rots ? "" : what;
    case StatusCode::kIoError:
      return profile_.faults.read_error > 0 || profile_.faults.name_error > 0 ||
                     profile_.error_one_in > 0
                 ? ""
                 : what;
    default:
      return what;
  }
}

void World::Commit(GroupModel* group) {
  const uint64_t durable = group->LastDurable(node_.core_of(group->group()).durable);
  group->Commit(durable - (random_.OneIn(3) ? random_.Below(durable - group->commit() + 1) : 0));
}

// ---- checkpoints: payload, then a snapshot that speaks of it, then the log may forget ----

void World::Checkpoint(GroupModel* group) {
  if (random_.OneIn(2) && group->behind() == 0) Commit(group);
  const uint64_t index = group->commit();
  if (checkpointing_[group->group()] || index <= group->snapshot()) return;
  checkpointing_[group->group()] = true;
  std::vector<PayloadRun> runs;
  if (group->flushed() < index) runs.push_back(group->RunOf(group->flushed(), index));
  node_.core_of(group->group())
      .payload->Write(std::move(runs), [this, group, index](Status status) {
        Trace(static_cast<uint64_t>(status.code()));
        if (status.ok()) {
          group->OnFlushed(index);
          return WriteSnapshot(group, index);
        }
        checkpointing_[group->group()] = false;
      });
}

void World::WriteSnapshot(GroupModel* group, uint64_t index) {
  const std::string text = group->At(index).Text();
  SnapshotStore& store = *node_.core_of(group->group()).snapshots;
  const bool base = store.chain(GroupId{group->group()}).files == 0 || random_.OneIn(3);
  SnapshotRecords records(1);
  records[0].key = "at";
  records[0].value = Bytes::Copy(text);
  group->OnSnapshotAsked(index);
  store.Write(GroupId{group->group()}, {Index{index}, Term{1}, text}, base, std::move(records),
              [this, group, index](Status status) {
                Trace(static_cast<uint64_t>(status.code()));
                checkpointing_[group->group()] = false;
                if (!status.ok()) return;
                group->OnSnapshotDurable(index);
                if (closing_) return;
                if (group->behind() != 0 && index >= group->behind()) Reset(group);
                Node::Core& core = node_.core_of(group->group());
                core.wal->Release(GroupId{group->group()}, Index{index});
                const uint64_t incarnation = group->At(index).incarnation;
                core.payload->Keep(GroupId{group->group()},
                                   [incarnation](uint64_t old) { return old >= incarnation; });
              });
}

// The beginning of the stream isn't wanted any more.
void World::Free(GroupModel* group) {
  if (group->snapshot() == 0) return;
  const Snapshot held = group->At(group->snapshot());
  const uint64_t before = random_.Below(held.end + 1);
  group->OnFreed(held.incarnation, before);
  node_.core_of(group->group()).payload->FreeBefore(group->KeyOf(held.incarnation), before);
}

void World::Read(GroupModel* group) {
  if (group->snapshot() == 0) return;
  const Snapshot held = group->At(group->snapshot());
  const uint64_t freed = group->freed(held.incarnation);
  if (freed >= held.end) return;
  const uint64_t from = freed + random_.Below(held.end - freed);
  node_.core_of(group->group())
      .payload->Read(
          group->KeyOf(held.incarnation), from, 1 + random_.Below(20'000),
          [this, group, from, incarnation = held.incarnation](Result<PayloadSlice> slice) {
            if (!slice.ok()) {
              Trace(static_cast<uint64_t>(slice.status().code()));
              const StatusCode code = slice.status().code();
              const bool rot = code == StatusCode::kDataLoss &&
                               NamesDamage(slice.status().message(), disk_.Damaged());
              if (!rot && code != StatusCode::kIoError && code != StatusCode::kCancelled) {
                Violate("payload is refused: " + slice.status().message());
              }
              return;
            }
            uint64_t at = from;
            for (const Bytes& part : slice->parts) {
              Trace(HashBytes(part.view()));
              if (group->Content(incarnation).compare(at, part.size(), part.view()) != 0) {
                Violate("wrong payload was served at " + std::to_string(at));
              }
              at += part.size();
            }
          });
}

void World::FailSomething() {
  const uint64_t next = 1 + random_.Below(8);
  switch (random_.Below(4)) {
    case 0:
      Say("a write will fail");
      return disk_.FailWrite(next, EIO);
    case 1:
      Say("a write will find no space");
      return disk_.FailWrite(next, ENOSPC);
    default:
      Say("a sync will fail");
      return disk_.FailSync(next, EIO);
  }
}

}  // namespace ursula::storage::sim
