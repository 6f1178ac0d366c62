// What a turn's slice of long work takes, beside all of it at once: of compressing an answer and of
// collecting a base snapshot. In CPU time of the thread, so that other programs don't count.
//
//   bazel run --config=opt //tests/bench:slices

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/stream/collection.h"
#include "lib/stream/machine.h"
#include "server/http/compress_queue.h"
#include "server/protocol/compress.h"
#include "server/protocol/json_body.h"

namespace ursula {
namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

double CpuMs() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

struct Slices {
  int count = 0;
  double longest_ms = 0;
  double sum_ms = 0;
};

// Until `slice()` says that it was the last.
template <class Slice>
Slices Measure(Slice slice) {
  Slices slices;
  for (bool ended = false; !ended; ++slices.count) {
    double start = CpuMs();
    ended = slice();
    double took = CpuMs() - start;
    slices.longest_ms = std::max(slices.longest_ms, took);
    slices.sum_ms += took;
  }
  return slices;
}

void Print(const std::string& what, const Slices& slices) {
  std::printf("%-44s %6d slices, longest %8.2f ms, all %8.2f ms\n", what.c_str(), slices.count,
              slices.longest_ms, slices.sum_ms);
}

protocol::Response Text(std::size_t bytes) {
  std::string text;
  for (uint64_t i = 0; text.size() < bytes; ++i) {
    text += "{\"event\":\"reading\",\"sensor\":" + std::to_string(i * 2654435761 % 1000) +
            ",\"value\":" + std::to_string(i * i % 99991) + "},\n";
  }
  text.resize(bytes);
  protocol::Response response;
  response.headers.Add("Content-Type", "text/plain");
  response.body = {Bytes::Take(std::move(text))};
  return response;
}

void MeasureCompression(std::size_t mib) {
  for (auto coding : {protocol::ContentCoding::kGzip, protocol::ContentCoding::kZstd}) {
    for (std::size_t step : {kAll, http::CompressQueue::kTurnBytesMax}) {
      protocol::Compression compression(Text(mib << 20), coding);
      Slices slices = Measure([&] {
        compression.Step(step);
        return compression.done();
      });
      Print(
          std::string(protocol::ContentCodingName(coding)) + " of " + std::to_string(mib) + " MiB",
          slices);
    }
  }
}

// Not cut into slices.
void MeasureJson(std::size_t mib) {
  std::string body = "[";
  for (uint64_t i = 0; body.size() < mib << 20; ++i) {
    body += "{\"event\":\"reading\",\"sensor\":" + std::to_string(i % 1000) + ",\"value\":[" +
            std::string(200, '7') + "]},\n";
  }
  body += "1]";
  const Bytes bytes = Bytes::Take(std::move(body));
  Print("JSON body of " + std::to_string(mib) + " MiB", Measure([&] {
          protocol::JsonLimits limits;
          return protocol::SplitJson(bytes, limits).verdict == protocol::JsonVerdict::kValid;
        }));
}

void MeasureCollection(uint64_t streams) {
  stream::Machine machine(GroupId{1});
  for (uint64_t i = 1; i <= streams; ++i) {
    stream::CreateStream create;
    create.id = {"v1", "", "sensors/" + std::to_string(i * 2654435761 % 4294967296)};
    create.content_type = "application/json";
    machine.Apply(Index{i}, {static_cast<int64_t>(i), std::move(create)});
  }
  for (std::size_t records_max : {kAll, stream::CollectionStep().records_max}) {
    std::size_t bytes = 0;
    stream::Machine::Emit emit = [&](std::string_view key, std::optional<std::string_view> value) {
      bytes += Bytes::Copy(value.value_or("")).size() + key.size();
    };
    stream::CollectionStep step;
    step.records_max = records_max;
    if (records_max == kAll) step.bytes_max = kAll;
    stream::Collection collection(&machine, true, step);
    Slices slices = Measure([&] { return collection.Step(&emit); });
    Print(
        "base of " + std::to_string(streams) + " streams, " + std::to_string(bytes >> 20) + " MiB",
        slices);
  }
}

// What the leader of a group looks for ten times a second, where there is nothing to do.
void MeasureChores(uint64_t count) {
  stream::Machine machine(GroupId{0});
  Index index{0};
  auto apply = [&](stream::Command::Body body) {
    index = index + 1;
    return machine.Apply(index, {static_cast<int64_t>(Raw(index)), std::move(body)}).reply;
  };
  for (uint64_t i = 0; i < count; ++i) {
    stream::Reserve reserve;
    reserve.stream.id = {"v1", "", "forks/" + std::to_string(i)};
    reserve.stream.content_type = "text/plain";
    reserve.target = GroupId{1};
    const StreamId id = reserve.stream.id;
    stream::Reply reserved = apply(std::move(reserve));
    URSULA_CHECK(reserved.placement.has_value());
    apply(stream::Confirm{id, reserved.placement->reservation.id, stream::Incarnation{i + 1}});
    apply(stream::CreateBucket{"bucket-" + std::to_string(i)});
  }
  Print("chores of " + std::to_string(count) + " forks and buckets", Measure([&] {
          URSULA_CHECK(machine.PendingReservations(64).empty() && machine.Outbox(64).empty());
          return machine.DeletingBuckets().empty();
        }));
}

}  // namespace
}  // namespace ursula

int main() {
  ursula::MeasureCompression(1);
  ursula::MeasureCompression(64);
  ursula::MeasureJson(1);
  ursula::MeasureJson(32);
  ursula::MeasureCollection(100'000);
  ursula::MeasureCollection(1'000'000);
  ursula::MeasureChores(1'000'000);
}
