#include "lib/raft/types.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/base/coding.h"

namespace ursula::raft {
namespace {

constexpr uint64_t kStepsMax = 1024;

Status Corrupt(const char* what) {
  return Status(StatusCode::kInvalidArgument, std::string("conf change: ") + what);
}

}  // namespace

// Layout: transition (1 byte), count (varint), then for each step op (1 byte) and node (varint).
// The change that leaves a joint configuration is the empty payload.
Bytes EncodeConfChange(const ConfChange& change) {
  URSULA_CHECK(!change.simple_form || (change.steps.size() == 1 && !change.enters_joint()));
  if (change.leaves_joint()) return {};
  std::string out;
  PutFixed(&out, static_cast<uint8_t>(change.transition));
  PutVarint(&out, change.steps.size());
  for (const ConfChangeStep& step : change.steps) {
    PutFixed(&out, static_cast<uint8_t>(step.op));
    PutVarint(&out, Raw(step.node));
  }
  return Bytes::Take(std::move(out));
}

Result<ConfChange> DecodeConfChange(EntryKind kind, std::string_view payload) {
  ConfChange change;
  change.simple_form = kind == EntryKind::kConfChange;
  if (kind != EntryKind::kConfChange && kind != EntryKind::kConfChangeSet) {
    return Corrupt("not the kind of entry that holds one");
  }
  if (payload.empty()) {
    if (change.simple_form) return Corrupt("the simple form is empty");
    return change;
  }
  Reader reader(payload);
  uint8_t transition = reader.Fixed<uint8_t>();
  uint64_t count = reader.Varint();
  if (!reader.ok() || transition > static_cast<uint8_t>(Transition::kExplicit)) {
    return Corrupt("unknown transition");
  }
  if (count > kStepsMax) return Corrupt("too many steps");
  change.transition = static_cast<Transition>(transition);
  for (uint64_t i = 0; i < count; ++i) {
    uint8_t op = reader.Fixed<uint8_t>();
    ReplicaId node{reader.Varint()};
    if (!reader.ok() || op > static_cast<uint8_t>(ConfChangeOp::kAddLearner)) {
      return Corrupt("unknown step");
    }
    change.steps.push_back({static_cast<ConfChangeOp>(op), node});
  }
  if (!reader.AtEnd()) return Corrupt("bytes after its end");
  if (change.leaves_joint()) return Corrupt("an empty change that isn't empty");
  if (change.simple_form && (count != 1 || change.enters_joint())) {
    return Corrupt("the simple form has one step");
  }
  return change;
}

}  // namespace ursula::raft
