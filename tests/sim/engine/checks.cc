// What World compares.

#include <algorithm>
#include <string_view>
#include <utility>

#include "lib/base/sometimes.h"
#include "tests/sim/engine/linearizer.h"
#include "tests/sim/engine/marks.h"
#include "tests/sim/engine/orders.h"
#include "tests/sim/engine/world.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::engine::sim {
namespace {

constexpr std::size_t kModelsMax = 20'000;
// What a stop or crash left half-done (forks of other groups' names, deletions of buckets) has
// ended by then, if the engine runs.
constexpr int64_t kDoubtMs = 3000;
constexpr int64_t kSweepMs = 500;  // After it an expired stream is gone, if the engine runs.

bool DeletesBucket(const Operation& operation, const std::string& bucket) {
  const auto* request = std::get_if<BucketRequest>(&operation.request);
  return request != nullptr && request->kind == BucketRequest::Kind::kDelete &&
         request->bucket == bucket;
}

bool IsApplied(const Operation& operation) {
  return operation.was_answered() && StatusOf(operation).ok() &&
         std::get<Result<AppendReply>>(operation.answer)->outcome == Outcome::kOk;
}

bool Overlap(const Operation& a, const Operation& b) {
  return a.invoked < b.answered && b.invoked < a.answered;
}

}  // namespace

std::string World::Describe(const std::vector<Operation>& operations) const {
  std::string text;
  std::vector<StreamId> names;
  for (const Operation& operation : operations) {
    text += "  " + ToText(operation) + "\n";
    for (const StreamId& id : NamesOf(operation)) names.push_back(id);
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const StreamId& id : names) {
    const ModelStream* there = models_.front().Find(id);
    text +=
        "  before: " + ToText(id) + " group " + std::to_string(Raw(GroupOf(id, profile_.groups)));
    if (there == nullptr) {
      text += " not there\n";
      continue;
    }
    if (there->life == ModelStream::Life::kSoftDeleted) text += " soft-deleted";
    text += " in group " + std::to_string(there->group) + " tail=" + std::to_string(there->tail()) +
            " type=" + there->content_type;
    if (there->closed) text += " closed";
    for (const Interval& one : operations.front().times) {
      text += " [" + std::to_string(one.from) + "," + std::to_string(one.until) + "]";
    }
    if (const std::optional<Interval> deadline = there->Deadline()) {
      text +=
          " until [" + std::to_string(deadline->from) + "," + std::to_string(deadline->until) + "]";
    }
    if (there->point) {
      text +=
          " fork of " + ToText(there->point->source) + " at " + std::to_string(there->inherited);
    }
    text += " ends";
    for (uint64_t end : there->append_ends) text += " " + std::to_string(end);
    text += "\n";
  }
  return text + "  models " + std::to_string(models_.size());
}

bool World::MayBeUnavailable(const std::vector<Operation>& operations,
                             const Operation& operation) const {
  if (const auto* create = std::get_if<CreateRequest>(&operation.request)) {
    return std::ranges::any_of(operations, [&](const Operation& other) {
      const auto* beside = std::get_if<CreateRequest>(&other.request);
      return &other != &operation && beside != nullptr && beside->stream == create->stream &&
             Overlap(operation, other);
    });
  }
  // Its stream is made in a form that it wasn't proposed in, and one behind it fits.
  const auto* append = std::get_if<AppendRequest>(&operation.request);
  if (append != nullptr && operation.batch != 0 && append->content_type.empty()) {
    return std::ranges::any_of(operations, [&](const Operation& other) {
      const auto* beside = std::get_if<CreateRequest>(&other.request);
      return beside != nullptr && beside->stream == append->stream && Overlap(operation, other);
    });
  }
  const auto* bucket = std::get_if<BucketRequest>(&operation.request);
  if (bucket == nullptr || bucket->kind != BucketRequest::Kind::kDelete) return false;
  if (doubtful_buckets_.contains(bucket->bucket)) return true;
  return std::ranges::any_of(operations, [&](const Operation& other) {
    return &other != &operation && DeletesBucket(other, bucket->bucket) &&
           Overlap(operation, other);
  });
}

std::string World::CheckStatuses(const std::vector<Operation>& operations, Ending ending) const {
  for (const Operation& operation : operations) {
    if (!operation.was_answered() || StatusOf(operation).ok()) continue;
    const StatusCode code = StatusOf(operation).code();
    const bool stopping = ending == Ending::kStop || ending == Ending::kTrouble;
    bool may = false;
    if (ending == Ending::kTrouble && code == StatusCode::kUnavailable) {
      may = true;
    } else if (ending == Ending::kTrouble && code == StatusCode::kBehind) {
      may = IsLocal(operation);
    } else if (code == StatusCode::kStorageFull || code == StatusCode::kResourceExhausted) {
      may = story_ == Site::Story::kDisk && !IsReadOnly(operation);
    } else if (code == StatusCode::kIoError) {
      // A fork reads, too, where its point lies within an append.
      const auto* create = std::get_if<CreateRequest>(&operation.request);
      const bool reads = IsReadOnly(operation) ||
                         (create != nullptr && create->fork && create->fork->sub_offset > 0);
      may = story_ == Site::Story::kDisk && reads;
    } else if (ending == Ending::kTrouble && code == StatusCode::kOutcomeUnknown) {
      may = !IsReadOnly(operation);
    } else if (code == StatusCode::kFailedPrecondition) {
      may = stopping;
    } else if (code == StatusCode::kUnavailable) {
      may = stopping || MayBeUnavailable(operations, operation);
    } else if (code == StatusCode::kCancelled) {
      may = stopping && (std::holds_alternative<ReadRequest>(operation.request) ||
                         std::holds_alternative<CreateRequest>(operation.request));
    } else if (code == StatusCode::kOutcomeUnknown) {
      may = stopping;
    }
    if (!may) return "a status that nothing explains: " + ToText(operation);
    if (code == StatusCode::kInvalidArgument || code == StatusCode::kOutcomeUnknown) continue;
    // One without a type may meet a stream in another form, which one behind it fits.
    const auto* append = std::get_if<AppendRequest>(&operation.request);
    if (append == nullptr || append->content_type.empty()) continue;
    for (const Operation& behind : operations) {
      if (behind.number > operation.number && InOneLane(operation, behind) && IsApplied(behind)) {
        return "overtook what came to no decision: " + ToText(behind);
      }
    }
  }
  return "";
}

void World::Check(std::vector<Operation>* operations, Ending ending) {
  if (std::string what = CheckStatuses(*operations, ending); !what.empty()) {
    return Violate(what + "\n" + Describe(*operations));
  }
  // What is of the past has no place among those that take effect now.
  std::vector<Operation> ordered;
  std::ranges::remove_copy_if(*operations, std::back_inserter(ordered), IsOfThePast);
  RenewLocally(*operations);
  Linearizer linearizer(ordered);
  std::vector<Model> after = linearizer.Run(models_);
  if (after.empty())
    return Violate("no order explains" + linearizer.Unexplained() + "\n" + Describe(*operations));
  if (ending == Ending::kNone) MarkOrders(ordered, models_);
  for (const Operation& operation : ordered) {
    MarkAnswer(operation, models_.front());
    MarkWiped(operation);
  }
  if (after.size() > kModelsMax) return Violate("too many models\n" + Describe(*operations));
  counts_.models = std::max<uint64_t>(counts_.models, after.size());
  models_ = std::move(after);
  RenewLocally(*operations);
  CheckLocalReads(*operations);
  const int64_t until_ms = site_.wall_ms() + kDoubtMs;
  if (ending != Ending::kNone) {
    for (auto& [name, until] : doubtful_names_) until = until_ms;
    for (auto& [bucket, until] : doubtful_buckets_) until = until_ms;
  }
  for (const Operation& operation : *operations) {
    // What a stop or crash came to, it may have left half-done.
    if (ending == Ending::kNone && !IsUnknown(operation)) continue;
    if (const auto* create = std::get_if<CreateRequest>(&operation.request)) {
      if (create->fork) doubtful_names_[create->stream] = until_ms;
    } else if (const auto* bucket = std::get_if<BucketRequest>(&operation.request)) {
      doubtful_buckets_[bucket->bucket] = until_ms;
    }
  }
  if (wiped_ && ending != Ending::kNone) {
    for (const auto& stream : models_.front().Visible()) wiped_names_.insert(stream->id);
    local_reads_.Forget();
    for (Model& model : models_) model.ForgetStreams();
    models_.erase(models_.begin() + 1, models_.end());
    doubtful_names_.clear();
    doubtful_buckets_.clear();
  }
  ForgetTheDoubtful();
}

void World::RenewLocally(const std::vector<Operation>& operations) {
  for (const Operation& operation : operations) {
    if (!IsOfThePast(operation)) continue;
    const auto* read = std::get_if<ReadRequest>(&operation.request);
    if (read == nullptr || (!read->touch && read->wait_ms == 0)) continue;
    for (Model& model : models_) model.MayRenew(read->stream, operation.times);
  }
}

void World::CheckLocalReads(const std::vector<Operation>& operations) {
  if (!profile_.local_reads) return;
  for (const Operation& operation : operations) local_reads_.Learn(operation);
  local_reads_.Keep(models_, operations, site_.now_ns());
  for (const Operation& operation : operations) {
    if (!IsOfThePast(operation)) continue;
    const std::string what = local_reads_.Check(operation);
    if (!what.empty()) return Violate("a local read: " + what + "\n" + Describe({operation}));
  }
  counts_.local = local_reads_.judged();
}

void World::LookLocally(const StreamId& id) {
  Operation look;
  look.request = workload_.LocalLook(id, models_.front().Find(id));
  (void)Observe(&look, Site::kAnyNode);
}

// The engine's names of both lives differ: Model::Learn looks.
void World::MarkWiped(const Operation& operation) const {
  const CreateReply* reply = ReplyOf<CreateReply>(operation);
  if (reply == nullptr || reply->outcome != Outcome::kOk) return;
  if (!wiped_names_.contains(std::get<CreateRequest>(operation.request).stream)) return;
  if (profile_.durable) {
    URSULA_SOMETIMES("engine: a name of a wiped directory was used again");
  } else {
    URSULA_SOMETIMES("engine: a name of an earlier engine in memory was used again");
  }
}

void World::MarkOrders(const std::vector<Operation>& operations, const std::vector<Model>& before) {
  for (std::size_t first = 0; first < operations.size(); ++first) {
    for (std::size_t second = 0; second < operations.size(); ++second) {
      if (first == second || !Overlap(operations[first], operations[second])) continue;
      if (!IsOrderWanted(operations[first], operations[second])) continue;
      if (Linearizer(operations).CanBeOrdered(before, second, first)) continue;
      MarkOrder(operations[first], operations[second]);
    }
  }
}

void World::ForgetTheDoubtful() {
  const int64_t now_ms = site_.wall_ms();
  const Intervals now = Now();
  Moments expired_ms;
  for (const Interval& one : now) expired_ms.push_back(one.from - kSweepMs);
  if (!doubtful_names_.empty()) {
    std::erase_if(doubtful_names_, [&](const auto& one) { return one.second < now_ms; });
    if (doubtful_names_.empty()) {
      for (Model& model : models_) model.ConfirmAll();
    }
  }
  std::erase_if(doubtful_buckets_, [&](const auto& one) {
    if (one.second >= now_ms) return false;
    std::vector<Model> after;
    for (const Model& model : models_) model.EndDeletion(one.first, now, &after);
    models_ = std::move(after);
    return true;
  });
  for (Model& model : models_) {
    model.Settle();
    model.ExpireAll(expired_ms, MarkExpired);
  }
  std::set<uint64_t> seen;
  std::erase_if(models_, [&](const Model& model) { return !seen.insert(model.Hash()).second; });
}

bool World::Observe(Operation* operation, std::size_t node) {
  ++counts_.looks;
  operation->number = next_number_++;
  site_.WatchTime();
  Begin(operation, node);
  if (!site_.RunUntil([this] { return open_ == 0; }, 20'000'000'000)) {
    Violate("no answer\n" + Describe({*operation}));
    return false;
  }
  if (!IsLocal(*operation)) MarkAnswer(*operation, models_.front());
  Trace(HashOf(*operation));
  if (!StatusOf(*operation).ok()) {
    Violate("a look failed\n" + Describe({*operation}));
    return false;
  }
  std::vector<Operation> alone{*operation};
  if (IsOfThePast(*operation)) {
    CheckLocalReads(alone);
    return ok();
  }
  std::vector<Model> after = Linearizer(alone).Run(models_);
  if (after.empty()) {
    Violate("looks otherwise\n" + Describe(alone));
    return false;
  }
  models_ = std::move(after);
  CheckLocalReads(alone);
  return true;
}

void World::LookAt(const StreamId& id, std::size_t node) {
  Operation head;
  head.request = HeadRequest{id};
  if (!Observe(&head, node)) return;
  const HeadReply* reply = ReplyOf<HeadReply>(head);
  if (reply->outcome != Outcome::kOk) return;
  ReadRequest request;
  request.stream = id;
  request.touch = false;
  request.boundaries = !random_.OneIn(4);
  if (random_.OneIn(3)) request.bytes_max = 1 + random_.Below(5000);
  if (random_.OneIn(3)) request.from.bytes = random_.Below(reply->info.tail.bytes + 1);
  for (bool whole = false; !whole && ok();) {
    Operation read;
    read.request = request;
    if (!Observe(&read, node)) return;
    const ReadReply* got = ReplyOf<ReadReply>(read);
    whole = got->outcome != Outcome::kOk || got->up_to_date;
    request.from = got->next;
  }
}

void World::LookAtBucket(const std::string& bucket) {
  ListReply whole;
  ListRequest request;
  request.bucket = bucket;
  request.limit = static_cast<uint32_t>(random_.OneIn(2) ? 1000 : 1 + random_.Below(3));
  site_.WatchTime();
  Intervals times = Now();
  do {
    ++counts_.looks;
    std::optional<Result<ListReply>> reply;
    site_.Call([&](StreamEngine& engine) {
      engine.List(request, [&](Result<ListReply> part) { reply.emplace(std::move(part)); });
    });
    if (!site_.RunUntil([&] { return reply.has_value(); }, 20'000'000'000) || !reply->ok()) {
      return Violate("listing failed");
    }
    whole.outcome = (*reply)->outcome;
    whole.more = (*reply)->more;
    for (ListReply::Stream& stream : (*reply)->streams) whole.streams.push_back(std::move(stream));
    if (whole.more) request.after = whole.streams.back().path;
  } while (whole.more);
  std::string difference;
  std::vector<Model> after;
  const Intervals end = Now();
  for (std::size_t i = 0; i < times.size(); ++i) times[i].until = end[i].until;
  for (const Model& model : models_) {
    std::string one = model.ExplainList(bucket, whole, times, &after);
    if (difference.empty()) difference = std::move(one);
  }
  if (after.empty()) return Violate(difference);
  models_ = std::move(after);
}

// After directories were lost: all of it, read by each node from what it has.
void World::LookFromEachNode() {
  if (random_.OneIn(2)) site_.Evict();
  for (std::size_t node = 0; node < site_.size(); ++node) {
    for (const StreamId& id : profile_.names) {
      if (ok() && site_.up(node)) LookAt(id, node);
    }
  }
}

void World::Look(bool everything) {
  ForgetTheDoubtful();
  std::vector<StreamId> names = everything ? profile_.names : touched_names_;
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const StreamId& id : names) {
    if (ok()) LookAt(id);
    if (ok() && profile_.local_reads && random_.OneIn(2)) LookLocally(id);
  }
  if (!everything) return;
  for (const char* bucket : {kUpstreamBucket, "team", "crew"}) {
    if (ok()) LookAtBucket(bucket);
  }
}

}  // namespace ursula::engine::sim
