// Random work on logs in small segments, crashes at any moment, openings on other numbers of cores,
// checked against what each group appended.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

struct Appended {
  uint64_t lsn = 0;
  uint64_t index = 0;
  std::string payload;  // Unique: it tells records apart.
};

// What one group did, oldest first.
struct GroupModel {
  std::vector<Appended> entries;
  std::vector<Appended> states;
  uint64_t released = 0;

  // The log that these entries make, index by index.
  static std::map<uint64_t, std::string> Replay(const std::vector<Appended>& entries) {
    std::map<uint64_t, std::string> log;
    for (const Appended& entry : entries) {
      log.erase(log.lower_bound(entry.index), log.end());
      log[entry.index] = entry.payload;
    }
    return log;
  }
  // A snapshot may be ahead of what was durable: the log goes on after it.
  uint64_t last() const {
    return entries.empty() ? released : std::max(released, entries.back().index);
  }
};

class CrashRun {
 public:
  CrashRun(uint64_t seed, bool direct)
      : random_(seed),
        world_(seed, {.short_write = 0.05,
                      .latency_min_ns = 10'000,
                      .latency_max_ns = 400'000,
                      .direct = direct}) {
    world_.options.log_bytes_max = 1 << 20;
  }

  void Run() {
    for (int opening = 0; opening < 6; ++opening) {
      cores_ = static_cast<uint16_t>(1 + random_.Below(3));
      Status opened = world_.Open(cores_);
      ASSERT_TRUE(opened.ok()) << opened.ToString();
      Check();
      if (::testing::Test::HasFatalFailure()) return;
      Work(random_.Below(400));
      if (random_.OneIn(4)) {
        NoteDurable(true);
        world_.Stop();
      } else {
        NoteDurable(false);
        world_.Crash();
      }
    }
  }

 private:
  void Work(uint64_t steps) {
    for (uint64_t step = 0; step < steps; ++step) {
      const uint32_t group = static_cast<uint32_t>(random_.Below(WalWorld::kGroups));
      GroupModel& model = groups_[group];
      const std::size_t core = WalWorld::CoreOf(GroupId{group}, cores_);
      if (!world_.wal(core).accepting()) Release(group, true);
      switch (random_.Below(12)) {
        case 0:
          AppendState(group, core);
          break;
        case 1:
          Release(group, random_.OneIn(3));
          break;
        case 2:
          world_.runtime->AdvanceBy(random_.Below(100'000'000));
          break;
        case 3:
          Replace(group, core);
          break;
        default:
          AppendEntry(group, core, model.last() + 1);
          break;
      }
      for (uint64_t turn = random_.Below(6); turn > 0; --turn) world_.runtime->RunTurn();
      if (random_.OneIn(3)) world_.runtime->AdvanceBy(random_.Below(500'000));
    }
  }

  std::string Unique() {
    std::string payload = std::to_string(++unique_) + ":";
    payload.append(random_.Below(random_.OneIn(10) ? 20'000 : 2'000), 'p');
    return payload;
  }
  void AppendEntry(uint32_t group, std::size_t core, uint64_t index) {
    std::string payload = Unique();
    uint64_t lsn = world_.AppendEntry(group, index, payload, core);
    groups_[group].entries.push_back({lsn, index, payload});
  }
  void AppendState(uint32_t group, std::size_t core) {
    std::string payload = Unique();
    uint64_t lsn = world_.AppendState(group, payload, core);
    groups_[group].states.push_back({lsn, 0, payload});
  }
  // Another leader's entries take the place of the last ones.
  void Replace(uint32_t group, std::size_t core) {
    GroupModel& model = groups_[group];
    if (model.last() <= model.released) return;
    AppendEntry(group, core,
                model.last() - random_.Below(std::min<uint64_t>(5, model.last() - model.released)));
  }
  void Release(uint32_t group, bool all) {
    GroupModel& model = groups_[group];
    if (model.last() <= model.released) return;
    model.released =
        all ? model.last() : model.released + 1 + random_.Below(model.last() - model.released);
    const std::size_t core = WalWorld::CoreOf(GroupId{group}, cores_);
    world_.wal(core).Release(GroupId{group}, Index{model.released});
  }

  // After this point nothing more may be expected to be durable.
  void NoteDurable(bool all) {
    for (auto& [group, model] : groups_) {
      const std::size_t core = WalWorld::CoreOf(GroupId{group}, cores_);
      const uint64_t durable = all ? UINT64_MAX : world_.probe(core).durable;
      auto count = [durable](const std::vector<Appended>& records) {
        return static_cast<std::size_t>(
            std::count_if(records.begin(), records.end(),
                          [durable](const Appended& record) { return record.lsn <= durable; }));
      };
      durable_entries_[group] = count(model.entries);
      durable_states_[group] = count(model.states);
    }
  }

  void Check() {
    for (auto& [group, model] : groups_) {
      CheckEntries(group, &model);
      CheckState(group, &model);
      if (::testing::Test::HasFatalFailure()) return;
      for (Appended& record : model.entries) record.lsn = 0;
      for (Appended& record : model.states) record.lsn = 0;
    }
  }

  void CheckEntries(uint32_t group, GroupModel* model) {
    std::vector<Appended> recovered;
    for (const RecoveredRecord& record : world_.recorder.records) {
      if (Raw(record.group) != group || record.kind != RecordKind::kEntry) continue;
      recovered.push_back({0, Raw(record.index), std::string(record.payload.view())});
    }
    // A contiguous piece of what was appended ...
    std::size_t begin = 0;
    std::vector<Appended>& entries = model->entries;
    if (!recovered.empty()) {
      while (begin < entries.size() && entries[begin].payload != recovered[0].payload) ++begin;
      ASSERT_LE(begin + recovered.size(), entries.size()) << "an entry nobody appended";
      for (std::size_t i = 0; i < recovered.size(); ++i) {
        ASSERT_EQ(entries[begin + i].payload, recovered[i].payload);
        ASSERT_EQ(entries[begin + i].index, recovered[i].index);
      }
    } else {
      begin = durable_entries_[group];
    }
    // ... that holds all that was durable, as far as it wasn't released.
    const std::size_t end = begin + recovered.size();
    ASSERT_GE(end, durable_entries_[group]) << "group " << group;
    entries.resize(end);
    auto wanted = GroupModel::Replay(entries);
    auto found = GroupModel::Replay(recovered);
    wanted.erase(wanted.begin(), wanted.upper_bound(model->released));
    found.erase(found.begin(), found.upper_bound(model->released));
    ASSERT_EQ(found, wanted) << "group " << group;
  }

  void CheckState(uint32_t group, GroupModel* model) {
    const RecoveredRecord* newest = nullptr;
    for (const RecoveredRecord& record : world_.recorder.records) {
      if (Raw(record.group) == group && record.kind == RecordKind::kState) newest = &record;
    }
    const std::size_t durable = durable_states_[group];
    if (newest == nullptr) {
      ASSERT_EQ(durable, 0u) << "group " << group << " lost its state";
      model->states.clear();
      return;
    }
    std::size_t at = 0;
    while (at < model->states.size() && model->states[at].payload != newest->payload.view()) ++at;
    ASSERT_LT(at, model->states.size()) << "a state nobody appended";
    ASSERT_GE(at + 1, durable) << "group " << group << " went back to an older state";
    model->states.resize(at + 1);
  }

  Random random_;
  WalWorld world_;
  uint16_t cores_ = 1;
  uint64_t unique_ = 0;
  std::map<uint32_t, GroupModel> groups_;
  std::map<uint32_t, std::size_t> durable_entries_;
  std::map<uint32_t, std::size_t> durable_states_;
};

TEST(WalCrashTest, NothingDurableIsLostAndNothingElseAppearsWithDirectIo) {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    CrashRun(seed, true).Run();
    if (HasFatalFailure()) return;
  }
}

TEST(WalCrashTest, NothingDurableIsLostAndNothingElseAppearsWithSyncs) {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    CrashRun(seed, false).Run();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace ursula::storage
