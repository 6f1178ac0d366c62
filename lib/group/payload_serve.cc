#include "lib/group/payload_serve.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/group/fetch.h"
#include "lib/group/replica.h"

namespace ursula::group {

void PayloadServe::Start() {
  const stream::Incarnation incarnation{ask_.incarnation};
  const std::optional<stream::ReadRange> own = replica_.machine_->OwnRange(incarnation);
  // It is behind, or ahead: that says nothing about who has what, so nothing is said.
  if (!own || ask_.from < own->from || ask_.from >= own->to || ask_.to <= ask_.from) return End();
  wanted_ = std::min(std::min(ask_.to, own->to) - ask_.from, Fetch::kAskBytesMax);
  Gather(incarnation, ask_.from, std::min(ask_.to, own->to), wanted_);
}

void PayloadServe::OnGathered(Status status) {
  if (cancelled_) return End();
  if (!status.ok()) {
    gathered_ = Gathered();
    return Answer(0);
  }
  uint64_t end = 0;
  for (uint64_t one : gathered_.append_ends) {
    if (one <= ask_.from + gathered_.bytes) end = one;
  }
  const bool all = ask_.from + gathered_.bytes >= ask_.to || gathered_.bytes < wanted_;
  if (all) return Answer(gathered_.bytes);
  if (end > ask_.from) return Answer(end - ask_.from);
  wanted_ *= 2;  // One append that is larger.
  Gather(stream::Incarnation{ask_.incarnation}, ask_.from, ask_.to, wanted_);
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
  replica_.WriteLetter(asker_, std::move(answer));
  End();
}

void PayloadServe::End() {
  --replica_.serves_;
  replica_.RemoveTask(id());  // Destroys this.
}

void PayloadServe::Cancel(Status) { cancelled_ = true; }

}  // namespace ursula::group
