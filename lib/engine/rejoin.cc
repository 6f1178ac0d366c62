// A node whose log or snapshots are found rotten at its opening (docs/decisions/0057): where its
// cluster would take it in again, its directory is put aside, and it joins as with an empty one.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"
#include "lib/engine/rejoin_task.h"
#include "lib/io/entropy.h"

namespace ursula::engine {

// Whether it is one of several, to whom an empty directory would be of use.
bool Engine::MayRejoin() const {
  const ClusterOptions& cluster = options_.cluster;
  return options_.rejoin_when_rotten && cluster.transport != nullptr &&
         cluster.founders.size() >= 3;
}

// Of who founded with fewer than two others nothing on disk that can be read says that there are
// any: whether the cluster has grown since only those tell.
bool Engine::MayBeAlone() const {
  const std::vector<ReplicaId>& voters = directory_->founding_voters();
  const bool founder = std::ranges::find(voters, directory_->replica_id()) != voters.end();
  return founder && voters.size() < 3;
}

Status Engine::Rejoin(const Status& rot) {
  snapshot_files_.reset();
  auto refusal = [&rot](const std::string& why) {
    return Status(rot.code(), rot.message() + "; this node doesn't rejoin by itself: " + why);
  };
  Status may = directory_->MayPutAside(runtime_.loop(CoreId{0}).disk());
  if (!may.ok()) return refusal(may.message());
  StorageLog()(storage::LogLevel::kError,
               rot.message() + "; node " + std::to_string(directory_->node_id()) +
                   " is to rejoin its cluster, once a member would take it in");
  opening_.Begin(OpeningStep::kRejoining, 1);
  Status asked = AskToRejoin();
  if (asked.code() == StatusCode::kCancelled) return asked;
  if (!asked.ok()) return refusal(asked.message());
  Status rejoins = PutAside();
  return rejoins.ok() ? Join() : rejoins;
}

Status Engine::AskToRejoin() {
  io::Loop& loop = runtime_.loop(CoreId{0});
  RejoinTask task(&loop, directory_.get(), options_.cluster, founding_terms_, MayBeAlone(),
                  &opening_, StorageLog());
  Status asked;
  runtime_.Await([&](Function<void()> finished) {
    loop.Post([&asked, &task, finished = std::move(finished)]() mutable {
      task.Start([&asked, finished = std::move(finished)](Status status) mutable {
        asked = std::move(status);
        finished();
      });
    });
  });
  return asked;
}

Status Engine::PutAside() {
  io::Disk& disk = runtime_.loop(CoreId{0}).disk();
  Status moved = directory_->PutAside(disk, io::SystemEntropy(), io::SystemEntropy());
  if (!moved.ok()) {
    return Status(moved.code(), directory_->path() +
                                    " was found rotten, and is being put aside, which the next "
                                    "start goes on with: " +
                                    moved.message());
  }
  URSULA_SOMETIMES("aside: a rotten directory was put aside");
  StorageLog()(storage::LogLevel::kWarning,
               directory_->path() + " was found rotten: what was in it is kept in " +
                   directory_->aside_path() + ", and the other nodes are to fill it anew");
  return {};
}

bool Engine::IsTakenIn(const std::vector<MemberStatus>& members) const {
  const NodeId self{directory_->node_id()};
  const auto found = std::ranges::find(members, self, &MemberStatus::node);
  return found != members.end() && found->stage == MemberStatus::Stage::kMember &&
         found->lives_before == LivesBefore(directory_->replica_id());
}

}  // namespace ursula::engine
