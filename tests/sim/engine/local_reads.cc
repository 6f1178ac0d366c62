#include "tests/sim/engine/local_reads.h"

#include <algorithm>
#include <utility>

#include "lib/base/sometimes.h"
#include "tests/sim/engine/deciding.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
// Then no answer may be of a life that has ended, or tell less than what is known since.
constexpr uint64_t kForgetNs = 120'000 * kMs;

const ReadRequest* ReadOf(const Operation& operation) {
  return std::get_if<ReadRequest>(&operation.request);
}

uint64_t StalenessMs(const Operation& operation) {
  if (const auto* read = ReplyOf<ReadReply>(operation)) return read->staleness_ms;
  return ReplyOf<HeadReply>(operation)->staleness_ms;
}

uint64_t BoundMs(const Operation& operation) {
  if (const ReadRequest* read = ReadOf(operation)) return read->staleness_ms_max;
  return std::get<HeadRequest>(operation.request).staleness_ms_max;
}

// Of that time, or later, it must be.
uint64_t OldestNs(const Operation& operation) {
  const uint64_t age_ns = StalenessMs(operation) * kMs + operation.lag_ns;
  const uint64_t oldest_ns =
      operation.answered_ns > age_ns ? operation.answered_ns - age_ns : uint64_t{0};
  const auto* reply = ReplyOf<ReadReply>(operation);
  // Past the tail as it was here, so it has asked.
  const ReadRequest* request = ReadOf(operation);
  const bool past = reply != nullptr && !request->from_tail && !request->from_append_start &&
                    reply->start < request->from;
  return past ? std::max(oldest_ns, operation.asked_ns) : oldest_ns;
}

}  // namespace

bool IsLocal(const Operation& operation) {
  if (const ReadRequest* read = ReadOf(operation)) {
    return read->consistency == Consistency::kLocal;
  }
  const auto* head = std::get_if<HeadRequest>(&operation.request);
  return head != nullptr && head->local;
}

bool IsOfThePast(const Operation& operation) {
  if (!IsLocal(operation)) return false;
  if (const auto* head = ReplyOf<HeadReply>(operation)) return head->outcome == Outcome::kOk;
  const auto* read = ReplyOf<ReadReply>(operation);
  // Whether an offset is inside a message is judged of what is here, too.
  return read != nullptr &&
         (read->outcome == Outcome::kOk || read->outcome == Outcome::kOffsetInvalid);
}

void LocalReads::Forget() {
  lives_.clear();
  unnamed_.clear();
  unsure_ns_.clear();
  seen_.clear();
}

// Of which life it tells what; none: 0.
LocalReads::Shown LocalReads::ShownBy(const Operation& operation) {
  auto of = [](const StreamInfo& info) {
    return Shown{info.incarnation, info.tail.bytes, info.closed};
  };
  if (const auto* created = ReplyOf<CreateReply>(operation)) {
    const bool there = created->outcome == Outcome::kOk || created->outcome == Outcome::kExisted;
    return there ? of(created->info) : Shown{};
  }
  if (const auto* appended = ReplyOf<AppendReply>(operation)) {
    return {appended->incarnation, appended->tail.bytes, appended->closed};
  }
  if (const auto* head = ReplyOf<HeadReply>(operation)) {
    return head->outcome == Outcome::kOk ? of(head->info) : Shown{};
  }
  if (const auto* read = ReplyOf<ReadReply>(operation)) {
    return read->outcome == Outcome::kOk ? of(read->info) : Shown{};
  }
  return {};
}

void LocalReads::LearnThatOthersAreGone(const Operation& operation, const StreamId& id,
                                        uint64_t except) {
  for (auto& [incarnation, life] : lives_) {
    if (life.id != id || incarnation == except || life.known > operation.invoked) continue;
    life.gone_ns = std::min(life.gone_ns, operation.answered_ns);
  }
}

void LocalReads::Learn(const Operation& operation) {
  const StreamId* id = StreamOf(operation);
  if (id == nullptr || !operation.was_answered() || !StatusOf(operation).ok()) return;
  if (IsLocal(operation)) return;
  const Shown shown = ShownBy(operation);
  if (shown.incarnation != 0) {
    auto [found, is_new] = lives_.try_emplace(shown.incarnation);
    Life& life = found->second;
    if (is_new) {
      life.id = *id;
      life.known = operation.answered;
    }
    life.facts.push_back({operation.answered_ns, shown.tail, shown.closed});
    LearnThatOthersAreGone(operation, *id, shown.incarnation);
    if (operation.node != SIZE_MAX && IsReadOnly(operation)) {
      seen_[{operation.node, operation.process, shown.incarnation}].push_back(
          {operation.answered, shown.tail, shown.closed});
    }
    return;
  }
  auto ends = [](Outcome outcome) {
    return outcome == Outcome::kNotFound || outcome == Outcome::kSoftDeleted ||
           outcome == Outcome::kBucketNotFound;
  };
  const auto* deleted = ReplyOf<DeleteReply>(operation);
  const auto* head = ReplyOf<HeadReply>(operation);
  const auto* appended = ReplyOf<AppendReply>(operation);
  const bool gone =
      (deleted != nullptr && (deleted->outcome == Outcome::kOk || ends(deleted->outcome))) ||
      (head != nullptr && ends(head->outcome)) || (appended != nullptr && ends(appended->outcome));
  if (gone) LearnThatOthersAreGone(operation, *id, 0);
}

void LocalReads::KeepContents(const std::vector<Model>& models,
                              const std::vector<Operation>& batch) {
  std::map<uint64_t, std::vector<StreamPtr>> now;
  unnamed_.clear();
  for (const Model& model : models) {
    for (StreamPtr& stream : model.Visible()) {
      std::vector<StreamPtr>& same = stream->incarnation == 0 ? unnamed_ : now[stream->incarnation];
      const bool known = std::ranges::any_of(same, [&](const StreamPtr& one) {
        return one->id == stream->id && one->content_hash == stream->content_hash &&
               one->tail() == stream->tail() && one->closed == stream->closed;
      });
      if (!known) same.push_back(std::move(stream));
    }
  }
  for (auto& [incarnation, contents] : now) {
    Life& life = lives_[incarnation];
    life.id = contents.front()->id;
    life.contents = std::move(contents);
  }
  for (const Operation& operation : batch) {
    const StreamId* id = StreamOf(operation);
    if (id == nullptr || IsReadOnly(operation)) continue;
    for (auto& [incarnation, life] : lives_) {
      life.unsure = life.unsure || (life.id == *id && !now.contains(incarnation));
    }
  }
}

void LocalReads::Keep(const std::vector<Model>& models, const std::vector<Operation>& batch,
                      uint64_t now_ns) {
  KeepContents(models, batch);
  std::erase_if(unsure_ns_, [&](const auto& one) { return one.second + kForgetNs < now_ns; });
  for (const Operation& operation : batch) {
    if (!std::holds_alternative<CreateRequest>(operation.request)) continue;
    if (ShownBy(operation).incarnation == 0) unsure_ns_[*StreamOf(operation)] = now_ns;
  }
  std::erase_if(lives_, [&](const auto& one) {
    const uint64_t gone_ns = one.second.gone_ns;
    return gone_ns != UINT64_MAX && gone_ns + kForgetNs < now_ns;
  });
  std::erase_if(seen_, [&](const auto& one) { return !lives_.contains(std::get<2>(one.first)); });
  for (auto& [incarnation, life] : lives_) {
    // Tails only grow: of what is long past the last fact says all.
    auto recent = std::ranges::find_if(
        life.facts, [&](const Fact& fact) { return fact.ns + kForgetNs >= now_ns; });
    if (recent - life.facts.begin() > 1) life.facts.erase(life.facts.begin(), recent - 1);
  }
}

// What a node's process has shown it doesn't take back.
std::string LocalReads::GoesBack(const Operation& operation, const Shown& shown) {
  std::vector<Seen>& seen = seen_[{operation.node, operation.process, shown.incarnation}];
  for (const Seen& one : seen) {
    if (one.answered > operation.invoked) continue;
    if (shown.tail < one.tail || (one.closed && !shown.closed)) {
      return "its node has shown it up to " + std::to_string(one.tail) + " before";
    }
  }
  seen.push_back({operation.answered, shown.tail, shown.closed});
  return {};
}

std::string LocalReads::IsTooOld(const Operation& operation, const Shown& shown) const {
  const uint64_t oldest_ns = OldestNs(operation);
  const uint64_t asked_ms = (operation.answered_ns - operation.asked_ns) / kMs + 1;
  if (StalenessMs(operation) > std::max(BoundMs(operation), asked_ms)) {
    return "is older than was asked for";
  }
  auto found = lives_.find(shown.incarnation);
  if (found == lives_.end()) return {};
  if (found->second.gone_ns < oldest_ns) return "that life had been known to have ended";
  for (const Fact& fact : found->second.facts) {
    if (fact.ns >= oldest_ns) continue;
    if (shown.tail < fact.tail || (fact.closed && !shown.closed)) {
      return "it was known to reach to " + std::to_string(fact.tail) +
             (fact.closed ? ", closed," : "") + " before that";
    }
  }
  return {};
}

std::vector<LocalReads::StreamPtr> LocalReads::Candidates(const StreamId& id,
                                                          uint64_t incarnation) const {
  std::vector<StreamPtr> candidates;
  auto found = lives_.find(incarnation);
  if (found != lives_.end()) candidates = found->second.contents;
  if (!candidates.empty()) return candidates;
  std::ranges::copy_if(unnamed_, std::back_inserter(candidates),
                       [&](const StreamPtr& stream) { return stream->id == id; });
  return candidates;
}

// As it was when it reached to where the answer says.
bool LocalReads::Fits(const Operation& operation, const StreamPtr& content) {
  const auto* reply = ReplyOf<ReadReply>(operation);
  const StreamInfo& info = reply != nullptr ? reply->info : ReplyOf<HeadReply>(operation)->info;
  const uint64_t tail = info.tail.bytes;
  if (info.content_type != content->content_type || info.lifetime != content->effective ||
      info.start.bytes != 0 || tail > content->tail()) {
    return false;
  }
  if (info.closed && (!content->closed || tail != content->tail())) return false;
  if (tail > 0 && std::ranges::find(content->append_ends, tail) == content->append_ends.end()) {
    return false;
  }
  if (reply == nullptr) return true;
  ModelStream then = *content;
  then.content.resize(tail);
  std::erase_if(then.append_ends, [&](uint64_t end) { return end > tail; });
  return PageFits(then, *ReadOf(operation), *reply);
}

std::string LocalReads::Check(const Operation& operation) {
  const Shown shown = ShownBy(operation);
  if (shown.incarnation == 0) return {};  // Inside a message.
  if (std::string what = GoesBack(operation, shown); !what.empty()) return what;
  if (std::string what = IsTooOld(operation, shown); !what.empty()) return what;
  if (StalenessMs(operation) > 0) URSULA_SOMETIMES("forward: a local read was answered at once");
  if (StalenessMs(operation) > 1500) URSULA_SOMETIMES("forward: a local read was seconds old");
  const StreamId& id = *StreamOf(operation);
  const std::vector<StreamPtr> candidates = Candidates(id, shown.incarnation);
  if (std::ranges::any_of(candidates, [&](const auto& one) { return Fits(operation, one); })) {
    if (std::ranges::any_of(candidates,
                            [&](const auto& one) { return one->tail() > shown.tail; })) {
      URSULA_SOMETIMES("forward: a local read showed less than there was");
    }
    ++judged_;
    return {};
  }
  auto life = lives_.find(shown.incarnation);
  if (life != lives_.end() ? life->second.unsure : unsure_ns_.contains(id)) return {};
  return candidates.empty() ? "there was no such life" : "it never was like that";
}

}  // namespace ursula::engine::sim
