#include "tests/sim/engine/world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kAnswerNsMax = 20'000 * kMs;  // Of time in which only this happens.
constexpr uint64_t kTroubleNsMax = 40'000 * kMs;
constexpr uint64_t kStoryNs = 6'000 * kMs;  // In which a batch begins that members change beside.
// A group's time may differ from the clock's by rounding.
constexpr int64_t kClockErrorMs = 2;
// A read at a follower renews at its leader: after a letter, and a tick of each of the two.
constexpr int64_t kNewsMs = 400;

}  // namespace

World::World(uint64_t seed, uint32_t nodes, bool verbose)
    : verbose_(verbose),
      random_(seed),
      profile_(MakeProfile(&random_, nodes)),
      site_(&profile_, &random_),
      workload_(&profile_, &random_) {
  models_.emplace_back(profile_.groups);
}

void World::Say(const std::string& what) const {
  if (verbose_)
    std::printf("%llu %s\n", static_cast<unsigned long long>(site_.now_ns()), what.c_str());
}

void World::Trace(uint64_t value) { trace_ = ursula::sim::Mix(trace_, value); }

void World::Violate(const std::string& what) {
  if (violation_.empty()) violation_ = "at batch " + std::to_string(batch_) + ": " + what;
}

bool World::Run() {
  Reopen(Ending::kNone);
  for (batch_ = 1; ok() && batch_ <= profile_.batches; ++batch_) {
    RunBatch();
    if (!ok()) break;
    if (random_.OneIn(profile_.evict_one_in)) {
      site_.Evict();
      site_.Advance(10 * kMs);
      site_.Evict();  // What was written out meanwhile.
      ++counts_.evictions;
    }
    if (random_.OneIn(profile_.evict_one_in * 2)) site_.Checkpoint();
    if (random_.OneIn(profile_.advance_one_in)) {
      site_.Advance(random_.OneIn(20) ? 23'000 * kMs : random_.Below(3000) * kMs);
    }
    if (profile_.clocks && random_.OneIn(5)) Say(site_.MoveClock());
    Look(random_.OneIn(8));
    if (std::string what = site_.CheckTime(); ok() && !what.empty()) Violate(what);
  }
  if (ok()) Look(true);
  return ok();
}

// Where something goes wrong, all through it, and of those who may not hear of what goes on.
void World::PlanLocalReads(std::vector<Operation>* operations, std::vector<uint64_t>* starts) {
  for (Operation& operation : *operations) {
    auto* read = std::get_if<ReadRequest>(&operation.request);
    if (read == nullptr || !IsLocal(operation)) continue;
    read->touch = false;
    read->wait_ms = 0;
  }
  watched_ = random_.OneIn(2);
  if (!watched_) return;
  for (uint64_t i = 1 + random_.Below(6); i > 0; --i) {
    Operation operation;
    operation.number = next_number_++;
    operation.request = workload_.NextLocalLook();
    operations->push_back(std::move(operation));
    starts->push_back(random_.Below(kStoryNs));
  }
}

void World::Plan(Ending ending, std::vector<Operation>* operations, std::vector<uint64_t>* starts) {
  const uint64_t count = 1 + random_.Below(profile_.batch_max);
  Moments now_ms;
  for (const Interval& one : Now()) now_ms.push_back(one.until);
  workload_.BeginBatch(models_[random_.Below(models_.size())], std::move(now_ms));
  // Then all are one call but for the first, or with it.
  const bool batch = count > 1 && random_.OneIn(5);
  const uint64_t alone = batch ? random_.Below(2) : count;
  for (uint64_t i = 0; i < count; ++i) {
    Operation operation;
    operation.number = next_number_++;
    if (i >= alone) {
      operation.batch = i == alone ? operation.number : operations->back().batch;
      operation.request = workload_.NextAppend(operation.number);
    } else {
      operation.request = workload_.Next(operation.number);
    }
    operations->push_back(std::move(operation));
    const uint64_t window_ns = story_ == Site::Story::kNone ? profile_.window_ns : kStoryNs;
    starts->push_back(window_ns == 0 ? 0 : random_.Below(window_ns));
  }
  watched_ = false;
  if (profile_.local_reads && ending == Ending::kTrouble) PlanLocalReads(operations, starts);
  std::ranges::sort(*starts);
}

Intervals World::Now() const {
  Intervals now;
  for (const Interval& time : site_.Times()) {
    now.push_back({time.from - kClockErrorMs, time.until + kClockErrorMs});
  }
  return now;
}

void World::TakeUntil(Operation* operation, int64_t error_ms) const {
  const Intervals now = site_.Times();
  for (std::size_t i = 0; i < now.size(); ++i) operation->times[i].until = now[i].until + error_ms;
}

void World::RunBatch() {
  std::vector<Operation> operations;
  std::vector<uint64_t> starts;
  Ending ending = Ending::kNone;
  story_ = Site::Story::kNone;
  if (random_.OneIn(profile_.restart_one_in)) {
    static constexpr Ending kEndings[] = {Ending::kStop, Ending::kPower, Ending::kProcess};
    ending = kEndings[random_.Below(3)];
    if (profile_.nodes > 1 && !random_.OneIn(6)) ending = Ending::kTrouble;
    if (ending == Ending::kTrouble) story_ = site_.PickStory();
    site_.Advance(20 * kMs);  // What earlier reads left for later is done.
  }
  site_.WatchTime();
  Plan(ending, &operations, &starts);
  touched_names_.clear();
  for (const Operation& operation : operations) {
    for (const StreamId& id : NamesOf(operation)) touched_names_.push_back(id);
  }
  if (!Carry(&operations, starts, ending)) return;
  if (ending != Ending::kNone) Reopen(ending);
  if (!ok()) return;
  counts_.operations += operations.size();
  for (Operation& operation : operations) {
    if (IsUnknown(operation)) TakeUntil(&operation, kClockErrorMs);
    operation.cut_short =
        ending == Ending::kPower || ending == Ending::kProcess || ending == Ending::kTrouble;
    Trace(HashOf(operation));
    Say(ToText(operation));
  }
  Check(&operations, ending);
  if (ok() && story_ != Site::Story::kNone) LookFromEachNode();
}

template <class Reply>
Done<Reply> World::Answered(Operation* operation) {
  return [this, operation](Result<Reply> result) {
    operation->answer = std::move(result);
    operation->answered = ++event_;
    operation->answered_ns = site_.now_ns();
    operation->lag_ns = site_.LagNs(operation->node, operation->asked_ns);
    // A group's time may run at twice the speed.
    const int64_t news_ms = profile_.clocks ? 2 * kNewsMs : kNewsMs;
    TakeUntil(operation, profile_.nodes > 1 ? news_ms : kClockErrorMs);
    --open_;
  };
}

void World::Begin(Operation* operation, std::size_t node) {
  operation->invoked = ++event_;
  operation->asked_ns = site_.now_ns();
  operation->times = Now();
  ++open_;
  auto call = [this, operation](StreamEngine& engine) {
    std::visit(
        [&](const auto& request) {
          using Type = std::decay_t<decltype(request)>;
          if constexpr (std::is_same_v<Type, CreateRequest>) {
            engine.Create(request, Answered<CreateReply>(operation));
          } else if constexpr (std::is_same_v<Type, AppendRequest>) {
            engine.Append(request, Answered<AppendReply>(operation));
          } else if constexpr (std::is_same_v<Type, DeleteRequest>) {
            engine.Delete(request, Answered<DeleteReply>(operation));
          } else if constexpr (std::is_same_v<Type, ReadRequest>) {
            engine.Read(request, Answered<ReadReply>(operation));
          } else if constexpr (std::is_same_v<Type, HeadRequest>) {
            ursula::HeadRequest head(request.stream);
            if (request.local) head.consistency = Consistency::kLocal;
            head.staleness_ms_max = request.staleness_ms_max;
            engine.Head(std::move(head), Answered<HeadReply>(operation));
          } else if (request.kind == BucketRequest::Kind::kCreate) {
            engine.CreateBucket(request.bucket, Answered<BucketReply>(operation));
          } else if (request.kind == BucketRequest::Kind::kGet) {
            engine.GetBucket(request.bucket, Answered<BucketReply>(operation));
          } else if (request.kind == BucketRequest::Kind::kList) {
            engine.List({.bucket = request.bucket},
                        [done = Answered<BucketReply>(operation)](Result<ListReply> list) mutable {
                          if (!list.ok()) return done(list.status());
                          done(BucketReply{list->outcome});
                        });
          } else {
            engine.DeleteBucket(request.bucket, Answered<BucketReply>(operation));
          }
        },
        operation->request);
  };
  operation->node = site_.Call(std::move(call), node);
  operation->process = site_.ended(operation->node);
}

void World::BeginTogether(std::span<Operation> operations) {
  std::vector<AppendRequest> items;
  for (Operation& operation : operations) {
    operation.invoked = ++event_;
    operation.asked_ns = site_.now_ns();
    operation.times = Now();
    ++open_;
    ++counts_.batched;
    items.push_back(std::get<AppendRequest>(operation.request));
  }
  auto call = [this, operations, items = std::move(items)](StreamEngine& engine) mutable {
    engine.AppendBatch(std::move(items), [this, operations](Result<AppendBatchReply> reply) {
      for (std::size_t i = 0; i < operations.size(); ++i) {
        Done<AppendReply> done = Answered<AppendReply>(&operations[i]);
        if (reply.ok()) {
          done(std::move(reply->items.at(i)));
        } else {
          done(reply.status());
        }
      }
    });
  };
  const std::size_t node = site_.Call(std::move(call), Site::kAnyNode);
  for (Operation& operation : operations) {
    operation.node = node;
    operation.process = site_.ended(node);
  }
}

bool World::BeginNext(std::vector<Operation>* operations, const std::vector<uint64_t>& starts,
                      uint64_t begin_ns, std::size_t* begun) {
  if (*begun == operations->size() || site_.now_ns() < begin_ns + starts[*begun]) return false;
  if (open_ > 0) ++counts_.together;
  const std::size_t first = *begun;
  const uint64_t batch = (*operations)[first].batch;
  if (batch == 0) {
    Begin(&(*operations)[(*begun)++]);
    return true;
  }
  while (*begun < operations->size() && (*operations)[*begun].batch == batch) ++*begun;
  BeginTogether(std::span(*operations).subspan(first, *begun - first));
  return true;
}

// What was asked of a process that has ended isn't answered any more.
void World::CountLost(std::vector<Operation>* operations, std::size_t begun) {
  for (std::size_t i = 0; i < begun; ++i) {
    Operation& operation = (*operations)[i];
    if (operation.was_answered() || operation.lost) continue;
    operation.lost = site_.ended(operation.node) != operation.process;
    if (!operation.lost) continue;
    --open_;
    ++counts_.lost;
  }
}

bool World::Carry(std::vector<Operation>* operations, const std::vector<uint64_t>& starts,
                  Ending ending) {
  const uint64_t begin_ns = site_.now_ns();
  const bool is_long = story_ != Site::Story::kNone || watched_;
  const uint64_t least_ns = is_long ? kStoryNs : profile_.window_ns;
  const uint64_t window_ns = least_ns + 2 * profile_.latency_max_ns + 1;
  const uint64_t strike_ns = profile_.window_ns + 2 * profile_.latency_max_ns + 1;
  const uint64_t ending_ns =
      ending == Ending::kNone ? UINT64_MAX : begin_ns + random_.Below(2 * strike_ns);
  uint64_t steps_left = random_.OneIn(2) ? UINT64_MAX : random_.Below(60);  // Before the ending.
  const uint64_t limit_ns =
      begin_ns + window_ns + (ending == Ending::kTrouble ? kTroubleNsMax : kAnswerNsMax);
  bool struck = false;
  std::size_t begun = 0;
  site_.SetMeanwhile([&] {
    while (BeginNext(operations, starts, begin_ns, &begun)) {
    }
  });
  auto goes_on = [&] {
    return begun < operations->size() || open_ > 0 ||
           (struck && site_.AwaitsEvents() && site_.now_ns() < begin_ns + window_ns);
  };
  while (goes_on()) {
    if (!struck && ending != Ending::kNone && (site_.now_ns() >= ending_ns || steps_left-- == 0)) {
      if (ending != Ending::kTrouble) break;
      Strike();
      struck = true;
      CountLost(operations, begun);
      continue;
    }
    if (BeginNext(operations, starts, begin_ns, &begun)) continue;
    if (site_.now_ns() >= limit_ns) {
      site_.SetMeanwhile(nullptr);
      Violate("no answer\n" + Describe(*operations));
      return false;
    }
    uint64_t until_ns = struck ? limit_ns : std::min(limit_ns, ending_ns);
    if (begun < operations->size()) until_ns = std::min(until_ns, begin_ns + starts[begun]);
    site_.Step(until_ns);
    if (ending == Ending::kTrouble) CountLost(operations, begun);
  }
  site_.SetMeanwhile(nullptr);
  operations->resize(begun);
  if (ending == Ending::kStop) {
    if (open_ > 0) URSULA_SOMETIMES("engine: a stop with operations under way");
    site_.BeginStop();
    if (!site_.RunUntil([this] { return site_.stopped(); }, kAnswerNsMax)) {
      Violate("no end of a stop\n" + Describe(*operations));
      return false;
    }
  }
  return true;
}

void World::Strike() {
  if (open_ > 0) URSULA_SOMETIMES("forward: trouble with operations under way");
  Say(site_.Trouble(story_));
  ++counts_.troubles;
  if (story_ == Site::Story::kLoss) ++counts_.losses;
  if (story_ == Site::Story::kPutBack) ++counts_.put_back;
  if (story_ == Site::Story::kGrowth) ++counts_.grown;
  if (story_ == Site::Story::kDisk) ++counts_.disks;
}

void World::Mend() {
  wiped_ = false;
  const Status mended = site_.Mend();
  Say("meanwhile\n" + site_.TakeNews());
  if (!mended.ok()) return Violate("isn't mended: " + mended.ToString());
  Say("mended");
}

void World::Reopen(Ending ending) {
  if (ending == Ending::kTrouble) return Mend();
  if (ending == Ending::kStop) {
    site_.Close();
  } else if (ending == Ending::kPower) {
    if (open_ > 0) URSULA_SOMETIMES("engine: a power cut with operations under way");
    site_.Crash(Site::Fall::kPower);
  } else if (ending == Ending::kProcess) {
    if (open_ > 0) URSULA_SOMETIMES("engine: a crash with operations under way");
    site_.Crash(Site::Fall::kProcess);
  }
  wiped_ = ending != Ending::kNone && (!profile_.durable || random_.OneIn(8));
  if (wiped_) site_.Wipe();
  counts_.lost += open_;
  open_ = 0;
  ++counts_.restarts;
  const Status status = site_.Open();
  if (!status.ok()) return Violate("doesn't open: " + status.ToString());
  Say("opened");
  // What flows on nodes that are gone left half-done others end, in time.
  if (profile_.nodes > 1) site_.Settle();
  site_.Advance(random_.OneIn(2) ? 500 * kMs : 20 * kMs);
}

}  // namespace ursula::engine::sim
