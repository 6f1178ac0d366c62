#include "lib/group/payload_serve.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/sometimes.h"
#include "lib/group/fetch.h"
#include "lib/group/replica.h"

namespace ursula::group {

void PayloadServe::Start() {
  const stream::Incarnation incarnation{ask_.incarnation};
  const std::optional<stream::ReadRange> own = replica_.machine_->OwnRange(incarnation);
  // It is behind, or ahead: that says nothing about who has what, so nothing is said.
  if (!own || ask_.from < own->from || ask_.from >= own->to || ask_.to <= ask_.from) return End();
  own_to_ = own->to;
  size_ = std::min(ask_.to, own_to_) - ask_.from;
  wanted_ = std::min(size_, Fetch::kAskBytesMax);
  // To the stream's own end, which alone ends an append whatever was asked for.
  Gather(incarnation, ask_.from, own_to_, wanted_);
}

void PayloadServe::OnGathered(Status status) {
  if (cancelled_) return End();
  if (!status.ok() && gathered_.bytes == 0) {
    // Only what the disk itself said: three who refuse lose it for good. What passes is not said,
    // and asked for again.
    if (status.code() == StatusCode::kDataLoss) return Refuse();
    return End();
  }
  if (!status.ok()) return Answer(std::min(gathered_.bytes, size_));
  if (gathered_.bytes >= size_) return Answer(size_);
  uint64_t end = 0;
  for (uint64_t one : gathered_.append_ends) {
    if (one <= ask_.from + gathered_.bytes) end = one;
  }
  if (end > ask_.from) return Answer(end - ask_.from);
  if (gathered_.bytes < wanted_) return End();
  wanted_ = std::min(wanted_ * 2, size_);  // One append that is larger.
  Gather(stream::Incarnation{ask_.incarnation}, ask_.from, own_to_, wanted_);
}

void PayloadServe::Refuse() {
  PayloadAnswer answer;
  answer.ask = ask_.ask;
  answer.next =
      replica_.services_.payload->FindNext({replica_.group_, ask_.incarnation}, ask_.from);
  replica_.WriteLetter(asker_, std::move(answer));
  End();
}

void PayloadServe::Answer(uint64_t bytes) {
  PayloadAnswer answer;
  answer.ask = ask_.ask;
  std::string joined;
  for (const Bytes& part : gathered_.parts) {
    if (joined.size() >= bytes) break;
    joined.append(part.view().substr(0, bytes - joined.size()));
  }
  for (uint64_t end : gathered_.append_ends) {
    if (end > ask_.from && end <= ask_.from + bytes) answer.message_ends.push_back(end);
  }
  answer.bytes = Bytes::Take(std::move(joined));
  answer.sums_ends = replica_.machine().feature_level() >= kSummedEndsLevel;
  if (answer.sums_ends) URSULA_SOMETIMES("levels: the sum of an answer was of its ends, too");
  answer.sum = SumOf(answer, ask_.incarnation, ask_.from);
  replica_.WriteLetter(asker_, std::move(answer));
  End();
}

void PayloadServe::End() {
  --replica_.services_.budget->serves;
  replica_.RemoveTask(id());  // Destroys this.
}

void PayloadServe::Cancel(Status) { cancelled_ = true; }

}  // namespace ursula::group
