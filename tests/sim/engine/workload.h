// tests/sim/engine/workload.h
//
// Makes operations that meet each other: few names, and positions, producers and conditions that
// are right, or nearly so, for what the streams were before the batch.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "tests/sim/engine/model.h"
#include "tests/sim/engine/operation.h"
#include "tests/sim/engine/profile.h"

namespace ursula::engine::sim {

class Workload {
 public:
  // Borrows both.
  Workload(const Profile* profile, Random* random) : profile_(*profile), random_(*random) {}

  // Chooses what the next operations are mostly about; `model` is what there may be.
  void BeginBatch(const Model& model, Moments now_ms);
  Request Next(uint64_t number);
  Request NextAppend(uint64_t number) { return Append(number); }
  // One that renews nothing and doesn't wait.
  Request NextLocalLook();
  Request LocalLook(const StreamId& id, const ModelStream* there);

 private:
  const StreamId& Name();
  const ModelStream* There(const StreamId& id) const { return model_->Find(id); }
  Bytes Payload(uint64_t number);
  std::vector<Bytes> Messages(uint64_t number, uint64_t count_max);
  std::string ContentType();
  Lifetime SomeLifetime(uint32_t group);
  CreateRequest Create(uint64_t number);
  CreateRequest Fork(uint64_t number);
  CreateRequest Again(const ModelStream& stream);
  ForkPoint Point(const StreamId& source);
  Offset SomeOffset(const ModelStream& stream);
  AppendRequest Append(uint64_t number);
  Producer SomeProducer(const ModelStream* stream);
  Precondition Condition(const ModelStream* stream);
  StateMatch SomeMatch(const ModelStream* stream);
  ReadRequest Read();
  HeadRequest Head();
  uint64_t SomeStaleness();
  BucketRequest Bucket();

  const Profile& profile_;
  Random& random_;
  const Model* model_ = nullptr;
  Moments now_ms_ = {};  // By group.
  std::vector<StreamId> focus_;
  std::string bucket_;  // Not empty: the batch is about it.
};

}  // namespace ursula::engine::sim
