#include "tests/bench/workloads.h"

#include <utility>

#include "tests/bench/append.h"
#include "tests/bench/create.h"

namespace ursula::bench {
namespace {

Drivers Only(std::unique_ptr<Driver> driver) {
  Drivers drivers;
  drivers.push_back(std::move(driver));
  return drivers;
}

Names NamesOf(const Options& options, const char* kind) {
  return Names(options.url, options.run_id, kind);
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

}  // namespace

std::vector<Stage> StagesOf(const Options& options) {
  switch (options.workload) {
    case Workload::kAppend:
      return AppendStages(options);
    case Workload::kCreate:
      return CreateStages(options);
    default:
      return {};
  }
}

}  // namespace ursula::bench
