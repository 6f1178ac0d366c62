#include "server/admin/opening_text.h"

#include <cstdint>

namespace ursula::admin {
namespace {

std::string Bytes(const OpeningProgress& progress) {
  constexpr uint64_t kMiB = 1 << 20;
  const bool large = progress.total >= 10 * kMiB;
  const uint64_t unit = large ? kMiB : 1024;
  return std::to_string(progress.done / unit) + " of " +
         std::to_string((progress.total + unit - 1) / unit) + (large ? " MiB" : " KiB");
}

}  // namespace

std::string OpeningText(const OpeningProgress& progress) {
  switch (progress.step) {
    case OpeningStep::kBegun:
      return "opening the data directory";
    case OpeningStep::kFounding:
      return "founding the cluster: " + std::to_string(progress.done) + " of " +
             std::to_string(progress.total) + " nodes have agreed";
    case OpeningStep::kRejoining:
      return progress.done == 0
                 ? "its log or a snapshot is rotten (the log of this process says where): it stays "
                   "as it is until the cluster would take this node in again"
                 : "its rotten directory was put aside: waiting for the cluster to take this node "
                   "in again";
    case OpeningStep::kSnapshots:
      return "reading snapshots: " + Bytes(progress);
    case OpeningStep::kLog:
      return "reading the log: " + Bytes(progress);
    case OpeningStep::kPayload:
      return "reading payload files: " + Bytes(progress);
    case OpeningStep::kGroups:
      return "starting groups: " + std::to_string(progress.done) + " of " +
             std::to_string(progress.total);
    case OpeningStep::kDone:
      break;
  }
  return "recovered";
}

}  // namespace ursula::admin
