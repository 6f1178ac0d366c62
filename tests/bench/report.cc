#include "tests/bench/report.h"

#include <array>
#include <cstdarg>
#include <cstdio>

#include "tests/bench/json_writer.h"

namespace ursula::bench {
namespace {

constexpr std::array<double, 5> kPercents = {50, 90, 99, 99.9, 99.99};
constexpr std::array<const char*, 5> kPercentNames = {"p50", "p90", "p99", "p99.9", "p99.99"};

[[gnu::format(printf, 2, 3)]] void Print(std::string* text, const char* format, ...) {
  std::array<char, 512> line = {};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line.data(), line.size(), format, arguments);
  va_end(arguments);
  text->append(line.data());
}

double Ms(uint64_t ns) { return static_cast<double>(ns) / 1e6; }
double Mib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

struct Share {
  double seconds = 0;
  double server_cpu = 0;   // Of one CPU.
  double client_cpu = 0;   // Of one CPU.
  double machine_cpu = 0;  // Of all CPUs.
  double disk_busy = 0;
};

Share ShareBetween(const Usage& begin, const Usage& end) {
  Share share;
  share.seconds = static_cast<double>(end.time_ns - begin.time_ns) / 1e9;
  if (share.seconds <= 0) return share;
  if (begin.server.has_value() && end.server.has_value()) {
    share.server_cpu = (end.server->user_s + end.server->system_s - begin.server->user_s -
                        begin.server->system_s) /
                       share.seconds;
  }
  share.client_cpu = (end.client_s - begin.client_s) / share.seconds;
  if (end.machine_total > begin.machine_total) {
    share.machine_cpu = static_cast<double>(end.machine_busy - begin.machine_busy) /
                        static_cast<double>(end.machine_total - begin.machine_total);
  }
  if (begin.disk.has_value() && end.disk.has_value()) {
    share.disk_busy =
        static_cast<double>(end.disk->busy_ms - begin.disk->busy_ms) / 1e3 / share.seconds;
  }
  return share;
}

void PrintTally(const StageResult& stage, const Tally& tally, std::string* text) {
  const Histogram& latency = tally.latency_ns();
  double seconds = stage.seconds > 0 ? stage.seconds : 1;
  Print(text, "%-10s %10.0f/s %9.2f MiB/s  ms: mean %.3f", tally.name().c_str(),
        static_cast<double>(tally.operations()) / seconds, Mib(tally.bytes()) / seconds,
        latency.Mean() / 1e6);
  for (std::size_t i = 0; i < kPercents.size(); ++i) {
    Print(text, "  %s %.3f", kPercentNames[i], Ms(latency.Percentile(kPercents[i])));
  }
  Print(text, "  max %.3f  (%llu in %.1f s)\n", Ms(latency.max()),
        static_cast<unsigned long long>(tally.operations()), stage.seconds);
}

void PrintUsage(const StageResult& stage, std::string* text) {
  Share share = ShareBetween(stage.begin, stage.end);
  Print(text, "%-10s machine %.0f %% busy, client %.0f %% of a CPU", "usage",
        100 * share.machine_cpu, 100 * share.client_cpu);
  if (stage.end.server.has_value()) {
    Print(text, ", server %.0f %% of a CPU, RSS %.1f MiB, %llu descriptors", 100 * share.server_cpu,
          Mib(stage.end.server->rss_bytes),
          static_cast<unsigned long long>(stage.end.server->descriptors));
  }
  if (stage.begin.disk.has_value() && stage.end.disk.has_value()) {
    Print(text, ", disk %.0f %% busy, %.2f MiB/s written, %.0f writes/s", 100 * share.disk_busy,
          Mib(stage.end.disk->written_bytes - stage.begin.disk->written_bytes) / share.seconds,
          static_cast<double>(stage.end.disk->writes - stage.begin.disk->writes) / share.seconds);
  }
  text->append("\n");
}

// What a stage has added to the server, for each of its things.
void PrintGrowth(const StageResult& stage, uint32_t things, std::string* text) {
  if (things == 0 || !stage.before.server.has_value() || !stage.end.server.has_value()) return;
  double added = static_cast<double>(stage.end.server->rss_bytes) -
                 static_cast<double>(stage.before.server->rss_bytes);
  Print(text, "%-10s RSS %.1f -> %.1f MiB: %.0f bytes each; descriptors %llu -> %llu\n",
        stage.name.c_str(), Mib(stage.before.server->rss_bytes), Mib(stage.end.server->rss_bytes),
        added / things, static_cast<unsigned long long>(stage.before.server->descriptors),
        static_cast<unsigned long long>(stage.end.server->descriptors));
}

void WriteUsage(const Usage& usage, JsonWriter* json) {
  json->Begin('{');
  if (usage.server.has_value()) {
    json->Key("rss_bytes").Integer(usage.server->rss_bytes);
    json->Key("descriptors").Integer(usage.server->descriptors);
  }
  if (usage.disk.has_value()) {
    json->Key("disk_writes").Integer(usage.disk->writes);
    json->Key("disk_written_bytes").Integer(usage.disk->written_bytes);
    json->Key("disk_flushes").Integer(usage.disk->flushes);
  }
  json->End('}');
}

void WriteTally(const StageResult& stage, const Tally& tally, JsonWriter* json) {
  const Histogram& latency = tally.latency_ns();
  double seconds = stage.seconds > 0 ? stage.seconds : 1;
  json->Begin('{');
  json->Key("name").String(tally.name());
  json->Key("operations").Integer(tally.operations());
  json->Key("per_second").Number(static_cast<double>(tally.operations()) / seconds);
  json->Key("bytes_per_second").Number(static_cast<double>(tally.bytes()) / seconds);
  json->Key("latency_ms").Begin('{');
  json->Key("min").Number(Ms(latency.min())).Key("mean").Number(latency.Mean() / 1e6);
  for (std::size_t i = 0; i < kPercents.size(); ++i) {
    json->Key(kPercentNames[i]).Number(Ms(latency.Percentile(kPercents[i])));
  }
  json->Key("max").Number(Ms(latency.max())).End('}');
  json->Key("errors").Begin('{');
  for (const auto& [what, count] : tally.errors()) json->Key(what).Integer(count);
  json->End('}');
  json->Key("notes").Begin('{');
  for (const auto& [what, count] : tally.notes()) json->Key(what).Integer(count);
  json->End('}').End('}');
}

void WriteStage(const StageResult& stage, JsonWriter* json) {
  Share share = ShareBetween(stage.begin, stage.end);
  json->Begin('{');
  json->Key("stage").String(stage.name).Key("seconds").Number(stage.seconds);
  json->Key("loads").Begin('[');
  for (const Tally* tally : stage.tallies) WriteTally(stage, *tally, json);
  json->End(']');
  json->Key("client_cpu").Number(share.client_cpu).Key("machine_cpu").Number(share.machine_cpu);
  if (stage.end.server.has_value()) json->Key("server_cpu").Number(share.server_cpu);
  if (stage.end.disk.has_value()) json->Key("disk_busy").Number(share.disk_busy);
  json->Key("before");
  WriteUsage(stage.before, json);
  json->Key("begin");
  WriteUsage(stage.begin, json);
  json->Key("end");
  WriteUsage(stage.end, json);
  json->End('}');
}

}  // namespace

uint64_t ErrorCount(std::span<const StageResult> results) {
  uint64_t errors = 0;
  for (const StageResult& stage : results) {
    for (const Tally* tally : stage.tallies) {
      for (const auto& [what, count] : tally->errors()) errors += count;
    }
  }
  return errors;
}

std::string Table(const Options& options, std::span<const StageResult> results) {
  std::string text;
  for (const StageResult& stage : results) {
    for (const Tally* tally : stage.tallies) {
      if (stage.measured && tally->operations() > 0) PrintTally(stage, *tally, &text);
      for (const auto& [what, count] : tally->notes()) {
        Print(&text, "%-10s %llu: %s\n", tally->name().c_str(),
              static_cast<unsigned long long>(count), what.c_str());
      }
      for (const auto& [what, count] : tally->errors()) {
        Print(&text, "%-10s FAILED %llu: %s\n", tally->name().c_str(),
              static_cast<unsigned long long>(count), what.c_str());
      }
    }
    if (stage.measured) PrintUsage(stage, &text);
    if (stage.measured && options.workload == Workload::kIdle) {
      PrintGrowth(stage, stage.name == "create" ? options.streams : options.tails, &text);
    }
  }
  return text;
}

std::string Json(const Options& options, std::span<const StageResult> results) {
  JsonWriter json;
  json.Begin('{');
  json.Key("workload").String(WorkloadName(options.workload));
  json.Key("url").String("http://" + options.url.authority + options.url.prefix);
  json.Key("connections").Integer(options.connections).Key("streams").Integer(options.streams);
  json.Key("payload_bytes").Integer(options.payload_bytes).Key("rate").Number(options.rate);
  json.Key("failed").Integer(ErrorCount(results));
  json.Key("stages").Begin('[');
  for (const StageResult& stage : results) WriteStage(stage, &json);
  return json.End(']').End('}').text() + "\n";
}

}  // namespace ursula::bench
