#include "lib/group/catch_ups.h"

#include <algorithm>
#include <utility>

#include "lib/base/sometimes.h"

namespace ursula::group {
namespace {

// Whether those who are level are a majority of these without this one.
bool SufficeWithout(ReplicaId one, const std::vector<ReplicaId>& voters,
                    const std::vector<ReplicaId>& level) {
  std::size_t count = 0;
  for (ReplicaId voter : voters) {
    if (voter != one && std::ranges::find(level, voter) != level.end()) ++count;
  }
  return voters.empty() || 2 * count > voters.size();
}

}  // namespace

// What was open when it was noted last is so still, if the commit index is the same.
bool CatchUps::Stuck(Index commit, Index last) {
  const uint64_t now_ns = services_.loop->now_ns();
  if (!open_ || commit != commit_) commit_ns_ = now_ns;
  open_ = last > commit;
  commit_ = commit;
  return open_ && now_ns - commit_ns_ >= kStuckNs;
}

void CatchUps::Note(std::span<const raft::PeerStatus> peers, const raft::ConfState& conf,
                    Index commit, Index last, Function<bool(ReplicaId)> hears) {
  std::vector<ReplicaId> level = {services_.self};
  for (const raft::PeerStatus& peer : peers) {
    const bool sent = peer.state == raft::ProgressState::kReplicate && peer.next > commit;
    if (peer.id != services_.self && sent && hears(peer.id)) level.push_back(peer.id);
  }
  if (Stuck(commit, last)) {
    URSULA_SOMETIMES("group: nobody is held up where nothing is committed");
    level.clear();
  }
  noted_ = true;
  std::vector<ReplicaId> due = std::exchange(asked_, {});
  auto old = std::exchange(paced_, {});
  for (const raft::PeerStatus& peer : peers) {
    if (peer.id == services_.self) continue;
    if (!SufficeWithout(peer.id, conf.voters, level)) continue;
    if (!SufficeWithout(peer.id, conf.voters_outgoing, level)) continue;
    auto found = old.find(peer.id);
    std::unique_ptr<Waiter> waiter =
        found == old.end() ? std::make_unique<Waiter>(&host_, peer.id) : std::move(found->second);
    paced_.emplace(peer.id, std::move(waiter));
  }
  for (const auto& [to, waiter] :
       old) {  // Nothing is acknowledged without it by now, or it is gone.
    if (waiter != nullptr && waiter->linked()) due.push_back(to);
  }
  old.clear();
  for (ReplicaId to : due) host_.OnCatchUpDue(to);
}

bool CatchUps::Tick() {
  noted_ = false;
  return std::ranges::any_of(paced_, [](const auto& one) { return one.second->linked(); });
}

void CatchUps::Clear() {
  noted_ = false;
  open_ = false;
  asked_.clear();
  paced_.clear();
}

bool CatchUps::Waits(ReplicaId to) const {
  auto found = paced_.find(to);
  if (found != paced_.end() && found->second->linked()) return true;
  return std::ranges::find(asked_, to) != asked_.end();
}

bool CatchUps::MayTake(ReplicaId to) {
  if (services_.pace == nullptr || !services_.pace->limited()) return true;
  if (noted_) {
    auto found = paced_.find(to);
    return found == paced_.end() || services_.MayTake(found->second.get());
  }
  if (asked_.empty()) host_.OnCatchUpAsked();
  if (std::ranges::find(asked_, to) == asked_.end()) asked_.push_back(to);
  return false;
}

}  // namespace ursula::group
