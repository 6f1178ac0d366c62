// Whether the directory of this node is still the one that the cluster takes it for. Each opening
// is told to the meta group, which remembers the last one: a directory that another has taken the
// place of, or of which an older state was put back, has forgotten what it voted for and
// acknowledged, and takes part no more.
//
// The meta group's word is the one that counts, but who was replaced isn't talked to any more: so
// peers are asked, too, who answer by what they have applied.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"
#include "lib/engine/founding_task.h"
#include "lib/meta/founding_format.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kSayNs = 1'000'000'000;
constexpr uint64_t kSayAgainNs = 5'000'000'000;  // Once it is told: whether it is one still.

constexpr const char* kReplaced =
    "another directory has taken this one's place in the cluster; start the node with an empty "
    "directory to have it join again";
constexpr const char* kRemoved =
    "this node was removed from the cluster; stop it, or have it taken in again: ursulactl node "
    "add, then start it with an empty directory";
constexpr const char* kPutBack =
    "an older state of this directory was put back, or a copy of it is in use: it has forgotten "
    "what it acknowledged; start the node with an empty directory, and the others will fill it";

}  // namespace

void Engine::Register(const group::Replica& meta) {
  if (registration_.state == Registration::State::kRefused) return;
  const uint64_t now_ns = runtime_.Current()->now_ns();
  if (now_ns < registration_.next_ns) return;
  const bool told = registration_.state == Registration::State::kTold;
  registration_.next_ns = now_ns + (told ? kSayAgainNs : kSayNs);
  SayOpening(meta);
  if (!told) TellOpening();
}

void Engine::TellOpening() {
  if (registration_.asking || !gate_.Enter()) return;
  registration_.asking = true;
  const stream::OpenNode opening{.node = directory_->node_id(),
                                 .lives_before = LivesBefore(directory_->replica_id()),
                                 .opening = directory_->generation(),
                                 .nonce_before = directory_->predecessor(),
                                 .nonce = directory_->nonce()};
  ProposeAt(kMetaGroup, opening, [this](Result<stream::Reply> reply) {
    registration_.asking = false;
    const bool open = registration_.state == Registration::State::kOpen;
    if (open && reply.ok() && reply->outcome == Outcome::kOk) {
      registration_.state = Registration::State::kTold;
    } else if (open && reply.ok()) {
      RefuseDirectory(reply->outcome == Outcome::kGone ? kReplaced : kPutBack);
    }
    CallEnded();
  });
}

void Engine::SayOpening(const group::Replica& meta) {
  meta::FoundingHello said = HelloOfMember(*directory_, options_.cluster, founding_terms_);
  said.disk = told_disk_;
  disks_.OnSaid(meta.node(), told_disk_, runtime_.Current()->now_ns());  // As the others hear it.
  said.feature_level = static_cast<uint32_t>(meta.machine().feature_level());
  const Bytes hello = meta::EncodeFoundingHello(said);
  // Those that the options name, too: a copy of before the cluster grew knows of no others.
  std::vector<NodeId> nodes = options_.cluster.founders;
  for (ReplicaId member : WantedMembers(meta.machine())) nodes.push_back(NodeOf(member));
  std::ranges::sort(nodes);
  nodes.erase(std::ranges::unique(nodes).begin(), nodes.end());
  for (NodeId node : nodes) {
    if (node == meta.node()) continue;
    (void)options_.cluster.transport->Send(runtime_.Current()->core(), node, Channel::kControl,
                                           {hello});
  }
}

// By what is applied here, which may be behind: then nothing is refused that should be.
std::string Engine::RefusalOf(const meta::FoundingHello& member) {
  const stream::Machine& meta = ShardOf(kMetaGroup).replica(kMetaGroup).machine();
  auto found = NodesKnown(meta).find(Raw(member.from.node));
  if (found == NodesKnown(meta).end()) return {};
  const stream::NodeState& known = found->second;
  if (known.lives_before > member.record.lives_before) return kReplaced;
  if (known.lives_before < member.record.lives_before) return {};
  using Stage = stream::NodeState::Stage;
  if (known.stage == Stage::kGone || known.stage == Stage::kInvited) return kRemoved;
  if (member.openings == 0) return {};
  const bool same = known.opening == member.openings && known.nonce == member.from.opening;
  const bool follows = known.opening + 1 == member.openings && known.nonce == member.predecessor;
  return known.opening + 1 >= member.openings && !same && !follows ? kPutBack : "";
}

void Engine::RefuseDirectory(const std::string& why) {
  if (registration_.state == Registration::State::kRefused) return;
  URSULA_SOMETIMES("members: a directory was refused");
  // What can't be written down is found out again at the next opening.
  (void)directory_->MustRejoin(runtime_.Current()->disk());
  TakePartNoMore(why);
}

// Until the next opening.
void Engine::TakePartNoMore(const std::string& why) {
  if (registration_.state == Registration::State::kRefused) return;
  registration_.state = Registration::State::kRefused;
  refused_.Set(why);
  StorageLog()(storage::LogLevel::kError, directory_->path() + ": " + why);
  for (auto& shard : shards_) {
    shard->loop().Post([target = shard.get(), why] { target->Refuse(why); });
  }
}

}  // namespace ursula::engine
