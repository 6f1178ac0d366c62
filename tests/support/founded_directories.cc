#include "tests/support/founded_directories.h"

#include <memory>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/random.h"
#include "lib/storage/directory.h"
#include "tests/support/manual_loop.h"

namespace ursula::testing {

void FoundDirectories(const std::vector<FaultDisk*>& disks, const std::string& path,
                      uint32_t group_count, uint64_t seed, uint32_t feature_level) {
  Random random(seed);
  storage::DirectoryPlan plan;
  plan.cluster_id = random.Next();
  plan.history_id = random.Next();
  plan.group_count = group_count;
  plan.feature_level = feature_level;
  for (uint64_t node = 1; node <= disks.size(); ++node) {
    plan.founders.push_back({node, random.Next()});
  }
  for (const storage::FoundingDirectory& founder : plan.founders) {
    ManualLoop loop(disks[founder.node_id - 1]);
    storage::DirectoryOptions wanted;
    wanted.id_if_new = founder.id;
    wanted.nonce = random.Next();
    wanted.if_new.node_id = founder.node_id;
    wanted.one_of_several = true;
    auto opened = storage::DataDirectory::Open(loop.disk(), path, wanted);
    URSULA_CHECK(opened.ok());
    Status status = (*opened)->BecomeFounding(loop.disk(), plan);
    URSULA_CHECK(status.ok());
    status = (*opened)->BecomeMember(loop.disk());
    URSULA_CHECK(status.ok());
  }
}

}  // namespace ursula::testing
