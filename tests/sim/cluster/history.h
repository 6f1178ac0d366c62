// tests/sim/cluster/history.h
//
// What clients did to one stream and were told, and whether one order explains it. An append's
// payload is its name, which is told by nothing else, so that a read says which appends it saw.
//
// Claims, checked as answers come:
//   - reads are beginnings of one sequence, whichever replica gives them;
//   - a read, and an append's place, comes behind all that was told before it was asked for;
//   - an append that was acknowledged is there once, where it was said to be, for ever; one that
//     was refused for certain is never there; one that nobody knows of is there once or not.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ursula::group::sim {

class History {
 public:
  // A new append's payload, of at least its name's size. Ends in ';'.
  std::string NewAppend(std::size_t bytes);
  void Acknowledged(const std::string& payload, uint64_t asked_at, uint64_t end);
  void AcknowledgedOnce(const std::string& payload);  // Its place isn't told.
  void Refused(const std::string& payload);

  // What whoever asks now has to see at least.
  uint64_t told() const { return told_; }
  // `content` was read by someone who asked when told() was `asked_at`.
  void Read(std::string_view content, uint64_t asked_at);

  const std::string& content() const { return content_; }  // The longest that was read.
  uint64_t acknowledged() const { return ends_.size() + once_.size(); }
  const std::string& violation() const { return violation_; }  // The first; empty: none.

  // No more is going to come: everything acknowledged is in `content`.
  void Finish(std::string_view content);

 private:
  enum class State : uint8_t { kAsked, kSeen, kRefused };
  void See(std::size_t from);
  void Violate(const std::string& what);

  uint64_t names_ = 0;
  uint64_t told_ = 0;
  std::string content_;
  std::map<std::string, State, std::less<>> appends_;
  std::map<uint64_t, std::string> ends_;  // Of those acknowledged.
  std::vector<std::string> once_;
  std::string violation_;
};

}  // namespace ursula::group::sim
