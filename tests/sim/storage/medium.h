// tests/sim/storage/medium.h
//
// A medium that changes what it holds, and what may then be expected: the logs as they were
// written, how far of that they are undamaged, and whether a refusal names the damage.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "lib/storage/wal_format.h"
#include "tests/sim/storage/node.h"
#include "tests/support/fault_disk.h"

namespace ursula::storage::sim {

// Damages a random place of a random file, where something was written. False: there is none.
bool RotSomewhere(testing::FaultDisk* disk, Random* random);

// True: the message names a damaged file and, but for META, an offset at which the damage is met.
bool NamesDamage(const std::string& message,
                 const std::vector<testing::FaultDisk::Damage>& damaged);

// What is in the logs of a disk, read from what the medium was told to hold.
class LogOracle {
 public:
  explicit LogOracle(const testing::FaultDisk& disk);

  // Damage that an undamaged batch attests: the directory must be refused. Empty: there is none.
  const std::string& must_refuse() const { return must_refuse_; }
  // Logs with records whose last batch is no seal.
  const std::vector<std::string>& unsealed() const { return unsealed_; }
  // Otherwise these records are to be given, in this order, and no others. "" or what differs.
  std::string Compare(const std::vector<RecoveredRecord>& records) const;

 private:
  struct Record {
    RecordHeader header = {};
    std::string payload = {};
  };
  struct Segment {
    uint32_t number = 0;
    std::string path = {};
    std::string intended = {};
    std::string actual = {};
  };
  void ReadLog(LogId log, const std::vector<Segment>& segments);

  std::vector<Record> records_;
  std::string must_refuse_;
  std::vector<std::string> unsealed_;
};

}  // namespace ursula::storage::sim
