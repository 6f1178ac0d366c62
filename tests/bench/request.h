// tests/bench/request.h
//
// The bytes of requests and payloads.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/bench/options.h"

namespace ursula::bench {

// Where the streams of a run are: PREFIX/RUN-NUMBER. With `numbers` a stream's is what stands there
// in its place.
class Names {
 public:
  Names(const Url& url, std::string run_id, std::string kind, SharedNumbers numbers = nullptr)
      : authority_(url.authority),
        prefix_(url.prefix + "/" + run_id + "-" + kind),
        numbers_(std::move(numbers)) {}
  std::string Path(uint64_t stream) const {
    std::string path;
    AppendPath(stream, &path);
    return path;
  }
  void AppendPath(uint64_t stream, std::string* text) const {
    text->append(prefix_);
    text->append(std::to_string(numbers_ == nullptr ? stream : numbers_->at(stream)));
  }
  const std::string& authority() const { return authority_; }

 private:
  std::string authority_;
  std::string prefix_;
  SharedNumbers numbers_;
};

struct ProducerFields {
  std::string id;
  uint64_t seq = 0;
};

std::string CreateRequest(const Names& names, uint64_t stream, std::string_view content_type);
std::string AppendRequest(const Names& names, uint64_t stream, std::string_view content_type,
                          const ProducerFields* producer, std::string_view payload);
std::string ReadRequest(const Names& names, uint64_t stream, std::string_view query,
                        bool gzip = false);

// A payload of exactly `bytes`: a JSON string, or a line of text with its end.
std::string MakePayload(std::string_view content_type, std::size_t bytes);

// A line that says when it was sent: "T", 16 hexadecimal digits of nanoseconds, padding.
// REQUIRES: payload->size() >= kStampedBytesMin.
void Stamp(std::string* payload, uint64_t time_ns);
// The time in the first bytes of such a line.
std::optional<uint64_t> ReadStamp(std::string_view line);

}  // namespace ursula::bench
