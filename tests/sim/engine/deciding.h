// tests/sim/engine/deciding.h
//
// One operation on one model: which answers are right, and what the model is afterwards.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/sim/engine/model.h"
#include "tests/sim/engine/operation.h"

namespace ursula::engine::sim {

// Whether a read that was asked so may be answered so, of the stream as it is; but for the info.
bool PageFits(const ModelStream& stream, const ReadRequest& request, const ReadReply& reply);

// Of a model that is aged already: every deadline that matters has come, or hasn't.
class Deciding {
 public:
  Deciding(const Operation& operation, std::vector<Model>* after)
      : operation_(operation), after_(*after) {}

  void Decide(const Model& model);

 private:
  // What a create or fork is to be answered, and with what effect.
  struct Creation {
    std::vector<Outcome> outcomes = {};  // More than one where the order of checks is open.
    const ModelStream* there = nullptr;  // What the name is, if anything.
    uint64_t source = 0;                 // Of a fork to be made.
    uint64_t offset = 0;
  };

  void Do(const Model& model, const CreateRequest& request);
  void Do(const Model& model, const AppendRequest& request);
  void Do(const Model& model, const DeleteRequest& request);
  void Do(const Model& model, const ReadRequest& request);
  void Do(const Model& model, const HeadRequest& request);
  void Do(const Model& model, const BucketRequest& request);

  Creation PlanCreation(const Model& model, const CreateRequest& request) const;
  void PlanFork(const Model& model, const CreateRequest& request, Creation* creation) const;
  void Make(Model model, const CreateRequest& request, const Creation& creation);
  // Both bounds of what the point may resolve to; empty: invalid.
  static std::optional<uint64_t> Resolve(const ModelStream& source, const ForkPoint& point);
  static bool SamePoint(const Model& model, const ModelStream& there, const ForkPoint& point);
  static bool SameConfig(const Model& model, const ModelStream& there,
                         const CreateRequest& request);
  static Outcome AppendOutcome(const ModelStream& stream, const AppendRequest& request);
  static Outcome ProducerOutcome(const ModelStream& stream, const Producer& producer);
  static void ApplyAppend(ModelStream* stream, const AppendRequest& request);
  bool AppendReplyFits(Model* model, const ModelStream& before, const ModelStream& after,
                       Outcome outcome) const;
  bool ReadReplyFits(Model* model, const ModelStream& stream, const ReadRequest& request,
                     const ReadReply& reply) const;
  // What is said of a stream that isn't there.
  static Outcome Absent(const Model& model, const StreamId& id);
  // True where the reply shows the stream as it is, the engine's name of its life included.
  static bool InfoFits(Model* model, const ModelStream& stream, const StreamInfo& info);
  static bool Holds(const Precondition& condition, const ModelStream* stream);
  static bool Matches(const StateMatch& match, const ModelStream& stream);

  void Renew(Model* model, uint64_t number, bool certainly) const;

  const Operation& operation_;
  std::vector<Model>& after_;
};

}  // namespace ursula::engine::sim
