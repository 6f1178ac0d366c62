// tests/model/stream_model.h
//
// The slow, obvious model of one group's streams, against which lib/stream is compared. It is
// written from the protocol alone: a vector of streams, each with its whole content (a fork copies
// its source's), scanned from end to end for every question. It shares only the data types of
// commands and replies with what it checks.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/stream/command.h"
#include "lib/stream/reply.h"
#include "lib/stream/stream_state.h"

namespace ursula::stream {

struct ModelStream {
  enum class State { kLive, kSoftDeleted, kHidden, kGone };  // Hidden: expired, read by forks.

  uint64_t number = 0;
  StreamId id = {};
  State state = State::kLive;
  std::string content = {};
  uint64_t inherited = 0;  // Of `content`, how much was copied from the source.
  std::string content_type = {};
  bool closed = false;
  Lifetime given = {};
  Lifetime effective = {};
  int64_t last_use_ms = 0;
  std::string last_sequence = {};
  std::map<std::string, Producer> producers = {};  // Highest accepted.
  std::map<std::string, int64_t> seen_ms = {};     // When.
  std::optional<Producer> closing = {};
  std::optional<ForkPoint> forked_from = {};
  uint64_t source = 0;  // Number of the source.
  uint64_t depth = 0;   // Sources above it.
  std::optional<Reservation> reservation = {};
};

struct ModelResult {
  Reply reply = {};
  std::optional<Appended> appended = {};
  std::set<uint64_t> changed = {};
  std::set<uint64_t> freed = {};
};

class StreamModel {
 public:
  StreamModel(GroupId group, uint64_t history) : group_(group), history_(history) {}

  ModelResult Apply(uint64_t index, const Command& command);

  const std::vector<ModelStream>& streams() const { return streams_; }
  const ModelStream* Visible(const StreamId& id) const;  // Live and not due, or soft-deleted.
  bool IsDue(const ModelStream& stream) const;
  std::optional<int64_t> Deadline(const ModelStream& stream) const;
  int64_t now() const { return now_; }

  struct Bucket {
    uint64_t number = 0;
    bool deleting = false;
    uint64_t attempt = 0;
  };
  struct Fence {
    uint64_t refused = 0;
    uint64_t attempt = 0;
    bool undone = false;
  };
  struct Asked {  // After a fork that isn't there.
    uint64_t home = 0;
    uint64_t reservation = 0;
    int64_t first_ms = 0;
    bool never = false;
  };
  struct Gone {
    uint64_t fork = 0;
    StreamId id = {};
    Reservation reservation = {};
    bool applied = false;
  };
  const std::map<std::string, Bucket>& buckets() const { return buckets_; }
  const std::map<StreamId, Placement>& placements() const { return placements_; }
  const std::vector<Gone>& gone() const { return gone_; }
  const std::vector<Asked>& asked() const { return asked_; }
  struct Node {
    uint64_t lives_before = 0;
    std::string stage = "member";
    uint64_t directory = 0;
    uint64_t opening = 0;
    uint64_t nonce = 0;
    bool cordoned = false;
  };
  const std::map<uint64_t, Node>& nodes() const { return nodes_; }
  uint64_t history() const { return history_; }
  uint64_t recovery() const { return recovery_; }

 private:
  void Do(uint64_t index, const CreateBucket& command, ModelResult* result);
  void Do(uint64_t index, const DeleteBucket& command, ModelResult* result);
  void Do(uint64_t index, const FenceBucket& command, ModelResult* result);
  void Do(uint64_t index, const UnfenceBucket& command, ModelResult* result);
  void Do(uint64_t index, const CreateStream& command, ModelResult* result);
  void Do(uint64_t index, const CreateFork& command, ModelResult* result);
  void Do(uint64_t index, const Append& command, ModelResult* result);
  void Do(uint64_t index, const Delete& command, ModelResult* result);
  void Do(uint64_t index, const Expire& command, ModelResult* result);
  void Do(uint64_t index, const Touch& command, ModelResult* result);
  void Do(uint64_t index, const Reserve& command, ModelResult* result);
  void Do(uint64_t index, const Confirm& command, ModelResult* result);
  void Do(uint64_t index, const Unreserve& command, ModelResult* result);
  void Do(uint64_t index, const ResolveFork& command, ModelResult* result);
  void Do(uint64_t index, const DropReleases& command, ModelResult* result);
  void Do(uint64_t index, const SettleFences& command, ModelResult* result);
  void Do(uint64_t index, const SetLimits& command, ModelResult* result);
  void Do(uint64_t index, const SetFeatureLevel& command, ModelResult* result);
  void Do(uint64_t index, const SetHistory& command, ModelResult* result);
  void Do(uint64_t index, const AdmitNode& command, ModelResult* result);
  void Do(uint64_t index, const SettleNode& command, ModelResult* result);
  void Do(uint64_t index, const OpenNode& command, ModelResult* result);
  void Do(uint64_t index, const MarkNode& command, ModelResult* result);
  void Do(uint64_t index, const Recover& command, ModelResult* result);
  void Do(uint64_t index, const StepClock& command, ModelResult* result);

  StreamInfo InfoOf(const ModelStream& stream) const;
  uint64_t Public(const ModelStream& stream) const;
  bool Meets(const ModelStream* stream, const Precondition& condition) const;
  bool Is(const ModelStream& stream, const StateMatch& match) const;
  ModelStream* Named(const StreamId& id);
  ModelStream* Numbered(Incarnation incarnation);
  bool HasForks(const ModelStream& stream) const;
  void ExpireIfDue(ModelStream* stream);
  void HideName(ModelStream* stream);
  void CollectGarbage();
  void Settle(GroupId home, Incarnation below);
  bool IsOver(const Reservation& reservation) const;
  bool SamePlace(const ModelStream& there, const CreateFork& asked) const;
  // True when the name alone decides.
  bool Occupied(const CreateStream& command, const CreateFork* fork, Reply* reply);
  ModelStream* New(uint64_t index, const CreateStream& command, ModelResult* result);
  bool Idle(int64_t seen_ms) const;
  bool AppendRefused(const ModelStream& stream, const Append& command, Reply* reply);

  GroupId group_;
  int64_t now_ = 0;
  std::vector<ModelStream> streams_;
  std::map<std::string, Bucket> buckets_;
  std::map<std::string, Fence> fences_;
  uint64_t fences_settled_ = 0;
  std::map<uint64_t, uint64_t> settled_;  // By home group.
  std::map<uint64_t, Node> nodes_;
  std::vector<Asked> asked_;
  uint64_t history_;
  uint64_t recovery_ = 0;
  uint64_t feature_level_ = 1;
  Limits limits_;
  std::map<StreamId, Placement> placements_;
  std::vector<Gone> gone_;
};

}  // namespace ursula::stream
