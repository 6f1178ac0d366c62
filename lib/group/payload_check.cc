#include "lib/group/payload_check.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ursula::group {
namespace {

constexpr std::size_t kLinesMax = 100;  // Of one group.

class Check {
 public:
  Check(const Services& services, GroupId group, const stream::Machine& machine,
        const stream::HotRing& ring)
      : services_(services), group_(group), machine_(machine), ring_(ring) {}

  PayloadCheck Run(Index applied) {
    services_.payload->ForEachKey(group_, [this, applied](uint64_t incarnation, uint64_t end) {
      CheckEnd(stream::Incarnation{incarnation}, end, applied);
    });
    if (result_.status.ok()) result_.lacking = Lacking();
    return result_;
  }

  std::vector<stream::ReadRange> Lacking() {
    machine_.ForEachOwnRange([this](const stream::ReadRange& range) { CheckRange(range); });
    return std::move(lost_);
  }

  void Log(std::vector<stream::ReadRange> lost, PayloadFate fate) {
    lost_ = std::move(lost);
    LogLost(fate);
  }

 private:
  // An incarnation is the index of the entry that made the stream.
  void CheckEnd(stream::Incarnation incarnation, uint64_t end, Index applied) {
    if (!result_.status.ok()) return;
    const std::optional<stream::ReadRange> own = machine_.OwnRange(incarnation);
    std::string what;
    if (own.has_value() && end > own->to) {
      what = Name(incarnation) + " ends at offset " + std::to_string(own->to) +
             ", but its payload goes on to " + std::to_string(end);
    } else if (!own.has_value() && Raw(incarnation) > Raw(applied)) {
      what = "its state ends at entry " + std::to_string(Raw(applied)) +
             ", but there is payload of a stream that entry " + std::to_string(Raw(incarnation)) +
             " made";
    } else {
      return;
    }
    result_.status =
        Status(StatusCode::kDataLoss,
               "group " + std::to_string(Raw(group_)) + ": " + what + " (" +
                   services_.payload->Where(Key(incarnation), end - 1) +
                   "): the state is older than its payload; a snapshot or the end of a log is "
                   "missing, or was replaced by an older one");
  }

  void CheckRange(const stream::ReadRange& own) {
    const uint64_t hot_from = ring_.CachedFrom(own.owner);
    const uint64_t hot_to = ring_.CachedTo(own.owner);
    uint64_t at = own.from;
    while (at < own.to) {
      uint64_t reached = services_.payload->Find(Key(own.owner), at);
      if (hot_from <= at && at < hot_to) reached = std::max(reached, hot_to);
      if (reached == at) {
        reached = std::min(services_.payload->FindNext(Key(own.owner), at), own.to);
        if (hot_from > at && hot_to > hot_from) reached = std::min(reached, hot_from);
        lost_.push_back({own.owner, at, reached});
      }
      at = reached;
    }
  }

  void LogLost(PayloadFate fate) {
    const char* what = fate == PayloadFate::kLost
                           ? " on are lost: "
                           : " on are no more on this node's disk, peers are asked for them: ";
    std::sort(lost_.begin(), lost_.end(),
              [](const stream::ReadRange& a, const stream::ReadRange& b) {
                return a.owner != b.owner ? a.owner < b.owner : a.from < b.from;
              });
    for (std::size_t i = 0; i < std::min(lost_.size(), kLinesMax); ++i) {
      const stream::ReadRange& lost = lost_[i];
      Say(Name(lost.owner) + ": " + std::to_string(lost.to - lost.from) + " bytes from offset " +
          std::to_string(lost.from) + what + services_.payload->Where(Key(lost.owner), lost.from));
    }
    if (lost_.size() > kLinesMax) {
      Say(std::to_string(lost_.size() - kLinesMax) + " more ranges are lost");
    }
  }

  void Say(const std::string& what) const { services_.Log(3, group_, what); }

  storage::PayloadKey Key(stream::Incarnation incarnation) const {
    return {group_, Raw(incarnation)};
  }

  std::string Name(stream::Incarnation incarnation) const {
    const StreamId id = machine_.IdOf(incarnation);
    std::string name = id.bucket + "/" + (id.affinity.empty() ? "" : id.affinity + "/") + id.name;
    for (char& c : name) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return "stream " + name + " (incarnation " + std::to_string(Raw(incarnation)) + ")";
  }

  const Services& services_;
  const GroupId group_;
  const stream::Machine& machine_;
  const stream::HotRing& ring_;
  PayloadCheck result_;
  std::vector<stream::ReadRange> lost_;
};

}  // namespace

std::vector<stream::ReadRange> LackingPayload(const Services& services, GroupId group,
                                              const stream::Machine& machine,
                                              const stream::HotRing& ring) {
  return Check(services, group, machine, ring).Lacking();
}

void LogLostPayload(const Services& services, GroupId group, const stream::Machine& machine,
                    std::vector<stream::ReadRange> lost, PayloadFate fate) {
  const stream::HotRing nothing;
  Check(services, group, machine, nothing).Log(std::move(lost), fate);
}

PayloadCheck CheckPayload(const Services& services, GroupId group, const stream::Machine& machine,
                          const stream::HotRing& ring, Index applied) {
  return Check(services, group, machine, ring).Run(applied);
}

}  // namespace ursula::group
