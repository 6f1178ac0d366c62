#include "tests/bench/workloads.h"

#include <utility>

#include "tests/bench/append.h"
#include "tests/bench/batch.h"
#include "tests/bench/create.h"
#include "tests/bench/readers.h"
#include "tests/bench/replay.h"

namespace ursula::bench {
namespace {

Drivers Only(std::unique_ptr<Driver> driver) {
  Drivers drivers;
  drivers.push_back(std::move(driver));
  return drivers;
}

Names NamesOf(const Options& options, const char* kind) {
  return Names(options.url, options.run_id, kind, options.numbers);
}

Stage CreateStage(const Options& options, const char* kind, uint32_t streams) {
  Stage stage;
  stage.name = "create";
  stage.make = [&options, kind, streams](Loop* loop, uint32_t worker) {
    return Only(NewCreateDriver(loop, {.names = NamesOf(options, kind),
                                       .streams = streams,
                                       .connections = options.connections,
                                       .content_type = options.content_type,
                                       .worker = worker,
                                       .worker_count = options.threads}));
  };
  return stage;
}

Stage TimedStage(const Options& options, const char* name) {
  Stage stage;
  stage.name = name;
  stage.measured = true;
  stage.timed = true;
  stage.warmup_s = options.warmup_s;
  stage.duration_s = options.duration_s;
  return stage;
}

AppendPlan AppendPlanOf(const Options& options, uint32_t worker) {
  return {.names = NamesOf(options, "s"),
          .streams = options.streams,
          .connections = options.connections,
          .payload_bytes = options.payload_bytes,
          .content_type = options.content_type,
          .rate = options.rate,
          .producers = options.producers,
          .worker = worker,
          .worker_count = options.threads,
          .run_id = options.run_id};
}

std::vector<Stage> AppendStages(const Options& options) {
  std::vector<Stage> stages;
  if (!options.no_create) stages.push_back(CreateStage(options, "s", options.streams));
  Stage load = TimedStage(options, "append");
  load.make = [&options](Loop* loop, uint32_t worker) {
    return Only(NewAppendDriver(loop, AppendPlanOf(options, worker)));
  };
  stages.push_back(std::move(load));
  return stages;
}

std::vector<Stage> CreateStages(const Options& options) {
  std::vector<Stage> stages;
  stages.push_back(CreateStage(options, "s", options.streams));
  stages.back().measured = true;
  return stages;
}

// One stream with `messages` appends.
void AddLogStages(const Options& options, std::vector<Stage>* stages) {
  stages->push_back(CreateStage(options, "log", 1));
  Stage fill;
  fill.name = "fill";
  fill.make = [&options](Loop* loop, uint32_t worker) {
    AppendPlan plan = AppendPlanOf(options, worker);
    plan.names = NamesOf(options, "log");
    plan.streams = 1;
    plan.connections = 1;
    plan.rate = 0;
    plan.producers = false;
    plan.count_max = options.messages;
    return Only(NewAppendDriver(loop, std::move(plan)));
  };
  stages->push_back(std::move(fill));
}

std::unique_ptr<Driver> ReplayDriverOf(const Options& options, uint32_t clients, Loop* loop,
                                       uint32_t worker) {
  bool json = options.content_type == "application/json";
  uint64_t bytes = uint64_t{options.messages} * options.payload_bytes;
  return NewReplayDriver(loop,
                         {.names = NamesOf(options, "log"),
                          .clients = clients,
                          .log_bytes = json || options.gzip ? 0 : bytes,
                          .gzip = options.gzip,
                          .reconnect = options.reconnect,
                          .rounds = options.workload == Workload::kReplay ? options.rounds : 0,
                          .worker = worker,
                          .worker_count = options.threads});
}

std::vector<Stage> ReplayStages(const Options& options) {
  std::vector<Stage> stages;
  AddLogStages(options, &stages);
  Stage load = TimedStage(options, "replay");
  load.timed = options.rounds == 0;
  load.make = [&options](Loop* loop, uint32_t worker) {
    return Only(ReplayDriverOf(options, options.connections, loop, worker));
  };
  stages.push_back(std::move(load));
  return stages;
}

ReaderPlan ReaderPlanOf(const Options& options, uint32_t worker) {
  return {.names = NamesOf(options, "s"),
          .streams = options.streams,
          .readers = options.readers,
          .payload_bytes = options.payload_bytes,
          .worker = worker,
          .worker_count = options.threads};
}

std::vector<Stage> FanOutStages(const Options& options) {
  std::vector<Stage> stages;
  stages.push_back(CreateStage(options, "s", 1));
  Stage load = TimedStage(options, "fan-out");
  load.make = [&options](Loop* loop, uint32_t worker) {
    AppendPlan writer = AppendPlanOf(options, worker);
    writer.streams = 1;
    writer.connections = 1;
    writer.stamped = true;
    Drivers drivers = Only(NewAppendDriver(loop, std::move(writer)));
    ReaderPlan readers = ReaderPlanOf(options, worker);
    readers.streams = 1;
    readers.rate = options.rate;
    readers.servers = &options.reader_addresses;
    drivers.push_back(NewReaderDriver(loop, readers));
    if (options.slow_readers > 0) {
      readers.name = "slow";
      readers.readers = options.slow_readers;
      readers.slow = true;
      drivers.push_back(NewReaderDriver(loop, readers));
    }
    return drivers;
  };
  stages.push_back(std::move(load));
  return stages;
}

std::vector<Stage> IdleStages(const Options& options) {
  std::vector<Stage> stages = CreateStages(options);
  if (options.filled) {
    Stage fill;
    fill.name = "fill";
    fill.measured = true;
    fill.make = [&options](Loop* loop, uint32_t worker) {
      AppendPlan plan = AppendPlanOf(options, worker);
      plan.each_once = true;
      return Only(NewAppendDriver(loop, std::move(plan)));
    };
    stages.push_back(std::move(fill));
  }
  Stage tails = TimedStage(options, "tails");
  tails.warmup_s = 0;
  tails.make = [&options](Loop* loop, uint32_t worker) {
    ReaderPlan plan = ReaderPlanOf(options, worker);
    plan.readers = options.tails;
    plan.name = "tails";
    return Only(NewReaderDriver(loop, std::move(plan)));
  };
  stages.push_back(std::move(tails));
  return stages;
}

std::vector<Stage> MixedStages(const Options& options) {
  std::vector<Stage> stages;
  stages.push_back(CreateStage(options, "s", options.streams));
  AddLogStages(options, &stages);
  Stage load = TimedStage(options, "mixed");
  load.make = [&options](Loop* loop, uint32_t worker) {
    AppendPlan writers = AppendPlanOf(options, worker);
    writers.stamped = true;
    Drivers drivers = Only(NewAppendDriver(loop, std::move(writers)));
    drivers.push_back(NewReaderDriver(loop, ReaderPlanOf(options, worker)));
    drivers.push_back(ReplayDriverOf(options, options.replayers, loop, worker));
    return drivers;
  };
  stages.push_back(std::move(load));
  return stages;
}

std::vector<Stage> BatchStages(const Options& options) {
  std::vector<Stage> stages;
  stages.push_back(CreateStage(options, "s", options.streams));
  Stage load = TimedStage(options, "append-batch");
  load.make = [&options](Loop* loop, uint32_t worker) {
    return Only(NewBatchDriver(loop, {.names = NamesOf(options, "s"),
                                      .streams = options.streams,
                                      .connections = options.connections,
                                      .items = options.items,
                                      .payload_bytes = options.payload_bytes,
                                      .content_type = options.content_type,
                                      .worker = worker,
                                      .worker_count = options.threads}));
  };
  stages.push_back(std::move(load));
  return stages;
}

}  // namespace

std::vector<Stage> StagesOf(const Options& options) {
  switch (options.workload) {
    case Workload::kAppend:
      return AppendStages(options);
    case Workload::kFanOut:
      return FanOutStages(options);
    case Workload::kReplay:
      return ReplayStages(options);
    case Workload::kCreate:
      return CreateStages(options);
    case Workload::kIdle:
      return IdleStages(options);
    case Workload::kMixed:
      return MixedStages(options);
    case Workload::kBatch:
      return BatchStages(options);
  }
  return {};
}

}  // namespace ursula::bench
