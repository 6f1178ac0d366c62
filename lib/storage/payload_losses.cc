#include "lib/storage/payload_losses.h"

namespace ursula::storage {
namespace {

std::string Place(const LostPayload& lost) {
  return lost.path + ": damaged at offset " + std::to_string(lost.loss.offset);
}

}  // namespace

std::string PayloadLosses::Where(PayloadKey key, uint64_t from) const {
  const LostPayload* first_unknown = nullptr;
  uint64_t unknown = 0;
  for (const LostPayload& lost : losses_) {
    const PayloadLoss& loss = lost.loss;
    if (loss.length == 0) {
      ++unknown;
      if (first_unknown == nullptr) first_unknown = &lost;
    } else if (loss.key == key && loss.start <= from && from < loss.start + loss.length) {
      return Place(lost);
    }
  }
  if (first_unknown == nullptr) return "in no payload file";
  std::string where = "in no payload file; perhaps it was in " + Place(*first_unknown);
  if (unknown > 1) where += " (or one of " + std::to_string(unknown - 1) + " other places)";
  return where;
}

}  // namespace ursula::storage
