#include "tests/sim/cluster/history.h"

#include <algorithm>

namespace ursula::group::sim {

std::string History::NewAppend(std::size_t bytes) {
  std::string payload = std::to_string(++names_) + ":";
  payload.append(bytes > payload.size() ? bytes - payload.size() : 0, '.');
  payload += ';';
  appends_[payload] = State::kAsked;
  return payload;
}

void History::Acknowledged(const std::string& payload, uint64_t asked_at, uint64_t end) {
  const uint64_t start = end - payload.size();
  if (start < asked_at) Violate("an append took a place before what was told: " + payload);
  if (appends_[payload] == State::kSeen) {
    if (content_.compare(start, payload.size(), payload) != 0) {
      Violate("an append isn't where it was said to be: " + payload);
    }
  } else if (start < content_.size()) {
    Violate("an append was said to be where another was read: " + payload);
  }
  ends_[end] = payload;
  told_ = std::max(told_, end);
}

void History::AcknowledgedOnce(const std::string& payload) { once_.push_back(payload); }

void History::Refused(const std::string& payload) {
  if (appends_[payload] == State::kSeen) Violate("read, and then refused: " + payload);
  appends_[payload] = State::kRefused;
}

void History::Read(std::string_view content, uint64_t asked_at) {
  const std::size_t common = std::min(content.size(), content_.size());
  if (content.substr(0, common) != std::string_view(content_).substr(0, common)) {
    Violate("two reads of two orders");
  }
  if (content.size() < asked_at) {
    Violate("a read saw " + std::to_string(content.size()) + " bytes of " +
            std::to_string(asked_at) + " that were told before");
  }
  told_ = std::max<uint64_t>(told_, content.size());
  if (content.size() <= content_.size()) return;
  const std::size_t from = content_.size();
  content_.assign(content);
  See(from);
}

// What is new from there on.
void History::See(std::size_t from) {
  while (from < content_.size()) {
    const std::size_t end = content_.find(';', from);
    if (end == std::string::npos) return Violate("a read was cut inside an append");
    const std::string payload = content_.substr(from, end + 1 - from);
    auto found = appends_.find(payload);
    if (found == appends_.end()) return Violate("nobody has appended " + payload);
    if (found->second == State::kSeen) return Violate("appended twice: " + payload);
    if (found->second == State::kRefused) return Violate("refused, and applied: " + payload);
    found->second = State::kSeen;
    from = end + 1;
    auto acknowledged = ends_.lower_bound(from);
    if (acknowledged != ends_.end() && acknowledged->first - acknowledged->second.size() < from &&
        (acknowledged->first != from || acknowledged->second != payload)) {
      return Violate("in the place of " + acknowledged->second + ": " + payload);
    }
  }
}

void History::Finish(std::string_view content) {
  Read(content, told_);
  for (const auto& [end, payload] : ends_) {
    if (end > content.size() || content.substr(end - payload.size(), payload.size()) != payload) {
      return Violate("lost, and it was acknowledged: " + payload);
    }
  }
  for (const std::string& payload : once_) {
    if (appends_[payload] != State::kSeen) {
      return Violate("lost, and its producer was told: " + payload);
    }
  }
}

void History::Violate(const std::string& what) {
  if (violation_.empty()) violation_ = what.substr(0, 200);
}

}  // namespace ursula::group::sim
