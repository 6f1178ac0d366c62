// tests/sim/engine/model.h
//
// What an engine promises to its callers, as one value without groups, logs or disks: streams by
// name with their whole content. Slow and obvious; written from ursula/engine.h and the protocol,
// not from the engine. Where the promise leaves something open (the moment at which a stream is
// renewed or expires, whether an unanswered operation took effect) there are several models, each
// of which may be the truth.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/engine/operation.h"
#include "ursula/engine.h"

namespace ursula::engine::sim {

struct ModelStream {
  // Detached: expired, and only forks read from it. Soft-deleted: likewise, but its name is taken.
  enum class Life : uint8_t { kLive, kSoftDeleted, kDetached };

  uint64_t number = 0;  // Of this life.
  StreamId id = {};
  Life life = Life::kLive;
  uint32_t group = 0;     // Where its state is; another than its name's for some forks.
  bool confirmed = true;  // Of such a fork: its name's group knows of it.
  uint64_t maker = 0;     // The operation that made it.
  std::string content = {};
  uint64_t content_hash = 0;
  std::vector<uint64_t> append_ends = {};
  uint64_t inherited = 0;  // Of `content`, how much is the source's.
  std::string content_type = {};
  bool closed = false;
  Lifetime given = {};
  Lifetime effective = {};
  Interval last_use = {};
  std::string sequence = {};
  std::map<std::string, Producer> producers = {};  // Highest accepted.
  std::optional<Producer> closing = {};
  std::optional<ForkPoint> point = {};
  uint64_t source = 0;       // Number of the source's life.
  uint64_t incarnation = 0;  // As the engine calls it; 0: it hasn't said yet.

  uint64_t tail() const { return content.size(); }
  bool json() const;
  // Ends of messages in (from, to].
  std::vector<uint64_t> MessageEnds(uint64_t from, uint64_t to) const;
  std::optional<Interval> Deadline() const;
};

struct ListedStream {
  std::string path = {};
  uint64_t tail = 0;
};

class Model {
 public:
  explicit Model(uint32_t group_count) : group_count_(group_count) {}

  // Every way in which the operation may take effect here, with the answer that it got. Of one that
  // makes a fork in another group than its name's that is the first half: Confirm is the other.
  void Explain(const Operation& operation, std::vector<Model>* after) const;
  bool AwaitsConfirm(uint64_t maker) const;
  void Confirm(uint64_t maker);

  // A read that has no place among the others may have renewed it.
  void MayRenew(const StreamId& id, const Intervals& times);

  // Deadlines that have passed for certain at `now_ms`, for good.
  void ExpireAll(const Moments& now_ms, void (*expired)(const ModelStream&));
  // Forks whose name's group was still to hear of them have been made known, or are given up.
  void ConfirmAll();
  // A deletion of the bucket that was cut off has ended, one way or the other.
  void EndDeletion(const std::string& bucket, const Intervals& now,
                   std::vector<Model>* after) const;

  // As Explain, of a listing of all of the bucket at a time in `now`. Empty, or how it differs.
  std::string ExplainList(const std::string& bucket, const ListReply& reply, const Intervals& now,
                          std::vector<Model>* after) const;

  // Of the logical state; equal for equal ones, in whichever order they came about.
  uint64_t Hash() const;

  std::vector<std::shared_ptr<const ModelStream>> Visible() const;
  const ModelStream* Find(const StreamId& id) const;  // Live or soft-deleted, and confirmed.
  const std::set<std::string>& buckets() const { return buckets_; }
  // The engine's names of lives, which must never come again.
  // In the order in which they were learned: their values are random.
  const std::vector<uint64_t>& incarnations() const { return *incarnations_; }
  // From here on also those that were learnt since the last call count as used.
  void Settle();
  void ForgetStreams();  // The directory was wiped: only used incarnations are left.

 private:
  friend class Deciding;

  ModelStream* Edit(uint64_t number);
  const ModelStream* Numbered(uint64_t number) const;
  const ModelStream* Hidden(const StreamId& id) const;
  ModelStream* Add(const Operation& operation, const CreateRequest& request);
  void Free(uint64_t number);
  void End(uint64_t number, ModelStream::Life life);
  bool Reads(const ModelStream& fork, uint64_t ancestor) const;
  bool HasNames(const std::string& bucket) const;
  std::vector<StreamId> NamesIn(const std::string& bucket) const;
  // Of a variant; a deletion of the bucket that was cut off may end now.
  void WithEnding(const std::string& bucket, std::vector<Model>* variants) const;
  std::string CompareList(const std::string& bucket, const ListReply& reply) const;
  // The variants of this model as of `now`, as far as those names are concerned.
  std::vector<Model> Aged(const std::vector<StreamId>& names, const Intervals& now) const;
  void AgeOne(const StreamId& id, const Intervals& now, std::vector<Model>* variants) const;
  bool Learn(uint64_t number, uint64_t incarnation);
  uint64_t HashOf(const ModelStream& stream) const;

  uint32_t group_count_;
  uint64_t next_number_ = 1;
  std::vector<std::shared_ptr<const ModelStream>> streams_;
  std::set<std::string> buckets_;
  std::set<std::string> ending_;  // Of those: their deletion was cut off, and may go on.
  std::shared_ptr<const std::vector<uint64_t>> incarnations_ =
      std::make_shared<const std::vector<uint64_t>>();
  std::vector<uint64_t> new_incarnations_;  // Since Settle.
};

bool IsJsonType(std::string_view content_type);
bool SameMediaType(std::string_view a, std::string_view b);
// The stored form of messages.
std::string StoredForm(const std::vector<Bytes>& messages, bool json);

}  // namespace ursula::engine::sim
