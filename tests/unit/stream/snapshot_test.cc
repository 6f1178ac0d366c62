#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "tests/unit/stream/machine_driver.h"

namespace ursula::stream {
namespace {

using Records = std::vector<std::pair<std::string, std::optional<std::string>>>;

Records Collect(Machine& machine, bool full) {
  Records records;
  machine.CollectChanges(full, [&](std::string_view key, std::optional<std::string_view> value) {
    records.emplace_back(key, value ? std::optional<std::string>(*value) : std::nullopt);
  });
  return records;
}

Status Load(Machine* machine, const Records& records) {
  for (const auto& [key, value] : records) {
    Status status =
        machine->LoadRecord(key, value ? std::optional<std::string_view>(*value) : std::nullopt);
    if (!status.ok()) return status;
  }
  return machine->FinishLoad();
}

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (char c : bytes) {
    hex.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return hex;
}

// One of everything a machine keeps.
void Fill(MachineDriver* driver) {
  driver->Do(CreateBucket{"photos"});
  driver->Do(FenceBucket{"gone", Incarnation{4}, Incarnation{5}});
  CreateStream create = Creating("s", "ab");
  create.lifetime.ttl_seconds = 60;
  create.sequence = "1";
  driver->Do(create);  // 3
  Append close = Producing("s", "c", {"p", 2, 0});
  close.close = true;
  driver->Do(close);
  driver->Do(Forking("f", "s", 2));  // 5
  CreateFork foreign = Forking("g", "f");
  foreign.reservation = Reservation{GroupId{7}, Incarnation{8}};
  driver->Do(foreign);  // 6
  driver->Do(Delete{Id("g")});
  driver->Do(Delete{Id("s")});
  Reserve reserve;
  reserve.stream.id = Id("r");
  reserve.target = GroupId{2};
  driver->Do(reserve);        // 9
  driver->Do(Creating("p"));  // 10
  close.id = Id("p");
  driver->Do(close);
  driver->Do(DeleteBucket{"photos", DeleteBucket::Step::kBegin, {}});  // 12
  driver->Do(ResolveFork{Id("q"), {GroupId{7}, Incarnation{300}}, 1000, Incarnation{6}});
  driver->Do(SetHistory{0x0102030405060708});
  driver->Do(SetFeatureLevel{3});
  driver->Do(AdmitNode{3, 0x0102030405060708, 0});
  driver->Do(OpenNode{3, 1, 300, 0, 5});
  driver->Do(SettleFences{Incarnation{2}});
}

TEST(MachineSnapshotTest, EveryRecordHasItsGoldenBytes) {
  MachineDriver driver;
  Fill(&driver);
  std::string lines;
  for (const auto& [key, value] : Collect(driver.machine(), true)) {
    lines += Hex(key) + " " + Hex(*value) + "\n";
  }
  // A line is never changed: snapshots of every version are read for ever.
  EXPECT_EQ(lines,
            "68 02c0843d0807060504030201038080048088b2a002800202\n"
            "6270686f746f73 0201010c\n"
            "66676f6e65 02040500\n"
            "6e0000000000000003 0201020807060504030201ac02050000000000000000\n"
            "6f0000000000000006 020776310067000000070800\n"
            "7076310072000000 020209c0843d0000\n"
            "730000000000000003 02020607763100730000000a746578742f706c61696e0300013c\n"
            "730000000000000005 02010d07763100660000000a746578742f706c61696e0200a02c10000000000001"
            "3c010302027631000173010200\n"
            "73000000000000000a 02013207763100700000000a746578742f706c61696e0100010170"
            "0200c0843d"
            "01700200\n"
            "7600000007000000000000012c 02c0843d00\n"
            "7700000007 0206\n");
}

TEST(MachineSnapshotTest, ABaseAndItsDeltasRestoreTheState) {
  MachineDriver driver;
  driver.Do(Creating("early"));
  driver.Do(Creating("kept", "x"));
  Records records = Collect(driver.machine(), true);
  Fill(&driver);
  driver.Do(Delete{Id("early")});
  Records delta = Collect(driver.machine(), false);
  for (const auto& [key, value] : delta) EXPECT_NE(key.back(), 2) << "unchanged, yet collected";
  records.insert(records.end(), delta.begin(), delta.end());
  Machine restored(GroupId{1});
  Status status = Load(&restored, records);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(restored.StateHash(), driver.machine().StateHash());
  EXPECT_EQ(restored.NextDeadline(), driver.machine().NextDeadline());
  EXPECT_EQ(restored.stream_count(), driver.machine().stream_count());
}

// Both hang on the same pointer.
TEST(MachineSnapshotTest, AStreamKeepsItsSequenceAndWhoClosedIt) {
  MachineDriver driver;
  CreateStream create = Creating("s", "ab");
  create.sequence = "7";
  driver.Do(create);
  Append close = Producing("s", "c", {"p", 2, 0});
  close.close = true;
  driver.Do(close);
  const Records records = Collect(driver.machine(), true);
  Machine restored(GroupId{1});
  ASSERT_TRUE(Load(&restored, records).ok());
  EXPECT_EQ(restored.StateHash(), driver.machine().StateHash());
  EXPECT_EQ(Collect(restored, true), records);
}

TEST(MachineSnapshotTest, ADeltaHoldsOnlyWhatChanged) {
  MachineDriver driver;
  for (int i = 0; i < 100; ++i) driver.Do(Creating("s" + std::to_string(i)));
  EXPECT_EQ(Collect(driver.machine(), true).size(), 101u);  // And the header.
  EXPECT_EQ(Collect(driver.machine(), false).size(), 1u);
  driver.Do(Appending("s7", "x"));
  driver.Do(Delete{Id("s8")});
  Records delta = Collect(driver.machine(), false);
  ASSERT_EQ(delta.size(), 3u);
  EXPECT_TRUE(delta[1].second.has_value());
  EXPECT_FALSE(delta[2].second.has_value());
}

TEST(MachineSnapshotTest, TheHashTellsStatesApart) {
  std::map<uint64_t, int> hashes;
  MachineDriver driver;
  for (const Command::Body& body : std::vector<Command::Body>{
           Creating("s"), Appending("s", "x"), Producing("s", "x", {"p", 0, 0}),
           Producing("s", "x", {"p", 0, 1}), Forking("f", "s"), Closing("s"), Delete{Id("s")},
           CreateBucket{"photos"}, FenceBucket{"other", Incarnation{1}, Incarnation{2}},
           Delete{Id("f")}}) {
    driver.Do(body);
    ++hashes[driver.machine().StateHash()];
  }
  EXPECT_EQ(hashes.size(), 10u);
  Machine other(GroupId{1});
  other.Apply(Index{1}, Command{driver.now_ms(), Creating("s")});
  EXPECT_EQ(hashes.count(other.StateHash()), 1u);
}

TEST(MachineSnapshotTest, ARecoveryMakesMembersOfTheSurvivorsAloneAndAnotherHistory) {
  MachineDriver driver;
  Fill(&driver);
  driver.Do(AdmitNode{2, 9, 0});
  const Recover recover{1, 77, {{1, 1}, {3, 2}}, {2, 5}};
  EXPECT_EQ(driver.Do(recover).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Do(recover).outcome, Outcome::kConflict);
  EXPECT_EQ(driver.Do(Recover{1, 78, {{2, 7}}, {}}).outcome, Outcome::kConflict);
  EXPECT_EQ(driver.machine().history(), 77u);
  EXPECT_EQ(driver.machine().recovery(), 1u);
  Machine restored(GroupId{1});
  ASSERT_TRUE(Load(&restored, Collect(driver.machine(), true)).ok());
  EXPECT_EQ(restored.recovery(), 1u);
  EXPECT_EQ(restored.history(), 77u);
  using Stage = NodeState::Stage;
  for (const auto& nodes : {driver.machine().nodes(), restored.nodes()}) {
    ASSERT_EQ(nodes.size(), 4u);
    EXPECT_EQ(nodes.at(1), (NodeState{.lives_before = 1}));
    EXPECT_EQ(nodes.at(2), (NodeState{.lives_before = 2, .stage = Stage::kGone}));
    EXPECT_EQ(nodes.at(3), (NodeState{.lives_before = 2}));
    EXPECT_EQ(nodes.at(5), (NodeState{.lives_before = 1, .stage = Stage::kGone}));
  }
  // Of other groups only the history is another one.
  Machine other(GroupId{1}, 5);
  other.Apply(Index{1}, Command{1, Recover{1, 77}});
  EXPECT_EQ(other.history(), 77u);
  EXPECT_TRUE(other.nodes().empty());
}

// Which they may have lost, and give away again.
TEST(MachineSnapshotTest, ARecoveryForgetsWhatWasKnownOfOtherGroupsIndices) {
  MachineDriver driver;
  Fill(&driver);
  Machine& machine = driver.machine();
  const Reservation settled{GroupId{7}, Incarnation{3}};
  const Reservation ruled_out{GroupId{7}, Incarnation{301}};
  driver.Do(ResolveFork{Id("y"), ruled_out, 0, {}});
  const auto ask = [&](const Reservation& reservation) {
    return driver.Do(ResolveFork{Id("x"), reservation, 1000, {}}).resolution;
  };
  const BucketStamp first{Incarnation{4}, Incarnation{5}};
  const BucketStamp old{Incarnation{1}, Incarnation{1}};
  EXPECT_TRUE(machine.IsFenced("gone", first));
  EXPECT_TRUE(machine.IsFenced("other", old));
  EXPECT_EQ(ask(settled), ForkResolution::kNever);
  EXPECT_EQ(ask(ruled_out), ForkResolution::kNever);
  Records records = Collect(machine, true);
  driver.Do(Recover{1, 77});
  EXPECT_FALSE(machine.IsFenced("gone", first));
  EXPECT_FALSE(machine.IsFenced("other", old));
  const Records after = Collect(machine, false);
  records.insert(records.end(), after.begin(), after.end());
  Machine restored(GroupId{1});
  ASSERT_TRUE(Load(&restored, records).ok());
  EXPECT_EQ(restored.StateHash(), machine.StateHash());
  EXPECT_EQ(ask(settled), ForkResolution::kPending);
  EXPECT_EQ(ask(ruled_out), ForkResolution::kPending);
  // What begins again is as what begins.
  EXPECT_EQ(driver.Do(FenceBucket{"gone", Incarnation{4}, Incarnation{1}}).outcome, Outcome::kOk);
  EXPECT_TRUE(machine.IsFenced("gone", first));
  driver.Do(DropReleases{GroupId{7}, Incarnation{2}, {}});
  EXPECT_EQ(ask({GroupId{7}, Incarnation{1}}), ForkResolution::kNever);
}

TEST(MachineSnapshotTest, RecordsThatContradictEachOtherAreRefused) {
  MachineDriver driver;
  Fill(&driver);
  Records records = Collect(driver.machine(), true);
  bool found = false;
  for (std::size_t drop = 0; drop < records.size(); ++drop) {
    if (records[drop].first != std::string("s\0\0\0\0\0\0\0\3", 9)) continue;
    found = true;
    Records without = records;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(drop));
    Machine orphan(GroupId{1});  // The fork's source is missing.
    EXPECT_EQ(Load(&orphan, without).code(), StatusCode::kDataLoss);
  }
  EXPECT_TRUE(found);
  Records twice = records;
  twice.emplace_back(std::string("s\0\0\0\0\0\0\0\x20", 9), records.back().second);
  Machine same_name(GroupId{1});
  EXPECT_EQ(Load(&same_name, twice).code(), StatusCode::kDataLoss);
}

TEST(MachineSnapshotTest, AHeaderWhoseTimeNeverComesIsRefused) {
  Machine machine(GroupId{1});
  const std::string longest = "\xff\xff\xff\xff\xff\xff\xff\x7f";  // 2^63 - 1, as a varint.
  const std::string rest = std::string(8, '\0') + "\x01\x02\x03\x04" + std::string(1, '\0');
  EXPECT_FALSE(machine.LoadRecord("h", "\x02\xff" + longest + rest).ok());
  EXPECT_TRUE(machine.LoadRecord("h", "\x02\xfe" + longest + rest).ok());
}

TEST(MachineSnapshotTest, ACutOrUnknownRecordIsRefused) {
  MachineDriver driver;
  Fill(&driver);
  for (const auto& [key, value] : Collect(driver.machine(), true)) {
    for (std::size_t size = 0; size < value->size(); ++size) {
      Machine machine(GroupId{1});
      EXPECT_FALSE(machine.LoadRecord(key, std::string_view(*value).substr(0, size)).ok())
          << key.front() << " cut at " << size;
    }
    std::string other = *value;
    other.front() = 1;
    Machine machine(GroupId{1});
    EXPECT_FALSE(machine.LoadRecord(key, other).ok()) << key.front() << ": another version";
    // One number more of a header is a recovery's.
    const std::string longer = key == "h" ? "xx" : "x";
    EXPECT_FALSE(machine.LoadRecord(key, *value + longer).ok()) << key.front() << ": longer";
    EXPECT_FALSE(machine.LoadRecord(key, *value + '\0').ok()) << key.front() << ": longer";
  }
  Machine machine(GroupId{1});
  EXPECT_FALSE(machine.LoadRecord("", "").ok());
  EXPECT_FALSE(machine.LoadRecord("?x", "").ok());
  EXPECT_FALSE(machine.LoadRecord("s123", std::nullopt).ok());
  EXPECT_FALSE(machine.LoadRecord("h", std::nullopt).ok());
}

TEST(MachineSnapshotTest, ChangedBytesAreRefusedOrLoad) {
  MachineDriver driver;
  Fill(&driver);
  const Records records = Collect(driver.machine(), true);
  Random random(1);
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    Records changed = records;
    std::string& value = *changed[random.Below(changed.size())].second;
    value[random.Below(value.size())] = static_cast<char>(random.Below(256));
    Machine machine(GroupId{1});
    if (!Load(&machine, changed).ok()) {
      ++refused;
    } else {
      machine.StateHash();
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace ursula::stream
