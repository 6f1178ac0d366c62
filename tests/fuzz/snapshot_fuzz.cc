// Snapshots read back into a state machine. The input: files of records, keys and values as they
// come, then damage. What is loaded is what was written; records that no machine wrote are refused
// or make a machine that still answers, goes on applying, and has a snapshot equal to itself.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/storage/snapshot_format.h"
#include "lib/storage/snapshot_store.h"
#include "lib/stream/machine.h"
#include "tests/fuzz/data_directory.h"
#include "tests/fuzz/input.h"

namespace ursula::storage {
namespace {

using fuzz::Input;

constexpr GroupId kGroup{0};

struct File {
  SnapshotFileHeader header = {};
  SnapshotRecords records = {};
};

struct Collector final : SnapshotSink {
  Status OnSnapshotFile(const SnapshotMeta& meta, bool) override {
    metas.push_back(meta);
    return {};
  }
  Status OnSnapshotRecord(SnapshotRecord record) override {
    records.push_back(std::move(record));
    return {};
  }
  std::vector<SnapshotMeta> metas;
  SnapshotRecords records;
};

File AnyFile(Input* input, uint64_t number) {
  File file;
  const uint8_t flags = input->Byte();
  file.header.group = kGroup;
  file.header.number = (flags & 0xc0) == 0xc0 ? input->Near(number) : number;
  file.header.previous = (flags & 0x30) == 0x30 ? input->Near(number - 1) : number - 1;
  file.header.meta = {Index{number}, Term{1}, std::string(input->Text(8))};
  const unsigned count = flags & 15u;
  for (unsigned i = 0; i < count; ++i) {
    SnapshotRecord record;
    record.tombstone = (input->Byte() & 7) == 7;
    record.key = input->Text();
    if (!record.tombstone) record.value = Bytes::Copy(input->Text());
    file.records.push_back(std::move(record));
  }
  return file;
}

std::string Encode(const File& file, uint64_t directory_id) {
  const uint32_t seed = SnapshotSeed(directory_id, {kGroup, file.header.number});
  std::string bytes;
  PutFixed<uint32_t>(&bytes, kSnapshotMagic);
  AppendSnapshotFrame(&bytes, SnapshotFrameKind::kHeader, EncodeSnapshotHeader(file.header), seed,
                      bytes.size());
  std::string body;
  for (const SnapshotRecord& record : file.records) AppendSnapshotRecord(&body, record);
  AppendSnapshotFrame(&bytes, SnapshotFrameKind::kRecords, body, seed, bytes.size());
  AppendSnapshotFrame(&bytes, SnapshotFrameKind::kEnd, EncodeSnapshotEnd(file.records.size()), seed,
                      bytes.size());
  return bytes;
}

std::optional<std::string_view> ValueOf(const SnapshotRecord& record) {
  return record.tombstone ? std::nullopt : std::optional<std::string_view>(record.value.view());
}

// Whatever a machine is asked and told after a start.
void Use(stream::Machine* machine) {
  std::vector<stream::Incarnation> streams;
  machine->ForEachOwnRange(
      [&streams](const stream::ReadRange& range) { streams.push_back(range.owner); });
  for (const stream::Incarnation stream : streams) {
    for (const stream::ReadRange& range : machine->PlanRead(stream, 0, UINT64_MAX)) {
      URSULA_CHECK(range.from < range.to);
    }
    (void)machine->Info(stream);
    (void)machine->Lookup(machine->IdOf(stream), machine->now_ms());
  }
  (void)machine->NextDeadline();
  (void)machine->PendingReservations(10);
  (void)machine->Outbox(10);
  (void)machine->List({.bucket = "v1"}, machine->now_ms());
  Index index{uint64_t{1} << 40};
  for (const stream::Incarnation stream : streams) {
    if (machine->FindIncarnation(stream).kind == stream::LookupResult::Kind::kNotFound) continue;
    const StreamId id = machine->IdOf(stream);
    const stream::Append append{.id = id, .payload = Bytes::Static("x")};
    (void)machine->Apply(index = index + 1, {machine->now_ms(), append});
    (void)machine->Apply(index = index + 1, {machine->now_ms(), stream::Delete{id}});
  }
}

void CheckEqualAfterSnapshot(stream::Machine* machine) {
  stream::Machine copy(kGroup);
  machine->CollectChanges(true,
                          [&copy](std::string_view key, std::optional<std::string_view> value) {
                            URSULA_CHECK(copy.LoadRecord(key, value).ok());
                          });
  URSULA_CHECK(copy.FinishLoad().ok());
  URSULA_CHECK(copy.StateHash() == machine->StateHash());
}

void LoadIntoMachine(const SnapshotRecords& records) {
  stream::Machine machine(kGroup);
  for (const SnapshotRecord& record : records) {
    if (!machine.LoadRecord(record.key, ValueOf(record)).ok()) return;
  }
  if (!machine.FinishLoad().ok()) return;
  CheckEqualAfterSnapshot(&machine);
  Use(&machine);
  CheckEqualAfterSnapshot(&machine);
}

bool DamageSome(Input* input, std::vector<std::string>* files) {
  const std::vector<std::string> before = *files;
  while (!input->empty()) {
    std::string& file = (*files)[input->Below(static_cast<unsigned>(files->size()))];
    const std::size_t high = input->Byte();
    const std::size_t offset = high << 8 | input->Byte();
    if (offset == 0xffff) {
      file.resize(file.size() - std::min<std::size_t>(file.size(), input->Byte()));
    } else {
      fuzz::Overwrite(&file, {offset, std::string(input->Text())});
    }
  }
  return *files != before;
}

void CheckAsWritten(const Collector& got, const std::vector<File>& files) {
  std::vector<const SnapshotRecord*> wanted;
  for (const File& file : files) {
    for (const SnapshotRecord& record : file.records) wanted.push_back(&record);
  }
  URSULA_CHECK(got.metas.size() == files.size() && got.records.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    URSULA_CHECK(got.records[i].key == wanted[i]->key);
    URSULA_CHECK(ValueOf(got.records[i]) == ValueOf(*wanted[i]));
  }
}

void Run(Input input) {
  fuzz::FuzzDirectory world;
  std::vector<File> files;
  std::vector<std::string> bytes;
  const unsigned count = input.Below(3) + 1u;
  bool odd = false;
  for (unsigned i = 0; i < count; ++i) {
    files.push_back(AnyFile(&input, i + 1));
    odd = odd || files[i].header.number != i + 1 || files[i].header.previous != i;
    bytes.push_back(Encode(files[i], world.directory().id()));
  }
  const bool damaged = DamageSome(&input, &bytes);
  for (unsigned i = 0; i < count; ++i) {
    world.Write(world.directory().snapshot_path() + "/" +
                    FormatSnapshotFileName({kGroup, files[i].header.number}),
                bytes[i]);
  }
  const Result<std::unique_ptr<SnapshotFiles>> found =
      SnapshotFiles::Scan(world.disk(), world.directory(), {});
  URSULA_CHECK(found.ok());
  Collector collector;
  const Result<bool> loaded = (*found)->Load(world.disk(), kGroup, &collector);
  if (!loaded.ok()) {
    URSULA_CHECK(loaded.status().code() == StatusCode::kDataLoss);
    URSULA_CHECK(damaged || odd);
    return;
  }
  URSULA_CHECK(*loaded);
  if (!damaged && !odd) CheckAsWritten(collector, files);
  LoadIntoMachine(collector.records);
}

}  // namespace
}  // namespace ursula::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::storage::Run(ursula::fuzz::Input(data, size));
  return 0;
}
