#include "tests/bench/tally.h"

#include <system_error>

namespace ursula::bench {

void Tally::Merge(const Tally& other) {
  latency_ns_.Merge(other.latency_ns_);
  bytes_ += other.bytes_;
  for (const auto& [what, count] : other.errors_) errors_[what] += count;
  for (const auto& [what, count] : other.notes_) notes_[what] += count;
}

std::string StatusError(int status) { return "status " + std::to_string(status); }

std::string ConnectionError(int error) {
  if (error == 0) return "connection: ended by the server";
  return "connection: " + std::generic_category().message(error);
}

}  // namespace ursula::bench
