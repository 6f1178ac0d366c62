// What the model takes for right where a crash left something open. The rest of it is tried by the
// simulations, and by planted bugs.

#include "tests/sim/engine/model.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/sim/engine/operation.h"

namespace ursula::engine::sim {
namespace {

constexpr uint32_t kGroups = 2;
const StreamId kName{.bucket = "team", .name = "d"};

class ModelTest : public testing::Test {
 protected:
  Operation Of(Request request) {
    Operation operation;
    operation.number = next_++;
    operation.invoked = 2 * operation.number;
    operation.request = std::move(request);
    operation.times = Intervals(kGroups, {1000, 1000});
    return operation;
  }
  template <class Reply>
  Operation Answered(Request request, Outcome outcome) {
    Operation operation = Of(std::move(request));
    operation.answered = operation.invoked + 1;
    Reply reply;
    reply.outcome = outcome;
    operation.answer = Result<Reply>(std::move(reply));
    return operation;
  }
  // The models in which the bucket is there, and its deletion was cut off or not.
  std::vector<Model> WithBucket(bool cut_off) {
    std::vector<Model> models{Model(kGroups)};
    Explain(
        Answered<BucketReply>(BucketRequest{BucketRequest::Kind::kCreate, "team"}, Outcome::kOk),
        &models);
    if (cut_off) Explain(Of(BucketRequest{BucketRequest::Kind::kDelete, "team"}), &models);
    return models;
  }
  static void Explain(const Operation& operation, std::vector<Model>* models) {
    std::vector<Model> after;
    for (const Model& model : *models) model.Explain(operation, &after);
    *models = std::move(after);
  }
  // Whether that may be said first, and then, by another call, that the bucket is there.
  bool MayBeSaid(std::vector<Model> models, const Operation& said, bool then_there) {
    Explain(said, &models);
    Explain(Answered<BucketReply>(BucketRequest{BucketRequest::Kind::kGet, "team"},
                                  then_there ? Outcome::kOk : Outcome::kBucketNotFound),
            &models);
    return !models.empty();
  }

  uint64_t next_ = 1;
};

TEST_F(ModelTest, ADeletionThatWasCutOffMayHaveEndedBeforeWhateverIsAskedInTheBucket) {
  const Outcome gone = Outcome::kBucketNotFound;
  const Operation asked[] = {
      Answered<AppendReply>(AppendRequest{.stream = kName, .close = true}, gone),
      Answered<DeleteReply>(DeleteRequest{.stream = kName}, gone),
      Answered<ReadReply>(ReadRequest{.stream = kName}, gone),
      Answered<HeadReply>(HeadRequest{.stream = kName}, gone),
      Answered<CreateReply>(CreateRequest{.stream = kName}, gone)};
  for (const Operation& one : asked) {
    EXPECT_TRUE(MayBeSaid(WithBucket(true), one, false)) << ToText(one);
    // Once it has been seen to have ended it stays so.
    EXPECT_FALSE(MayBeSaid(WithBucket(true), one, true)) << ToText(one);
    EXPECT_FALSE(MayBeSaid(WithBucket(false), one, false)) << ToText(one);
  }
}

TEST_F(ModelTest, ABucketWithAStreamIsThereHoweverItsDeletionWasCutOff) {
  std::vector<Model> models = WithBucket(false);
  Operation made = Of(CreateRequest{.stream = kName});
  made.answered = made.invoked + 1;
  CreateReply reply;
  reply.info.content_type = "application/octet-stream";
  reply.info.incarnation = 7;
  made.answer = Result<CreateReply>(std::move(reply));
  Explain(made, &models);
  Explain(Of(BucketRequest{BucketRequest::Kind::kDelete, "team"}), &models);
  ASSERT_FALSE(models.empty());
  EXPECT_FALSE(MayBeSaid(models,
                         Answered<HeadReply>(HeadRequest{StreamId{.bucket = "team", .name = "e"}},
                                             Outcome::kBucketNotFound),
                         false));
}

}  // namespace
}  // namespace ursula::engine::sim
