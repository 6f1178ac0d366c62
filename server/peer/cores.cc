#include "server/peer/cores.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"

namespace ursula::peer {

Cores::Cores(uint16_t count, PostFunction post) : post_(std::move(post)) {
  for (uint16_t i = 0; i < count; ++i) places_.push_back(std::make_shared<Place>());
}

void Cores::Attach(CoreId core, FrameSink* sink) {
  URSULA_CHECK(Raw(core) < places_.size());
  places_[Raw(core)]->sink_.store(sink, std::memory_order_release);
}

void Cores::Detach(CoreId core) { Attach(core, nullptr); }

void Cores::Post(CoreId core, Function<void(const Place&)> work) {
  post_(core, [place = places_[Raw(core)], work = std::move(work)]() mutable {
    std::lock_guard lock(place->running_);
    if (!place->stopped_) work(*place);
  });
}

void Cores::PostLost(NodeId peer, bool ended) {
  for (uint16_t i = 0; i < count(); ++i) {
    Post(CoreId{i}, [peer, ended](const Place& place) {
      if (place.sink() != nullptr) place.sink()->OnLost(peer, ended);
    });
  }
}

void Cores::Stop() {
  for (const std::shared_ptr<Place>& place : places_) {
    std::lock_guard lock(place->running_);
    place->stopped_ = true;
  }
}

}  // namespace ursula::peer
